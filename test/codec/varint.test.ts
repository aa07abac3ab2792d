import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VARINT_BYTES_MAX, VarintReader, varintSize, writeVarint } from '../../src/codec/varint.ts';

describe('varints', () => {
  it('round-trip every unsigned safe integer, in the size that was told', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = new Uint8Array(VARINT_BYTES_MAX);
        const end = writeVarint(bytes, 0, value);
        expect(end).toBe(varintSize(value));
        const reader = new VarintReader(bytes, 0, end);
        expect(reader.read()).toBe(value);
        expect(reader.offset).toBe(end);
      }),
    );
    for (const value of [0, 127, 128, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      const bytes = new Uint8Array(VARINT_BYTES_MAX);
      expect(new VarintReader(bytes, 0, writeVarint(bytes, 0, value)).read()).toBe(value);
    }
  });

  it('that end early or are too large read as -1', () => {
    expect(new VarintReader(new Uint8Array([0x80])).read()).toBe(-1);
    expect(new VarintReader(new Uint8Array(0)).read()).toBe(-1);
    expect(new VarintReader(new Uint8Array(9).fill(0xff)).read()).toBe(-1);
  });
});
