import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastNonZero } from '../../src/codec/zeros.ts';
import { runs } from '../long.ts';

describe('where bytes stop being zero', () => {
  it('is found as byte by byte, at every alignment', () => {
    const mostlyZeros = fc.uint8Array({ max: 1, maxLength: 120 });
    fc.assert(
      fc.property(mostlyZeros, fc.nat(100), fc.nat(9), fc.nat(130), (head, zeros, shift, from) => {
        const whole = new Uint8Array(shift + head.length + zeros + 9).fill(0xff);
        whole.set(head, shift);
        whole.fill(0, shift + head.length, shift + head.length + zeros);
        const bytes = whole.subarray(shift, shift + head.length + zeros);
        const start = Math.min(from, bytes.length);
        let end = bytes.length;
        while (end > start && bytes[end - 1] === 0) end--;
        expect(lastNonZero(bytes, start)).toBe(end);
      }),
      { numRuns: runs(3000) },
    );
  });

  it('is `from` where nothing is left', () => {
    expect(lastNonZero(new Uint8Array(0), 0)).toBe(0);
    expect(lastNonZero(new Uint8Array(64), 64)).toBe(64);
    expect(lastNonZero(new Uint8Array(64), 3)).toBe(3);
  });
});
