/**
 * Looks a key up in a data block (see `block_writer.ts`) without putting any key together: of the records passed over only
 * what tells them apart from the key is compared. Made for point reads, of which it is the larger part; whoever goes on
 * from record to record takes a `BlockReader`.
 *
 * The record before shares `matched` bytes with the key and is below it. One that shares more with it than that is below
 * the key as well; one that shares less is above, because there it differs from the key as from the one before. So bytes
 * are compared only where it shares exactly as many, and at restart points, which say nothing about sharing.
 *
 * As with a `BlockReader`, what is found has been checked against its CRC, while "not found" is only as good as the block.
 */
import type { Index } from '../log/entry.ts';
import { type BlockForm, damagedRecord } from './block_reader.ts';
import { recordCrc } from './block_writer.ts';
import { readUint32 } from './bytes.ts';
import { RecordKind } from './record.ts';

export class BlockLookup {
  /** Of the record found last; valid until the next lookup, its value until control returns to the event loop. */
  sequence: Index = 0;
  kind: RecordKind = RecordKind.Put;
  readonly #form: BlockForm;
  #block: Uint8Array = new Uint8Array(0);
  #recordsEnd = 0;
  #path = '';
  #offset = 0;
  /** Of the record whose header was read last. */
  #start = 0;
  #shared = 0;
  #rest = 0;
  #valueLength = 0;
  #keyAt = 0;
  /** Behind the varint that was read last. */
  #at = 0;
  /** Bytes that the record compared last has in common with the key. */
  #matched = 0;

  /** @param form Of all blocks that it will be given. */
  constructor(form: BlockForm) {
    this.#form = form;
  }

  get value(): Uint8Array {
    const start = this.#keyAt + this.#rest;
    return this.#block.subarray(start, start + this.#valueLength);
  }

  /**
   * Whether the block holds a version of the key that is not above `visible`; then it is at hand.
   * @param path, offset Where the block lies, for errors.
   * @throws CorruptionError
   */
  find(block: Uint8Array, key: Uint8Array, visible: Index, path: string, offset: number): boolean {
    this.#block = block;
    this.#path = path;
    this.#offset = offset;
    const restarts = readUint32(block, block.length - 8);
    this.#recordsEnd = block.length - 8 - 4 * restarts;
    if (restarts < 1 || this.#recordsEnd < 0) this.#corrupt('its restart points are missing', 0);
    let at = this.#restartFor(key, restarts);
    this.#matched = 0;
    while (at < this.#recordsEnd) {
      this.#readHeader(at);
      at = this.#keyAt + this.#rest + this.#valueLength;
      const shared = this.#shared;
      if (shared > this.#matched) continue;
      if (shared > 0 && shared < this.#matched) return false;
      const order = this.#compare(key);
      if (order > 0) return false;
      if (order === 0 && this.sequence <= visible) {
        this.#check(key);
        return true;
      }
    }
    return false;
  }

  /** Start of the last restart point that is below the key; of the first when none is. */
  #restartFor(key: Uint8Array, restarts: number): number {
    let low = 0;
    let high = restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      this.#readHeader(readUint32(this.#block, this.#recordsEnd + 4 * middle));
      if (this.#shared !== 0) this.#corrupt('a restart point shares its key', this.#start);
      if (this.#compare(key) < 0) low = middle;
      else high = middle - 1;
    }
    return readUint32(this.#block, this.#recordsEnd + 4 * low);
  }

  /** Order of the record against the key, which agree in what the record shares with the one before. */
  #compare(key: Uint8Array): number {
    const block = this.#block;
    const shared = this.#shared;
    const keyAt = this.#keyAt;
    const end = Math.min(this.#rest, key.length - shared);
    let at = 0;
    while (at < end && block[keyAt + at] === key[shared + at]) at++;
    this.#matched = shared + at;
    return at < end ? block[keyAt + at] - key[shared + at] : shared + this.#rest - key.length;
  }

  #readHeader(start: number): void {
    const block = this.#block;
    if (start < 0 || start >= this.#recordsEnd) this.#corrupt('a restart point is not in the block', 0);
    this.#start = start;
    this.#at = start + 3;
    this.#shared = block[start];
    this.#rest = block[start + 1];
    this.#valueLength = block[start + 2];
    // Nearly always each is of one byte.
    if ((this.#shared | this.#rest | this.#valueLength) >= 0x80) {
      this.#at = start;
      this.#shared = this.#readVarint();
      this.#rest = this.#readVarint();
      this.#valueLength = this.#readVarint();
    }
    const kind = block[this.#at++];
    this.sequence = this.#readVarint();
    this.#keyAt = this.#at + 4;
    if (this.#keyAt + this.#rest + this.#valueLength > this.#recordsEnd) {
      this.#corrupt('a record is cut short', start);
    }
    if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone) {
      this.#corrupt(`unknown kind of record ${kind}`, start);
    }
    this.kind = kind;
  }

  #readVarint(): number {
    const block = this.#block;
    let byte = block[this.#at++];
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let scale = 128; scale < Number.MAX_SAFE_INTEGER && this.#at < this.#recordsEnd; scale *= 128) {
      byte = block[this.#at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return this.#corrupt('a record is malformed', this.#start);
  }

  /** What is handed out is what was written: this key, with this value. */
  #check(key: Uint8Array): void {
    const valueAt = this.#keyAt + this.#rest;
    const crc = recordCrc(
      key,
      key.length,
      this.sequence,
      this.kind,
      this.#block,
      valueAt,
      valueAt + this.#valueLength,
    );
    if (crc !== readUint32(this.#block, this.#keyAt - 4)) {
      this.#corrupt('the checksum of a record does not match', this.#start);
    }
  }

  #corrupt(what: string, at: number): never {
    throw damagedRecord(this.#path, this.#offset, this.#form, at, what);
  }
}
