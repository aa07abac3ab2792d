import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/io/logger.ts';
import type { Store } from '../../src/lsm/store.ts';
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
    const intact = rig.disk.readRaw(table);
    const { length: size } = intact;
    let reported = 0;
    for (let offset = 0; offset < size; offset++) {
      rig.disk.flipByte(table, offset);
      const store = rig.tryOpen();
      if (store instanceof Error) {
        expectCorruption(store, table, size);
        reported++;
      } else {
        if (readsReportDamage(store, table, size)) reported++;
        store.close();
      }
      restore(rig, table, offset, intact);
    }
    // Every byte is under a checksum, so none goes unnoticed.
    expect(reported).toBe(size);
  });

  it('of any byte of a block that has been read before is reported as well', () => {
    const { rig, table } = machineWithTable();
    const intact = rig.disk.readRaw(table);
    const store = rig.open();
    for (const key of KEYS) get(store, key);
    // The blocks alone: the rest is kept in memory.
    const end = new DataView(intact.buffer).getUint32(intact.length - 64, true);
    for (let offset = 0; offset < end; offset++) {
      rig.disk.flipByte(table, offset);
      expect(readsReportDamage(store, table, intact.length)).toBe(true);
      restore(rig, table, offset, intact);
    }
  });

  it('that is noted of a table again and again is logged once', () => {
    const { rig, table } = machineWithTable();
    rig.disk.flipByte(table, 0);
    const events: string[] = [];
    const logger: Logger = { log: (_level, event) => events.push(event) };
    const store = rig.open({ logger });
    for (let n = 0; n < 3; n++) {
      for (const key of KEYS) {
        try {
          get(store, key);
        } catch (error) {
          expect(store.noteDamage(error as CorruptionError)).toBe(false);
        }
      }
    }
    expect(events.filter((event) => event === 'table-damaged')).toEqual(['table-damaged']);
  });

  it('by a lost or misdirected write of any sector of a table is reported', () => {
    const { rig: first, table: itsTable } = machineWithTable();
    const sectors = Math.ceil(first.disk.readRaw(itsTable).length / 512);
    expect(sectors).toBeGreaterThan(1);
    for (const damage of ['lost', 'misdirected'] as const) {
      for (let sector = 0; sector < sectors; sector++) {
        const { rig, table } = machineWithTable();
        if (damage === 'lost') rig.disk.loseSector(table, sector * 512);
        else rig.disk.misdirectSector(table, ((sector + 1) % sectors) * 512, sector * 512);
        const store = rig.tryOpen();
        if (store instanceof Error) expect(store).toBeInstanceOf(CorruptionError);
        else expect(readsReportDamage(store, table, rig.disk.readRaw(table).length)).toBe(true);
      }
    }
  });

  it('of any byte of the manifest or of CURRENT is reported, or changes nothing', () => {
    const { rig } = machineWithTable();
    // Each open makes a new manifest: the machine is made anew for each byte that opening survives.
    for (const name of ['CURRENT', 'manifest']) {
      const path = rig.disk.files().find((file) => file.startsWith(`${DIRECTORY}/${name}`)) ?? '';
      const size = rig.disk.readRaw(path).length;
      let machine = rig;
      for (let offset = 0; offset < size; offset++) {
        const intact = machine.disk.readRaw(path);
        machine.disk.flipByte(path, offset);
        const store = machine.tryOpen();
        if (store instanceof Error) {
          expect(store).toBeInstanceOf(CorruptionError);
          expect(store.message).toContain(path);
          restore(machine, path, offset, intact);
        } else {
          expect(store.flushedIndex).toBe(3);
          expect(contents(store).length).toBe(KEYS.length);
          machine = machineWithTable().rig;
        }
      }
    }
  });

  it('of CURRENT that is missing with all tables is told from a store that was never made', () => {
    const { rig } = machineWithTable();
    const disk = rig.disk.attach(rig.process);
    for (const name of disk.list(DIRECTORY)) {
      if (name === 'CURRENT' || name.startsWith('table-')) disk.remove(`${DIRECTORY}/${name}`);
    }
    expect(String(rig.tryOpen())).toMatch(/CURRENT.*it is missing beside manifest-/);
    // The manifest is damaged as well (seed 2400797).
    const [manifest = ''] = disk.list(DIRECTORY);
    const path = `${DIRECTORY}/${manifest}`;
    for (let offset = 0; offset < rig.disk.sizeOf(path); offset++) {
      rig.disk.flipByte(path, offset);
      expect(String(rig.tryOpen())).toMatch(/CURRENT.*it is missing beside manifest-/);
      rig.disk.flipByte(path, offset);
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

/** Reads every key, some that are not there, and all in order. Right answers pass, errors must name the damage. */
function readsReportDamage(store: Store, path: string, size: number): boolean {
  let reports = 0;
  for (const key of [...KEYS, 'key001', 'zzz']) {
    try {
      const value = get(store, key);
      if (value !== (KEYS.includes(key) ? `value of ${key}` : null)) expect.fail(`${key} is ${value}`);
    } catch (error) {
      expectCorruption(error, path, size);
      reports++;
    }
  }
  try {
    expect(contents(store).length).toBe(KEYS.length);
  } catch (error) {
    expectCorruption(error, path, size);
    reports++;
  }
  return reports > 0;
}

/** Rot flips a drawn bit: flipping goes on until the byte is again what it was. */
function restore(rig: Rig, path: string, offset: number, intact: Uint8Array): void {
  while (rig.disk.readRaw(path)[offset] !== intact[offset]) rig.disk.flipByte(path, offset);
}

function expectCorruption(error: unknown, path: string, size: number): void {
  if (!(error instanceof CorruptionError)) throw error;
  // Not `expect`: thousands of times it takes seconds.
  const isNamed = error.path === path && error.offset >= 0 && error.offset < size;
  if (!isNamed) expect.fail(`${error.message}: not in the file's ${size} bytes`);
}
