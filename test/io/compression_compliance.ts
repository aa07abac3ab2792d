/** What every compression must keep to, the real ones and the simulator's. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Compression } from '../../src/io/compression.ts';

export function compressionCompliance(compression: Compression): void {
  describe(`the compression ${compression.name}`, () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ maxLength: 20 }).map((text) => new TextEncoder().encode(text.repeat(50))),
      fc.nat(70_000).map((length) => new Uint8Array(length).fill(7)),
    );

    it('gives back what went in', () => {
      fc.assert(
        fc.property(bytes, (input) => {
          const packed = compression.compress(input).slice();
          const found = compression.decompress(packed, input.length);
          expect(Buffer.compare(found, input)).toBe(0);
        }),
        { numRuns: 200 },
      );
    });

    it('makes what repeats itself smaller', () => {
      expect(compression.compress(new Uint8Array(4096).fill(46)).length).toBeLessThan(200);
    });

    it('is named by a byte that is not 0', () => {
      expect(compression.id).toBeGreaterThanOrEqual(1);
      expect(compression.id).toBeLessThanOrEqual(255);
    });

    it('refuses another length than went in, and never makes more than is asked for', () => {
      fc.assert(
        fc.property(bytes, fc.integer({ min: -3, max: 3 }), (input, off) => {
          const length = Math.max(0, input.length + off);
          if (length === input.length) return;
          const packed = compression.compress(input).slice();
          expect(() => compression.decompress(packed, length)).toThrow(Error);
        }),
        { numRuns: 100 },
      );
      // What would be a megabyte.
      const bomb = compression.compress(new Uint8Array(1 << 20)).slice();
      expect(() => compression.decompress(bomb, 100)).toThrow(Error);
    });

    it('answers any bytes with an error or with so many bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(200), (input, length) => {
          try {
            expect(compression.decompress(input, length).length).toBe(length);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        }),
        { numRuns: 300 },
      );
    });
  });
}
