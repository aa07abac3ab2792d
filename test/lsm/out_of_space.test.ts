/** `outOfSpace`: set while something waits for space, whatever that is, and not a moment longer than until it has succeeded. */
import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/io/logger.ts';
import type { Store } from '../../src/lsm/store.ts';
import { get, put, Rig, TINY } from './rig.ts';

const NO_SPACE = { errno: 'ENOSPC' };
/** `outOfSpaceRetryMs` is a second. */
const RETRIES_US = 3_000_000;

function run(rig: Rig, us = RETRIES_US): void {
  rig.scheduler.runUntil(rig.scheduler.nowUs + us);
}

/** An entry with a key of its own, and its flush. */
function flushed(rig: Rig, store: Store, index: number): void {
  store.beginEntry(index);
  put(store, `k${index}`, 'x'.repeat(100));
  store.flush(() => {});
  run(rig);
  expect(store.flushedIndex).toBe(index);
}

/** Two runs that nothing merges but `merge`. */
function twoRuns(seed: string, logger?: Logger): { readonly rig: Rig; readonly store: Store } {
  const rig = new Rig(seed);
  const store = rig.open({ ...TINY, mergeAtTables: 100, ...(logger === undefined ? {} : { logger }) });
  flushed(rig, store, 1);
  flushed(rig, store, 2);
  return { rig, store };
}

describe('a store without space', () => {
  it('tells that an edit of the manifest waits, until it is there', () => {
    const rig = new Rig('edit');
    const store = rig.open(TINY);
    rig.disk.fill(0);
    // Nothing was written: the flush is an edit of the manifest alone.
    store.beginEntry(1);
    let isFlushed = false;
    store.flush((error) => {
      isFlushed = error === null;
    });
    run(rig);
    expect([store.flushedIndex, isFlushed]).toEqual([0, false]);
    expect(store.outOfSpace).toMatchObject(NO_SPACE);
    rig.disk.restoreSpace();
    run(rig);
    expect([store.flushedIndex, isFlushed]).toEqual([1, true]);
    expect(store.outOfSpace).toBeNull();
    expect(rig.failure).toBeNull();
  });

  it('tells that a compaction waits, until it has succeeded, though nothing is flushed since', () => {
    const { rig, store } = twoRuns('compaction');
    rig.disk.fill(0);
    let isMerged = false;
    store.merge((error) => {
      isMerged = error === null;
    });
    run(rig);
    expect(store.outOfSpace).toMatchObject(NO_SPACE);
    rig.disk.restoreSpace();
    run(rig);
    expect([isMerged, store.statistics().tables]).toEqual([true, 1]);
    expect(store.outOfSpace).toBeNull();
  });

  it('tells it of a compaction while flushes succeed, and once for all attempts in the log', () => {
    const lines: string[] = [];
    const logger: Logger = { log: (_level, event) => lines.push(event) };
    const { rig, store } = twoRuns('both', logger);
    // Room for the edit of a flush without writes, and for no table.
    rig.disk.fill(100);
    store.merge(() => {});
    run(rig);
    store.beginEntry(3);
    store.flush(() => {});
    run(rig);
    expect(store.flushedIndex).toBe(3);
    expect(store.outOfSpace).toMatchObject(NO_SPACE);
    expect(lines.filter((event) => event === 'store-out-of-space')).toHaveLength(1);
    rig.disk.restoreSpace();
    run(rig);
    expect(store.outOfSpace).toBeNull();
    rig.disk.fill(0);
    store.beginEntry(4);
    store.flush(() => {});
    run(rig);
    expect(store.outOfSpace).toMatchObject(NO_SPACE);
    expect(lines.filter((event) => event === 'store-out-of-space')).toHaveLength(2);
  });

  it('tells nothing any more when the merge that waited was given up', () => {
    const { rig, store } = twoRuns('given up');
    rig.disk.fill(0);
    const abandon = store.merge(() => {});
    run(rig);
    expect(store.outOfSpace).toMatchObject(NO_SPACE);
    abandon();
    expect(store.outOfSpace).toBeNull();
    run(rig);
    expect(store.outOfSpace).toBeNull();
    expect(get(store, 'k1')).toBe('x'.repeat(100));
  });
});
