import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyRange, copyWords, utf8 } from '../../src/codec/bytes.ts';
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

describe('copyWords', () => {
  it('copies a range of any length, wherever it begins, to its place, and nothing beside it', () => {
    for (let length = 0; length <= 20; length++) {
      for (let from = 0; from < 5; from++) {
        for (let at = 0; at < 5; at++) {
          // Bytes that would be no number, infinite, or negative zero if they were taken for one.
          const source = Uint8Array.from({ length: 30 }, (_none, n) => [0xff, 0x7f, 0xf0, 0x80, 0, 1][n % 6]);
          const target = new Uint8Array(new SharedArrayBuffer(30)).fill(0xaa);
          copyWords(new DataView(target.buffer), at, new DataView(source.buffer), from, from + length);
          const expected = Array.from(new Uint8Array(30).fill(0xaa));
          expected.splice(at, length, ...source.subarray(from, from + length));
          expect(Array.from(target)).toEqual(expected);
        }
      }
    }
  });
});
