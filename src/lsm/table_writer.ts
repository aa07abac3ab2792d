/** Writes a sorted table: records in ascending order of keys, each key once. See `table_format.ts`. */
import { assert } from '../base/assert.ts';
import { compareBytes, concatBytes } from '../codec/bytes.ts';
import { varintSize, writeVarint } from '../codec/varint.ts';
import type { AppendFile } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import { BlockWriter } from './block_writer.ts';
import { buildFilter, hashKey } from './bloom_filter.ts';
import { RecordKind } from './record.ts';
import { encodeFooter, sealSection, writeUint64 } from './table_format.ts';

export interface TableWriterOptions {
  readonly blockBytes: number;
  readonly restartInterval: number;
  readonly filterBitsPerKey: number;
}

/** Blocks are handed to the disk in pieces of about this size: one system call for several of them. */
const WRITE_BYTES = 64 * 1024;
export const PROPERTIES_BYTES = 32;

export class TableWriter {
  readonly #file: AppendFile;
  readonly #options: TableWriterOptions;
  readonly #block: BlockWriter;
  readonly #hashes: number[] = [];
  readonly #index: Uint8Array[] = [];
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Where the next block goes. */
  #offset = 0;
  #entries = 0;
  #tombstones = 0;
  #minSequence = Number.MAX_SAFE_INTEGER;
  #maxSequence = 0;

  constructor(file: AppendFile, options: TableWriterOptions) {
    this.#file = file;
    this.#options = options;
    this.#block = new BlockWriter(options.restartInterval);
  }

  get entries(): number {
    return this.#entries;
  }

  /** Size so far, in bytes, the block under way included. */
  get sizeBytes(): number {
    return this.#offset + this.#block.sizeBytes;
  }

  /** @throws DiskError when the disk refuses a write. */
  add(key: Uint8Array, sequence: Index, kind: RecordKind, value: Uint8Array): void {
    if (this.#entries > 0)
      assert(compareBytes(key, this.#block.lastKey) > 0, 'a table holds ascending keys, each once');
    this.#block.add(key, sequence, kind, value);
    this.#hashes.push(hashKey(key));
    this.#entries++;
    if (kind === RecordKind.Tombstone) this.#tombstones++;
    this.#minSequence = Math.min(this.#minSequence, sequence);
    this.#maxSequence = Math.max(this.#maxSequence, sequence);
    if (this.#block.sizeBytes >= this.#options.blockBytes) this.#finishBlock();
  }

  /** Writes what is left; the file still has to be synced. Returns its size. At least one record has been added. */
  finish(): number {
    assert(this.#entries > 0, 'a table is not empty');
    if (!this.#block.isEmpty) this.#finishBlock();
    const filter = sealSection(buildFilter(this.#hashes, this.#options.filterBitsPerKey));
    const index = sealSection(concatBytes(this.#index));
    const properties = sealSection(this.#properties());
    const filterOffset = this.#offset;
    const indexOffset = filterOffset + filter.length;
    const propertiesOffset = indexOffset + index.length;
    const footerOffset = propertiesOffset + properties.length;
    const footer = encodeFooter({ filterOffset, indexOffset, propertiesOffset, footerOffset });
    this.#pending.push(filter, index, properties, footer);
    this.#flush();
    return footerOffset + footer.length;
  }

  #finishBlock(): void {
    const key = this.#block.lastKey;
    const block = this.#block.finish();
    const entry = new Uint8Array(varintSize(key.length) + key.length + varintSize(block.length));
    let at = writeVarint(entry, 0, key.length);
    entry.set(key, at);
    at = writeVarint(entry, at + key.length, block.length);
    this.#index.push(entry);
    this.#pending.push(block.slice());
    this.#pendingBytes += block.length;
    this.#offset += block.length;
    if (this.#pendingBytes >= WRITE_BYTES) this.#flush();
  }

  #properties(): Uint8Array {
    const bytes = new Uint8Array(PROPERTIES_BYTES);
    writeUint64(bytes, 0, this.#entries);
    writeUint64(bytes, 8, this.#tombstones);
    writeUint64(bytes, 16, this.#minSequence);
    writeUint64(bytes, 24, this.#maxSequence);
    return bytes;
  }

  #flush(): void {
    this.#file.append(this.#pending.length === 1 ? this.#pending[0] : concatBytes(this.#pending));
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
