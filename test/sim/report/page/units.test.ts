import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowWindow } from '../../../../sim/report/page/table.js';
import {
  formatDuration,
  formatInstant,
  formatTick,
  niceStep,
  ticks,
} from '../../../../sim/report/page/units.js';

describe('times', () => {
  it('are named by what can be told of them', () => {
    expect(formatInstant(12_345_678)).toBe('12.345678 s');
    expect(formatDuration(850)).toBe('850 µs');
    expect(formatDuration(1254)).toBe('1.25 ms');
    expect(formatDuration(2_400_000)).toBe('2.4 s');
  });

  it('give each tick a name of its own', () => {
    fc.assert(
      fc.property(fc.nat(20_000_000), fc.integer({ min: 1, max: 5_000_000 }), (fromUs, leastUs) => {
        const step = niceStep(leastUs);
        expect(step).toBeGreaterThanOrEqual(leastUs);
        expect(step).toBeLessThanOrEqual(2.5 * leastUs);
        const names = ticks(fromUs, fromUs + 10 * step, step).map((us) => formatTick(us, step));
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });
});

describe('the rows in view', () => {
  it('cover the window and stay in the list', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(2_000_000), fc.nat(1000), (count, scrollTop, height) => {
        const { first, last } = rowWindow(scrollTop, height, count);
        expect(first).toBeGreaterThanOrEqual(0);
        expect(last).toBeLessThanOrEqual(count);
        for (const y of [scrollTop, scrollTop + height - 1]) {
          const row = Math.floor(y / 21);
          if (height > 0 && row < count) expect(first <= row && row < last).toBe(true);
        }
        expect(last - first).toBeLessThan(height / 21 + 16);
      }),
    );
  });
});
