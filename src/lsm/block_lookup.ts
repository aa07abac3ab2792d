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
 *
 * A block is a piece of a larger array, mostly of a whole mapped file: a view of it would cost as much as a few records.
 * The loops keep what they need in local variables: fields that are written for each record passed over took a third of
 * the time.
 */
import { crc32Range } from '../codec/crc32_range.ts';
import type { Index } from '../log/entry.ts';
import { type BlockForm, damagedRecord } from './block_reader.ts';
import { readUint32 } from './bytes.ts';
import { RecordKind } from './record.ts';

/** From this on a varint goes on in the next byte. */
const MORE = 0x80;

export class BlockLookup {
  /** Of the record found last; valid until the next lookup. */
  sequence: Index = 0;
  kind: RecordKind = RecordKind.Put;
  /** Where its value is, until control returns to the event loop. */
  bytes: Uint8Array = new Uint8Array(0);
  valueStart = 0;
  valueEnd = 0;
  readonly #form: BlockForm;
  /** Of the block at hand, for errors. */
  #blockStart = 0;
  #path = '';
  #offset = 0;
  /** Of a record whose lengths do not all fit into a byte; `#at` is behind them. */
  #shared = 0;
  #rest = 0;
  #valueLength = 0;
  #at = 0;

  /** @param form Of all blocks that it will be given. */
  constructor(form: BlockForm) {
    this.#form = form;
  }

  get value(): Uint8Array {
    return this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  /**
   * Whether the block `[start, end)` of the bytes holds a version of the key that is not above `visible`; then it is at hand.
   * @param share Bytes that all keys of the block and the key begin with; they are not compared.
   * @param path, offset Where the block lies, for errors.
   * @throws CorruptionError
   */
  find(
    bytes: Uint8Array,
    start: number,
    end: number,
    key: Uint8Array,
    share: number,
    visible: Index,
    path: string,
    offset: number,
  ): boolean {
    this.#blockStart = start;
    this.#path = path;
    this.#offset = offset;
    const restarts = readUint32(bytes, end - 8);
    const recordsEnd = end - 8 - 4 * restarts;
    if (restarts < 1 || recordsEnd < start) this.#corrupt('its restart points are missing', start);
    let at = restarts === 1 ? start : this.#restartFor(bytes, start, recordsEnd, restarts, key, share);
    const keyLength = key.length;
    /** Bytes that the record compared last has in common with the key. */
    let matched = 0;
    while (at < recordsEnd) {
      const record = at;
      let shared = bytes[at];
      let rest = bytes[at + 1];
      let valueLength = bytes[at + 2];
      at += 3;
      // Nearly always each is of one byte.
      if ((shared | rest | valueLength) >= MORE) {
        this.#readLengths(bytes, record, recordsEnd);
        shared = this.#shared;
        rest = this.#rest;
        valueLength = this.#valueLength;
        at = this.#at;
      }
      const kindAt = at++;
      while (bytes[at++] >= MORE) if (at >= recordsEnd) this.#corrupt('a record is malformed', record);
      const keyAt = at + 4;
      const valueAt = keyAt + rest;
      at = valueAt + valueLength;
      if (at > recordsEnd) this.#corrupt('a record is cut short', record);
      if (shared > matched) continue;
      if (shared > 0 && shared < matched) return false;
      // They agree in what the record shares with the one before.
      const length = shared + rest;
      const compared = length < keyLength ? length : keyLength;
      const base = keyAt - shared;
      matched = shared > share ? shared : share;
      while (matched < compared && bytes[base + matched] === key[matched]) matched++;
      const order = matched < compared ? bytes[base + matched] - key[matched] : length - keyLength;
      if (order > 0) return false;
      if (order === 0 && this.#sequenceAt(bytes, kindAt + 1) <= visible) {
        this.bytes = bytes;
        this.valueStart = valueAt;
        this.valueEnd = at;
        this.#check(bytes, key, kindAt, keyAt - 4, record);
        return true;
      }
    }
    return false;
  }

  /** Start of the last restart point that is below the key; of the first when none is. */
  #restartFor(
    bytes: Uint8Array,
    start: number,
    recordsEnd: number,
    restarts: number,
    key: Uint8Array,
    share: number,
  ): number {
    const keyLength = key.length;
    let low = 0;
    let high = restarts - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const record = start + readUint32(bytes, recordsEnd + 4 * middle);
      if (record >= recordsEnd) this.#corrupt('a restart point is not in the block', start);
      let rest = bytes[record + 1];
      let at = record + 3;
      if ((bytes[record] | rest | bytes[record + 2]) >= MORE) {
        this.#readLengths(bytes, record, recordsEnd);
        rest = this.#rest;
        at = this.#at;
      }
      if (bytes[record] !== 0) this.#corrupt('a restart point shares its key', record);
      at++;
      while (bytes[at++] >= MORE) if (at >= recordsEnd) this.#corrupt('a record is malformed', record);
      at += 4;
      if (at + rest > recordsEnd) this.#corrupt('a record is cut short', record);
      const compared = rest < keyLength ? rest : keyLength;
      let same = share;
      while (same < compared && bytes[at + same] === key[same]) same++;
      if (same < compared ? bytes[at + same] < key[same] : rest < keyLength) low = middle;
      else high = middle - 1;
    }
    const found = start + readUint32(bytes, recordsEnd + 4 * low);
    if (found >= recordsEnd) this.#corrupt('a restart point is not in the block', start);
    return found;
  }

  #readLengths(bytes: Uint8Array, record: number, recordsEnd: number): void {
    this.#at = record;
    this.#shared = this.#readVarint(bytes, record, recordsEnd);
    this.#rest = this.#readVarint(bytes, record, recordsEnd);
    this.#valueLength = this.#readVarint(bytes, record, recordsEnd);
  }

  #readVarint(bytes: Uint8Array, record: number, recordsEnd: number): number {
    let value = 0;
    for (let scale = 1; scale < Number.MAX_SAFE_INTEGER && this.#at < recordsEnd; scale *= 128) {
      const byte = bytes[this.#at++];
      value += (byte & 0x7f) * scale;
      if (byte < MORE) return value;
    }
    return this.#corrupt('a record is malformed', record);
  }

  /** Of a varint that ends within the block. One that is longer than any sequence number fails the record's checksum. */
  #sequenceAt(bytes: Uint8Array, start: number): Index {
    let at = start;
    let byte = bytes[at++];
    let sequence = byte & 0x7f;
    for (let scale = 128; byte >= MORE; scale *= 128) {
      byte = bytes[at++];
      sequence += (byte & 0x7f) * scale;
    }
    this.sequence = sequence;
    return sequence;
  }

  /** What is handed out is what was written: this key, with this value. Kind and sequence number lie before the checksum. */
  #check(bytes: Uint8Array, key: Uint8Array, kindAt: number, crcAt: number, record: number): void {
    const head = crc32Range(bytes, kindAt, crcAt);
    const crc = crc32Range(bytes, this.valueStart, this.valueEnd, crc32Range(key, 0, key.length, head));
    if (crc !== readUint32(bytes, crcAt)) this.#corrupt('the checksum of a record does not match', record);
    const kind = bytes[kindAt];
    if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone) {
      this.#corrupt(`unknown kind of record ${kind}`, record);
    }
    this.kind = kind;
  }

  #corrupt(what: string, at: number): never {
    throw damagedRecord(this.#path, this.#offset, this.#form, at - this.#blockStart, what);
  }
}
