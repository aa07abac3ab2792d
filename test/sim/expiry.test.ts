import { describe, expect, it } from 'vitest';
import { type Expiry, History, type Operation } from '../../sim/check/history.ts';
import { checkLinearizability } from '../../sim/check/linearizability.ts';
import { findOverdue } from '../../sim/expiry.ts';

const KEY = '0/k';
const AT_ONCE = 10;

/** A write of `v` that expires, and reads at times with what they were told. */
function historyOf(
  expiry: Expiry,
  reads: readonly (readonly [at: number, value: string | null])[],
): readonly Operation[] {
  const history = new History();
  history.ok(history.invoke(1, KEY, 'set', 'v', 0, { expiry }), null, AT_ONCE);
  for (const [at, value] of reads) history.ok(history.invoke(2, KEY, 'get', null, at), value, at + AT_ONCE);
  return history.operations();
}

const EXPIRY = { earliestAt: 500, latestAfter: 1000 };

describe('a value that expires', () => {
  it('may vanish once, from its earliest time on', () => {
    const vanishes = historyOf(EXPIRY, [
      [100, 'v'],
      [600, 'v'],
      [700, null],
      [800, null],
    ]);
    expect(checkLinearizability(vanishes).ok).toBe(true);
    expect(findOverdue(vanishes)).toBeNull();
  });

  it('does not vanish before', () => {
    expect(checkLinearizability(historyOf(EXPIRY, [[100, null]])).ok).toBe(false);
  });

  it('does not come back', () => {
    const back = historyOf(EXPIRY, [
      [600, null],
      [700, 'v'],
    ]);
    expect(checkLinearizability(back).ok).toBe(false);
  });

  it('does not take with it what was written over it', () => {
    const history = new History();
    history.ok(history.invoke(1, KEY, 'set', 'v', 0, { expiry: EXPIRY }), null, AT_ONCE);
    history.ok(history.invoke(1, KEY, 'set', 'w', 100), null, 110);
    history.ok(history.invoke(2, KEY, 'get', null, 900), null, 910);
    expect(checkLinearizability(history.operations()).ok).toBe(false);
  });

  it('is gone when its time is over, where clocks can tell', () => {
    const read = [[1011, 'v']] as const;
    expect(findOverdue(historyOf(EXPIRY, read))?.map(({ kind }) => kind)).toEqual(['set', 'get']);
    expect(findOverdue(historyOf(EXPIRY, [[1010, 'v']]))).toBeNull();
    expect(findOverdue(historyOf({ earliestAt: 0, latestAfter: null }, read))).toBeNull();
  });
});
