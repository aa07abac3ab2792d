import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { AssertionError, CorruptionError } from '../../src/base/errors.ts';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import { hashKey } from '../../src/lsm/bloom_filter.ts';
import { writeUint32 } from '../../src/lsm/bytes.ts';
import type { RangeTombstone } from '../../src/lsm/range_tombstones.ts';
import { ALL_VISIBLE, RecordKind } from '../../src/lsm/record.ts';
import { TableCursor } from '../../src/lsm/table_cursor.ts';
import { placeSeed } from '../../src/lsm/table_format.ts';
import { openTable } from '../../src/lsm/table_reader.ts';
import { TableWriter, type TableWriterOptions } from '../../src/lsm/table_writer.ts';
import { Rig } from './rig.ts';

const OPTIONS: TableWriterOptions = {
  blockBytes: 64,
  restartInterval: 2,
  filterBitsPerKey: 10,
  compression: null,
};
const EMPTY = new Uint8Array(0);

/** Table 7, `key1` = `v` at 3, a tombstone of `key2` at 4, and `a` up to `c` deleted at 5, as older versions wrote it. */
const OLDER_VERSIONS = {
  2: `0004010103 6d678e7b 6b657931 76 0301000204 9e4c9b9d 32 00000000 01000000 548c4144
    8888a02088080a82 07 0c78a8a7 046b65793224 a6bd75f1 0161016305 4edf9604
    02010001010305 046b657931 046b657932 a9a43ded
    2400000000000000 3100000000000000 3b00000000000000 4400000000000000 5900000000000000
    0700000000000000 00000000 02000000 384d7fe5 4554424c`,
  3: `0004010103 6d678e7b 6b657931 76 0301000204 9e4c9b9d 32 00000000 01000000 548c4144
    8888a02088080a82 07 0c78a8a7 046b65793224 a6bd75f1 0161016305 4edf9604
    02010001010305 046b657931 046b657932 000000 ec8aebbb
    2400000000000000 3100000000000000 3b00000000000000 4400000000000000 5c00000000000000
    0700000000000000 00000000 03000000 25d1e0b5 4554424c`,
};

const READING = { cache: null, compressions: [runLength] };

/** A machine with the tables given, by number. */
class Tables {
  readonly rig = new Rig('tables', { poisonViews: true });
  readonly disk = this.rig.disk.attach(this.rig.process);

  constructor() {
    this.disk.makeDirectory('/t');
  }

  write(
    number: number,
    entries: readonly (readonly [string, string | null])[],
    options = OPTIONS,
    tombstones: readonly RangeTombstone[] = [],
  ): string {
    const path = `/t/table-${number}`;
    const file = this.disk.create(path);
    const writer = new TableWriter(file, number, options);
    entries.forEach(([key, value], n) => {
      const kind = value === null ? RecordKind.Tombstone : RecordKind.Put;
      writer.add(utf8(key), n + 3, kind, value === null ? EMPTY : utf8(value));
    });
    if (tombstones.length > 0) writer.setRangeTombstones(tombstones);
    for (const _step of writer.finish()) {
      // To the end.
    }
    file.sync(() => {});
    this.rig.settle();
    return path;
  }

  /** A file with other bytes in the place of one that is there. */
  replace(path: string, bytes: Uint8Array): void {
    this.disk.remove(path);
    this.disk.create(path).append(bytes);
  }
}

function documentedBytes(page: string): Uint8Array {
  const text = readFileSync(new URL(`../../docs/formats/${page}`, import.meta.url), 'utf8');
  const example = text.slice(text.indexOf('### An example'));
  const bytes: number[] = [];
  for (const [, hex = ''] of example.matchAll(/^ *\d+ {2}((?:[0-9a-f]{2} )*[0-9a-f]{2}) {2}/gm)) {
    for (const byte of hex.split(' ')) bytes.push(Number.parseInt(byte, 16));
  }
  return new Uint8Array(bytes);
}

describe('a sorted table', () => {
  it('has the bytes that its page shows', () => {
    const tables = new Tables();
    const path = tables.write(
      7,
      [
        ['key1', 'v'],
        ['key2', null],
      ],
      { ...OPTIONS, blockBytes: 4096, restartInterval: 16 },
      [{ gte: utf8('a'), lt: utf8('c'), sequence: 5 }],
    );
    expect(tables.rig.disk.readRaw(path)).toEqual(documentedBytes('table.md'));
  });

  it.each([
    [2, 117],
    [3, 120],
  ] as const)('of format version %i is still read', (version, sectionBytes) => {
    const tables = new Tables();
    const path = '/t/table-7';
    tables.disk.create(path).append(Buffer.from(OLDER_VERSIONS[version].replace(/\s/g, ''), 'hex'));
    const table = openTable(tables.disk, path, 7);
    expect(table.find(utf8('key1'), hashKey(utf8('key1')), ALL_VISIBLE)?.value.slice()).toEqual(utf8('v'));
    expect(table.find(utf8('key2'), hashKey(utf8('key2')), ALL_VISIBLE)?.kind).toBe(RecordKind.Tombstone);
    expect(table.find(utf8('key3'), hashKey(utf8('key3')), ALL_VISIBLE)).toBeNull();
    expect(table.properties).toMatchObject({ records: 2, expiring: 0, firstExpiryMs: 0, lastExpiryMs: 0 });
    expect(table.ranges?.coverAt(utf8('b'), ALL_VISIBLE)).toBe(5);
    expect(table.verifySections()).toBe(sectionBytes);
  });

  it('finds every key, no other, and goes through all in order, whatever blocks it is made of', () => {
    const entries = fc
      .dictionary(fc.string({ maxLength: 6 }), fc.option(fc.string({ maxLength: 90 }), { freq: 4 }), {
        minKeys: 1,
        maxKeys: 60,
      })
      .map((object) => Object.entries(object).sort(([a], [b]) => compareBytes(utf8(a), utf8(b))));
    const options = fc.record({
      blockBytes: fc.integer({ min: 1, max: 400 }),
      restartInterval: fc.integer({ min: 1, max: 8 }),
      filterBitsPerKey: fc.integer({ min: 0, max: 12 }),
      compression: fc.constantFrom(null, runLength),
    });
    fc.assert(
      fc.property(entries, options, fc.string(), (list, shape, other) => {
        const tables = new Tables();
        const table = openTable(tables.disk, tables.write(1, list, shape), 1, READING);
        expect(table.properties).toMatchObject({
          records: list.length,
          tombstones: list.filter(([, value]) => value === null).length,
          minSequence: 3,
          maxSequence: list.length + 2,
          minKey: utf8(list[0]?.[0] ?? ''),
          maxKey: utf8(list[list.length - 1]?.[0] ?? ''),
        });
        for (const [key, value] of list) {
          const record = table.find(utf8(key), hashKey(utf8(key)), ALL_VISIBLE);
          expect(record?.kind).toBe(value === null ? RecordKind.Tombstone : RecordKind.Put);
          expect(record?.value.slice()).toEqual(utf8(value ?? ''));
        }
        if (!list.some(([key]) => key === other)) {
          expect(table.find(utf8(other), hashKey(utf8(other)), ALL_VISIBLE)).toBe(null);
        }
        const cursor = new TableCursor(table, 'each');
        const keys: Uint8Array[] = [];
        for (cursor.seekToFirst(); cursor.isValid; cursor.next()) keys.push(cursor.key.slice());
        expect(keys).toEqual(list.map(([key]) => utf8(key)));
        cursor.seek(utf8(other));
        const expected = keys.find((key) => compareBytes(key, utf8(other)) >= 0);
        expect(cursor.isValid ? cursor.key.slice() : undefined).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('is refused under another number', () => {
    const tables = new Tables();
    const path = tables.write(1, [['a', 'x']]);
    expect(() => openTable(tables.disk, path, 2)).toThrow(/holds table 1, not table 2/);
  });

  it('is refused when it has lost or gained bytes, at either end', () => {
    const tables = new Tables();
    const path = tables.write(1, [['a', 'x']]);
    const bytes = tables.rig.disk.readRaw(path);
    const longer = new Uint8Array(bytes.length + 8);
    longer.set(bytes, 8);
    const padded = new Uint8Array(bytes.length + 8);
    padded.set(bytes);
    for (const other of [EMPTY, bytes.slice(8), bytes.slice(0, -8), longer, padded]) {
      tables.replace(path, other);
      expect(() => openTable(tables.disk, path, 1)).toThrow(CorruptionError);
    }
  });

  it('reports a block that stands in the place of another, intact as it is', () => {
    const tables = new Tables();
    const one = { ...OPTIONS, blockBytes: 1 };
    const path = tables.write(
      1,
      [
        ['a', 'x'],
        ['b', 'y'],
        ['c', 'z'],
      ],
      one,
    );
    const sister = tables.write(
      2,
      [
        ['a', 'p'],
        ['b', 'q'],
        ['c', 'r'],
      ],
      one,
    );
    const intact = tables.rig.disk.readRaw(path);
    const size = openTable(tables.disk, path, 1).properties.blocks === 3 ? 21 : 0;
    for (const source of [
      intact.subarray(0, size),
      tables.rig.disk.readRaw(sister).subarray(size, 2 * size),
    ]) {
      const bytes = intact.slice();
      bytes.set(source, size);
      tables.replace(path, bytes);
      const table = openTable(tables.disk, path, 1);
      expect(() => table.find(utf8('b'), hashKey(utf8('b')), ALL_VISIBLE)).toThrow(CorruptionError);
      expect(table.find(utf8('c'), hashKey(utf8('c')), ALL_VISIBLE)).not.toBe(null);
    }
  });

  it('does not take a key for absent because its block was damaged after its first use', () => {
    const tables = new Tables();
    const path = tables.write(
      1,
      [
        ['aaa', 'x'],
        ['bbb', 'y'],
      ],
      { ...OPTIONS, blockBytes: 4096 },
    );
    const table = openTable(tables.disk, path, 1);
    const key = utf8('bbb');
    expect(table.find(key, hashKey(key), ALL_VISIBLE)).not.toBe(null);
    const at = tables.rig.disk.readRaw(path).indexOf('b'.charCodeAt(0));
    tables.rig.disk.flipByte(path, at);
    expect(() => table.find(key, hashKey(key), ALL_VISIBLE)).toThrow(CorruptionError);
  });

  it.each([
    ['the hash of a key', 3, 0],
    ['where a record begins', 3, 3],
    ['where another record begins', 3, 5],
    ['how many records there are', 3, 9 + 2],
    ['that there are any', 3, 9 + 3],
  ])('has hints that are checked with its records, which say %s', (_what, records, at) => {
    const tables = new Tables();
    const entries = Array.from({ length: records }, (_none, n) => [`key${n}`, 'v'] as const);
    const path = tables.write(7, entries, { ...OPTIONS, blockBytes: 4096, restartInterval: 16 });
    expect(() => openTable(tables.disk, path, 7).verifyRecords(0)).not.toThrow();
    // As when it changed in memory before the block had a checksum.
    const bytes = tables.rig.disk.readRaw(path).slice();
    const blockBytes = openTable(tables.disk, path, 7).bytesOf(0);
    const hintsAt = blockBytes - 8 - 3 * records;
    bytes[hintsAt + at] ^= at === 9 + 3 ? 0x80 : 1;
    writeUint32(bytes, blockBytes - 4, crc32(bytes.subarray(0, blockBytes - 4), placeSeed(7, 0)));
    tables.replace(path, bytes);
    const table = openTable(tables.disk, path, 7);
    expect(table.verifyBlock(0)).toBe(blockBytes);
    expect(() => table.verifyRecords(0)).toThrow(CorruptionError);
  });

  it('takes keys in ascending order only', () => {
    const tables = new Tables();
    expect(() =>
      tables.write(1, [
        ['b', 'x'],
        ['a', 'y'],
      ]),
    ).toThrow(AssertionError);
    expect(() =>
      tables.write(2, [
        ['b', 'x'],
        ['b', 'y'],
      ]),
    ).toThrow(AssertionError);
  });

  it('that is missing is damage, by name', () => {
    expect(() => openTable(new Tables().disk, '/t/table-9', 9)).toThrow(/\/t\/table-9/);
  });
});
