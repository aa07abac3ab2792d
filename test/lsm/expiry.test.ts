import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { ExpiryRule } from '../../src/lsm/expiry.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import { contents, get, put, Rig } from './rig.ts';

/** `text@9` expires at 9; the key `time` holds what time it is. */
const rule: ExpiryRule = {
  timeIn: (read) => Number(fromUtf8(read(utf8('time'))?.slice() ?? utf8('0'))),
  expiresAtMs: (_key, value) => Number(fromUtf8(value.slice()).split('@')[1] ?? 0),
};

const OPTIONS: Partial<StoreOptions> = {
  memtableBytes: 1 << 20,
  blockBytes: 96,
  stepBytes: 128,
  mergeAtTables: 100,
  expiry: rule,
};

function write(store: Store, entries: Readonly<Record<string, string | null>>): void {
  store.beginEntry(store.appliedIndex + 1);
  for (const [key, value] of Object.entries(entries)) {
    if (value === null) store.delete(utf8(key));
    else put(store, key, value);
  }
}

function work(rig: Rig, store: Store, what: 'flush' | 'merge'): void {
  let outcome: Error | null | undefined;
  store[what]((error) => {
    outcome = error;
  });
  rig.settle();
  expect(outcome).toBeNull();
}

describe('what has expired', () => {
  it('is dropped by a merge, by the time that the tables hold', () => {
    const rig = new Rig('expiry');
    const store = rig.open(OPTIONS);
    write(store, { a: 'x@10', b: 'y@20', c: 'z' });
    write(store, { time: '15' });
    work(rig, store, 'merge');
    expect(contents(store)).toEqual([
      ['b', 'y@20'],
      ['c', 'z'],
      ['time', '15'],
    ]);
    expect(store.statistics()).toMatchObject({ entries: 3, tombstones: 0 });
  });

  it('stays while the tables hold no such time, whatever was applied since: a crash would undo that', () => {
    const rig = new Rig('expiry');
    const store = rig.open({ ...OPTIONS, mergeAtTables: 2 });
    write(store, { time: '5', a: 'x@10' });
    work(rig, store, 'flush');
    write(store, { b: 'y' });
    store.flush(() => {});
    // Into another memtable than the one that is flushed, and merged then.
    write(store, { time: '15' });
    rig.settle();
    expect(store.statistics().merges).toBe(1);
    expect(get(store, 'a')).toBe('x@10');
    rig.crash();
    const again = rig.open(OPTIONS);
    expect(contents(again)).toEqual([
      ['a', 'x@10'],
      ['b', 'y'],
      ['time', '5'],
    ]);
  });

  it('leaves a tombstone where something older lies below, which never comes back', () => {
    const rig = new Rig('expiry');
    const shape = { ...OPTIONS, compaction: 'size-tiered' as const, mergeAtTables: 3 };
    const store = rig.open(shape);
    write(store, { a: `old${'.'.repeat(3000)}` });
    work(rig, store, 'flush');
    write(store, { a: 'new@10' });
    work(rig, store, 'flush');
    write(store, { time: '15' });
    work(rig, store, 'flush');
    // The newest two of the three runs have been merged.
    expect(store.statistics()).toMatchObject({ merges: 1, tombstones: 1, entries: 3 });
    expect(get(store, 'a')).toBe(null);
    work(rig, store, 'merge');
    expect(get(store, 'a')).toBe(null);
    expect(store.statistics()).toMatchObject({ entries: 1, tombstones: 0 });
  });

  it('stays as long as a snapshot sees it, and older versions of it that others see stay too', () => {
    const rig = new Rig('expiry');
    const store = rig.open(OPTIONS);
    write(store, { a: 'older' });
    const older = store.takeSnapshot();
    write(store, { a: 'x@10' });
    const snapshot = store.takeSnapshot();
    write(store, { time: '15' });
    work(rig, store, 'merge');
    expect(fromUtf8(snapshot.get(utf8('a'))?.slice() ?? utf8(''))).toBe('x@10');
    snapshot.release();
    work(rig, store, 'merge');
    expect(get(store, 'a')).toBe(null);
    expect(fromUtf8(older.get(utf8('a'))?.slice() ?? utf8(''))).toBe('older');
    older.release();
    work(rig, store, 'merge');
    expect(store.statistics()).toMatchObject({ entries: 1, tombstones: 0 });
  });

  it('goes in the background too, where nothing else is merged, and a table is written anew once', () => {
    const rig = new Rig('expiry');
    const store = rig.open(OPTIONS);
    write(store, Object.fromEntries(Array.from({ length: 40 }, (_none, n) => [`k${n}`, `v${n}@10`])));
    write(store, { k7: 'stays' });
    work(rig, store, 'merge');
    expect(store.statistics().entries).toBe(40);
    const { merges } = store.statistics();
    write(store, { time: '9' });
    work(rig, store, 'flush');
    expect(store.statistics().merges).toBe(merges);
    write(store, { time: '10' });
    work(rig, store, 'flush');
    expect(store.statistics()).toMatchObject({ merges: merges + 1, entries: 3, tombstones: 0 });
    expect(contents(store)).toEqual([
      ['k7', 'stays'],
      ['time', '10'],
    ]);
  });

  it('waits in the background for the last snapshot that may see it', () => {
    const rig = new Rig('expiry');
    const store = rig.open(OPTIONS);
    write(store, { a: 'x@10', b: 'y@10' });
    const snapshot = store.takeSnapshot();
    write(store, { time: '10' });
    work(rig, store, 'flush');
    expect(store.statistics()).toMatchObject({ merges: 0, entries: 3 });
    snapshot.release();
    write(store, { c: 'z' });
    work(rig, store, 'flush');
    expect(store.statistics()).toMatchObject({ merges: 1, entries: 2 });
  });

  it('is not looked for again by a merge of what is one run already', () => {
    const rig = new Rig('expiry');
    const store = rig.open(OPTIONS);
    write(store, { a: 'x@10', time: '5' });
    work(rig, store, 'merge');
    const { merges } = store.statistics();
    work(rig, store, 'merge');
    expect(store.statistics().merges).toBe(merges);
  });

  it('stays when no rule says that it has', () => {
    const rig = new Rig('expiry');
    const store = rig.open({ ...OPTIONS, expiry: null });
    write(store, { a: 'x@10', time: '15' });
    work(rig, store, 'merge');
    expect(get(store, 'a')).toBe('x@10');
  });
});
