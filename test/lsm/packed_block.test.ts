import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { CorruptionError, EnvelopeError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import { writeVarint } from '../../src/codec/varint.ts';
import type { Compression } from '../../src/io/compression.ts';
import { writeUint32 } from '../../src/lsm/bytes.ts';
import { CONTENTS_BYTES_MAX, packBlock, unpackBlock } from '../../src/lsm/packed_block.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { contents, DIRECTORY, get, put, Rig, TINY } from './rig.ts';

const PLACE = { path: '/t/table-1', offset: 64, seed: 5, form: 'unpacked' as const };
const PACKED: Partial<StoreOptions> = { ...TINY, compressions: [runLength], compression: 'run-length' };

/** A block of these bytes, under a checksum that holds. */
function sealed(bytes: readonly number[]): Uint8Array {
  const block = new Uint8Array(bytes.length + 4);
  block.set(bytes);
  writeUint32(block, bytes.length, crc32(block.subarray(0, bytes.length), PLACE.seed));
  return block;
}

describe('a packed block', () => {
  it('gives back its contents, compressed or not worth it', () => {
    for (const text of ['a'.repeat(500), 'no byte is like the next']) {
      const block = packBlock(utf8(text), runLength, PLACE.seed);
      expect(block.length).toBeLessThan(text.length < 100 ? text.length + 6 : 50);
      expect(unpackBlock(block, runLength, PLACE).subarray(0, -4)).toEqual(utf8(text));
    }
  });

  it('fails its checksum when any bit of it has changed, before anything is decompressed', () => {
    const never: Compression = {
      ...runLength,
      decompress: () => {
        throw new Error('it was decompressed');
      },
    };
    const block = packBlock(utf8('a'.repeat(100)), runLength, PLACE.seed);
    for (let bit = 0; bit < 8 * block.length; bit++) {
      const damaged = block.slice();
      damaged[bit >>> 3] = (damaged[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => unpackBlock(damaged, never, PLACE)).toThrow(/checksum of a data block/);
    }
  });

  it('is refused when its length is none, whatever its checksum says', () => {
    const lengths = [CONTENTS_BYTES_MAX + 1, Number.MAX_SAFE_INTEGER];
    for (const length of lengths) {
      const varint = new Uint8Array(10);
      const bytes = varint.subarray(0, writeVarint(varint, 0, length));
      expect(() => unpackBlock(sealed([...bytes, 130, 1, 1]), runLength, PLACE)).toThrow(
        /no length that can be/,
      );
    }
    // It would give more than it says, or less.
    for (const bytes of [[4, 132, 7, 1], [9, 132, 7, 1], [1], [0x80, 1]]) {
      expect(() => unpackBlock(sealed(bytes), runLength, PLACE)).toThrow(CorruptionError);
    }
    expect(() => unpackBlock(sealed([0, 0, 0, 7]), runLength, PLACE)).toThrow(/unknown form of block 7/);
  });
});

describe('a store with compression', () => {
  const value = (n: number): string => `${n}`.padEnd(60, '.');

  function filled(rig: Rig, options: Partial<StoreOptions>): [string, string][] {
    const store = rig.open(options);
    const expected: [string, string][] = [];
    for (let n = 0; n < 60; n++) {
      store.beginEntry(store.appliedIndex + 1);
      put(store, `k${String(n).padStart(2, '0')}`, value(n));
      expected.push([`k${String(n).padStart(2, '0')}`, value(n)]);
    }
    store.merge(() => {});
    rig.settle();
    store.close();
    return expected;
  }

  it('is smaller, and opens with and without it as long as it is known', () => {
    const rig = new Rig('packed');
    const expected = filled(rig, PACKED);
    const plain = new Rig('plain');
    filled(plain, TINY);
    const sizeOf = (of: Rig): number =>
      of.open({ ...TINY, compressions: [runLength] }).statistics().tableBytes;
    expect(sizeOf(rig)).toBeLessThan(0.7 * sizeOf(plain));
    // New tables are written without, over old ones with, and read side by side.
    const store = rig.open({ ...TINY, compressions: [runLength] });
    expect(contents(store)).toEqual(expected);
    store.beginEntry(store.appliedIndex + 1);
    put(store, 'k07', 'new');
    store.flush(() => {});
    rig.settle();
    expect(get(store, 'k07')).toBe('new');
    expect(get(store, 'k08')).toBe(value(8));
    expect(get(store, 'k07x')).toBe(null);
    store.merge(() => {});
    rig.settle();
    store.close();
    expect(contents(rig.open(TINY)).length).toBe(60);
  });

  it('keeps what it has decompressed in its block cache', () => {
    const rig = new Rig('cached');
    filled(rig, PACKED);
    const store = rig.open(PACKED);
    for (let round = 0; round < 3; round++) for (let n = 10; n < 60; n++) get(store, `k${n}`);
    const { blockCacheHits, blockCacheMisses, blockCacheBytes } = store.statistics();
    expect(blockCacheMisses).toBeLessThan(60);
    expect(blockCacheHits).toBeGreaterThan(80);
    expect(blockCacheBytes).toBeGreaterThan(0);
  });

  it('says so when it needs a compression that is not known, and changes nothing', () => {
    const rig = new Rig('unknown');
    const expected = filled(rig, PACKED);
    const opened = rig.tryOpen({ ...TINY, damagedTables: 'quarantine' });
    expect(opened).toBeInstanceOf(EnvelopeError);
    expect(opened).toMatchObject({ code: 'UNSUPPORTED' });
    expect(contents(rig.open(PACKED))).toEqual(expected);
    expect(rig.tryOpen({ ...PACKED, compression: 'other' })).toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining("'other'"),
    });
  });

  it('answers rightly or with an error that names the block, whichever byte of a table changes', () => {
    const rig = new Rig('damage');
    const expected = new Map(filled(rig, PACKED));
    const [path = ''] = rig.disk.files().filter((name) => name.startsWith(`${DIRECTORY}/table-`));
    const { length } = rig.disk.readRaw(path);
    let errors = 0;
    for (let at = 0; at < length; at += 3) {
      rig.disk.flipByte(path, at);
      const store = rig.tryOpen({ ...PACKED, blockCacheBytes: 0 });
      if (store instanceof Error) {
        expect(store).toMatchObject({ code: 'CORRUPTION', path });
        errors++;
      } else {
        for (const [key, text] of expected) {
          try {
            if (get(store, key) !== text) expect.fail(`${key} is ${get(store, key)} with byte ${at} changed`);
          } catch (error) {
            expect(error).toMatchObject({ code: 'CORRUPTION', path });
            errors++;
          }
        }
        store.close();
      }
      rig.disk.flipByte(path, at);
    }
    expect(errors).toBeGreaterThan(length / 3 - 1);
  });
});
