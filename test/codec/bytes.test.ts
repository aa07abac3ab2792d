import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
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
