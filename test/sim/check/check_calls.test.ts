import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHECK_DEFAULTS, checkCalls, type Verdict } from '../../../sim/check/check_calls.ts';
import type { Call, Op } from '../../../sim/check/model.ts';
import type { Order } from '../../../sim/check/problem.ts';
import { runs } from '../../long.ts';
import { atomicRun, falsified, MIXES } from './atomic_run.ts';
import { DOUBTFUL, smallHistories, someOrderExplains } from './random_calls.ts';

const SECONDS_MAX = 10;

function agreesWithEveryOrder(histories: fc.Arbitrary<Call[]>, order: Order): void {
  let refuted = 0;
  let confirmed = 0;
  fc.assert(
    fc.property(histories, (calls) => {
      const expected = someOrderExplains(calls, order);
      if (expected) confirmed++;
      else refuted++;
      const verdict = checkCalls(calls, { ...CHECK_DEFAULTS, order });
      expect(verdict.type).toBe(expected ? 'linearizable' : 'not linearizable');
      if (verdict.type === 'not linearizable') expectSmallest(verdict, order);
    }),
    { numRuns: runs(1500) },
  );
  // The property says something about both answers.
  expect(Math.min(refuted, confirmed)).toBeGreaterThan(100);
}

/** What is shown contradicts itself, and without the last answer it would not. */
function expectSmallest(
  { calls, offender }: Extract<Verdict, { type: 'not linearizable' }>,
  order: Order,
): void {
  expect(someOrderExplains(calls, order)).toBe(false);
  const before = Math.max(
    ...calls.filter(({ id }) => id !== offender.id).map((call) => call.return ?? Number.NEGATIVE_INFINITY),
  );
  const without = calls
    .filter(({ call }) => call <= before)
    .map((call): Call => {
      return call.id === offender.id ? { ...call, return: null, result: { type: 'unknown' } } : call;
    });
  expect(someOrderExplains(without, order)).toBe(true);
}

describe('the check of a history', () => {
  it('agrees with trying every order, on any history of up to 7 operations', () => {
    agreesWithEveryOrder(smallHistories(7), 'real-time');
  });

  it('agrees with trying every order that keeps that of each process', () => {
    agreesWithEveryOrder(smallHistories(7), 'program');
  });

  it('shows what contradicts itself, also when what joins its keys came later', () => {
    const answered = (id: number, process: number, op: Op, value: string | null): Call => {
      return { id, process, op, call: 1, return: 1, result: { type: 'ok', value } };
    };
    // All at once, and possible: only where something joins a and b is there an order between them.
    const history: Call[] = [
      answered(1, 0, { type: 'getset', key: 'a', value: '1' }, null),
      answered(2, 0, { type: 'getset', key: 'b', value: '1' }, null),
      answered(3, 1, { type: 'read', key: 'b' }, '1'),
      answered(4, 1, { type: 'read', key: 'a' }, null),
      {
        id: 5,
        process: 2,
        op: { type: 'mget', keys: ['a', 'b'] },
        call: 2,
        return: 2,
        result: { type: 'ok', value: ['1', '1'] },
      },
    ];
    const verdict = checkCalls(history, { ...CHECK_DEFAULTS, order: 'program' });
    if (verdict.type !== 'not linearizable') throw new Error(verdict.type);
    expectSmallest(verdict, 'program');
    expect(verdict.offender.id).toBe(5);
  });

  it('agrees with trying every order and every fate of what was not answered', () => {
    agreesWithEveryOrder(smallHistories(7, DOUBTFUL), 'real-time');
  });

  for (const [name, permille] of Object.entries(MIXES)) {
    it(`decides 4,000 operations of 50 processes on 10 keys (${name}) in seconds, true or falsified`, () => {
      const mix = { operations: 4000, processes: 50, keys: 10, permille, unknownPermille: 30 };
      const calls = atomicRun(mix, `4000 ${name}`);
      for (const [history, type] of [
        [calls, 'linearizable'],
        [falsified(calls, 'middle'), 'not linearizable'],
        [falsified(calls, 'end'), 'not linearizable'],
      ] as const) {
        const startedAt = performance.now();
        expect(checkCalls(history).type).toBe(type);
        expect(performance.now() - startedAt).toBeLessThan(SECONDS_MAX * 1000);
      }
    });
  }

  it('gives up at its limits rather than say a wrong word', () => {
    const calls = atomicRun(
      { operations: 400, processes: 12, keys: 1, permille: MIXES.lists, unknownPermille: 30 },
      'limits',
    );
    expect(checkCalls(calls).type).toBe('linearizable');
    for (const statesMax of [0, 1, 10, 100, 1000]) {
      for (const history of [calls, falsified(calls, 'end')]) {
        const { type } = checkCalls(history, { ...CHECK_DEFAULTS, statesMax });
        expect(['gave up', history === calls ? 'linearizable' : 'not linearizable']).toContain(type);
      }
    }
    expect(checkCalls(calls, { ...CHECK_DEFAULTS, statesMax: 10 }).type).toBe('gave up');
    expect(checkCalls(calls, { ...CHECK_DEFAULTS, cellsMax: 10 }).type).toBe('gave up');
    expect(checkCalls(calls, { ...CHECK_DEFAULTS, isOver: () => true }).type).toBe('gave up');
  });
});
