import { describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { Store } from '../../src/lsm/store.ts';
import { FailingDisk } from './failing_disk.ts';
import { contents, get, put, Rig, TINY } from './rig.ts';

const ENTRIES = 24;
const EVERYTHING_FITS = { ...TINY, memtableBytes: 1 << 20, mergeAtTables: 1 << 20 };

function apply(store: Store, upTo: number): void {
  for (let index = store.appliedIndex + 1; index <= upTo; index++) {
    store.beginEntry(index);
    if (index % 4 === 0) store.delete(utf8(`k${(index * 3) % 7}`));
    else put(store, `k${(index * 5) % 11}`, `value ${index}`.repeat(4));
  }
}

/** What a store holds that has applied so many entries. */
const states: [string, string][][] = [];
for (let upTo = 0; upTo <= ENTRIES; upTo++) {
  const store = new Rig('states').open(EVERYTHING_FITS);
  apply(store, upTo);
  states.push(contents(store));
}

/** Three flushes, two merges and everything read. Whatever is answered must be right; errors end it. */
function script(rig: Rig, store: Store): void {
  const job = (start: (done: (error: Error | null) => void) => void): void => {
    let outcome: Error | null | undefined;
    start((error) => {
      outcome = error;
    });
    rig.settle();
    if (outcome === undefined) throw new Error('nobody was told how it went');
    if (outcome !== null) throw outcome;
  };
  for (const upTo of [8, 16]) {
    apply(store, upTo);
    job((done) => store.flush(done));
    expect(store.flushedIndex).toBe(upTo);
  }
  job((done) => store.merge(done));
  expect(contents(store)).toEqual(states[16]);
  apply(store, ENTRIES);
  job((done) => store.flush(done));
  for (let n = 0; n < 11; n++) {
    const expected = states[ENTRIES]?.find(([key]) => key === `k${n}`)?.[1] ?? null;
    expect(get(store, `k${n}`)).toBe(expected);
  }
  job((done) => store.merge(done));
  expect(contents(store)).toEqual(states[ENTRIES]);
}

/** After whatever happened, a store on the same disk is as of its flushed index, and right again once replayed. */
function expectRecovery(rig: Rig, flushedAtLeast: number): void {
  const again = rig.open(TINY);
  expect(again.flushedIndex).toBeGreaterThanOrEqual(flushedAtLeast);
  expect(contents(again)).toEqual(states[again.flushedIndex]);
  apply(again, ENTRIES);
  expect(contents(again)).toEqual(states[ENTRIES]);
  again.merge(() => {});
  rig.settle();
  expect(rig.failure).toBeNull();
  expect(contents(again)).toEqual(states[ENTRIES]);
  const tables = rig.disk.files().filter((path) => path.includes('/table-'));
  expect(tables.length).toBe(again.statistics().tables);
}

describe('a store of which one disk operation fails', () => {
  for (const then of ['the process ends', 'the machine crashes'] as const) {
    it(`reports it, whichever it is, and nothing is lost or wrong when ${then}`, () => {
      let nth = 1;
      for (; ; nth++) {
        const rig = new Rig(`${then} ${nth}`);
        const disk = new FailingDisk(rig.disk.attach(rig.process), nth, (task) => rig.later(task));
        let flushedIndex = 0;
        const opened = rig.tryOpen({ ...TINY, disk });
        let error: unknown = opened instanceof Error ? opened : null;
        if (opened instanceof Store) {
          try {
            script(rig, opened);
          } catch (thrown) {
            error = thrown;
          }
          flushedIndex = opened.flushedIndex;
          // A file that could not be removed is nobody's failure.
          if (error === null && rig.failure !== null) error = rig.failure;
          opened.close();
        }
        if (error !== null) expect(error).toBeInstanceOf(DiskError);
        if (then === 'the machine crashes') rig.crash();
        expectRecovery(rig, flushedIndex);
        if (!disk.hasFailed) break;
      }
      // The script takes that many operations: none was skipped.
      expect(nth).toBeGreaterThan(60);
    });
  }
});

describe('a store that crashes', () => {
  it('while it is opened, at any step, is the same when it is opened again', () => {
    for (let seed = 0; seed < 40; seed++) {
      let isOpen = false;
      for (let steps = 0; !isOpen; steps++) {
        const rig = new Rig(`opening ${seed} ${steps}`);
        const store = rig.open(EVERYTHING_FITS);
        apply(store, 10);
        store.flush(() => {});
        apply(store, ENTRIES);
        store.flush(() => {});
        rig.settle();
        store.close();
        rig.beginOpen(TINY, (outcome) => {
          isOpen = outcome.ok;
        });
        rig.steps(steps);
        rig.crash();
        expectRecovery(rig, ENTRIES);
      }
    }
  });

  it('at any step loses nothing that a flush has reported durable', () => {
    for (let steps = 0; ; steps++) {
      const rig = new Rig(`steps ${steps}`);
      let durable = 0;
      let isDone = false;
      const store = rig.open({ ...TINY, stepBytes: 1 });
      apply(store, 12);
      store.flush(() => {
        durable = 12;
        apply(store, ENTRIES);
        store.merge((error) => {
          if (error === null) durable = ENTRIES;
          isDone = true;
        });
      });
      rig.steps(steps);
      rig.crash();
      expectRecovery(rig, durable);
      if (isDone) {
        expect(steps).toBeGreaterThan(30);
        break;
      }
    }
  });
});
