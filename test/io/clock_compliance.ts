/**
 * What every clock must keep of `src/io/clock.ts`. The real and the simulated clock run the same tests.
 *
 * The tests wait for nothing but conditions, so that on a clock of virtual time they take none; on a real one they take
 * the few milliseconds of the timers that they set.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock, Timer } from '../../src/io/clock.ts';

export interface ClockHarness {
  readonly clock: Clock;
  /** Lets timers and deferred tasks run, and time pass, until `isDone` returns true; rejects when it never does. */
  settle(isDone: () => boolean): Promise<void>;
  cleanup(): void;
}

/** Longer than any of these tests takes. */
const NEVER_MS = 3_600_000;

export function describeClock(name: string, makeClock: () => ClockHarness): void {
  describe(`${name} as a clock`, () => {
    let harness: ClockHarness;
    let clock: Clock;

    beforeEach(() => {
      harness = makeClock();
      ({ clock } = harness);
    });

    afterEach(() => harness.cleanup());

    /** Lets `delayMs` pass on the clock, and what is due with it. */
    async function pass(delayMs: number): Promise<void> {
      let passed = false;
      clock.after(delayMs, () => {
        passed = true;
      });
      await harness.settle(() => passed);
    }

    it('never goes back', async () => {
      let lastMs = clock.monotonicMs();
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 1000; i++) {
          const nowMs = clock.monotonicMs();
          expect(nowMs).toBeGreaterThanOrEqual(lastMs);
          lastMs = nowMs;
        }
        await pass(1);
      }
    });

    it('tells the wall time in milliseconds since 1970', () => {
      expect(clock.wallMs()).toBeGreaterThan(Date.UTC(2020, 0));
      expect(clock.wallMs()).toBeLessThan(Date.UTC(2200, 0));
    });

    it('fires each timer once, never before its delay has passed', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { minLength: 1, maxLength: 30 }),
          async (delaysMs) => {
            const early: number[] = [];
            let fired = 0;
            for (const delayMs of delaysMs) {
              const startMs = clock.monotonicMs();
              clock.after(delayMs, () => {
                fired++;
                const passedMs = clock.monotonicMs() - startMs;
                if (passedMs < delayMs) early.push(delayMs - passedMs);
              });
            }
            expect(fired, 'no timer fires from inside the call').toBe(0);
            await harness.settle(() => fired >= delaysMs.length);
            expect(early).toEqual([]);
            expect(fired).toBe(delaysMs.length);
          },
        ),
        { numRuns: 20 },
      );
    });

    it('fires a timer of no delay, but later', async () => {
      let fired = 0;
      clock.after(0, () => fired++);
      expect(fired).toBe(0);
      await harness.settle(() => fired > 0);
      await pass(2);
      expect(fired).toBe(1);
    });

    it('never fires a timer that was cancelled, however often', async () => {
      let fired = 0;
      const timer = clock.after(1, () => fired++);
      timer.cancel();
      timer.cancel();
      await pass(5);
      expect(fired).toBe(0);
    });

    it('never fires a timer that another one cancels when both are due', async () => {
      const fired: string[] = [];
      const timers: Timer[] = [];
      for (const [name, other] of [
        ['a', 1],
        ['b', 0],
      ] as const) {
        timers.push(
          clock.after(1, () => {
            fired.push(name);
            timers[other]?.cancel();
          }),
        );
      }
      await pass(5);
      expect(fired).toHaveLength(1);
    });

    it('takes a cancel after the timer has fired, and from inside it', async () => {
      let fired = 0;
      const timer = clock.after(1, () => {
        fired++;
        timer.cancel();
      });
      await harness.settle(() => fired > 0);
      timer.cancel();
      await pass(3);
      expect(fired).toBe(1);
    });

    it('does not fire early a timer of weeks or years', async () => {
      const fired: number[] = [];
      const delaysMs = [NEVER_MS, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 + 1, 2 ** 40];
      const timers = delaysMs.map((delayMs) => clock.after(delayMs, () => fired.push(delayMs)));
      await pass(5);
      for (const timer of timers) timer.cancel();
      expect(fired).toEqual([]);
    });

    it('runs deferred tasks later, once, in the order given', async () => {
      const ran: number[] = [];
      for (let i = 0; i < 100; i++) clock.later(() => ran.push(i));
      expect(ran, 'no task runs from inside the call').toEqual([]);
      await harness.settle(() => ran.length >= 100);
      await pass(1);
      expect(ran).toEqual(Array.from({ length: 100 }, (_, i) => i));
    });

    it('runs a task that a deferred task defers, behind those that waited already', async () => {
      const ran: string[] = [];
      clock.later(() => {
        ran.push('first');
        clock.later(() => ran.push('added'));
        expect(ran).toEqual(['first']);
      });
      clock.later(() => ran.push('second'));
      await harness.settle(() => ran.length >= 3);
      expect(ran).toEqual(['first', 'second', 'added']);
    });

    it('runs deferred tasks before time passes that is worth a timer', async () => {
      const ran: string[] = [];
      const timer = clock.after(NEVER_MS, () => ran.push('timer'));
      clock.later(() => ran.push('later'));
      await harness.settle(() => ran.length > 0);
      timer.cancel();
      expect(ran).toEqual(['later']);
    });

    it('lets timers fire while tasks keep deferring tasks', async () => {
      let fired = false;
      let rounds = 0;
      const again = (): void => {
        rounds++;
        if (!fired && rounds < 10_000_000) clock.later(again);
      };
      clock.later(again);
      // On a clock of virtual time, which stands still meanwhile, the timer must be due at once.
      clock.after(0, () => {
        fired = true;
      });
      await harness.settle(() => fired);
      expect(rounds).toBeGreaterThan(0);
    });
  });
}
