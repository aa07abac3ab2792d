import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { compareBytes, sharedBytes, utf8 } from '../../src/codec/bytes.ts';
import { BlockLookup } from '../../src/lsm/block_lookup.ts';
import { BlockReader } from '../../src/lsm/block_reader.ts';
import { hintsIn, restartsIn } from '../../src/lsm/block_trailer.ts';
import { BlockWriter } from '../../src/lsm/block_writer.ts';
import { hashKey } from '../../src/lsm/bloom_filter.ts';
import { readUint32 } from '../../src/lsm/bytes.ts';
import { RecordKind } from '../../src/lsm/record.ts';

interface Item {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly value: Uint8Array;
}

interface Shape {
  readonly restartInterval: number;
  /** Of all keys; null: of each its own. */
  readonly hash: number | null;
}

const PLAIN: Shape = { restartInterval: 16, hash: null };
/** In front of the block and behind it in a larger array. */
const AROUND = 5;
const ALL = Number.MAX_SAFE_INTEGER;

function write(items: readonly Item[], { restartInterval, hash }: Shape): Uint8Array {
  const writer = new BlockWriter(restartInterval);
  for (const { key, sequence, value } of items) {
    writer.add(key, sequence, RecordKind.Put, value, undefined, hash ?? hashKey(key));
  }
  const block = writer.finish(7);
  const bytes = new Uint8Array(AROUND + block.length + AROUND).fill(0xff);
  bytes.set(block, AROUND);
  return bytes;
}

/** What the lookup says: the sequence number and the value, or that there is none. */
function find(bytes: Uint8Array, key: Uint8Array, visible: number, known: number, hash = hashKey(key)) {
  const lookup = new BlockLookup('plain');
  const end = bytes.length - AROUND;
  if (!lookup.find(bytes, AROUND, end, key, 0, visible, '/t/table-1', 4096, hash, known)) return null;
  return { sequence: lookup.sequence, value: lookup.value.slice() };
}

/** What a key has in common with all that are there. */
function knownOf(items: readonly Item[], key: Uint8Array): number {
  return Math.min(...items.map((item) => sharedBytes(item.key, key)));
}

/** Few letters and a long common beginning: ends of keys, and what they share, are often the same, and keys have versions. */
const key = fc
  .tuple(fc.constantFrom('', 'keyforall'), fc.stringMatching(/^[ab]{0,3}$/))
  .map(([prefix, rest]) => utf8(prefix + rest));
/** Some have a length that takes more than a byte. */
const value = fc
  .tuple(fc.constantFrom(0, 1, 20, 127, 128, 200), fc.nat({ max: 255 }))
  .map(([length, byte]) => new Uint8Array(length).fill(byte));
const items: fc.Arbitrary<Item[]> = fc
  .uniqueArray(fc.record({ key, sequence: fc.integer({ min: 1, max: 300 }), value }), {
    minLength: 1,
    maxLength: 60,
    size: 'max',
    selector: (item) => `${item.key} ${item.sequence}`,
  })
  .map((list) => list.sort((a, b) => compareBytes(a.key, b.key) || b.sequence - a.sequence));
const shape: fc.Arbitrary<Shape> = fc.record({
  restartInterval: fc.integer({ min: 1, max: 20 }),
  hash: fc.constantFrom(null, 0, 0xffff_ffff),
});

describe('a lookup in a block', () => {
  it('finds the newest version that can be seen of each key, and no other key, whatever hints say', () => {
    fc.assert(
      fc.property(items, shape, key, fc.integer({ min: 0, max: 301 }), (list, written, other, visible) => {
        const bytes = write(list, written);
        for (const probe of [other, ...list.map((item) => item.key)]) {
          const expected = list.find(
            (item) => compareBytes(item.key, probe) === 0 && item.sequence <= visible,
          );
          const wanted = expected ? { sequence: expected.sequence, value: expected.value } : null;
          const hash = written.hash ?? hashKey(probe);
          for (const known of [0, knownOf(list, probe)]) {
            expect(find(bytes, probe, visible, known, hash)).toEqual(wanted);
          }
          // With the hash of another key no hint leads anywhere.
          expect(find(bytes, probe, visible, 0, hash ^ 0x5500_0000)).toEqual(wanted);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('passes over no newer version that a hint cannot be followed to', () => {
    const long = new Uint8Array(200).fill(1);
    const short = utf8('v');
    const name = utf8('a key that is longer than its block says of it');
    const versions = (count: number, make: (at: number) => Uint8Array): Item[] =>
      Array.from({ length: count }, (_none, at) => ({ key: name, sequence: count - at, value: make(at) }));
    // A length that takes more than a byte hides the newest; or what it shares does, where an older one is a restart point.
    for (const [list, restartInterval] of [
      [versions(2, (at) => (at === 0 ? long : short)), 1],
      [[{ key: name.slice(0, -1), sequence: 1, value: short }, ...versions(2, () => short)], 2],
      [versions(9, () => short), 4],
    ] as const) {
      const bytes = write(list, { ...PLAIN, restartInterval });
      for (const { key: probe, sequence, value } of list) {
        const newest = Math.max(...list.filter((item) => item.key === probe).map((item) => item.sequence));
        for (const known of [0, knownOf(list, probe)]) {
          expect(find(bytes, probe, ALL, known)?.sequence).toBe(newest);
          expect(find(bytes, probe, sequence, known)).toEqual({ sequence, value });
        }
      }
    }
  });

  it('takes no key for another that differs from it by what a checksum does not notice', () => {
    // The polynomial of the checksum, its lowest term in front, in five bytes: keys that differ by it have the same one.
    const twins = ['kept', 'here'].map((tail) => {
      const one = utf8(`-AAAAA${tail}`);
      const other = one.slice();
      for (const [at, bits] of [0x41, 0x06, 0x71, 0xdb, 0x01].entries()) other[1 + at] ^= bits;
      return { one, other };
    });
    for (const { one, other } of twins) {
      const before = other.slice(0, -1);
      const value = utf8('v');
      const list = [before, other].sort(compareBytes).map((each) => ({ key: each, sequence: 3, value }));
      expect(list[1]?.key).toBe(other);
      const bytes = write(list, { restartInterval: 16, hash: 1 });
      expect(find(bytes, other, ALL, 0, 1)).toEqual({ sequence: 3, value });
      expect(find(bytes, one, ALL, 0, 1)).toBeNull();
      const alone = write([{ key: other, sequence: 3, value }], { restartInterval: 16, hash: 1 });
      expect(find(alone, one, ALL, 0, 1)).toBeNull();
    }
  });

  it('has nothing but right answers in a block of which a bit has flipped, and errors with their place', () => {
    const list = ['aa', 'ab', 'abc', 'b', 'bc'].map((name, n) => ({
      key: utf8(name),
      sequence: 100 + n,
      value: utf8(`value ${n}`),
    }));
    const intact = write(list, { ...PLAIN, restartInterval: 2 });
    let detected = 0;
    for (let bit = AROUND * 8; bit < (intact.length - AROUND) * 8; bit++) {
      const bytes = intact.slice();
      bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      for (const item of list) {
        try {
          // Not found is no answer: the block's own checksum decides about it.
          const found = find(bytes, item.key, ALL, 0);
          if (found !== null)
            expect(found, `bit ${bit}`).toEqual({ sequence: item.sequence, value: item.value });
        } catch (error) {
          if (!(error instanceof CorruptionError) || error.offset < 4096) throw error;
          detected++;
        }
      }
    }
    expect(detected).toBeGreaterThan(0);
  });

  it('reads blocks that are too large for hints, and those without any', () => {
    const large = Array.from({ length: 300 }, (_none, n) => ({
      key: utf8(`key${String(n).padStart(4, '0')}`),
      sequence: n + 1,
      value: new Uint8Array(300).fill(n),
    }));
    for (const count of [1, 200, 300]) {
      const list = large.slice(0, count);
      const bytes = write(list, PLAIN);
      const counts = readUint32(bytes, bytes.length - AROUND - 8);
      expect(hintsIn(counts)).toBe(count === 300 ? 0 : count);
      expect(restartsIn(counts)).toBe(Math.ceil(count / 16));
      for (const { key: name, sequence, value } of list) {
        expect(find(bytes, name, ALL, 3)).toEqual({ sequence, value });
      }
      expect(find(bytes, utf8('key0150x'), ALL, 3)).toBeNull();
      const place = { path: '/t/table-1', offset: 0, seed: 7, form: 'plain' as const };
      const reader = new BlockReader(bytes.slice(AROUND, -AROUND), place);
      reader.seekToLast();
      expect(reader.sequence).toBe(count);
    }
  });
});
