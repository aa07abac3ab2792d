/**
 * Writes a sorted table: records in ascending order of keys, versions of a key from new to old, and range tombstones. See
 * `table_format.ts`.
 */
import { assert } from '../base/assert.ts';
import { crc32 } from '../codec/crc32.ts';
import { VARINT_BYTES_MAX, writeVarint } from '../codec/varint.ts';
import type { Compression } from '../io/compression.ts';
import type { AppendFile } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import { BlockWriter } from './block_writer.ts';
import { FilterBuilder, hashKey } from './bloom_filter.ts';
import { writeUint32 } from './bytes.ts';
import { packBlock } from './packed_block.ts';
import type { RangeTombstone } from './range_tombstones.ts';
import { RecordKind } from './record.ts';
import {
  CRC_BYTES,
  encodeFooter,
  encodeProperties,
  encodeRangeTombstones,
  placeSeed,
} from './table_format.ts';

export interface TableWriterOptions {
  readonly blockBytes: number;
  readonly restartInterval: number;
  readonly filterBitsPerKey: number;
  /** Of data blocks; null: they stay as they are. */
  readonly compression: Compression | null;
}

/** What is handed to the disk in one call: several blocks, or a piece of a large section. */
const WRITE_BYTES = 64 * 1024;
const PENDING_BYTES_MAX = 2 * WRITE_BYTES;
/** Many tables are small: room for pending bytes grows with them. */
const PENDING_BYTES_MIN = 8 * 1024;
const EMPTY = new Uint8Array(0);

export class TableWriter {
  readonly #file: AppendFile;
  readonly #number: number;
  readonly #options: TableWriterOptions;
  readonly #block: BlockWriter;
  readonly #filter: FilterBuilder;
  #index = new Uint8Array(4096);
  #indexEnd = 0;
  /** Bytes that the disk does not have yet, and how many. */
  #pending = new Uint8Array(PENDING_BYTES_MIN);
  #pendingEnd = 0;
  /** Where in the file the next block or section goes. */
  #offset = 0;
  #records = 0;
  #tombstones = 0;
  #superseded = 0;
  #blocks = 0;
  #lastSequence: Index = 0;
  #rangeTombstones: readonly RangeTombstone[] = [];
  #minSequence = Number.MAX_SAFE_INTEGER;
  #maxSequence = 0;
  #minKey: Uint8Array = EMPTY;
  #expiring = 0;
  #firstExpiryMs = Number.MAX_SAFE_INTEGER;
  #lastExpiryMs = 0;

  /** @param file Empty; the caller syncs and closes it. */
  constructor(file: AppendFile, number: number, options: TableWriterOptions) {
    this.#file = file;
    this.#number = number;
    this.#options = options;
    this.#block = new BlockWriter(options.restartInterval);
    this.#filter = new FilterBuilder(options.filterBitsPerKey);
  }

  get records(): number {
    return this.#records;
  }

  /** Of data blocks, so far. */
  get sizeBytes(): number {
    return this.#offset + this.#block.sizeBytes;
  }

  /** Empty before the first record. A copy. */
  get lastKey(): Uint8Array {
    return this.#block.lastKey;
  }

  /**
   * Copies key and value.
   * @param crc The record's `recordCrc`, from where it was written before. Default: it is made of what is given here.
   * @throws DiskError when the disk refuses a write.
   */
  add(key: Uint8Array, sequence: Index, kind: RecordKind, value: Uint8Array, crc?: number): void {
    const hash = hashKey(key);
    const order = this.#block.add(key, sequence, kind, value, crc, hash);
    if (this.#records === 0) this.#minKey = key.slice();
    else if (order <= 0) {
      assert(
        order === 0 && sequence < this.#lastSequence,
        'a table holds ascending keys, and versions of a key from new to old',
      );
      this.#superseded++;
    }
    this.#lastSequence = sequence;
    this.#filter.add(hash);
    this.#records++;
    if (kind === RecordKind.Tombstone) this.#tombstones++;
    this.#minSequence = Math.min(this.#minSequence, sequence);
    this.#maxSequence = Math.max(this.#maxSequence, sequence);
    if (this.#block.sizeBytes >= this.#options.blockBytes) this.#finishBlock();
  }

  /** Of the value that was added last; 0: it never expires. */
  noteExpiry(expiresAtMs: number): void {
    if (expiresAtMs === 0) return;
    this.#expiring++;
    this.#firstExpiryMs = Math.min(this.#firstExpiryMs, expiresAtMs);
    this.#lastExpiryMs = Math.max(this.#lastExpiryMs, expiresAtMs);
  }

  /** All of the table's range tombstones, as `RangeTombstones.toList` gives them; kept until `finish`. */
  setRangeTombstones(tombstones: readonly RangeTombstone[]): void {
    this.#rangeTombstones = tombstones;
    for (const { sequence } of tombstones) {
      this.#minSequence = Math.min(this.#minSequence, sequence);
      this.#maxSequence = Math.max(this.#maxSequence, sequence);
    }
  }

  /**
   * Writes what is left, in steps: filter and index of a large table take a while. At least one record or range tombstone
   * has been added.
   * @throws DiskError when the disk refuses a write.
   */
  *finish(): Generator<void, void> {
    assert(this.#records + this.#rangeTombstones.length > 0, 'a table is not empty');
    if (!this.#block.isEmpty) this.#finishBlock();
    const filter = yield* this.#filter.build();
    const filterOffset = this.#offset;
    yield* this.#section(filter);
    const indexOffset = this.#offset;
    yield* this.#section(this.#index.subarray(0, this.#indexEnd));
    const rangesOffset = this.#offset;
    yield* this.#section(encodeRangeTombstones(this.#rangeTombstones));
    const propertiesOffset = this.#offset;
    yield* this.#section(
      encodeProperties({
        records: this.#records,
        tombstones: this.#tombstones,
        superseded: this.#superseded,
        rangeTombstones: this.#rangeTombstones.length,
        blocks: this.#blocks,
        minSequence: this.#minSequence,
        maxSequence: this.#maxSequence,
        minKey: this.#minKey,
        maxKey: this.#block.lastKey,
        expiring: this.#expiring,
        firstExpiryMs: this.#expiring === 0 ? 0 : this.#firstExpiryMs,
        lastExpiryMs: this.#lastExpiryMs,
      }),
    );
    const footerOffset = this.#offset;
    const table = this.#number;
    const places = { filterOffset, indexOffset, rangesOffset, propertiesOffset, footerOffset };
    this.#append(encodeFooter({ ...places, table, compression: this.#options.compression?.id ?? 0 }));
    this.#flush();
  }

  #finishBlock(): void {
    const key = this.#block.lastKey;
    const seed = placeSeed(this.#number, this.#offset);
    const { compression } = this.#options;
    const block =
      compression === null ? this.#block.finish(seed) : packBlock(this.#block.contents(), compression, seed);
    this.#addAnchor(key, block.length);
    this.#append(block);
    this.#blocks++;
  }

  #addAnchor(key: Uint8Array, blockLength: number): void {
    const needed = this.#indexEnd + 2 * VARINT_BYTES_MAX + key.length;
    if (needed > this.#index.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#index.length));
      larger.set(this.#index.subarray(0, this.#indexEnd));
      this.#index = larger;
    }
    let at = writeVarint(this.#index, this.#indexEnd, key.length);
    this.#index.set(key, at);
    at = writeVarint(this.#index, at + key.length, blockLength);
    this.#indexEnd = at;
  }

  /** The section with its CRC behind it. */
  *#section(section: Uint8Array): Generator<void, void> {
    let crc = placeSeed(this.#number, this.#offset);
    for (let at = 0; at < section.length; at += WRITE_BYTES) {
      const piece = section.subarray(at, at + WRITE_BYTES);
      crc = crc32(piece, crc);
      this.#append(piece);
      if (piece.length === WRITE_BYTES) yield;
    }
    const seal = new Uint8Array(CRC_BYTES);
    writeUint32(seal, 0, crc);
    this.#append(seal);
  }

  #append(bytes: Uint8Array): void {
    this.#offset += bytes.length;
    if (this.#pendingEnd + bytes.length > PENDING_BYTES_MAX) this.#flush();
    if (bytes.length > PENDING_BYTES_MAX) {
      this.#file.append(bytes);
      return;
    }
    if (this.#pendingEnd + bytes.length > this.#pending.length)
      this.#growPending(this.#pendingEnd + bytes.length);
    this.#pending.set(bytes, this.#pendingEnd);
    this.#pendingEnd += bytes.length;
    if (this.#pendingEnd >= WRITE_BYTES) this.#flush();
  }

  #growPending(bytes: number): void {
    const larger = new Uint8Array(Math.min(PENDING_BYTES_MAX, Math.max(bytes, 2 * this.#pending.length)));
    larger.set(this.#pending.subarray(0, this.#pendingEnd));
    this.#pending = larger;
  }

  #flush(): void {
    if (this.#pendingEnd > 0) this.#file.append(this.#pending.subarray(0, this.#pendingEnd));
    this.#pendingEnd = 0;
  }
}
