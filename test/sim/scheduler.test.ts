import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../sim/scheduler.ts';
import { runs } from '../long.ts';

describe('the scheduler', () => {
  it('runs events by time, and those of one time in the order in which they were planned', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 300 }), (plan) => {
        const scheduler = new Scheduler();
        const ran: { us: number; order: number }[] = [];
        const handles = plan.map(([us], order) =>
          scheduler.at(us, () => ran.push({ us: scheduler.nowUs, order })),
        );
        plan.forEach(([, cancelled], order) => {
          if (cancelled) handles[order].cancel();
        });
        const expected = plan
          .map(([us, cancelled], order) => ({ us, order, cancelled }))
          .filter(({ cancelled }) => !cancelled)
          .sort((a, b) => a.us - b.us || a.order - b.order)
          .map(({ us, order }) => ({ us, order }));
        expect(scheduler.size).toBe(expected.length);
        while (scheduler.step());
        expect(ran).toEqual(expected);
        expect(scheduler.size).toBe(0);
      }),
      { numRuns: runs(100) },
    );
  });

  it('runs what is asked for soon after all that is queued for the time, and before time passes', () => {
    const scheduler = new Scheduler();
    const ran: string[] = [];
    scheduler.at(5, () => {
      ran.push('a');
      scheduler.soon(() => ran.push(`soon ${scheduler.nowUs}`));
    });
    scheduler.at(5, () => ran.push('b'));
    scheduler.at(6, () => ran.push('c'));
    scheduler.runUntil(10);
    expect(ran).toEqual(['a', 'b', 'soon 5', 'c']);
    expect(scheduler.nowUs).toBe(10);
  });

  it('leaves what is due later, and moves time only as far as asked', () => {
    const scheduler = new Scheduler();
    let ran = 0;
    scheduler.at(20, () => ran++);
    expect(scheduler.stepUntil(19)).toBe(false);
    expect([scheduler.nowUs, ran]).toEqual([19, 0]);
    expect(scheduler.stepUntil(20)).toBe(true);
    expect([scheduler.nowUs, ran]).toEqual([20, 1]);
  });

  it('runs what is left, in order, when most of what was planned is cancelled', () => {
    const scheduler = new Scheduler();
    const ran: number[] = [];
    for (let i = 0; i < 2000; i++) {
      scheduler.at(5000 - i, () => ran.push(5000 - i));
      for (let j = 0; j < 3; j++) scheduler.at(1 + i + j, () => ran.push(-1)).cancel();
    }
    expect(scheduler.size).toBe(2000);
    scheduler.runUntil(5000);
    expect(ran).toEqual(Array.from({ length: 2000 }, (_none, i) => 3001 + i));
  });

  it('cannot be told to do something in the past', () => {
    const scheduler = new Scheduler();
    scheduler.runUntil(10);
    expect(() => scheduler.at(9, () => {})).toThrow(/not in the past/);
    expect(() => scheduler.at(10.5, () => {})).toThrow(/whole microseconds/);
  });

  it('calls afterEach once for each event, after what must end with the event', () => {
    const scheduler = new Scheduler();
    const ran: string[] = [];
    scheduler.afterEach = () => ran.push('after');
    scheduler.at(1, () => {
      scheduler.atEndOfEvent(() => ran.push('end'));
      ran.push('a');
    });
    scheduler.at(1, () => ran.push('b'));
    scheduler.runUntil(1);
    expect(ran).toEqual(['a', 'end', 'after', 'b', 'after']);
  });
});
