import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { describeVerification } from '../../src/cli/verify.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import type { EngineOptions } from '../../src/embedded/engine.ts';
import { isStore, type Verification, verify } from '../../src/inspect/verify.ts';
import { writeUint32 } from '../../src/lsm/bytes.ts';
import { placeSeed } from '../../src/lsm/table_format.ts';
import { openTable } from '../../src/lsm/table_reader.ts';
import { EngineRig } from '../embedded/rig.ts';

const TUNING = {
  segmentBytes: 4096,
  store: { memtableBytes: 4096, blockBytes: 256, tableBytes: 1024, mergeAtTables: 8 },
};

/** A store of several tables and a log behind them, closed in order. */
function makeStore(tuning: Partial<EngineOptions> = TUNING): EngineRig {
  const rig = new EngineRig('verify', tuning);
  const engine = rig.mustOpen();
  const put = (at: number): void =>
    engine.write(
      { type: 'set', bucket: 'b', key: utf8(`k${String(at).padStart(3, '0')}`), value: utf8('v'.repeat(30)) },
      'sync',
      () => {},
    );
  rig.process.run(() => {
    for (let at = 0; at < 60; at++) put(at);
    engine.flush(() => {});
  });
  rig.pass(200_000);
  rig.process.run(() => {
    for (let at = 60; at < 70; at++) put(at);
  });
  rig.pass(200_000);
  rig.process.run(() => engine.close(() => {}));
  rig.pass(200_000);
  return rig;
}

function check(rig: EngineRig): Verification {
  let found: Verification | null = null;
  rig.process.run(() => {
    found = verify(rig.disk.attach(rig.process), '/db');
  });
  if (found === null) throw new Error('it was not verified');
  return found;
}

/** Twice is as never. */
function flip(rig: EngineRig, path: string, offset: number): void {
  const bytes = rig.disk.readRaw(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  rig.process.run(() => {
    const disk = rig.disk.attach(rig.process);
    disk.remove(path);
    const file = disk.create(path);
    file.append(bytes);
    file.close();
  });
}

describe('verification', () => {
  it('reads all of compressed tables too, and knows their damage without knowing the compression', () => {
    const compressed = { ...TUNING.store, compression: runLength.name };
    const rig = makeStore({ ...TUNING, store: compressed, compressions: [runLength] });
    const intact = check(rig);
    expect(intact.damage).toEqual([]);
    expect(intact.tables).toBeGreaterThan(0);
    const [path = ''] = rig.disk.files().filter((name) => name.includes('/table-'));
    flip(rig, path, 5);
    expect(check(rig).damage).toMatchObject([
      { path, offset: 0, what: expect.stringContaining('data block') },
    ]);
  });

  it('finds nothing wrong with a store that is whole, and reads all of it', () => {
    const rig = makeStore();
    const found = check(rig);
    const [manifest] = rig.disk.files().filter((path) => path.includes('manifest'));
    expect(found).toMatchObject({ damage: [], leftovers: [] });
    expect(found.tables).toBeGreaterThan(1);
    expect(found.logRecords).toBeGreaterThan(9);
    const sizes = rig.disk.files().map((path) => (/table-|\.log$/.test(path) ? rig.disk.sizeOf(path) : 0));
    expect(found.bytes).toBeGreaterThanOrEqual(
      sizes.reduce((sum, size) => sum + size, 0) - rig.disk.sizeOf(manifest),
    );
    expect(describeVerification('/db', found)).toMatch(
      /^\/db: every checksum holds \(\d tables, \d+ records/,
    );
  });

  it('names file, offset and keys of each damaged byte of a table', () => {
    const rig = makeStore();
    const tables = rig.disk.files().filter((path) => path.includes('table-'));
    for (const path of tables) {
      for (let offset = 0; offset < rig.disk.sizeOf(path); offset++) {
        flip(rig, path, offset);
        const [damage, ...more] = check(rig).damage;
        expect([offset, damage?.path, more]).toEqual([offset, path, []]);
        expect(damage?.keys).not.toBeNull();
        flip(rig, path, offset);
      }
    }
    const [path = ''] = tables;
    flip(rig, path, 10);
    flip(rig, path, 300);
    const text = describeVerification('/db', check(rig));
    expect(text).toMatch(/table-\d+: offset 0: .*; keys b\/k000 to b\/k0\d\d\n/);
    expect(text).toContain('/db: 2 damaged places');
  });

  it('finds a record that had changed before its block got a checksum', () => {
    const rig = makeStore();
    const [path = ''] = rig.disk.files().filter((name) => name.includes('table-'));
    const number = Number(path.split('-').at(-1));
    const bytes = rig.disk.readRaw(path).slice();
    const valueAt = fromUtf8(bytes).indexOf('vvv');
    rig.process.run(() => {
      const disk = rig.disk.attach(rig.process);
      const table = openTable(disk, path, number);
      const end = table.bytesOf(0);
      table.close();
      bytes[valueAt] ^= 1;
      writeUint32(bytes, end - 4, crc32(bytes.subarray(0, end - 4), placeSeed(number, 0)));
      disk.remove(path);
      const file = disk.create(path);
      file.append(bytes);
      file.close();
    });
    const { damage } = check(rig);
    expect(damage).toMatchObject([
      { path, offset: 0, what: expect.stringContaining('checksum of a record') as string },
    ]);
    expect(damage[0]?.keys).not.toBeNull();
  });

  it('finds damage to the manifest, and looks at the tables all the same', () => {
    const rig = makeStore();
    const { tables } = check(rig);
    for (const path of rig.disk.files().filter((name) => /manifest|CURRENT/.test(name))) {
      flip(rig, path, 5);
      const found = check(rig);
      expect(found.damage).toHaveLength(1);
      expect(found.tables).toBe(tables);
      flip(rig, path, 5);
    }
  });

  it('goes on behind what is damaged in the log', () => {
    const rig = makeStore();
    const [log = ''] = rig.disk.files().filter((path) => path.endsWith('.log'));
    for (const offset of [100, 900]) flip(rig, log, offset);
    const { damage, logRecords } = check(rig);
    expect(damage).toMatchObject([{ path: log }, { path: log }]);
    expect(damage[0]?.offset).toBeLessThanOrEqual(100);
    expect(damage[1]?.offset).toBeGreaterThan(800);
    expect(logRecords).toBeGreaterThan(0);
  });

  it('finds damage to what the log attests, and a table that is missing', () => {
    const rig = makeStore();
    const [log = ''] = rig.disk.files().filter((path) => path.endsWith('.log'));
    flip(rig, log, 100);
    expect(check(rig).damage).toMatchObject([{ path: log }]);
    flip(rig, log, 100);
    const [table = ''] = rig.disk.files().filter((path) => path.includes('table-'));
    rig.disk.loseName(table);
    expect(check(rig).damage).toMatchObject([
      { path: table, what: 'a table that the manifest lists is missing' },
    ]);
  });

  it('tells of what a crash has left, which is no damage', () => {
    const rig = makeStore();
    rig.process.run(() => {
      const file = rig.disk.attach(rig.process).create('/db/tables/table-900');
      file.append(new Uint8Array(10));
      file.close();
    });
    expect(check(rig)).toMatchObject({ damage: [], leftovers: ['/db/tables/table-900'] });
  });

  it('knows a directory without a store', () => {
    const rig = makeStore();
    rig.process.run(() => {
      const disk = rig.disk.attach(rig.process);
      expect([isStore(disk, '/db'), isStore(disk, '/db/log'), isStore(disk, '/none')]).toEqual([
        true,
        false,
        false,
      ]);
    });
  });
});
