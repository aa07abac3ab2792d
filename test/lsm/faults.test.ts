import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Store } from '../../src/lsm/store.ts';
import { contents, put, Rig } from './rig.ts';

const ENTRIES = 60;

function apply(store: Store, from: number): void {
  for (let index = from; index <= ENTRIES; index++) {
    store.beginEntry(index);
    if (index % 5 === 0) store.delete(utf8(`k${(index * 3) % 11}`));
    else put(store, `k${(index * 7) % 23}`, `${index}`.repeat(10));
  }
}

const expected = ((): [string, string][] => {
  const rig = new Rig('expected');
  const store = rig.open({ memtableBytes: 1 << 20 });
  apply(store, 1);
  return contents(store);
})();

/** Applies everything in bursts, with the background work in between; returns whether it went through. */
function work(rig: Rig, store: Store): boolean {
  try {
    apply(store, store.appliedIndex + 1);
    store.merge(() => {});
    rig.settle();
  } catch {
    return false;
  }
  return rig.failure === null;
}

describe('a store on a failing disk', () => {
  for (const fault of ['writeErrorPerMillion', 'syncErrorPerMillion'] as const) {
    it(`answers rightly after any run that met ${fault}`, () => {
      let failed = 0;
      for (let seed = 0; seed < 60; seed++) {
        const rig = new Rig(`${fault} ${seed}`);
        const store = rig.open();
        rig.disk.setFaults({ [fault]: 60_000 });
        if (!work(rig, store)) failed++;
        rig.disk.setFaults({ [fault]: 0 });
        rig.crash();
        const again = rig.open();
        apply(again, again.flushedIndex + 1);
        expect(contents(again)).toEqual(expected);
      }
      expect(failed).toBeGreaterThan(5);
    });
  }

  it('answers rightly after a crash inside any operation', () => {
    let crashed = 0;
    for (let seed = 0; seed < 80; seed++) {
      const rig = new Rig(`inside ${seed}`);
      const store = rig.open();
      rig.disk.setFaults({ crashInsidePerMillion: 30_000 });
      rig.process.onCrashInside = () => {
        crashed++;
      };
      rig.process.run(() => {
        apply(store, 1);
        store.merge(() => {});
      });
      rig.settle();
      rig.disk.setFaults({ crashInsidePerMillion: 0 });
      rig.crash();
      const again = rig.open();
      apply(again, again.flushedIndex + 1);
      expect(contents(again)).toEqual(expected);
    }
    expect(crashed).toBeGreaterThan(20);
  });

  it('holds writers up while too many memtables wait, and lets them go on', () => {
    const rig = new Rig('stall');
    const store = rig.open({ memtableBytes: 256, immutableMemtablesMax: 2 });
    let index = 0;
    while (store.writable) {
      store.beginEntry(++index);
      put(store, `k${index}`, 'v'.repeat(100));
    }
    let told = false;
    store.onWritable = () => {
      told = true;
    };
    while (!store.writable) {
      expect(told).toBe(false);
      rig.steps(1);
    }
    // At once, not when everything is flushed.
    expect(told).toBe(true);
    expect(store.flushedIndex).toBeLessThan(index);
    rig.settle();
    expect(contents(store).length).toBe(index);
  });

  it('removes what a crash left of unfinished tables', () => {
    const rig = new Rig('orphans');
    const store = rig.open();
    apply(store, 1);
    rig.steps(12);
    rig.crash();
    rig.open();
    const { length: tables } = rig.disk.files().filter((path) => path.includes('/table-'));
    const { length: manifests } = rig.disk.files().filter((path) => path.includes('/manifest-'));
    const again = rig.open();
    expect(again.statistics().tables).toBe(tables);
    expect(manifests).toBe(1);
  });
});
