/** Which entries a log must give up to need no more than so many bytes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { entry, Machine } from './harness.ts';

it('names the first index in the segments that together have at most so many bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 0, max: 20_000 }),
      fc.nat({ max: 20 }),
      (sizes, bytes, compacted) => {
        const machine = new Machine({ segmentBytes: 1024, preallocate: 'never' });
        const log = machine.open();
        const group = log.group(1);
        for (const [at, size] of sizes.entries()) {
          group.append(entry(at + 1, 1, new Uint8Array(size)));
          log.flush();
          machine.settle();
        }
        group.compact(Math.min(compacted, sizes.length - 1));
        machine.settle();
        const index = group.indexWithin(bytes);
        expect(index).toBeGreaterThanOrEqual(group.firstIndex);
        expect(index).toBeLessThanOrEqual(group.lastIndex);
        const before = log.statistics();
        group.compact(index);
        machine.settle();
        const after = log.statistics();
        // What is given up is what had to be: within the bound, or one segment; and nothing where it was within it.
        if (after.segments > 1) expect(after.bytes).toBeLessThanOrEqual(bytes);
        if (before.bytes <= bytes) expect(after.segments).toBeGreaterThanOrEqual(before.segments - 1);
        expect(group.storedBytes).toBe(after.bytes);
      },
    ),
  );
});
