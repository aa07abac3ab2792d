/**
 * Builds a data block: records with shared key prefixes, restart points, checksums.
 *
 * Record: varint bytes shared with the key before | varint rest of the key | varint value length | u8 kind | varint
 * sequence | u32 CRC over the whole record (see `recordCrc`) | rest of the key | value. At a restart point nothing is
 * shared. Behind the records: u32 offset of each restart point | u32 their number | u32 CRC of the block before it, seeded
 * with the block's place (see `placeSeed`).
 */
import { copyRange } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { crc32Range } from '../codec/crc32_range.ts';
import { VARINT_BYTES_MAX, writeVarint } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';
import { countsOf, HINT_BYTES, HINTED_BYTES_MAX, HINTS_MAX, printOf } from './block_trailer.ts';
import { hashKey } from './bloom_filter.ts';
import { writeUint32 } from './bytes.ts';
import type { RecordKind } from './record.ts';

const RECORD_OVERHEAD_BYTES = 4 * VARINT_BYTES_MAX + 1 + 4;
const scratch = new Uint8Array(VARINT_BYTES_MAX + 1);

/**
 * Over kind, sequence, the full key (the first `keyLength` bytes of `key`) and the value (`[valueStart, valueEnd)` of
 * `bytes`): notices a record that was rebuilt from the wrong prefix.
 */
export function recordCrc(
  key: Uint8Array,
  keyLength: number,
  sequence: Index,
  kind: RecordKind,
  bytes: Uint8Array,
  valueStart: number,
  valueEnd: number,
): number {
  scratch[0] = kind;
  const head = crc32Range(scratch, 0, writeVarint(scratch, 1, sequence));
  return crc32Range(bytes, valueStart, valueEnd, crc32Range(key, 0, keyLength, head));
}

export class BlockWriter {
  readonly #restartInterval: number;
  #bytes = new Uint8Array(8192);
  #end = 0;
  #restarts: number[] = [];
  #records = 0;
  /** Of each record its hint: a byte of its key's hash, and where it begins. */
  #prints = new Uint8Array(64);
  #starts = new Uint16Array(64);
  /** The key that was added last, and how long it is. */
  #last = new Uint8Array(64);
  #lastLength = 0;

  constructor(restartInterval: number) {
    this.#restartInterval = restartInterval;
  }

  get isEmpty(): boolean {
    return this.#records === 0;
  }

  /** Size of the block if it were finished now, in bytes. */
  get sizeBytes(): number {
    return this.#end + HINT_BYTES * this.#hints + 4 * this.#restarts.length + 8;
  }

  /** How many hints the block would have. */
  get #hints(): number {
    return this.#end <= HINTED_BYTES_MAX && this.#records <= HINTS_MAX ? this.#records : 0;
  }

  /** A copy of the last key added. */
  get lastKey(): Uint8Array {
    return this.#last.slice(0, this.#lastLength);
  }

  /**
   * @param crc As `TableWriter.add`.
   * @returns how the key and that before it, also of an earlier block, are ordered: see `compareBytes`.
   */
  add(
    key: Uint8Array,
    sequence: Index,
    kind: RecordKind,
    value: Uint8Array,
    crc = recordCrc(key, key.length, sequence, kind, value, 0, value.length),
    hash = hashKey(key),
  ): number {
    this.#reserve(RECORD_OVERHEAD_BYTES + key.length + value.length);
    if (this.#records < HINTS_MAX) this.#addHint(hash);
    const bytes = this.#bytes;
    const last = this.#last;
    const length = Math.min(key.length, this.#lastLength);
    let shared = 0;
    while (shared < length && key[shared] === last[shared]) shared++;
    const known = shared;
    const order = shared < length ? key[shared] - last[shared] : key.length - this.#lastLength;
    if (this.#records % this.#restartInterval === 0) {
      this.#restarts.push(this.#end);
      shared = 0;
    }
    let at = writeVarint(bytes, this.#end, shared);
    at = writeVarint(bytes, at, key.length - shared);
    at = writeVarint(bytes, at, value.length);
    bytes[at++] = kind;
    at = writeVarint(bytes, at, sequence);
    writeUint32(bytes, at, crc);
    at = copyRange(bytes, at + 4, key, shared, key.length);
    this.#end = copyRange(bytes, at, value, 0, value.length);
    if (key.length > last.length) {
      this.#last = new Uint8Array(2 * key.length);
      this.#last.set(key);
    } else copyRange(last, known, key, known, key.length);
    this.#lastLength = key.length;
    this.#records++;
    return order;
  }

  /** The block's bytes, valid until the next `add`; the writer starts anew. `seed` is that of the block's place. */
  finish(seed: number): Uint8Array {
    const at = this.contents().length;
    // There is room for it.
    writeUint32(this.#bytes, at, crc32(this.#bytes.subarray(0, at), seed));
    return this.#bytes.subarray(0, at + 4);
  }

  /** As `finish`, without a checksum. */
  contents(): Uint8Array {
    const hints = this.#hints;
    this.#reserve(HINT_BYTES * hints + 4 * this.#restarts.length + 8);
    const bytes = this.#bytes;
    let at = this.#end;
    for (const restart of this.#restarts) {
      writeUint32(bytes, at, restart);
      at += 4;
    }
    for (let n = 0; n < hints; n++) {
      const start = this.#starts[n];
      bytes[at + n] = this.#prints[n];
      bytes[at + hints + 2 * n] = start;
      bytes[at + hints + 2 * n + 1] = start >>> 8;
    }
    at += HINT_BYTES * hints;
    writeUint32(bytes, at, countsOf(this.#restarts.length, hints));
    at += 4;
    this.#end = 0;
    this.#restarts = [];
    this.#records = 0;
    return bytes.subarray(0, at);
  }

  #addHint(hash: number): void {
    if (this.#records === this.#prints.length) {
      const prints = new Uint8Array(2 * this.#records);
      const starts = new Uint16Array(prints.length);
      prints.set(this.#prints);
      starts.set(this.#starts);
      this.#prints = prints;
      this.#starts = starts;
    }
    this.#prints[this.#records] = printOf(hash);
    this.#starts[this.#records] = this.#end;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#end + bytes));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}
