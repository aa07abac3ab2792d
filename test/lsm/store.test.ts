import { describe, expect, it } from 'vitest';
import { AssertionError, CorruptionError } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Store } from '../../src/lsm/store.ts';
import { contents, DIRECTORY, get, put, Rig, TINY } from './rig.ts';

const ROOMY = { ...TINY, memtableBytes: 1 << 20, mergeAtTables: 100 };

function fill(store: Store, from: number, to: number): void {
  for (let index = from; index <= to; index++) {
    store.beginEntry(index);
    put(store, `key ${String(index).padStart(3, '0')}`, `value ${index}`);
  }
}

function flush(rig: Rig, store: Store): void {
  let outcome: Error | null | undefined;
  store.flush((error) => {
    outcome = error;
  });
  expect(outcome).toBe(undefined);
  rig.settle();
  expect(outcome).toBe(null);
}

function tableFiles(rig: Rig): string[] {
  return rig.disk.files().filter((path) => path.startsWith(`${DIRECTORY}/table-`));
}

describe('flush', () => {
  it('covers entries without writes, too', () => {
    const rig = new Rig('empty entries');
    const store = rig.open(ROOMY);
    fill(store, 1, 3);
    flush(rig, store);
    store.beginEntry(4);
    store.beginEntry(9);
    flush(rig, store);
    expect(store.flushedIndex).toBe(9);
    expect(store.statistics().tables).toBe(1);
    rig.crash();
    expect(rig.open(ROOMY).appliedIndex).toBe(9);
  });

  it('writes nothing when nothing was applied since', () => {
    const rig = new Rig('nothing');
    const store = rig.open(ROOMY);
    flush(rig, store);
    fill(store, 1, 1);
    flush(rig, store);
    flush(rig, store);
    expect(store.statistics().flushes).toBe(1);
  });

  it('leaves no tombstone behind in the first table, and no table when there is nothing else', () => {
    const rig = new Rig('tombstones');
    const store = rig.open(ROOMY);
    store.beginEntry(1);
    put(store, 'a', 'x');
    store.delete(utf8('a'));
    flush(rig, store);
    expect(store.flushedIndex).toBe(1);
    expect(tableFiles(rig)).toEqual([]);
    expect(get(store, 'a')).toBe(null);
  });

  it('ends the entry: a write behind it that a crash would lose is refused', () => {
    const rig = new Rig('ends the entry');
    const store = rig.open(ROOMY);
    expect(() => put(store, 'a', 'before any entry')).toThrow(AssertionError);
    store.beginEntry(1);
    put(store, 'a', 'x');
    store.flush(() => {});
    expect(() => put(store, 'b', 'y')).toThrow(AssertionError);
    expect(() => store.delete(utf8('b'))).toThrow(AssertionError);
    store.beginEntry(2);
    put(store, 'b', 'y');
    rig.settle();
    expect(store.flushedIndex).toBe(1);
    expect(get(store, 'b')).toBe('y');
  });

  it('never divides an entry, however large', () => {
    const rig = new Rig('large entry');
    const store = rig.open(TINY);
    store.beginEntry(1);
    for (let n = 0; n < 40; n++) put(store, `large ${n}`, 'x'.repeat(100));
    expect(store.statistics().flushes).toBe(0);
    fill(store, 2, 2);
    rig.settle();
    expect(store.flushedIndex).toBe(1);
    rig.crash();
    const again = rig.open(TINY);
    expect(contents(again).length).toBe(40);
  });

  it('and merge tell who waits when the store is closed', () => {
    const rig = new Rig('closed');
    const store = rig.open(ROOMY);
    fill(store, 1, 5);
    const told: string[] = [];
    store.flush((error) => told.push(`flush ${error?.message}`));
    store.merge((error) => told.push(`merge ${error?.message}`));
    store.close();
    store.flush((error) => told.push(`later flush ${error?.message}`));
    rig.settle();
    expect(told).toEqual([
      'flush the store was closed',
      'merge the store was closed',
      'later flush the store is closed',
    ]);
  });
});

describe('merge', () => {
  it('leaves one table without tombstones and superseded versions, and removes the others', () => {
    const rig = new Rig('merge');
    const store = rig.open(ROOMY);
    for (let round = 0; round < 4; round++) {
      fill(store, store.appliedIndex + 1, store.appliedIndex + 5);
      store.beginEntry(store.appliedIndex + 1);
      put(store, 'again', `${round}`);
      store.delete(utf8('key 001'));
      flush(rig, store);
    }
    expect(tableFiles(rig).length).toBe(4);
    const before = contents(store);
    store.merge((error) => expect(error).toBe(null));
    rig.settle();
    expect(contents(store)).toEqual(before);
    expect(store.statistics()).toMatchObject({ tables: 1, entries: before.length, merges: 1 });
    expect(tableFiles(rig).length).toBe(1);
  });

  it('of nothing but deleted keys leaves no table', () => {
    const rig = new Rig('all deleted');
    const store = rig.open(ROOMY);
    fill(store, 1, 5);
    flush(rig, store);
    store.beginEntry(6);
    for (const [key] of contents(store)) store.delete(utf8(key));
    store.merge((error) => expect(error).toBe(null));
    rig.settle();
    expect(tableFiles(rig)).toEqual([]);
    rig.crash();
    expect(contents(rig.open(ROOMY))).toEqual([]);
  });

  it('starts by itself when there are many tables', () => {
    const rig = new Rig('by itself');
    const store = rig.open({ ...ROOMY, mergeAtTables: 3 });
    for (let n = 0; n < 3; n++) {
      fill(store, 10 * n + 1, 10 * n + 5);
      flush(rig, store);
    }
    expect(store.statistics()).toMatchObject({ tables: 1, merges: 1 });
    expect(contents(store).length).toBe(15);
  });
});

describe('an iterator', () => {
  it('shows what was there when it was made, through later writes, flushes and merges', () => {
    const rig = new Rig('stable', { poisonViews: true });
    const store = rig.open(ROOMY);
    fill(store, 1, 30);
    flush(rig, store);
    fill(store, 31, 60);
    store.beginEntry(61);
    store.delete(utf8('key 010'));
    const expected = contents(store);
    const iterator = store.iterator();
    const found: [string, string][] = [];
    for (let n = 0; iterator.next(); n++) {
      found.push([fromUtf8(iterator.key()), fromUtf8(iterator.value().slice())]);
      store.beginEntry(store.appliedIndex + 1);
      put(store, `key ${String(n + 1).padStart(3, '0')}`, 'new');
      store.delete(utf8(`key ${String(n + 2).padStart(3, '0')}`));
      if (n % 10 === 5) store.merge(() => {});
      rig.steps(3);
    }
    iterator.close();
    expect(found).toEqual(expected);
    rig.settle();
    expect(tableFiles(rig).length).toBe(store.statistics().tables);
  });

  it('stands on its memtable when that is flushed and another one is needed', () => {
    const rig = new Rig('memtable used again');
    const options = { ...TINY, memtableBytes: 4096, mergeAtTables: 100 };
    const store = rig.open(options);
    fill(store, 1, 40);
    expect(store.statistics().flushes).toBe(0);
    const expected = contents(store);
    const iterator = store.iterator();
    let index = 40;
    const fillUntil = (flushes: number): void => {
      while (store.statistics().flushes < flushes) {
        // With half of the next memtable filled when the one before has become tables, that one may be used again.
        const more = store.statistics().isFlushing ? 30 : 1;
        fill(store, index + 1, index + more);
        index += more;
        if (more > 1) rig.settle();
      }
    };
    fillUntil(4);
    const found: [string, string][] = [];
    while (iterator.next()) found.push([fromUtf8(iterator.key()), fromUtf8(iterator.value().slice())]);
    iterator.close();
    expect(found).toEqual(expected);
    const latest = contents(store);
    fillUntil(8);
    expect(contents(store).slice(0, latest.length)).toEqual(latest);
    expect(store.statistics().entries).toBe(index);
  });

  it('does not see what the entry under way writes later', () => {
    const store = new Rig('mid-entry').open(ROOMY);
    store.beginEntry(1);
    put(store, 'a', '1');
    put(store, 'b', '1');
    const iterator = store.iterator();
    const seen: string[] = [];
    while (iterator.next()) {
      seen.push(fromUtf8(iterator.key().slice()));
      store.delete(utf8('b'));
      put(store, 'c', '1');
    }
    expect(seen).toEqual(['a', 'b']);
  });

  it('keeps replaced files until it is closed', () => {
    const rig = new Rig('files');
    const store = rig.open(ROOMY);
    fill(store, 1, 5);
    flush(rig, store);
    const [read] = tableFiles(rig);
    const iterator = store.iterator();
    fill(store, 6, 9);
    store.merge(() => {});
    rig.settle();
    expect(tableFiles(rig)).toContain(read);
    expect(tableFiles(rig).length).toBe(2);
    iterator.close();
    iterator.close();
    expect(tableFiles(rig)).not.toContain(read);
    expect(tableFiles(rig).length).toBe(1);
    expect(iterator.next()).toBe(false);
  });

  it('respects its range, whatever it is told to seek', () => {
    const rig = new Rig('range');
    const store = rig.open(ROOMY);
    fill(store, 1, 9);
    flush(rig, store);
    const iterator = store.iterator({ gte: utf8('key 003'), lt: utf8('key 006') });
    const rest = (): string[] => {
      const keys: string[] = [];
      while (iterator.next()) keys.push(fromUtf8(iterator.key().slice()).slice(-1));
      return keys;
    };
    expect(rest()).toEqual(['3', '4', '5']);
    expect(iterator.next()).toBe(false);
    iterator.seek(utf8('a'));
    expect(rest()).toEqual(['3', '4', '5']);
    iterator.seek(utf8('key 0045'));
    expect(rest()).toEqual(['5']);
    iterator.seek(utf8('z'));
    expect(rest()).toEqual([]);
  });

  it('that has met damage goes on reporting it: nobody passes over keys unknowingly', () => {
    const rig = new Rig('sticky');
    const store = rig.open(ROOMY);
    fill(store, 1, 40);
    flush(rig, store);
    const [table = ''] = tableFiles(rig);
    rig.disk.flipByte(table, 300);
    const iterator = store.iterator();
    const all = (): void => {
      while (iterator.next()) {
        // On to the damage.
      }
    };
    expect(all).toThrow(CorruptionError);
    expect(() => iterator.next()).toThrow(CorruptionError);
    expect(() => iterator.seek(utf8('key 001'))).toThrow(CorruptionError);
    iterator.close();
    // What does not touch the damage can still be read.
    const range = store.iterator({ gte: utf8('key 030') });
    expect(range.next()).toBe(true);
    range.close();
  });
});

describe('the version of a store', () => {
  it('lets nobody see a table before it is durable', () => {
    const rig = new Rig('visible');
    const store = rig.open(ROOMY);
    fill(store, 1, 20);
    store.flush(() => {});
    let seen = 0;
    for (let steps = 0; steps < 200 && store.flushedIndex === 0; steps++) {
      expect(store.statistics().tables).toBe(0);
      expect(contents(store).length).toBe(20);
      rig.steps(1);
      seen++;
    }
    expect(seen).toBeGreaterThan(5);
    expect(store.flushedIndex).toBe(20);
    expect(store.statistics().tables).toBe(1);
    rig.crash();
    expect(contents(rig.open(ROOMY)).length).toBe(20);
  });
});
