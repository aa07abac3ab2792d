import { describe, expect, it } from 'vitest';
import { ModelLog } from '../../../sim/model/model_log.ts';
import { EntryKind } from '../../../src/log/entry.ts';

function append(log: ModelLog, ...entries: readonly (readonly [index: number, term: number])[]): void {
  for (const [index, term] of entries) {
    log.append({ index, term, kind: EntryKind.Noop, payload: new Uint8Array(0) });
  }
}

function terms(log: ModelLog): number[] {
  return log.all.map(({ term }) => term);
}

describe('ModelLog', () => {
  it('loses what is not durable in a crash, but for the first records that are kept', () => {
    const log = new ModelLog();
    append(log, [1, 1], [2, 1], [3, 1]);
    log.sync(1);
    expect(log.durableIndex).toBe(1);
    expect(terms(log.afterCrash(0))).toEqual([1]);
    expect(terms(log.afterCrash(1))).toEqual([1, 1]);
    expect(terms(log.afterCrash(2))).toEqual([1, 1, 1]);
  });

  it('brings back a suffix that was superseded by a record which a crash loses', () => {
    const log = new ModelLog();
    append(log, [1, 1], [2, 1], [3, 1]);
    log.sync(3);
    append(log, [2, 2]);
    expect(terms(log)).toEqual([1, 2]);
    expect(log.durableIndex).toBe(1);
    expect(terms(log.afterCrash(0))).toEqual([1, 1, 1]);
    expect(terms(log.afterCrash(1))).toEqual([1, 2]);
  });

  it('calls no entry durable that a record which is not durable supersedes', () => {
    const log = new ModelLog();
    append(log, [1, 1], [2, 1], [2, 2]);
    log.sync(2);
    expect(log.durable.map(({ term }) => term)).toEqual([1, 1]);
    expect(log.durableIndex).toBe(1);
    log.sync(1);
    expect(log.durableIndex).toBe(2);
  });
});
