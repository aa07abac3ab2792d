import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimClock } from '../../sim/clock.ts';
import { runs } from '../long.ts';
import { Rig } from './rig.ts';

describe('a simulated clock', () => {
  it('never fires a timer early on itself, whatever its offset, drift and changes of drift', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.integer({ min: -400_000, max: 400_000 }),
        fc.array(fc.double({ min: 0, max: 50, noNaN: true }), { maxLength: 20 }),
        fc.integer({ min: -400_000, max: 400_000 }),
        (offsetMs, driftPpm, delays, laterPpm) => {
          const rig = new Rig('clock');
          const clock = new SimClock(rig.scheduler, rig.process('p'), { offsetMs, driftPpm });
          let fired = 0;
          for (const delayMs of delays) {
            rig.run(700);
            const startMs = clock.monotonicMs();
            clock.after(delayMs, () => {
              fired++;
              expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs);
              expect(clock.monotonicMs()).toBeGreaterThanOrEqual(startMs + delayMs);
            });
          }
          clock.setDriftPpm(laterPpm);
          rig.run(200_000);
          expect(fired).toBe(delays.length);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  it('drifts', () => {
    const rig = new Rig('drift');
    const process = rig.process('p');
    const fast = new SimClock(rig.scheduler, process, { offsetMs: 10, driftPpm: 1000 });
    const slow = new SimClock(rig.scheduler, process, { offsetMs: 0, driftPpm: -1000 });
    rig.run(1_000_000);
    expect(fast.monotonicMs()).toBeCloseTo(1011);
    expect(slow.monotonicMs()).toBeCloseTo(999);
    fast.setDriftPpm(0);
    expect(fast.monotonicMs()).toBeCloseTo(1011);
    rig.run(1_000_000);
    expect(fast.monotonicMs()).toBeCloseTo(2011);
  });

  it('lets wall time jump and monotonic time not', () => {
    const rig = new Rig('jump');
    const clock = new SimClock(rig.scheduler, rig.process('p'), { offsetMs: 0, driftPpm: 0 });
    const wallMs = clock.wallMs();
    clock.jumpWallMs(-5000);
    expect(clock.wallMs()).toBe(wallMs - 5000);
    expect(clock.monotonicMs()).toBe(0);
  });

  it('wakes a paused process late, and not at all for a timer cancelled meanwhile', () => {
    const rig = new Rig('late');
    const process = rig.process('p');
    const clock = new SimClock(rig.scheduler, process, { offsetMs: 0, driftPpm: 0 });
    const fired: string[] = [];
    clock.after(1, () => {
      fired.push(`first at ${clock.monotonicMs()}`);
      second.cancel();
    });
    const second = clock.after(2, () => fired.push('second'));
    process.pause();
    rig.run(5000);
    process.resume();
    rig.run(5000);
    expect(fired).toEqual(['first at 5']);
  });

  it('drops timers and deferred tasks with the generation that asked for them', () => {
    const rig = new Rig('drop');
    const process = rig.process('p');
    const clock = new SimClock(rig.scheduler, process, { offsetMs: 0, driftPpm: 0 });
    const ran: string[] = [];
    clock.after(1, () => ran.push('old timer'));
    clock.later(() => ran.push('old later'));
    process.crash();
    process.restart();
    clock.later(() => ran.push('new later'));
    clock.after(1, () => ran.push('new timer'));
    rig.run(5000);
    expect(ran).toEqual(['new later', 'new timer']);
  });

  it('runs deferred tasks after everything that is ready, in order, before time passes', () => {
    const rig = new Rig('later');
    const clock = new SimClock(rig.scheduler, rig.process('p'), { offsetMs: 0, driftPpm: 0 });
    const ran: string[] = [];
    rig.scheduler.at(1000, () => {
      clock.later(() => ran.push(`x ${clock.monotonicMs()}`));
      clock.later(() => ran.push('y'));
    });
    rig.scheduler.at(1000, () => ran.push('ready'));
    rig.scheduler.at(1001, () => ran.push('next'));
    rig.run(5000);
    expect(ran).toEqual(['ready', 'x 1', 'y', 'next']);
  });
});
