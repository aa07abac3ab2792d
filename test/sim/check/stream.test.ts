/** A history checked piece by piece gives the verdict that it gives as a whole. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHECK_DEFAULTS, checkCalls } from '../../../sim/check/check_calls.ts';
import { type Call, keysOf, type Op, type Result } from '../../../sim/check/model.ts';
import { HistoryStream, type StreamVerdict } from '../../../sim/check/stream.ts';
import { runs } from '../../long.ts';
import { DOUBTFUL, smallHistories } from './random_calls.ts';

/** Feeds the calls as they end, advancing after each; `peak`: what was held at most. */
function inPieces(
  calls: readonly Call[],
  order: 'real-time' | 'program',
  pieceMin: number,
  isDeclared = false,
): { verdict: StreamVerdict; peak: number } {
  const stream = new HistoryStream({ ...CHECK_DEFAULTS, order, pieceMin });
  // Only what joins keys: the keys themselves come later.
  for (const { op } of calls) if (isDeclared && new Set(keysOf(op)).size !== 1) stream.declare(op);
  const endOf = (call: Call): number => call.return ?? call.call;
  const ending = [...calls].sort((a, b) => endOf(a) - endOf(b) || a.id - b.id);
  let peak = 0;
  for (const [at, call] of ending.entries()) {
    stream.add(call);
    const next = ending[at + 1];
    if (next !== undefined && endOf(next) === endOf(call)) continue;
    const now = endOf(call) + 0.5;
    const pending = calls.filter((other) => other.call < now && endOf(other) > now);
    const verdict = stream.advance(now, pending);
    if (verdict.type !== 'linearizable') return { verdict, peak };
    peak = Math.max(peak, stream.size);
  }
  return { verdict: stream.finish(), peak };
}

function at(id: number, process: number, call: number, end: number, op: Op, result: Result): Call {
  return { id, process, call, return: end, op, result };
}

function scanOf(prefix: string): Op {
  return { type: 'scan', prefix, from: null, to: null, limit: null };
}

describe('a history in pieces', () => {
  for (const order of ['real-time', 'program'] as const) {
    it(`gives the verdict of the whole, in ${order} order`, () => {
      fc.assert(
        fc.property(
          fc.oneof(smallHistories(12), smallHistories(10, DOUBTFUL)),
          fc.integer({ min: 1, max: 4 }),
          (history, pieceMin) => {
            const whole = checkCalls(history, { ...CHECK_DEFAULTS, order });
            const pieces = inPieces(history, order, pieceMin, order === 'program');
            expect(pieces.verdict.type).toBe(whole.type);
          },
        ),
        { numRuns: runs(2000) },
      );
    });
  }

  it('holds a scan against keys that come later, where program order says that they were there', () => {
    const write = (key: string): Op => ({ type: 'write', key, value: '1' });
    // One process writes a, then b, in a pipeline, and a scan sees b alone.
    const history = (seen: Result): Call[] => [
      at(1, 0, 1, 40, write('a'), { type: 'ok' }),
      at(2, 0, 2, 5, write('b'), { type: 'ok' }),
      at(3, 1, 10, 11, scanOf(''), seen),
    ];
    const both = { type: 'ok', value: [['a', '1'] as const, ['b', '1'] as const] } as const;
    const one = { type: 'ok', value: [['b', '1'] as const] } as const;
    for (const pieceMin of [1, 10]) {
      expect(inPieces(history(both), 'program', pieceMin, true).verdict.type).toBe('linearizable');
      expect(inPieces(history(one), 'program', pieceMin, true).verdict.type).toBe('not linearizable');
      expect(inPieces(history(one), 'real-time', pieceMin).verdict.type).toBe('linearizable');
    }
  });

  it('does not take a range without keys for a part of one that holds it', () => {
    const append = { type: 'append', key: 'a', value: '1' } as const;
    const mget = { type: 'mget', keys: ['a'] } as const;
    // The second process asks in a pipeline, and its scan has returned before what its mget has seen was there.
    const history = [
      at(1, 1, 0, 0, scanOf(''), { type: 'ok', value: [] }),
      at(2, 1, 1, 1, append, { type: 'ok' }),
      at(3, 2, 0, 1, mget, { type: 'ok', value: ['1'] }),
      at(4, 2, 0, 0, scanOf('z'), { type: 'ok', value: [] }),
    ];
    expect(checkCalls(history, { ...CHECK_DEFAULTS, order: 'program' }).type).toBe('linearizable');
    expect(inPieces(history, 'program', 1, true).verdict.type).toBe('linearizable');
  });

  it('is not kept: twenty times the history holds no more than before', () => {
    const rounds = (count: number): Call[] => {
      const calls: Call[] = [];
      for (let round = 0; round < count; round++) {
        const at = 10 * round;
        const value = String(round);
        const write = { type: 'write', key: 'k', value } as const;
        calls.push(
          { id: 2 * round, process: 0, call: at, return: at + 5, op: write, result: { type: 'ok' } },
          {
            id: 2 * round + 1,
            process: 1,
            call: at + 3,
            return: at + 8,
            op: { type: 'read', key: 'k' },
            result: { type: 'ok', value },
          },
        );
      }
      return calls;
    };
    const short = inPieces(rounds(100), 'real-time', 8);
    const long = inPieces(rounds(2000), 'real-time', 8);
    expect([short.verdict.type, long.verdict.type]).toEqual(['linearizable', 'linearizable']);
    expect(long.peak).toBe(short.peak);
    expect(long.peak).toBeLessThanOrEqual(8);
  });

  it('is not searched at each look where its beginning is too hard (seed 2300146)', () => {
    let kept = 0;
    const stream = new HistoryStream({
      ...CHECK_DEFAULTS,
      order: 'real-time',
      // More states than are ever worth it.
      pieceMin: 40,
      cutStatesMax: 2,
      onKept: (why) => {
        expect(why).toBe('too many states');
        kept++;
      },
    });
    for (let id = 0; id < 1000; id++) {
      const op = { type: 'write', key: 'k', value: String(id) } as const;
      stream.add({ id, process: id, call: 10 * id, return: 10 * id + 5, op, result: { type: 'ok' } });
      expect(stream.advance(10 * id + 8, []).type).toBe('linearizable');
    }
    // Five times with more effort each, then as it has doubled: 80, 160, 320, 640.
    expect(kept).toBe(9);
    expect(stream.finish().type).toBe('linearizable');
  });

  it('takes an operation of unknown outcome into account when it is known to have taken effect', () => {
    const settled = (then: string): StreamVerdict => {
      const stream = new HistoryStream({ ...CHECK_DEFAULTS, order: 'real-time', pieceMin: 1 });
      const lost: Call = {
        id: 1,
        process: 0,
        call: 1,
        return: null,
        op: { type: 'write', key: 'k', value: 'late' },
        result: { type: 'unknown' },
      };
      const read = (id: number, call: number, value: string | null): Call => ({
        id,
        process: 1,
        call,
        return: call + 1,
        op: { type: 'read', key: 'k' },
        result: { type: 'ok', value },
      });
      stream.add(lost);
      stream.add(read(2, 5, null));
      expect(stream.advance(10, []).type).toBe('linearizable');
      stream.settle(lost, 12);
      stream.add(read(3, 20, then === 'nothing' ? null : then));
      return stream.finish();
    };
    expect(settled('late').type).toBe('linearizable');
    // Without the settlement nothing would contradict this.
    expect(settled('nothing').type).toBe('not linearizable');
  });
});
