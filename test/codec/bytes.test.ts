import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyRange, utf8 } from '../../src/codec/bytes.ts';
import { runs } from '../long.ts';

describe('utf8', () => {
  it('is what the encoder says, of short texts and long ones, lone surrogates included', () => {
    const texts = fc.oneof(fc.string({ maxLength: 70 }), fc.string({ unit: 'binary', maxLength: 70 }));
    const odd = fc.string({
      unit: fc.constantFrom('a', '\u007f', '\u0080', 'ß', '\ud800', '\udc00'),
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.oneof(texts, odd), (text) => {
        expect(Array.from(utf8(text))).toEqual(Array.from(new TextEncoder().encode(text)));
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('copyRange', () => {
  it('copies a range of any length to its place, and nothing beside it', () => {
    const shape = fc.record({
      bytes: fc.uint8Array({ maxLength: 300 }),
      start: fc.nat(300),
      end: fc.nat(300),
      at: fc.nat(20),
      isShared: fc.boolean(),
    });
    fc.assert(
      fc.property(shape, ({ bytes, start, end, at, isShared }) => {
        const to = Math.min(end, bytes.length);
        const from = Math.min(start, to);
        const source = isShared ? new Uint8Array(new SharedArrayBuffer(bytes.length)) : bytes;
        source.set(bytes);
        const target = new Uint8Array(400).fill(0xaa);
        const behind = copyRange(target, at, source, from, to);
        expect(behind).toBe(at + to - from);
        const expected = Array.from(new Uint8Array(400).fill(0xaa));
        expected.splice(at, to - from, ...bytes.subarray(from, to));
        expect(Array.from(target)).toEqual(expected);
      }),
      { numRuns: runs(300) },
    );
  });
});
