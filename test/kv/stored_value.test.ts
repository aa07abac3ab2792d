import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../src/codec/bytes.ts';
import { decodeStored, encodeStored, NEVER } from '../../src/kv/stored_value.ts';

describe('a stored value', () => {
  it('comes back with its revision and its expiry', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(new Uint8Array(20_000).fill(7))),
        fc.maxSafeNat(),
        fc.oneof(fc.constant(NEVER), fc.integer({ min: 1, max: 1e14 })),
        (value, revision, expiresAtMs) => {
          const stored = decodeStored(encodeStored(value, revision, expiresAtMs).slice());
          expect([stored.revision, stored.expiresAtMs, stored.length]).toEqual([
            revision,
            expiresAtMs,
            value.length,
          ]);
          expect(compareBytes(stored.value, value)).toBe(0);
          expect(compareBytes(stored.copy(), value)).toBe(0);
        },
      ),
    );
  });

  it('is damaged when it has no header', () => {
    for (const bytes of [
      [],
      [1],
      [0, 1],
      [3, 1, 1],
      [1, 0x80],
      [2, 1],
      [2, 1, 0xff],
      Array.from({ length: 20 }, () => 0xff),
    ]) {
      expect(() => decodeStored(Uint8Array.from(bytes))).toThrow(/no valid header/);
    }
    expect(() => decodeStored(Uint8Array.from([1, ...Array.from({ length: 12 }, () => 0xff), 1]))).toThrow();
  });
});
