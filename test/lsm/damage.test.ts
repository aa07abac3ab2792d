import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { contents, DIRECTORY, get, put, Rig, TINY } from './rig.ts';

const KEYS = Array.from({ length: 24 }, (_none, n) => `key${String(n * 7).padStart(3, '0')}`);

/** A machine with one table that holds every key. */
function machineWithTable(): { rig: Rig; table: string } {
  const rig = new Rig('damage');
  const store = rig.open({ ...TINY, memtableBytes: 1 << 20 });
  store.beginEntry(1);
  for (const key of KEYS) put(store, key, `value of ${key}`);
  store.beginEntry(2);
  for (const key of KEYS.slice(3, 5)) store.delete(new TextEncoder().encode(key));
  store.beginEntry(3);
  for (const key of KEYS.slice(3, 5)) put(store, key, `value of ${key}`);
  store.flush(() => {});
  rig.settle();
  store.close();
  const table = rig.disk.files().find((path) => path.startsWith(`${DIRECTORY}/table-`));
  if (table === undefined) throw new Error('no table was flushed');
  return { rig, table };
}

describe('damage', () => {
  it('of any byte of a table is reported with file and offset, never a wrong value and never a missing key', () => {
    const { rig, table } = machineWithTable();
    const size = rig.disk.readRaw(table).length;
    let reported = 0;
    for (let offset = 0; offset < size; offset++) {
      const { rig: machine, table: path } = machineWithTable();
      machine.disk.flipByte(path, offset);
      const store = machine.tryOpen();
      if (store instanceof Error) {
        expectCorruption(store, path, size);
        reported++;
        continue;
      }
      let found = 0;
      for (const key of [...KEYS, 'key001', 'zzz']) {
        try {
          expect(get(store, key)).toBe(KEYS.includes(key) ? `value of ${key}` : null);
        } catch (error) {
          expectCorruption(error, path, size);
          found++;
        }
      }
      try {
        expect(contents(store).length).toBe(KEYS.length);
      } catch (error) {
        expectCorruption(error, path, size);
        found++;
      }
      if (found > 0) reported++;
      store.close();
    }
    // Every byte is under a checksum, so none goes unnoticed.
    expect(reported).toBe(size);
  });

  it('of any byte of the manifest or of CURRENT is reported, or changes nothing', () => {
    for (const name of ['CURRENT', 'manifest']) {
      const { rig } = machineWithTable();
      const path = rig.disk.files().find((file) => file.startsWith(`${DIRECTORY}/${name}`)) ?? '';
      const size = rig.disk.readRaw(path).length;
      for (let offset = 0; offset < size; offset++) {
        const { rig: machine } = machineWithTable();
        machine.disk.flipByte(path, offset);
        const store = machine.tryOpen();
        if (store instanceof Error) {
          expect(store).toBeInstanceOf(CorruptionError);
          expect(store.message).toContain(DIRECTORY);
        } else {
          expect(store.flushedIndex).toBe(3);
          expect(contents(store).length).toBe(KEYS.length);
        }
      }
    }
  });

  it('of a table that is missing, or of CURRENT that is missing beside tables, is reported by name', () => {
    const first = machineWithTable();
    first.rig.disk.attach(first.rig.process).remove(first.table);
    expect(first.rig.tryOpen()).toMatchObject({ message: expect.stringContaining(first.table) });
    const second = machineWithTable();
    second.rig.disk.attach(second.rig.process).remove(`${DIRECTORY}/CURRENT`);
    expect(second.rig.tryOpen()).toBeInstanceOf(CorruptionError);
  });

  it('met by a merge stops the background work and says where', () => {
    const { rig, table } = machineWithTable();
    rig.disk.flipByte(table, 20);
    const store = rig.open();
    store.beginEntry(4);
    store.delete(new TextEncoder().encode(KEYS[0]));
    let told: Error | null = null;
    store.merge((error) => {
      told = error;
    });
    rig.settle();
    expect(told).toBeInstanceOf(CorruptionError);
    expect(rig.failure).toBe(told);
  });
});

function expectCorruption(error: unknown, path: string, size: number): void {
  expect(error).toBeInstanceOf(CorruptionError);
  const { path: named, offset } = error as CorruptionError;
  expect(named).toBe(path);
  expect(offset).toBeGreaterThanOrEqual(0);
  expect(offset).toBeLessThan(size);
}
