/**
 * Reads a data block (see `block_writer.ts`): point lookups by restart points, and going through it in order.
 *
 * The record that the reader stands on has been checked against its CRC, those that a lookup passes over have not: that
 * would make a lookup several times as slow. So a record that is found is the right one, while "not found" is only as
 * good as the block: whoever relies on it verifies the block anew (`verifyBlock`), or works on a verified copy. Of such a
 * copy the record's CRC says nothing that the block's has not said; a reader can leave it out, which saves a fifth of a scan.
 */
import { CorruptionError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { VarintReader } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';
import { HINT_BYTES, hintsIn, printOf, restartsIn } from './block_trailer.ts';
import { recordCrc } from './block_writer.ts';
import { hashKey } from './bloom_filter.ts';
import { readUint32 } from './bytes.ts';
import { RecordKind } from './record.ts';
import type { ValuePlace } from './value_place.ts';

/** `each`: each record is checked that the reader comes to stand on. `none`: the block has been, and nobody changes it. */
export type RecordChecks = 'each' | 'none';

export type BlockForm = 'plain' | 'unpacked';

/**
 * Damage of a record `at` bytes into a block. Within what was decompressed a place says nothing about the file: there the
 * offset is that of the block.
 */
export function damagedRecord(
  path: string,
  offset: number,
  form: BlockForm,
  at: number,
  what: string,
): CorruptionError {
  if (form === 'plain') return new CorruptionError(path, offset + at, what);
  return new CorruptionError(path, offset, `${what}, ${at} bytes into the decompressed block`);
}

/** Where a block lies: for errors, and because its checksum holds for this place alone. */
export interface BlockPlace {
  readonly path: string;
  readonly offset: number;
  /** `placeSeed` of table and offset. */
  readonly seed: number;
  /** How the bytes that are read lie in the file: as they are, or compressed. */
  readonly form: BlockForm;
}

/** @throws CorruptionError when the block is not what was written there. */
export function verifyBlock(block: Uint8Array, place: BlockPlace): void {
  const end = block.length - 4;
  if (end < 4 || crc32(block.subarray(0, end), place.seed) !== readUint32(block, end)) {
    throw new CorruptionError(place.path, place.offset, 'the checksum of a data block does not match');
  }
}

/** Where a record starts, and its whole key. */
interface GroupRecord {
  readonly start: number;
  readonly key: Uint8Array;
}

/** Stands on one record of a block, or, while it is not valid, on none. */
export class BlockReader {
  readonly #block: Uint8Array;
  readonly #place: BlockPlace;
  readonly #restarts: number;
  readonly #hints: number;
  /** Records end and restart points begin here. */
  readonly #recordsEnd: number;
  readonly #varints: VarintReader;
  readonly #checks: RecordChecks;
  #keyBytes = new Uint8Array(64);
  #keyView: Uint8Array = this.#keyBytes;
  #keyLength = 0;
  /** Of the record stood on: where it starts, where its checksum and its value are. */
  #start = 0;
  #crcAt = 0;
  #valueStart = 0;
  #valueLength = 0;
  /** Start of the record behind. */
  #next = 0;
  /** For going backwards: records right before the one at `#groupEnd`, in order, since a restart point. */
  readonly #group: GroupRecord[] = [];
  #groupEnd = -1;
  isValid = false;
  sequence: Index = 0;
  kind: RecordKind = RecordKind.Put;

  /** Keeps the block, of which nobody may change anything while the reader is used. */
  constructor(block: Uint8Array, place: BlockPlace, checks: RecordChecks = 'each') {
    this.#checks = checks;
    this.#block = block;
    this.#place = place;
    const counts = readUint32(block, block.length - 8);
    this.#restarts = restartsIn(counts);
    this.#hints = hintsIn(counts);
    this.#recordsEnd = block.length - 8 - HINT_BYTES * this.#hints - 4 * this.#restarts;
    if (this.#restarts < 1 || this.#recordsEnd < 0) this.#corrupt('its restart points are missing', 0);
    this.#varints = new VarintReader(block, 0, this.#recordsEnd);
  }

  /** Valid until the reader moves. Asked for several times a record: a view is only made when its length has changed. */
  get key(): Uint8Array {
    if (this.#keyView.length !== this.#keyLength) {
      this.#keyView = this.#keyBytes.subarray(0, this.#keyLength);
    }
    return this.#keyView;
  }

  /** Where in the block the record begins, in bytes. */
  get offset(): number {
    return this.#start;
  }

  /** A part of the block. */
  get value(): Uint8Array {
    return this.#block.subarray(this.#valueStart, this.#valueStart + this.#valueLength);
  }

  /** As it stands in the block. */
  get crc(): number {
    return readUint32(this.#block, this.#crcAt);
  }

  placeValue(place: ValuePlace): void {
    place.set(this.#block, this.#valueStart, this.#valueStart + this.#valueLength);
  }

  /** Whether it stands on a record of this key. */
  isAt(key: Uint8Array): boolean {
    return this.isValid && this.#compare(key) === 0;
  }

  /** @throws CorruptionError as all that move. */
  seekToFirst(): void {
    this.#goTo(0);
    this.#check();
  }

  /** To the first record whose key is not below; not valid when there is none in this block. */
  seek(key: Uint8Array): void {
    let low = 0;
    let high = this.#restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      this.#goTo(this.#restartAt(middle));
      if (this.#compare(key) < 0) low = middle;
      else high = middle - 1;
    }
    this.#goTo(this.#restartAt(low));
    while (this.isValid && this.#compare(key) < 0) this.#advance();
    this.#check();
  }

  next(): void {
    this.#advance();
    this.#check();
  }

  seekToLast(): void {
    this.isValid = false;
    this.#start = this.#recordsEnd;
    this.previous();
  }

  /** To the last record whose key is below; not valid when there is none in this block. */
  seekBelow(key: Uint8Array): void {
    this.seek(key);
    this.previous();
  }

  /** To the record before; from behind the last one to the last. */
  previous(): void {
    const end = this.#start;
    this.isValid = false;
    if (end === 0) return;
    if (this.#groupEnd !== end || this.#group.length === 0) this.#gatherGroup(end);
    const record = this.#group.pop();
    if (record === undefined) return;
    // Whatever the record shares with the one before it is the beginning of its own key.
    this.#setWholeKey(record.key);
    this.#next = record.start;
    this.#advance();
    this.#groupEnd = record.start;
    this.#check();
  }

  /** The records from the last restart point before `end` up to there. */
  #gatherGroup(end: number): void {
    let low = 0;
    let high = this.#restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#restartAt(middle) < end) low = middle;
      else high = middle - 1;
    }
    this.#group.length = 0;
    this.#goTo(this.#restartAt(low));
    while (this.isValid && this.#start < end) {
      this.#group.push({ start: this.#start, key: this.key.slice() });
      this.#advance();
    }
  }

  #setWholeKey(key: Uint8Array): void {
    if (key.length > this.#keyBytes.length) this.#growKey(key.length, 0);
    this.#keyBytes.set(key);
    this.#keyLength = key.length;
  }

  /** Order of the key stood on against `key`, as `compareBytes`, but without a view, whose making costs more than comparing. */
  #compare(key: Uint8Array): number {
    const own = this.#keyBytes;
    const length = this.#keyLength;
    const shared = Math.min(length, key.length);
    for (let i = 0; i < shared; i++) {
      const difference = own[i] - key[i];
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  #restartAt(restart: number): number {
    return readUint32(this.#block, this.#recordsEnd + 4 * restart);
  }

  /** To the record of a restart point, which shares nothing with the one before. */
  #goTo(start: number): void {
    this.#next = start;
    this.#keyLength = 0;
    this.#advance();
  }

  /** To the record behind, unchecked but for its borders. */
  #advance(): void {
    const start = this.#next;
    this.isValid = false;
    this.#start = start;
    if (start >= this.#recordsEnd) return;
    const block = this.#block;
    const varints = this.#varints;
    let shared = block[start];
    let rest = block[start + 1];
    let valueLength = block[start + 2];
    let kindAt = start + 3;
    // Nearly always each is of one byte.
    if ((shared | rest | valueLength) >= 0x80) {
      varints.offset = start;
      shared = varints.read();
      rest = varints.read();
      valueLength = varints.read();
      kindAt = varints.offset;
    }
    const kind = block[kindAt];
    varints.offset = kindAt + 1;
    const sequence = varints.read();
    const crcAt = varints.offset;
    if (shared < 0 || rest < 0 || valueLength < 0 || sequence < 0 || shared > this.#keyLength) {
      this.#corrupt('a record is malformed', start);
    }
    const valueStart = crcAt + 4 + rest;
    if (valueStart + valueLength > this.#recordsEnd) this.#corrupt('a record is cut short', start);
    if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone) {
      this.#corrupt(`unknown kind of record ${kind}`, start);
    }
    this.#setKey(shared, crcAt + 4, rest);
    this.sequence = sequence;
    this.kind = kind;
    this.#crcAt = crcAt;
    this.#valueStart = valueStart;
    this.#valueLength = valueLength;
    this.#next = valueStart + valueLength;
    this.isValid = true;
  }

  #setKey(shared: number, at: number, rest: number): void {
    const length = shared + rest;
    if (length > this.#keyBytes.length) this.#growKey(length, shared);
    const block = this.#block;
    const key = this.#keyBytes;
    for (let i = 0; i < rest; i++) key[shared + i] = block[at + i];
    this.#keyLength = length;
  }

  #growKey(length: number, kept: number): void {
    const larger = new Uint8Array(2 * length);
    larger.set(this.#keyBytes.subarray(0, kept));
    this.#keyBytes = larger;
    // Of another length than any key: the view of the old bytes is not handed out any more.
    this.#keyView = larger;
  }

  #check(): void {
    if (this.isValid && this.#checks === 'each') this.verify();
  }

  /** What is handed out is what was written: this key, with this value. @throws CorruptionError */
  verify(): void {
    const valueEnd = this.#valueStart + this.#valueLength;
    const { sequence, kind } = this;
    const crc = recordCrc(
      this.#keyBytes,
      this.#keyLength,
      sequence,
      kind,
      this.#block,
      this.#valueStart,
      valueEnd,
    );
    if (crc === readUint32(this.#block, this.#crcAt)) return;
    this.isValid = false;
    this.#corrupt('the checksum of a record does not match', this.#start);
  }

  /**
   * Goes through the whole block, and checks its hints too: a lookup that finds a version of a key by its hint trusts that
   * those of newer ones are right.
   * @throws CorruptionError
   */
  verifyAll(): void {
    const block = this.#block;
    const hints = this.#hints;
    const hintsAt = block.length - 8 - HINT_BYTES * hints;
    let records = 0;
    this.seekToFirst();
    for (; this.isValid; this.next()) {
      if (hints > 0) {
        const place = hintsAt + hints + 2 * records;
        const isRight =
          records < hints &&
          block[hintsAt + records] === printOf(hashKey(this.key)) &&
          (block[place] | (block[place + 1] << 8)) === this.#start;
        if (!isRight) this.#corrupt('the hint of a record is wrong', this.#start);
      }
      records++;
    }
    if (hints > records) this.#corrupt('it has more hints than records', hintsAt);
  }

  #corrupt(what: string, at: number): never {
    const { path, offset, form } = this.#place;
    throw damagedRecord(path, offset, form, at, what);
  }
}
