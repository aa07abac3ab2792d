import { afterEach, describe, expect, it, vi } from 'vitest';
import { NodeClock } from '../../src/io/node/clock.ts';
import { describeClock } from './clock_compliance.ts';
import { settle } from './node_harness.ts';

describeClock('the clock of Node', () => ({ clock: new NodeClock(), settle, cleanup: () => {} }));

describe('deferred tasks of Node', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('that are added during a drain wait for the next turn, so that sockets and disk get theirs', async () => {
    const clock = new NodeClock();
    const ran: string[] = [];
    clock.later(() => {
      ran.push('task');
      // Runs after the drain of this turn, before that of the next.
      setImmediate(() => ran.push('the turn between'));
      clock.later(() => ran.push('added'));
    });
    await settle(() => ran.length === 3);
    expect(ran).toEqual(['task', 'the turn between', 'added']);
  });

  it('are not lost when one throws', () => {
    vi.useFakeTimers({ toFake: ['setImmediate'] });
    const clock = new NodeClock();
    const ran: number[] = [];
    clock.later(() => ran.push(1));
    clock.later(() => {
      clock.later(() => ran.push(4));
      throw new Error('a defect');
    });
    clock.later(() => ran.push(2));
    clock.later(() => ran.push(3));
    expect(() => vi.runAllTimers()).toThrow('a defect');
    vi.runAllTimers();
    expect(ran).toEqual([1, 2, 3, 4]);
  });

  it('refuses delays that are none', () => {
    const clock = new NodeClock();
    for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => clock.after(delayMs, () => {})).toThrow('a delay is a time to come');
    }
  });
});
