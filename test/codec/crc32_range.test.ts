import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32Range } from '../../src/codec/crc32_range.ts';
import { runs } from '../long.ts';

describe('crc32Range', () => {
  it('is the checksum of the piece, whatever it is continued from', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 700, size: 'max' }),
        fc.nat(),
        fc.nat(),
        fc.nat(0xffffffff),
        (bytes, a, b, seed) => {
          const start = a % (bytes.length + 1);
          const end = start + (b % (bytes.length - start + 1));
          // What zlib says of an empty piece depends on its version.
          const expected = start === end ? seed : zlibCrc32(bytes.subarray(start, end), seed);
          expect(crc32Range(bytes, start, end, seed)).toBe(expected);
        },
      ),
      { numRuns: runs(500) },
    );
  });
});
