import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHECK_DEFAULTS, checkCalls } from '../../../sim/check/check_calls.ts';
import { smallHistories, someOrderExplains } from './random_calls.ts';

describe('the check of a history', () => {
  for (const order of ['real-time', 'program'] as const) {
    it(`agrees with trying every order, on any history of up to 7 operations, by ${order} order`, () => {
      let refuted = 0;
      let confirmed = 0;
      fc.assert(
        fc.property(smallHistories(7), (calls) => {
          const expected = someOrderExplains(calls, order);
          if (expected) confirmed++;
          else refuted++;
          const verdict = checkCalls(calls, { ...CHECK_DEFAULTS, order });
          expect(verdict.type).toBe(expected ? 'linearizable' : 'not linearizable');
        }),
        { numRuns: 2000 },
      );
      // The property says something about both answers.
      expect(Math.min(refuted, confirmed)).toBeGreaterThan(100);
    });
  }
});
