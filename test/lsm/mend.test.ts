/** A range of keys is replaced by what another replica holds of it, while the store goes on. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { type Model, ModelCursor, tryRanges } from '../../sim/trials/range_trial.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import type { Borders } from '../../src/lsm/table.ts';
import { contents, put, Rig } from './rig.ts';

const KEYS = Array.from({ length: 24 }, (_none, n) => `key${String(n).padStart(2, '0')}`);

/** A store that is written to at random beside a model of what it holds. */
class Writer {
  readonly model: Model = new Map();
  readonly #random: SimRandom;
  #index = 0;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  write(store: Store, entries: number): void {
    for (let left = entries; left > 0; left--) this.#writeEntry(store);
  }

  #writeEntry(store: Store): void {
    const random = this.#random;
    store.beginEntry(++this.#index);
    const key = random.pick(KEYS);
    if (random.chance(200)) {
      store.delete(utf8(key));
      this.model.delete(key);
    } else if (random.chance(60)) {
      const to = random.pick(KEYS);
      store.deleteRange(utf8(key), utf8(to));
      for (const one of KEYS) if (one >= key && one < to) this.model.delete(one);
    } else {
      const value = `${this.#index}`.padEnd(random.below(60), '.');
      put(store, key, value);
      this.model.set(key, value);
    }
  }

  get sorted(): [string, string][] {
    return [...this.model].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function drawOptions(random: SimRandom): Partial<StoreOptions> {
  return {
    memtableBytes: 1 << random.between(9, 11),
    blockBytes: 96,
    tableBytes: 1 << random.between(8, 10),
    levelBytes: 1 << random.between(9, 11),
    levelGrowth: 3,
    mergeAtTables: random.between(2, 5),
    compaction: random.pick(['levelled', 'size-tiered']),
    stepBytes: 128,
    damagedTables: 'quarantine',
  };
}

/** Breaks a table that is in force, and has the store know it; null: there is none. */
function damageOne(rig: Rig, store: Store, random: SimRandom): Borders | null {
  const paths = rig.disk.files().filter((path) => path.includes('/table-'));
  if (paths.length === 0) return null;
  const path = random.pick(paths);
  for (let at = 0; at < rig.disk.sizeOf(path); at += 40) rig.disk.flipByte(path, at);
  try {
    contents(store);
  } catch (error) {
    store.noteDamage(error as never);
  }
  const [table] = store.quarantined;
  return table === undefined ? null : { low: table.low, end: table.end };
}

describe('a store that mends a range', () => {
  it('holds what it should after any history, before and after a restart or a crash', () => {
    for (let seed = 0; seed < 40; seed++) expect(tryRanges(new SimRandom(`range ${seed}`))).toBeNull();
  });

  it('is damaged as before, or mended, after a crash at any time', { timeout: 60_000 }, () => {
    let mended = 0;
    let damaged = 0;
    for (let steps = 0; steps < 60; steps++) {
      const random = new SimRandom('crash while mending');
      const options = { ...drawOptions(random), memtableBytes: 1024 };
      const rig = new Rig('crash while mending');
      let store = rig.open(options);
      const writer = new Writer(random);
      for (let round = 0; round < 8; round++) {
        writer.write(store, 12);
        rig.settle();
      }
      store.flush(() => {});
      rig.settle();
      const range = damageOne(rig, store, random);
      if (range === null) throw new Error('no table to damage');
      const asOf = new Map(writer.model);
      store.beginMend((outcome) => {
        if (!outcome.ok) throw outcome.error;
        store.mend(range, outcome.value, new ModelCursor(asOf, range), () => store.endMend());
      });
      rig.steps(steps);
      rig.crash();
      store = rig.open(options);
      // What tables cover is all there is: nothing was applied behind it.
      let found: [string, string][] | null = null;
      try {
        found = contents(store);
      } catch (error) {
        expect(store.noteDamage(error as never)).toBe(true);
      }
      if (found === null) damaged++;
      else {
        mended++;
        expect(found).toEqual(writer.sorted);
      }
    }
    expect(mended).toBeGreaterThan(5);
    expect(damaged).toBeGreaterThan(5);
  });

  it('goes back to what it was when the mending is given up', () => {
    const random = new SimRandom('given up');
    const rig = new Rig('given up');
    const options = { ...drawOptions(random), memtableBytes: 1024 };
    const store = rig.open(options);
    const writer = new Writer(random);
    for (let round = 0; round < 8; round++) {
      writer.write(store, 12);
      rig.settle();
    }
    const files = rig.disk.files().length;
    const range = damageOne(rig, store, random);
    if (range === null) throw new Error('no table to damage');
    store.beginMend((outcome) => {
      if (!outcome.ok) throw outcome.error;
      store.mend(range, outcome.value, new ModelCursor(writer.model, range), () => {
        throw new Error('it was given up');
      });
    });
    rig.steps(6);
    store.endMend();
    rig.settle();
    expect(store.quarantined.length).toBe(1);
    expect(rig.disk.files().length).toBeLessThanOrEqual(files + 1);
    // And can be begun anew.
    let isOver = false;
    store.beginMend((outcome) => {
      if (!outcome.ok) throw outcome.error;
      store.mend(range, outcome.value, new ModelCursor(writer.model, range), (error) => {
        expect(error).toBe(null);
        isOver = true;
      });
    });
    rig.settle();
    store.endMend();
    expect(isOver).toBe(true);
    expect(contents(store)).toEqual(writer.sorted);
  });
});

describe('an entry that is taken back', () => {
  it('leaves nothing, whatever it has written', { timeout: 60_000 }, () => {
    for (let seed = 0; seed < 5; seed++) {
      const random = new SimRandom(`abandon ${seed}`);
      const rig = new Rig(`abandon ${seed}`);
      const store = rig.open({ memtableBytes: 1 << 20 });
      const model: Model = new Map();
      let index = 0;
      for (let entries = 0; entries < 200; entries++) {
        store.beginEntry(++index);
        const isAbandoned = random.chance(300);
        for (let writes = random.between(0, 6); writes > 0; writes--) {
          const key = `k${random.below(150)}`;
          const kind = random.below(10);
          if (kind === 0) {
            const to = `k${random.below(150)}`;
            store.deleteRange(utf8(key), utf8(to));
            if (!isAbandoned)
              for (const one of [...model.keys()]) if (one >= key && one < to) model.delete(one);
          } else if (kind < 3) {
            store.delete(utf8(key));
            if (!isAbandoned) model.delete(key);
          } else {
            put(store, key, `${index}.${writes}`);
            if (!isAbandoned) model.set(key, `${index}.${writes}`);
          }
        }
        if (!isAbandoned) continue;
        store.abandonEntry();
        expect(store.appliedIndex).toBe(--index);
        expect(contents(store)).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        for (let n = 0; n < 150; n++) {
          expect(store.has(utf8(`k${n}`))).toBe(model.has(`k${n}`));
        }
      }
      store.close();
      rig.settle();
    }
  });
});
