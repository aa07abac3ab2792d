import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IntervalIndex } from '../../../../sim/report/page/culling.js';

const anyInterval = fc
  .tuple(fc.nat(5000), fc.oneof(fc.nat(20), fc.nat(5000)))
  .map(([fromUs, length]) => ({ fromUs, toUs: fromUs + length }));

function query(index: IntervalIndex, fromUs: number, toUs: number): number[] {
  const found: number[] = [];
  index.query(fromUs, toUs, (at) => found.push(at));
  return found;
}

describe('IntervalIndex', () => {
  it('finds exactly what overlaps the range, in order', () => {
    fc.assert(
      fc.property(
        fc.array(anyInterval, { maxLength: 400 }),
        fc.nat(11_000),
        fc.nat(3000),
        (drawn, from, length) => {
          const items = drawn.sort((a, b) => a.fromUs - b.fromUs);
          const to = from + length;
          const expected = items.flatMap((item, at) => (item.fromUs <= to && item.toUs >= from ? [at] : []));
          expect(query(new IntervalIndex(items), from, to)).toEqual(expected);
        },
      ),
    );
  });

  it('looks at few of a hundred thousand items to find the last', () => {
    let looks = 0;
    const items = Array.from({ length: 100_000 }, (_none, at) => ({
      fromUs: at * 10,
      get toUs() {
        looks++;
        return at * 10 + 5;
      },
    }));
    const index = new IntervalIndex(items);
    looks = 0;
    expect(query(index, 999_990, 999_999)).toEqual([99_999]);
    expect(looks).toBeLessThan(200);
  });
});
