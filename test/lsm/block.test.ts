import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import { BlockReader, verifyBlock } from '../../src/lsm/block_reader.ts';
import { BlockWriter } from '../../src/lsm/block_writer.ts';
import { RecordKind } from '../../src/lsm/record.ts';

const PLACE = { path: '/t/table-1', offset: 4096, seed: 77, form: 'plain' as const };

interface Item {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: RecordKind;
  readonly value: Uint8Array;
}

function write(items: readonly Item[], restartInterval: number): Uint8Array {
  const writer = new BlockWriter(restartInterval);
  for (const { key, sequence, kind, value } of items) writer.add(key, sequence, kind, value);
  const size = writer.sizeBytes;
  const block = writer.finish(PLACE.seed).slice();
  expect(block.length).toBe(size);
  expect(writer.isEmpty).toBe(true);
  return block;
}

const item: fc.Arbitrary<Item> = fc.record({
  key: fc
    .tuple(fc.constantFrom('', 'pre', 'prefix/', 'prefix/of/all'), fc.uint8Array({ maxLength: 4 }))
    .map(([prefix, rest]) => new Uint8Array([...utf8(prefix), ...rest])),
  sequence: fc.maxSafeNat(),
  kind: fc.constantFrom(RecordKind.Put, RecordKind.Tombstone),
  value: fc.uint8Array({ maxLength: 300 }),
});
const items = fc
  .uniqueArray(item, { minLength: 1, maxLength: 60, selector: ({ key }) => String(key) })
  .map((list) => list.sort((a, b) => compareBytes(a.key, b.key)));

describe('a block', () => {
  it('gives back every record in order, and finds each key and the place of any other', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 20 }), item, (list, restartInterval, { key: probe }) => {
        const block = write(list, restartInterval);
        verifyBlock(block, PLACE);
        const reader = new BlockReader(block, PLACE);
        reader.seekToFirst();
        for (const { key, sequence, kind, value } of list) {
          expect(reader.isValid).toBe(true);
          expect({
            key: reader.key.slice(),
            sequence: reader.sequence,
            kind: reader.kind,
            value: reader.value.slice(),
          }).toEqual({ key, sequence, kind, value });
          reader.next();
        }
        expect(reader.isValid).toBe(false);
        for (const key of [probe, ...list.map((one) => one.key)]) {
          reader.seek(key);
          const expected = list.find((one) => compareBytes(one.key, key) >= 0);
          expect(reader.isValid ? reader.key.slice() : undefined).toEqual(expected?.key);
          expect(reader.isAt(key)).toBe(expected !== undefined && compareBytes(expected.key, key) === 0);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('fails its checksum anywhere but in its place', () => {
    const block = write([{ key: utf8('k'), sequence: 1, kind: RecordKind.Put, value: utf8('v') }], 16);
    expect(() => verifyBlock(block, { ...PLACE, seed: 78 })).toThrow(CorruptionError);
    expect(() => verifyBlock(new Uint8Array(6), PLACE)).toThrow(CorruptionError);
  });

  it('hands out no record that a flipped bit has changed, with the offset of what is damaged', () => {
    const list = ['aa', 'ab', 'abc', 'b'].map((key, n) => ({
      key: utf8(key),
      sequence: 100 + n,
      kind: RecordKind.Put,
      value: utf8(`value ${n}`),
    }));
    const intact = write(list, 2);
    for (let bit = 0; bit < intact.length * 8; bit++) {
      const block = intact.slice();
      block[bit >>> 3] ^= 1 << (bit & 7);
      for (const { key, value } of list) {
        try {
          const reader = new BlockReader(block, PLACE);
          reader.seek(key);
          // Not found is no answer: the block's own checksum decides about it, and fails.
          if (reader.isAt(key) && compareBytes(reader.value, value) !== 0) expect.fail(`bit ${bit} shows`);
        } catch (error) {
          const isRight = error instanceof CorruptionError && error.offset >= PLACE.offset;
          if (!isRight) throw error;
        }
      }
      expect(() => verifyBlock(block, PLACE)).toThrow(CorruptionError);
    }
  });
});
