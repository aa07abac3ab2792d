import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildItems } from '../../../../sim/report/page/items.js';
import { layOut } from '../../../../sim/report/page/layout.js';
import type { RunRecord } from '../../../../sim/report/record.ts';
import { SAMPLE, WRITE } from '../sample.ts';

function withOperations(intervals: readonly (readonly [number, number])[]): RunRecord {
  const operations = intervals
    .map(([invokedUs, length]) => ({ ...WRITE, invokedUs, endUs: invokedUs + length }))
    .sort((a, b) => a.invokedUs - b.invokedUs);
  return { ...SAMPLE, operations };
}

describe('the layout', () => {
  it('puts what overlaps into different rows, and needs no more rows than there are at one time', () => {
    const anyIntervals = fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 60 })), { maxLength: 60 });
    fc.assert(
      fc.property(anyIntervals, (intervals) => {
        const record = withOperations(intervals);
        const items = buildItems(record);
        const { rows } = layOut(record.lanes, items, new Set());
        const operations = items.filter(({ type }) => type === 'operation');
        let rowsMax = 0;
        let atOnceMax = 0;
        for (const one of operations) {
          rowsMax = Math.max(rowsMax, rows[one.id] + 1);
          const atOnce = operations.filter((item) => item.fromUs <= one.fromUs && item.toUs > one.fromUs);
          atOnceMax = Math.max(atOnceMax, atOnce.length);
          for (const other of atOnce) if (other !== one) expect(rows[other.id]).not.toBe(rows[one.id]);
        }
        expect(rowsMax).toBe(atOnceMax);
      }),
    );
  });

  it('stacks lanes without gaps, and leaves hidden ones out', () => {
    const items = buildItems(SAMPLE);
    const all = layOut(SAMPLE.lanes, items, new Set());
    let top = 0;
    for (const box of all.boxes) {
      expect(box?.top).toBe(top);
      top += box?.height ?? 0;
    }
    expect(all.height).toBe(top);
    const some = layOut(SAMPLE.lanes, items, new Set([2]));
    expect(some.boxes[2]).toBeNull();
    expect(some.height).toBe(all.height - (all.boxes[2]?.height ?? 0));
  });

  it('keeps rows within their lane', () => {
    const record = withOperations(Array.from({ length: 12 }, () => [100, 50] as const));
    const items = buildItems(record);
    const { boxes, rows } = layOut(record.lanes, items, new Set());
    for (const item of items.filter(({ type }) => type === 'operation')) {
      const box = boxes[item.lane];
      if (box === null) throw new Error('no lane is hidden');
      const bottom = box.rowsTop + (rows[item.id] + 1) * box.rowHeight;
      expect(bottom).toBeLessThanOrEqual(box.top + box.height);
    }
  });
});
