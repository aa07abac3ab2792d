import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  pan,
  reveal,
  timeOf,
  VIEW_US_MIN,
  viewAround,
  viewFromHash,
  viewToHash,
  wholeRun,
  xOf,
  zoom,
} from '../../../../sim/report/page/viewport.js';

const END_US = 20_000_000;
const anyTime = fc.integer({ min: 0, max: END_US });
const anyStep = fc.oneof(
  fc.record({ factor: fc.double({ min: 0.01, max: 100, noNaN: true }), atUs: anyTime }),
  fc.record({ panUs: fc.integer({ min: -2 * END_US, max: 2 * END_US }) }),
  fc.record({ revealUs: anyTime }),
);

describe('the view of a run', () => {
  it('stays in the run, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
        let view = wholeRun(END_US);
        for (const step of steps) {
          if ('factor' in step) view = zoom(view, step.factor, step.atUs, END_US);
          else if ('panUs' in step) view = pan(view, step.panUs, END_US);
          else view = reveal(view, step.revealUs, END_US);
          const span = view.toUs - view.fromUs;
          expect(view.fromUs).toBeGreaterThanOrEqual(-0.011 * END_US);
          expect(view.toUs).toBeLessThanOrEqual(1.011 * END_US);
          expect(span).toBeGreaterThanOrEqual(VIEW_US_MIN - 1e-6);
        }
      }),
    );
  });

  it('keeps the point under the pointer when it zooms in', () => {
    fc.assert(
      fc.property(anyTime, fc.double({ min: 0.05, max: 1, noNaN: true }), (atUs, factor) => {
        const before = viewAround(5_000_000, 15_000_000, END_US);
        fc.pre(before.fromUs <= atUs && atUs <= before.toUs);
        const after = zoom(before, factor, atUs, END_US);
        expect(xOf(after, atUs, 1000)).toBeCloseTo(xOf(before, atUs, 1000), 3);
      }),
    );
  });

  it('turns pixels into times and back', () => {
    const view = viewAround(1000, 9000, END_US);
    expect(timeOf(view, xOf(view, 4321, 800), 800)).toBeCloseTo(4321, 6);
  });

  it('does not move to reveal what is well in view', () => {
    const view = viewAround(1000, 9000, END_US);
    expect(reveal(view, 5000, END_US)).toBe(view);
    const moved = reveal(view, 5_000_000, END_US);
    expect(moved.fromUs).toBeLessThan(5_000_000);
    expect(moved.toUs).toBeGreaterThan(5_000_000);
  });

  it('can be sent as the end of an address, to the microsecond', () => {
    const view = { fromUs: 5_200_001, toUs: 5_400_002 };
    expect(viewToHash(view)).toBe('#5.200001-5.400002');
    expect(viewFromHash('#5.200001-5.400002', END_US)).toEqual(view);
    for (const hash of ['', '#', '#5', '#6-5', '#a-b', '#1-2-3'])
      expect(viewFromHash(hash, END_US)).toBeNull();
  });
});
