import { describe, expect, it } from 'vitest';
import { CoreLog } from '../../../sim/trials/core_log.ts';
import { type Entry, EntryKind } from '../../../src/log/entry.ts';

function entry(index: number, term: number): Entry {
  return { index, term, kind: EntryKind.Command, payload: new Uint8Array(1) };
}

function terms(log: CoreLog): number[] {
  return log.entries(log.firstIndex, log.lastIndex + 1, 1000).map(({ term }) => term);
}

describe('the log of a core on trial', () => {
  it('loses in a crash what was appended behind the write that ended last', () => {
    const log = new CoreLog();
    log.append(entry(1, 1));
    const batch = log.begin();
    log.append(entry(2, 1));
    log.end(batch);
    expect(log.durableIndex).toBe(1);
    expect(log.isDirty).toBe(true);
    log.crash();
    expect(terms(log)).toEqual([1]);
  });

  it('brings a suffix back whose replacement was not durable', () => {
    const log = new CoreLog();
    for (const index of [1, 2, 3]) log.append(entry(index, 1));
    log.end(log.begin());
    log.append(entry(2, 2));
    expect(log.durableIndex).toBe(1);
    expect(terms(log)).toEqual([1, 2]);
    log.crash();
    expect(terms(log)).toEqual([1, 1, 1]);
    expect(log.durableIndex).toBe(3);
  });

  it('does not take a write for durable that began before its suffix was replaced', () => {
    const log = new CoreLog();
    for (const index of [1, 2]) log.append(entry(index, 1));
    const batch = log.begin();
    log.append(entry(2, 2));
    log.end(batch);
    expect(log.durableIndex).toBe(1);
    log.end(log.begin());
    expect(log.durableIndex).toBe(2);
  });

  it('keeps what follows where it is shortened, and begins anew behind a snapshot', () => {
    const log = new CoreLog();
    for (const index of [1, 2, 3]) log.append(entry(index, index));
    log.end(log.begin());
    log.compact(2);
    expect([log.firstIndex, log.termAt(2), terms(log)]).toEqual([3, 2, [3]]);
    log.reset(7, 5);
    expect([log.firstIndex, log.lastIndex, log.lastTerm, log.durableIndex]).toEqual([8, 7, 5, 7]);
    log.crash();
    expect(log.lastIndex).toBe(7);
  });
});
