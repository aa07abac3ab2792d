/**
 * Looks a key up in a data block (see `block_writer.ts`) without putting any key together: of the records passed over only
 * what tells them apart from the key is compared. Made for point reads, of which it is the larger part; whoever goes on
 * from record to record takes a `BlockReader`.
 *
 * The record before shares `matched` bytes with the key and is below it. One that shares more with it than that is below
 * the key as well; one that shares less is above, because there it differs from the key as from the one before. So bytes
 * are compared only where it shares exactly as many, and at restart points, which say nothing about sharing.
 *
 * Most keys that are there are found without any of that, by the hints behind the records (see `block_trailer.ts`): what is
 * passed over is in the memory of the processor's cache less often than not, and comparing it was the larger part of a
 * lookup. A hint is only followed to a record that proves to have the key; whatever it leads to else, the other way has the
 * last word. That no newer version of the key is passed over rests on hints: they are under the checksum of the block, and
 * whoever checks records checks them too (`BlockReader.verifyAll`).
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
import { HINT_BYTES, hintsIn, printOf, restartsIn } from './block_trailer.ts';
import { readUint32 } from './bytes.ts';
import { RecordKind } from './record.ts';

/** From this on a varint goes on in the next byte. */
const MORE = 0x80;
/** Bytes in a row of which a checksum of 32 bits notices every change. */
const PROVEN_BYTES = 4;

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
   * @param hash `hashKey` of the key.
   * @param known Bytes that the key has in common with all keys of the block, as far as that is known; at least `share`.
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
    hash: number,
    known: number,
  ): boolean {
    this.#blockStart = start;
    this.#path = path;
    this.#offset = offset;
    const counts = readUint32(bytes, end - 8);
    const restarts = restartsIn(counts);
    const hints = hintsIn(counts);
    const hintsAt = end - 8 - HINT_BYTES * hints;
    const recordsEnd = hintsAt - 4 * restarts;
    if (restarts < 1 || recordsEnd < start) this.#corrupt('its restart points are missing', start);
    if (
      hints > 0 &&
      this.#findByHint(bytes, start, recordsEnd, hintsAt, hints, key, known, visible, printOf(hash))
    ) {
      return true;
    }
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

  /**
   * As `find`, by the hints behind the records; false says nothing.
   *
   * Of the record's key only what it does not share with the one before is at hand; that what it shares is the beginning of
   * the key is left to the checksum to say. It does so for certain: records that differ in no more than four bytes in a row
   * never have the same. The versions of a key lie from new to old, and their hints as well: the first that can be seen
   * counts. So a record is passed over only when it is certain that it has another key, or is too new; where that cannot be
   * told, no hint behind it is followed either.
   */
  #findByHint(
    bytes: Uint8Array,
    start: number,
    recordsEnd: number,
    hintsAt: number,
    hints: number,
    key: Uint8Array,
    known: number,
    visible: Index,
    print: number,
  ): boolean {
    const startsAt = hintsAt + hints;
    const keyLength = key.length;
    for (let hint = hintsAt; hint < startsAt; hint++) {
      if (bytes[hint] !== print) continue;
      const place = startsAt + 2 * (hint - hintsAt);
      let at = start + (bytes[place] | (bytes[place + 1] << 8));
      if (at >= recordsEnd) return false;
      const shared = bytes[at];
      const rest = bytes[at + 1];
      const valueLength = bytes[at + 2];
      // What has longer lengths, or shares more than can be proven, may be the newest version of the key.
      if ((shared | rest | valueLength) >= MORE) return false;
      if (shared + rest !== keyLength) continue;
      if (shared > known + PROVEN_BYTES) return false;
      const kindAt = at + 3;
      at += 4;
      while (bytes[at] >= MORE && at < recordsEnd) at++;
      const keyAt = at + 5;
      const valueAt = keyAt + rest;
      const valueEnd = valueAt + valueLength;
      if (valueEnd > recordsEnd) return false;
      let last = rest - 1;
      while (last >= 0 && bytes[keyAt + last] === key[shared + last]) last--;
      if (last >= 0) continue;
      if (this.#sequenceAt(bytes, kindAt + 1) > visible) continue;
      this.bytes = bytes;
      this.valueStart = valueAt;
      this.valueEnd = valueEnd;
      const kind = bytes[kindAt];
      if (this.#crcOf(bytes, key, kindAt, keyAt - 4) !== readUint32(bytes, keyAt - 4)) return false;
      if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone) return false;
      this.kind = kind;
      return true;
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
    const crc = this.#crcOf(bytes, key, kindAt, crcAt);
    if (crc !== readUint32(bytes, crcAt)) this.#corrupt('the checksum of a record does not match', record);
    const kind = bytes[kindAt];
    if (kind !== RecordKind.Put && kind !== RecordKind.Tombstone) {
      this.#corrupt(`unknown kind of record ${kind}`, record);
    }
    this.kind = kind;
  }

  /** Of the record that is at hand, if it has this key. */
  #crcOf(bytes: Uint8Array, key: Uint8Array, kindAt: number, crcAt: number): number {
    const head = crc32Range(bytes, kindAt, crcAt);
    return crc32Range(bytes, this.valueStart, this.valueEnd, crc32Range(key, 0, key.length, head));
  }

  #corrupt(what: string, at: number): never {
    throw damagedRecord(this.#path, this.#offset, this.#form, at - this.#blockStart, what);
  }
}
