/** Reads a data block (see `block_writer.ts`): point lookups by restart points, and a cursor. Checks each record's CRC. */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { VarintReader } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';
import { recordCrc } from './block_writer.ts';
import { readUint32 } from './bytes.ts';
import { RecordKind } from './record.ts';

/** Where a block lies, for errors. */
export interface BlockPlace {
  readonly path: string;
  readonly offset: number;
}

/** @throws CorruptionError when the block is not what was written. */
export function verifyBlock(block: Uint8Array, place: BlockPlace): void {
  const end = block.length - 4;
  if (end < 4 || crc32(block.subarray(0, end)) !== readUint32(block, end)) {
    throw new CorruptionError(place.path, place.offset, 'the checksum of a data block does not match');
  }
}

/** Stands on one record of a verified block. */
export class BlockReader {
  readonly #block: Uint8Array;
  readonly #place: BlockPlace;
  readonly #restarts: number;
  /** Records end and restart points begin here. */
  readonly #recordsEnd: number;
  readonly #varints: VarintReader;
  #keyBytes = new Uint8Array(64);
  #keyLength = 0;
  #next = 0;
  #valueStart = 0;
  #valueLength = 0;
  isValid = false;
  sequence: Index = 0;
  kind: RecordKind = RecordKind.Put;

  constructor(block: Uint8Array, place: BlockPlace) {
    this.#block = block;
    this.#place = place;
    this.#restarts = readUint32(block, block.length - 8);
    this.#recordsEnd = block.length - 8 - 4 * this.#restarts;
    if (this.#restarts < 1 || this.#recordsEnd < 0) this.#corrupt('its restart points are missing');
    this.#varints = new VarintReader(block, 0, this.#recordsEnd);
  }

  get key(): Uint8Array {
    return this.#keyBytes.subarray(0, this.#keyLength);
  }

  get value(): Uint8Array {
    return this.#block.subarray(this.#valueStart, this.#valueStart + this.#valueLength);
  }

  seekToFirst(): void {
    this.#next = 0;
    this.#keyLength = 0;
    this.next();
  }

  /** To the first record whose key is not below; not valid when there is none in this block. */
  seek(key: Uint8Array): void {
    let low = 0;
    let high = this.#restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      this.#goToRestart(middle);
      if (compareBytes(this.key, key) < 0) low = middle;
      else high = middle - 1;
    }
    this.#goToRestart(low);
    while (this.isValid && compareBytes(this.key, key) < 0) this.next();
  }

  next(): void {
    if (this.#next >= this.#recordsEnd) {
      this.isValid = false;
      return;
    }
    const varints = this.#varints;
    const start = this.#next;
    varints.offset = start;
    const shared = varints.read();
    const rest = varints.read();
    const valueLength = varints.read();
    const kind = this.#block[varints.offset++];
    const sequence = varints.read();
    const crcAt = varints.offset;
    const keyAt = crcAt + 4;
    if (shared < 0 || rest < 0 || valueLength < 0 || sequence < 0 || shared > this.#keyLength) {
      this.#corrupt('a record is malformed', start);
    }
    const valueStart = keyAt + rest;
    if (valueStart + valueLength > this.#recordsEnd) this.#corrupt('a record is cut short', start);
    if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone)
      this.#corrupt(`unknown kind of record ${kind}`, start);
    this.#setKey(shared, keyAt, rest);
    this.sequence = sequence;
    this.kind = kind;
    this.#valueStart = valueStart;
    this.#valueLength = valueLength;
    if (recordCrc(this.key, sequence, kind, this.value) !== readUint32(this.#block, crcAt)) {
      this.#corrupt('the checksum of a record does not match', start);
    }
    this.#next = valueStart + valueLength;
    this.isValid = true;
  }

  #goToRestart(restart: number): void {
    this.#next = readUint32(this.#block, this.#recordsEnd + 4 * restart);
    this.#keyLength = 0;
    this.next();
  }

  #setKey(shared: number, at: number, rest: number): void {
    const length = shared + rest;
    if (length > this.#keyBytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#keyBytes.subarray(0, shared));
      this.#keyBytes = larger;
    }
    for (let i = 0; i < rest; i++) this.#keyBytes[shared + i] = this.#block[at + i];
    this.#keyLength = length;
  }

  #corrupt(what: string, at = 0): never {
    throw new CorruptionError(this.#place.path, this.#place.offset + at, what);
  }
}
