import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimDisk } from '../../sim/disk.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { compareBytes } from '../../src/codec/bytes.ts';
import type { Disk } from '../../src/io/disk.ts';
import { type Cursor, RecordKind } from '../../src/lsm/record.ts';
import {
  decodeSnapshotMessage,
  encodeSnapshotMessage,
  isAboutDigests,
  lastKeyIn,
  packRecords,
  RecordUnpacker,
  type SnapshotMessage,
} from '../../src/replica/snapshot_codec.ts';
import {
  readSnapshotIdentity,
  SnapshotFileCursor,
  SnapshotFileWriter,
} from '../../src/replica/snapshot_file.ts';

interface Row {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: RecordKind;
  readonly value: Uint8Array;
}

class Rows implements Cursor {
  readonly #rows: readonly Row[];
  #at = 0;

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
  }

  get isValid(): boolean {
    return this.#at < this.#rows.length;
  }

  get #row(): Row {
    const row = this.#rows[this.#at];
    if (row === undefined) throw new Error('behind the last row');
    return row;
  }

  get key(): Uint8Array {
    return this.#row.key;
  }

  get sequence(): number {
    return this.#row.sequence;
  }

  get kind(): RecordKind {
    return this.#row.kind;
  }

  get value(): Uint8Array {
    return this.#row.value;
  }

  next(): void {
    this.#at++;
  }

  seekToFirst(): void {
    this.#at = 0;
  }

  seek(key: Uint8Array): void {
    this.#at = this.#rows.findIndex((row) => compareBytes(row.key, key) >= 0);
    if (this.#at < 0) this.#at = this.#rows.length;
  }
}

const rows = fc
  .uniqueArray(
    fc.record({
      key: fc.uint8Array({ minLength: 1, maxLength: 20 }),
      sequence: fc.maxSafeNat(),
      kind: fc.constantFrom(RecordKind.Put, RecordKind.Put, RecordKind.Tombstone),
      value: fc.uint8Array({ maxLength: 60 }),
    }),
    { selector: ({ key }) => key.join(), maxLength: 40 },
  )
  .map((all) => all.sort((a, b) => compareBytes(a.key, b.key)));

function live(all: readonly Row[]): string[] {
  return all
    .filter(({ kind }) => kind === RecordKind.Put)
    .map(({ key, sequence, value }) => `${key.join()}@${sequence}=${value.join()}`);
}

function newDisk(): Disk {
  const scheduler = new Scheduler();
  const disk = new SimDisk({ scheduler, random: new SimRandom('snapshot'), trace: new Trace(), faults: {} });
  const attached = disk.attach(new SimProcess('node', scheduler));
  attached.makeDirectory('/data');
  return attached;
}

const PATH = '/data/snapshot';

function write(disk: Disk, chunks: readonly Uint8Array[], isComplete: boolean): void {
  const writer = new SnapshotFileWriter(disk, PATH, { index: 77, term: 5 });
  for (const chunk of chunks) writer.append(chunk);
  if (isComplete) writer.end();
  writer.file.close();
}

function chunksOf(all: readonly Row[], bytesMax: number): Uint8Array[] {
  const cursor = new Rows(all);
  const chunks: Uint8Array[] = [];
  while (cursor.isValid) chunks.push(packRecords(cursor, bytesMax));
  return chunks;
}

describe('a fetched snapshot', () => {
  it('holds the live records of all chunks, in order, whatever their size', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 500 }), (all, bytesMax) => {
        const disk = newDisk();
        write(disk, chunksOf(all, bytesMax), true);
        expect(readSnapshotIdentity(disk, PATH)).toEqual({ index: 77, term: 5 });
        const cursor = new SnapshotFileCursor(disk, PATH);
        const found: string[] = [];
        for (cursor.seekToFirst(); cursor.isValid; cursor.next()) {
          found.push(`${cursor.key.join()}@${cursor.sequence}=${cursor.value.join()}`);
        }
        cursor.close();
        expect(found).toEqual(live(all));
      }),
      { numRuns: 60 },
    );
  });

  it('is nothing before its end is there, and nothing when a byte of it is damaged', () => {
    const row = { key: new Uint8Array(5), sequence: 3, kind: RecordKind.Put, value: new Uint8Array(30) };
    const chunks = chunksOf([row], 100);
    const disk = newDisk();
    expect(readSnapshotIdentity(disk, PATH)).toBeNull();
    write(disk, chunks, false);
    expect(readSnapshotIdentity(disk, PATH)).toBeNull();
    write(disk, chunks, true);
    const file = disk.open(PATH);
    const whole = file.view(0, file.size).slice();
    file.close();
    for (let at = 0; at < whole.length; at++) {
      for (const bytes of [whole.subarray(0, at), flipped(whole, at)]) {
        disk.remove(PATH);
        const copy = disk.create(PATH);
        copy.append(bytes);
        copy.close();
        expect(readSnapshotIdentity(disk, PATH)).toBeNull();
      }
    }
  });
});

describe('a fetched snapshot of which writes were lost', () => {
  const all: Row[] = [1, 2, 3, 4].map((n) => ({
    key: new Uint8Array([n]),
    sequence: n,
    kind: RecordKind.Put,
    value: new Uint8Array(20 * n).fill(n),
  }));
  const disk = newDisk();
  const borders = [0];
  const writer = new SnapshotFileWriter(disk, PATH, { index: 77, term: 5 });
  for (const chunk of [...chunksOf(all, 1), null]) {
    borders.push(writer.file.position);
    if (chunk === null) writer.end();
    else writer.append(chunk);
  }
  borders.push(writer.file.position);
  writer.file.close();
  const file = disk.open(PATH);
  const whole = file.view(0, file.size).slice();
  file.close();

  function isRefused(bytes: Uint8Array): boolean {
    const other = newDisk();
    const copy = other.create(PATH);
    copy.append(bytes);
    copy.close();
    const cursor = new SnapshotFileCursor(other, PATH);
    try {
      for (cursor.seekToFirst(); cursor.isValid; cursor.next()) {}
      return false;
    } catch {
      return readSnapshotIdentity(other, PATH) === null;
    } finally {
      cursor.close();
    }
  }

  it('is refused whichever they were, whether zeros stand in their place or what followed', () => {
    expect(isRefused(whole)).toBe(false);
    for (const [at, from] of borders.entries()) {
      for (const to of borders.slice(at + 1)) {
        const holed = whole.slice().fill(0, from, to);
        const shortened = new Uint8Array([...whole.subarray(0, from), ...whole.subarray(to)]);
        expect([from, to, isRefused(holed), isRefused(shortened)]).toEqual([from, to, true, true]);
      }
    }
  });
});

function keysOf(packed: Uint8Array): Uint8Array[] {
  const unpacker = new RecordUnpacker(packed);
  const keys: Uint8Array[] = [];
  while (unpacker.next()) keys.push(unpacker.key.slice());
  return keys;
}

function lastOfAll(packed: Uint8Array): Uint8Array | null {
  return keysOf(packed).at(-1) ?? null;
}

describe('chunks', () => {
  it('that are cut short are refused, never taken for shorter ones', () => {
    const all: Row[] = [1, 2, 3].map((n) => ({
      key: new Uint8Array([n]),
      sequence: n,
      kind: RecordKind.Put,
      value: new Uint8Array(4).fill(n),
    }));
    const [packed = new Uint8Array(0)] = chunksOf(all, 1000);
    const borders = new Set([0, packed.length / 3, (2 * packed.length) / 3, packed.length]);
    for (let length = 0; length <= packed.length; length++) {
      const unpacker = new RecordUnpacker(packed.subarray(0, length));
      const read = (): void => {
        while (unpacker.next()) {}
      };
      const last = (): Uint8Array | null => lastKeyIn(packed.subarray(0, length));
      if (borders.has(length)) {
        read();
        expect(last()).toEqual(length === 0 ? null : unpacker.key);
      } else {
        expect(read).toThrow(/cut short/);
        expect(last).toThrow(/cut short/);
      }
    }
  });

  it('hold records of any size, and tell their last key, or refuse, as one who reads them all', () => {
    const large = fc.record({
      key: fc.uint8Array({ minLength: 1, maxLength: 2000 }),
      sequence: fc.maxSafeNat(),
      kind: fc.constant(RecordKind.Put),
      value: fc.integer({ min: 0, max: 9000 }).map((size) => new Uint8Array(size).fill(7)),
    });
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 2 });
    fc.assert(
      fc.property(
        fc.array(large, { maxLength: 6 }),
        fc.integer({ min: 1, max: 3000 }),
        damage,
        (all, bytesMax, changes) => {
          for (const packed of chunksOf(all, bytesMax)) {
            const changed = packed.slice();
            for (const { at, byte } of changes) changed[at % changed.length] = byte;
            const attempt = (read: () => Uint8Array | null): unknown => {
              try {
                return read();
              } catch (error) {
                return String(error);
              }
            };
            expect(attempt(() => lastKeyIn(changed))).toEqual(attempt(() => lastOfAll(changed)));
          }
          const keys = chunksOf(all, bytesMax).flatMap((packed) => keysOf(packed));
          expect(keys).toEqual(all.map(({ key }) => key));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('and what asks for them come out of their bytes as they went in', () => {
    const message: fc.Arbitrary<SnapshotMessage> = fc.oneof(
      fc.record({
        type: fc.constant('fetch' as const),
        index: fc.maxSafeNat(),
        number: fc.nat(),
        after: fc.uint8Array().map((bytes) => new Uint8Array(bytes)),
      }),
      fc.record({
        type: fc.constant('chunk' as const),
        index: fc.maxSafeNat(),
        term: fc.maxSafeNat(),
        number: fc.integer({ min: -1 }),
        records: fc.uint8Array().map((bytes) => new Uint8Array(bytes)),
        isLast: fc.boolean(),
      }),
      fc.record({
        type: fc.constant('state-digests' as const),
        windowEntries: fc.maxSafeNat(),
        windows: fc.array(fc.record({ index: fc.maxSafeNat(), digest: fc.maxSafeNat() }), { maxLength: 64 }),
      }),
      fc.record({
        type: fc.constant('state-differs' as const),
        index: fc.maxSafeNat(),
        digest: fc.maxSafeNat(),
        told: fc.maxSafeNat(),
      }),
      fc.record({
        type: fc.constant('state-question' as const),
        windowEntries: fc.maxSafeNat(),
        index: fc.maxSafeNat(),
      }),
      fc.record({
        type: fc.constant('state-answer' as const),
        windowEntries: fc.maxSafeNat(),
        index: fc.maxSafeNat(),
        digest: fc.maxSafeNat(),
      }),
    );
    fc.assert(
      fc.property(message, (sent) => {
        const fields = decode(encode(encodeSnapshotMessage(sent))) as unknown[];
        const received = decodeSnapshotMessage(fields);
        if (received === null) throw new Error('it is known');
        expect(encode(encodeSnapshotMessage(received))).toEqual(encode(encodeSnapshotMessage(sent)));
        expect(received.type).toBe(sent.type);
        if (isAboutDigests(sent)) expect(received).toEqual(sent);
      }),
    );
  });

  it('are refused by name when they are malformed', () => {
    for (const fields of [
      [],
      [1],
      [9, 1, 1, 1],
      [1, 1, 1, 'x'],
      [2, 1, 1, 1, 1, true],
      [14, 8, [8], []],
      [14, 8, [8], [-1]],
      [14, 8, Array(65).fill(8), Array(65).fill(1)],
      [15, 8, 1],
    ]) {
      expect(() => decodeSnapshotMessage(fields)).toThrow(/a snapshot message is malformed/);
    }
  });

  it('are passed over when only a later version knows their type', () => {
    expect(decodeSnapshotMessage([18, 'anything'])).toBeNull();
  });
});

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}
