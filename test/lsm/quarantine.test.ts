import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import type { Logger } from '../../src/io/logger.ts';
import { writeUint32 } from '../../src/lsm/bytes.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import { placeSeed } from '../../src/lsm/table_format.ts';
import { openTable } from '../../src/lsm/table_reader.ts';
import { DIRECTORY, get, put, Rig } from './rig.ts';

const OPTIONS: Partial<StoreOptions> = {
  memtableBytes: 1 << 20,
  blockBytes: 96,
  tableBytes: 300,
  levelBytes: 1 << 20,
  mergeAtTables: 2,
  damagedTables: 'quarantine',
};
const KEYS = Array.from({ length: 40 }, (_none, n) => `key${String(n).padStart(2, '0')}`);

/** A store of one level with several tables, none of which overlap. */
function storeOfTables(): { rig: Rig; tables: string[] } {
  const rig = new Rig('quarantine');
  const store = rig.open(OPTIONS);
  for (const [at, key] of KEYS.entries()) {
    store.beginEntry(at + 1);
    put(store, key, `value of ${key}`);
  }
  store.merge(() => {});
  rig.settle();
  store.close();
  const tables = rig.disk.files().filter((path) => path.includes('/table-'));
  expect(tables.length).toBeGreaterThan(3);
  return { rig, tables };
}

/** Keys that give errors; all others must be right. */
function unreadable(store: Store, path: string): string[] {
  return KEYS.filter((key) => {
    try {
      expect(get(store, key)).toBe(`value of ${key}`);
      return false;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      expect(error.path).toBe(path);
      return true;
    }
  });
}

describe('a store with a damaged table', () => {
  it('tells the log, once, of one that cannot even be opened', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    rig.disk.flipByte(path, rig.disk.readRaw(path).length - 10);
    const told: unknown[] = [];
    const logger: Logger = {
      log: (level, event, fields) => {
        if (event === 'table-damaged') told.push({ level, path: fields?.path });
      },
    };
    const store = rig.open({ ...OPTIONS, logger });
    expect(told).toEqual([{ level: 'error', path }]);
    expect(unreadable(store, path).length).toBeGreaterThan(1);
    expect(told).toHaveLength(1);
  });

  it('holds nothing for a snapshot or an iterator that it refuses', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    rig.disk.flipByte(path, rig.disk.readRaw(path).length - 10);
    const store = rig.open(OPTIONS);
    for (let n = 0; n < 3; n++) {
      expect(() => store.snapshot()).toThrow(CorruptionError);
      expect(() => store.iterator()).toThrow(CorruptionError);
    }
    store.close();
    rig.settle();
    expect(rig.process.holdings.files).toBe(0);
  });

  it('opens, and serves all keys but those of the table, which give errors that name the file', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    // The footer: nothing of the table can be read.
    rig.disk.flipByte(path, rig.disk.readRaw(path).length - 10);
    const store = rig.open(OPTIONS);
    const lost = unreadable(store, path);
    expect(lost.length).toBeGreaterThan(1);
    expect(lost.length).toBeLessThan(KEYS.length / 2);
    const [first = '', last = ''] = [lost[0], lost[lost.length - 1]];
    // They are one range, and ranges beside it can be iterated over.
    expect(KEYS.slice(KEYS.indexOf(first), KEYS.indexOf(last) + 1)).toEqual(lost);
    const before = store.iterator({ lt: utf8(first) });
    let count = 0;
    while (before.next()) count++;
    before.close();
    expect(count).toBe(KEYS.indexOf(first));
    expect(() => store.iterator().next()).toThrow(CorruptionError);
    expect(store.quarantined.map((table) => table.path)).toEqual([path]);
    expect(store.statistics().quarantinedTables).toBe(1);
  });

  it('takes writes, which hide the damage where they go, and flushes and compacts what it can', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    rig.disk.flipByte(path, rig.disk.readRaw(path).length - 10);
    let store = rig.open(OPTIONS);
    const [lost = ''] = unreadable(store, path);
    for (let at = 0; at < 8; at++) {
      store.beginEntry(100 + at);
      put(store, lost, `again ${at}`);
      put(store, 'key00', `again ${at}`);
      store.flush(() => {});
      rig.settle();
    }
    expect(rig.failure).toBeNull();
    expect(store.statistics().merges).toBeGreaterThan(0);
    store.close();
    store = rig.open(OPTIONS);
    expect(get(store, lost)).toBe('again 7');
    expect(get(store, 'key00')).toBe('again 7');
    let told: Error | null = null;
    store.merge((error) => {
      told = error;
    });
    rig.settle();
    expect(told).toBeInstanceOf(CorruptionError);
    expect(rig.failure).toBeNull();
  });

  it('puts it aside when a compaction meets the damage, and says so once', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    rig.disk.flipByte(path, 20);
    const store = rig.open(OPTIONS);
    const damaged: string[] = [];
    store.onDamage = (table) => damaged.push(table.path);
    const told: (Error | null)[] = [];
    store.beginEntry(100);
    put(store, 'key00', 'new');
    store.merge((error) => told.push(error));
    rig.settle();
    store.merge((error) => told.push(error));
    rig.settle();
    expect(damaged).toEqual([path]);
    expect(told).toEqual([expect.any(CorruptionError), expect.any(CorruptionError)]);
    expect(rig.failure).toBeNull();
    expect(get(store, 'key00')).toBe('new');
  });

  it('does not open when damage is to be refused', () => {
    const { rig, tables } = storeOfTables();
    const [, path = ''] = tables;
    rig.disk.flipByte(path, rig.disk.readRaw(path).length - 10);
    expect(rig.tryOpen({ ...OPTIONS, damagedTables: 'refuse' })).toBeInstanceOf(CorruptionError);
  });
});

/** Opens a store that always has something planned. */
function openFor(rig: Rig, options: Partial<StoreOptions>): Store {
  const opened: Store[] = [];
  rig.beginOpen(options, (outcome) => {
    if (outcome.ok) opened.push(outcome.value);
  });
  rig.scheduler.runUntil(rig.scheduler.nowUs + 100_000);
  const [store] = opened;
  if (store === undefined) throw new Error('the store has not opened');
  return store;
}

describe('the scrubber', () => {
  it('finds damage to any byte of a table that nobody reads, within the time that its rate gives', () => {
    const size = ((): number => {
      const { rig, tables } = storeOfTables();
      return rig.disk.readRaw(tables[0] ?? '').length;
    })();
    for (let offset = 0; offset < size; offset += 7) {
      const { rig, tables } = storeOfTables();
      const [path = ''] = tables;
      const total = tables.reduce((sum, table) => sum + rig.disk.readRaw(table).length, 0);
      // All of it in about two seconds.
      const store = openFor(rig, { ...OPTIONS, scrubBytesPerSecond: total / 2 });
      const damaged: string[] = [];
      store.onDamage = (table) => damaged.push(table.path);
      rig.scheduler.runUntil(rig.scheduler.nowUs + 5_000_000);
      expect(damaged).toEqual([]);
      expect(store.statistics().scrubs).toBeGreaterThan(0);
      expect(store.statistics().scrubbedBytes).toBeLessThan(3 * total);
      rig.disk.flipByte(path, offset);
      rig.scheduler.runUntil(rig.scheduler.nowUs + 5_000_000);
      expect(damaged).toEqual([path]);
      store.close();
      // Nothing is left that would run.
      rig.settle();
    }
  });

  it('finds a record that had changed before its block was complete', () => {
    const { rig, tables } = storeOfTables();
    const [path = ''] = tables;
    const disk = rig.disk.attach(rig.process);
    const bytes = rig.disk.readRaw(path).slice();
    const number = Number(path.slice(path.lastIndexOf('-') + 1));
    const table = openTable(disk, path, number);
    const block = bytes.subarray(0, table.bytesOf(0));
    table.close();
    // The last byte of a value, in a block that is what was written.
    const [value] = Buffer.from(block)
      .toString('latin1')
      .match(/value of key\d\d/) ?? [''];
    block[Buffer.from(block).indexOf(value) + value.length - 1] ^= 1;
    writeUint32(block, block.length - 4, crc32(block.subarray(0, -4), placeSeed(number, 0)));
    disk.remove(path);
    const file = disk.create(path);
    file.append(bytes);
    file.sync(() => file.close());
    disk.syncDirectory(DIRECTORY, () => {});
    rig.settle();

    const store = openFor(rig, { ...OPTIONS, scrubBytesPerSecond: 10_000 });
    const damaged: string[] = [];
    store.onDamage = (_table, error) => damaged.push(error.message);
    rig.scheduler.runUntil(rig.scheduler.nowUs + 5_000_000);
    expect(damaged).toEqual([expect.stringContaining('the checksum of a record does not match')]);
    store.close();
    rig.settle();
  });

  it('counts no passes where there is nothing to read', () => {
    const rig = new Rig('empty');
    const store = openFor(rig, { ...OPTIONS, scrubBytesPerSecond: 1000 });
    rig.scheduler.runUntil(rig.scheduler.nowUs + 2_000_000);
    expect(store.statistics().scrubs).toBe(0);
    store.close();
    rig.settle();
  });
});

describe('a store without space', () => {
  it('goes on reading, says so, stops writers when its memtables are full, and goes on by itself', () => {
    const rig = new Rig('full');
    const store = rig.open({ ...OPTIONS, memtableBytes: 512, tableBytes: 1 << 20 });
    let writable = 0;
    store.onWritable = () => {
      writable++;
    };
    rig.disk.fill(300);
    const run = (us: number): void => rig.scheduler.runUntil(rig.scheduler.nowUs + us);
    let index = 0;
    while (store.writable) {
      index++;
      store.beginEntry(index);
      put(store, `k${index}`, 'x'.repeat(100));
      run(100_000);
      expect(index).toBeLessThan(100);
    }
    run(5_000_000);
    expect(store.outOfSpace).toMatchObject({ errno: 'ENOSPC' });
    expect(rig.failure).toBeNull();
    expect(get(store, 'k1')).toBe('x'.repeat(100));
    expect(store.flushedIndex).toBe(0);
    rig.disk.restoreSpace();
    run(3_000_000);
    expect(store.outOfSpace).toBeNull();
    expect(store.writable).toBe(true);
    expect(writable).toBe(1);
    expect(store.flushedIndex).toBeGreaterThan(0);
    // Nothing of the failed attempts is left.
    const tables = rig.disk.files().filter((path) => path.includes('/table-'));
    expect(tables.length).toBe(store.statistics().tables);
  });
});
