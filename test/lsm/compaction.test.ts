import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import { contents, get, put, Rig } from './rig.ts';

const TINY: Partial<StoreOptions> = {
  memtableBytes: 1024,
  blockBytes: 128,
  restartInterval: 4,
  tableBytes: 1024,
  levelBytes: 4096,
  levelGrowth: 3,
  mergeAtTables: 3,
  stepBytes: 256,
};

/** Entries of one write each, in turns. */
function fill(rig: Rig, store: Store, entries: number, keys: number): void {
  const random = new SimRandom('fill');
  const from = store.appliedIndex;
  for (let index = from + 1; index <= from + entries; index++) {
    while (!store.writable) rig.steps(1);
    store.beginEntry(index);
    put(store, `key${String(random.below(keys)).padStart(5, '0')}`, `${index}`.padEnd(40, '.'));
    rig.steps(1);
  }
}

describe('levelled compaction', () => {
  it('by itself keeps level 0 short, each level within its limit and tables of the size asked for', () => {
    const rig = new Rig('levelled');
    const store = rig.open(TINY);
    fill(rig, store, 3000, 2000);
    rig.settle();
    const { levels, debtBytes, merges } = store.statistics();
    expect(levels.length).toBeGreaterThanOrEqual(4);
    for (const { level, runs, tables, bytes } of levels) {
      if (level === 0) expect(runs).toBeLessThan(3);
      else {
        expect(runs).toBe(1);
        expect(bytes).toBeLessThanOrEqual(4096 * 3 ** (level - 1));
        // Data, and what a table has beside.
        expect(bytes / tables).toBeLessThan(2000);
      }
    }
    expect(debtBytes).toBe(0);
    expect(merges).toBeGreaterThan(50);
  });

  it('only moves tables down where nothing lies below', () => {
    const rig = new Rig('moves');
    const store = rig.open(TINY);
    for (let index = 1; index <= 600; index++) {
      store.beginEntry(index);
      put(store, `key${String(index).padStart(5, '0')}`, 'x'.repeat(40));
      rig.steps(4);
    }
    rig.settle();
    const { moves, merges, mergedBytes, levels } = store.statistics();
    expect(moves).toBeGreaterThan(10);
    // Ascending keys are written once, into level 0.
    expect({ merges, mergedBytes }).toEqual({ merges: 0, mergedBytes: 0 });
    expect(levels.length).toBeGreaterThan(2);
    expect(contents(store).length).toBe(600);
  });

  it('merges what could be moved where its tables are small, or hold what a merge may leave out', () => {
    const merged = (name: string, options: Partial<StoreOptions>, isSeen: boolean): number => {
      const rig = new Rig(name);
      const store = rig.open({ ...TINY, memtableBytes: 1 << 20, levelBytes: 1 << 20, ...options });
      for (let index = 0; index < 600; index++) {
        store.beginEntry(index + 1);
        put(store, `key${String(index >>> 1).padStart(5, '0')}`, 'x'.repeat(40));
        // Both versions of a key stay, in one table.
        if (isSeen) store.takeSnapshot();
        if (index % 20 === 19) store.flush(() => {});
        rig.steps(4);
      }
      rig.settle();
      expect(contents(store).length).toBe(300);
      return store.statistics().mergedBytes;
    };
    expect(merged('whole', {}, false)).toBe(0);
    expect(merged('small', { tableBytes: 16 * 1024 }, false)).toBeGreaterThan(0);
    expect(merged('remains', {}, true)).toBeGreaterThan(0);
  });

  it('frees the space of what is deleted by a range without being asked', () => {
    const rig = new Rig('freed');
    const store = rig.open(TINY);
    fill(rig, store, 1000, 500);
    store.beginEntry(2000);
    store.deleteRange(utf8('key'), utf8('kez'));
    store.flush(() => {});
    rig.settle();
    // Other keys, so that tables come to be merged at all.
    for (let index = 2001; index < 2400; index++) {
      store.beginEntry(index);
      put(store, `key${String(index).padStart(5, '0')}`, 'x'.repeat(40));
      rig.steps(4);
    }
    rig.settle();
    expect(get(store, 'key00001')).toBeNull();
    expect(contents(store).length).toBe(399);
    store.merge(() => {});
    rig.settle();
    expect(store.statistics()).toMatchObject({ entries: 399, rangeTombstones: 0, tombstones: 0 });
  });
});

describe('size-tiered compaction', () => {
  it('by itself keeps runs few and writes less than levelled', () => {
    const written = (compaction: 'levelled' | 'size-tiered'): number => {
      const rig = new Rig('tiered');
      const store = rig.open({ ...TINY, compaction, mergeAtTables: 4 });
      fill(rig, store, 1500, 1000);
      rig.settle();
      const { levels, mergedBytes } = store.statistics();
      if (compaction === 'size-tiered') {
        expect(levels.map(({ level }) => level)).toEqual([0]);
        expect(levels[0]?.runs).toBeLessThan(4);
      }
      return mergedBytes;
    };
    expect(written('size-tiered')).toBeLessThan(written('levelled'));
  });
});

describe('write pressure', () => {
  it('rises to slow, then to stop, while compaction falls behind, and falls again by itself', () => {
    // Of a compaction that takes many steps, and flushes that take few.
    const rig = new Rig('pressure');
    const store = rig.open({
      ...TINY,
      stepBytes: 1,
      slowAtRuns: 4,
      stopAtRuns: 8,
      immutableMemtablesMax: 100,
    });
    let writable = 0;
    store.onWritable = () => {
      writable++;
    };
    const seen = new Set<string>();
    for (let index = 1; index <= 3000 && !seen.has('stop'); index++) {
      store.beginEntry(index);
      put(store, `key${index % 97}`, 'x'.repeat(60));
      if (index % 10 === 0) rig.steps(30);
      seen.add(store.pressure);
    }
    expect([...seen]).toEqual(['none', 'slow', 'stop']);
    expect(store.writable).toBe(false);
    // It still takes what must be written.
    store.beginEntry(10_000);
    put(store, 'last', 'one');
    rig.settle();
    expect(store.pressure).toBe('none');
    // Flushes go on while writers wait: it may rise again meanwhile.
    expect(writable).toBeGreaterThan(0);
    expect(get(store, 'last')).toBe('one');
  });
});
