import { describe, expect, it } from 'vitest';
import { compareBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { hashKey } from '../../src/lsm/bloom_filter.ts';
import type { ExpiryRule } from '../../src/lsm/expiry.ts';
import { MergeCursor } from '../../src/lsm/merge_cursor.ts';
import { ALL_VISIBLE, RecordKind } from '../../src/lsm/record.ts';
import { RunCursor } from '../../src/lsm/run_cursor.ts';
import { mergeInput } from '../../src/lsm/run_input.ts';
import { RunWriter } from '../../src/lsm/run_writer.ts';
import { type IteratorRange, StoreIterator } from '../../src/lsm/store_iterator.ts';
import { iteratorSources } from '../../src/lsm/store_reads.ts';
import { Table } from '../../src/lsm/table.ts';
import { TableCursor } from '../../src/lsm/table_cursor.ts';
import { openTable, type TableReader } from '../../src/lsm/table_reader.ts';
import { TableWriter } from '../../src/lsm/table_writer.ts';
import { Version } from '../../src/lsm/version.ts';
import { Rig } from './rig.ts';

const BEHIND_ALL = new Uint8Array([0xff]);
const OPTIONS = {
  blockBytes: 64,
  restartInterval: 2,
  filterBitsPerKey: 10,
  compression: null,
  directory: '/t',
  tableBytes: 1 << 20,
  stepBytes: 1 << 20,
};

/** Keys that begin with an `e` hold when they expire. */
const RULE: ExpiryRule = {
  timeIn: () => 0,
  expiresAtMs: (key, value) => (fromUtf8(key).startsWith('e') ? Number(fromUtf8(value)) : 0),
};

type Row = readonly [key: string, sequence: number, value: string, crc?: number, kind?: RecordKind];

class Tables {
  readonly #rig = new Rig('merge', { poisonViews: true });
  readonly #disk = this.#rig.disk.attach(this.#rig.process);

  constructor() {
    this.#disk.makeDirectory('/t');
  }

  write(number: number, rows: readonly Row[]): TableReader {
    const file = this.#disk.create(`/t/table-${number}`);
    const writer = new TableWriter(file, number, OPTIONS);
    for (const [key, sequence, value, crc, kind = RecordKind.Put] of rows)
      writer.add(utf8(key), sequence, kind, utf8(value), crc);
    for (const _step of writer.finish()) {
      // To the end.
    }
    return this.#finished(number);
  }

  /** @param runs A table each, from new to old. */
  merge(number: number, runs: readonly TableReader[]): TableReader {
    const tables = runs.map((reader) => [{ reader, end: BEHIND_ALL }]);
    const input = mergeInput(tables, { below: [], snapshots: [], timeMs: 50 }, RULE);
    const writer = new RunWriter(this.#disk, OPTIONS, input, () => number);
    for (const _step of writer.steps()) {
      // To the end.
    }
    return this.#finished(number);
  }

  #finished(number: number): TableReader {
    this.#rig.settle();
    return openTable(this.#disk, `/t/table-${number}`, number);
  }
}

describe('a merge', () => {
  it('keeps the checksums of records: what changed in memory before it was written is met by a read', () => {
    const tables = new Tables();
    const sound = tables.write(1, [['b', 1, 'right']]);
    const first = new TableCursor(sound, 'none');
    first.seekToFirst();
    // The block has a checksum of what is wrong, as when a bit flips before the block is complete.
    const changed = tables.write(2, [
      ['a', 2, 'sound'],
      ['b', 1, 'wrong', first.crc],
    ]);
    const merged = tables.merge(4, [changed, tables.write(3, [['c', 3, 'sound too']])]);

    const cursor = new TableCursor(merged, 'each');
    cursor.seekToFirst();
    expect(fromUtf8(cursor.value)).toBe('sound');
    expect(() => cursor.next()).toThrow('the checksum of a record does not match');
    expect(() => merged.find(utf8('b'), hashKey(utf8('b')), ALL_VISIBLE)).toThrow(
      'the checksum of a record does not match',
    );
    expect(merged.properties.records).toBe(3);
  });

  it('does not leave out what changed in memory before it was written', () => {
    const tables = new Tables();
    const other = tables.write(1, [['a', 5, 'newer']]);
    const wrong = 12345;
    const rows: Row[] = [
      // A value that has become a tombstone: there is nothing below that it would hide.
      ['b', 1, '', wrong, RecordKind.Tombstone],
      // One that seems to have expired.
      ['e', 3, '10', wrong],
    ];
    for (const [at, row] of rows.entries()) {
      const changed = tables.write(2 + at, [row]);
      expect(() => tables.merge(10 + at, [other, changed])).toThrow(
        'the checksum of a record does not match',
      );
    }
  });

  it('leaves what changed in memory to be met by who gives it on to others', () => {
    const tables = new Tables();
    const merged = tables.merge(4, [
      tables.write(1, [['a', 2, 'sound']]),
      tables.write(2, [
        ['b', 1, 'sound'],
        ['c', 1, 'wrong', 12345],
      ]),
    ]);
    const identity = { number: 4, path: '/t/table-4', low: utf8('a'), end: BEHIND_ALL };
    const version = Version.of([{ level: 1, run: 0, table: new Table(identity, merged, () => {}) }]);
    const keysOf = (range: IteratorRange): string[] => {
      const iterator = new StoreIterator(iteratorSources([], version, range, ALL_VISIBLE), range, () => {});
      const keys: string[] = [];
      while (iterator.next()) keys.push(fromUtf8(iterator.key()));
      return keys;
    };
    expect(keysOf({})).toEqual(['a', 'b', 'c']);
    expect(keysOf({ lt: utf8('b'), verify: true })).toEqual(['a']);
    expect(() => keysOf({ verify: true })).toThrow('the checksum of a record does not match');
  });

  it('shows all versions in order, however the sources are interleaved', () => {
    const tables = new Tables();
    const rows: Row[][] = [[], [], [], []];
    for (let n = 0; n < 600; n++) {
      // Runs of one source, turns of all, and keys that several have.
      const source = n < 200 ? n % 4 : (n >> 4) % 4;
      rows[source].push([`k${String(n >> 1).padStart(4, '0')}`, 10_000 - 1000 * source - (n & 1), `${n}`]);
    }
    const sorted = rows.map((some) =>
      [...some].sort((a, b) => compareBytes(utf8(a[0]), utf8(b[0])) || b[1] - a[1]),
    );
    const readers = sorted.map((some, n) => tables.write(n + 1, some));

    const cursor = new MergeCursor(
      readers.map((reader) => new RunCursor([{ reader, end: BEHIND_ALL }], 'each')),
    );
    const shown: string[] = [];
    for (cursor.seekToFirst(); cursor.isValid; cursor.next())
      shown.push(`${fromUtf8(cursor.key)} ${cursor.sequence} ${fromUtf8(cursor.value)}`);

    const expected = rows.flat().sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : b[1] - a[1]));
    expect(shown).toEqual(expected.map(([key, sequence, value]) => `${key} ${sequence} ${value}`));
  });
});
