import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../src/base/queue.ts';
import { runs } from '../long.ts';

describe('the queue', () => {
  it('gives out what was put in, oldest first, through any mixture of calls', () => {
    const call = fc.oneof(
      { weight: 6, arbitrary: fc.constant('push' as const) },
      { weight: 4, arbitrary: fc.constant('shift' as const) },
      { weight: 1, arbitrary: fc.nat(10) },
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 100 }), (calls) => {
        const queue = new Queue<number>();
        let model: number[] = [];
        calls.forEach((action, i) => {
          if (action === 'push') {
            queue.push(i);
            model.push(i);
          } else if (action === 'shift') {
            expect(queue.shift()).toBe(model.shift() ?? null);
          } else {
            const size = Math.min(action, model.length);
            queue.truncate(size);
            model = model.slice(0, size);
          }
          expect([queue.size, queue.first]).toEqual([model.length, model[0] ?? null]);
        });
      }),
      { numRuns: runs(200) },
    );
  });
});
