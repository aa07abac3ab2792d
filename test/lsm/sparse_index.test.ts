import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from '../../src/codec/bytes.ts';
import { VarintReader, writeVarint } from '../../src/codec/varint.ts';
import { SparseIndex } from '../../src/lsm/sparse_index.ts';

interface Anchor {
  readonly key: Uint8Array;
  readonly length: number;
}

/** As `TableWriter` writes it. */
function encode(anchors: readonly Anchor[]): Uint8Array {
  const bytes = new Uint8Array(anchors.reduce((sum, { key }) => sum + 16 + key.length, 0));
  let at = 0;
  for (const { key, length } of anchors) {
    at = writeVarint(bytes, at, key.length);
    bytes.set(key, at);
    at = writeVarint(bytes, at + key.length, length);
  }
  return bytes.slice(0, at);
}

/** Decoded in two steps, so that one goes on where the other has ended. */
function decode(anchors: readonly Anchor[], minKey: Uint8Array, bytes = encode(anchors)): SparseIndex | null {
  const blocks = anchors.length;
  const maxKey = anchors[blocks - 1].key;
  const dataBytes = anchors.reduce((sum, { length }) => sum + length, 0);
  const index = new SparseIndex(blocks, minKey, maxKey, { anchorBytes: bytes.length, dataBytes });
  const reader = new VarintReader(bytes);
  const half = Math.floor(blocks / 2);
  if (!index.add(0, half, bytes, reader) || !index.add(half, blocks, bytes, reader)) return null;
  index.finish();
  return index;
}

/** Few different bytes, so that keys share beginnings; the longest ones are longer than a word. */
const someKey = fc
  .array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { maxLength: 8 })
  .map((bytes) => Uint8Array.from(bytes));

const someKeys = fc
  .tuple(someKey, fc.array(someKey, { minLength: 1, maxLength: 40 }))
  .map(([prefix, rests]) => rests.map((rest) => Uint8Array.from([...prefix, ...rest])).sort(compareBytes));

describe('the index of a table in memory', () => {
  it('leads every key to the first block whose last key is not below it, and tells where blocks begin', () => {
    fc.assert(
      fc.property(
        someKeys,
        fc.array(
          fc.oneof(
            someKey,
            someKeys.map(([key]) => key),
          ),
          { maxLength: 10 },
        ),
        fc.integer({ min: 1, max: 2 ** 31 }),
        (keys, others, length) => {
          const [minKey, ...rest] = keys;
          const anchors = (rest.length === 0 ? keys : rest).map((key) => ({ key, length }));
          const index = decode(anchors, minKey);
          expect(index).not.toBe(null);
          if (index === null) return;
          for (const key of [...keys, ...others]) {
            const first = anchors.findIndex((anchor) => compareBytes(anchor.key, key) >= 0);
            expect(index.blockFor(key)).toBe(first === -1 ? anchors.length : first);
            const order = index.orderOfPrefix(key);
            const within = compareBytes(key, minKey) >= 0 && first !== -1;
            if (within) expect(order).toBe(0);
            if (order < 0) expect(compareBytes(key, minKey)).toBeLessThan(0);
            if (order > 0) expect(first).toBe(-1);
            if (order !== 0) continue;
            for (const [block, anchor] of anchors.entries()) {
              expect(Math.sign(index.compareAnchor(block, key))).toBe(
                Math.sign(compareBytes(anchor.key, key)),
              );
            }
          }
          for (const [block, anchor] of anchors.entries()) {
            expect(index.anchor(block)).toEqual(anchor.key);
            expect(index.startOf(block)).toBe(block * length);
          }
          expect(index.startOf(anchors.length)).toBe(anchors.length * length);
        },
      ),
    );
  });

  it('takes no bytes that are no anchors of the table', () => {
    const minKey = Uint8Array.from([1, 2]);
    const anchors = [
      { key: Uint8Array.from([1, 2, 3]), length: 4000 },
      { key: Uint8Array.from([1, 9]), length: 100 },
    ];
    const bytes = encode(anchors);
    expect(decode(anchors, minKey)).not.toBe(null);
    for (let end = 0; end < bytes.length; end++) {
      expect(decode(anchors, minKey, bytes.slice(0, end)), `${end} bytes`).toBe(null);
    }
    const elsewhere = bytes.slice();
    elsewhere[1] = 2;
    expect(decode(anchors, minKey, elsewhere), 'a key that does not begin as all do').toBe(null);
    const longer = bytes.slice();
    longer[0] = 0x7f;
    expect(decode(anchors, minKey, longer), 'a key that goes beyond the bytes').toBe(null);
  });

  it('keeps of keys of one length nothing but what differs, a number and a place', () => {
    const blocks = 1000;
    const anchors = Array.from({ length: blocks }, (_none, n) => {
      const key = new TextEncoder().encode(`bucket/${String(n).padStart(16, '0')}`);
      return { key, length: 4100 };
    });
    const index = decode(anchors, anchors[0].key);
    // Three digits, the first four bytes of them, where the block ends; and the beginning of all keys, once.
    expect(index?.bytes).toBe(blocks * (3 + 4 + 4) + 7 + 13);
  });
});
