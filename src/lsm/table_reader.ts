/**
 * Reads a sorted table: footer, properties, index and filter are checked and kept when it is opened, a data block is
 * checked when it is first used, a record each time it is read. So damage is an error with file and offset, never a
 * wrong value and never a key that seems to be absent.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { VarintReader } from '../codec/varint.ts';
import type { ReadFile } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import { type BlockPlace, BlockReader, verifyBlock } from './block_reader.ts';
import { mayContain } from './bloom_filter.ts';
import type { Cursor, RecordKind } from './record.ts';
import { decodeFooter, FOOTER_BYTES, openSection, readUint64 } from './table_format.ts';
import { PROPERTIES_BYTES } from './table_writer.ts';

export class TableReader {
  readonly #file: ReadFile;
  readonly #filter: Uint8Array;
  /** Per block: its last key and where it ends. */
  readonly #lastKeys: readonly Uint8Array[];
  readonly #ends: readonly number[];
  readonly #isVerified: Uint8Array;
  readonly entries: number;
  readonly tombstones: number;
  readonly sizeBytes: number;

  /**
   * Takes over the file.
   * @throws CorruptionError, DiskError
   */
  constructor(file: ReadFile) {
    this.#file = file;
    const { path, size } = file;
    this.sizeBytes = size;
    if (size < FOOTER_BYTES) throw new CorruptionError(path, 0, `a table of ${size} bytes is too short`);
    const footer = decodeFooter(file.view(size - FOOTER_BYTES, FOOTER_BYTES), path, size);
    const { filterOffset, indexOffset, propertiesOffset, footerOffset } = footer;
    const properties = this.#section(propertiesOffset, footerOffset, 'properties');
    if (properties.length !== PROPERTIES_BYTES)
      throw new CorruptionError(path, propertiesOffset, 'odd properties');
    this.entries = readUint64(properties, 0);
    this.tombstones = readUint64(properties, 8);
    this.#filter = this.#section(filterOffset, indexOffset, 'filter').slice();
    const index = this.#section(indexOffset, propertiesOffset, 'index').slice();
    const lastKeys: Uint8Array[] = [];
    const ends: number[] = [];
    const reader = new VarintReader(index);
    let end = 0;
    while (reader.offset < index.length) {
      const keyLength = reader.read();
      const key = index.subarray(reader.offset, reader.offset + keyLength);
      reader.offset += keyLength;
      const blockLength = reader.read();
      if (keyLength < 0 || blockLength < 0)
        throw new CorruptionError(path, indexOffset, 'the index is malformed');
      end += blockLength;
      lastKeys.push(key);
      ends.push(end);
    }
    if (end !== filterOffset)
      throw new CorruptionError(path, indexOffset, 'the index does not cover the blocks');
    this.#lastKeys = lastKeys;
    this.#ends = ends;
    this.#isVerified = new Uint8Array(ends.length);
  }

  get path(): string {
    return this.#file.path;
  }

  get blocks(): number {
    return this.#ends.length;
  }

  /** The record of the key as a reader that stands on it; null when the table has none. `hash` is `hashKey(key)`. */
  find(key: Uint8Array, hash: number): BlockReader | null {
    if (!mayContain(this.#filter, hash)) return null;
    const block = this.blockFor(key);
    if (block === this.#ends.length) return null;
    const reader = this.openBlock(block);
    reader.seek(key);
    return reader.isValid && compareBytes(reader.key, key) === 0 ? reader : null;
  }

  /** The only block that can hold the key: the first whose last key is not below it; `blocks` when there is none. */
  blockFor(key: Uint8Array): number {
    let low = 0;
    let high = this.#lastKeys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareBytes(this.#lastKeys[middle], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The reader works on a view of the file: it is of use only until control returns to the event loop. */
  openBlock(block: number): BlockReader {
    const { bytes, place } = this.#verified(block);
    return new BlockReader(bytes, place);
  }

  /** As `openBlock`, on a copy: for who goes on over many turns. */
  copyBlock(block: number): BlockReader {
    const { bytes, place } = this.#verified(block);
    return new BlockReader(bytes.slice(), place);
  }

  #verified(block: number): { bytes: Uint8Array; place: BlockPlace } {
    const offset = block === 0 ? 0 : this.#ends[block - 1];
    const bytes = this.#file.view(offset, this.#ends[block] - offset);
    const place = { path: this.#file.path, offset };
    if (this.#isVerified[block] === 0) {
      verifyBlock(bytes, place);
      this.#isVerified[block] = 1;
    }
    return { bytes, place };
  }

  close(): void {
    this.#file.close();
  }

  #section(start: number, end: number, what: string): Uint8Array {
    return openSection(this.#file.view(start, end - start), this.#file.path, start, what);
  }
}

/** All records of a table, in order. */
export class TableCursor implements Cursor {
  readonly #table: TableReader;
  #block = 0;
  #reader: BlockReader;

  constructor(table: TableReader) {
    this.#table = table;
    this.#reader = table.copyBlock(0);
    this.#reader.seekToFirst();
  }

  get isValid(): boolean {
    return this.#reader.isValid;
  }

  get key(): Uint8Array {
    return this.#reader.key;
  }

  get sequence(): Index {
    return this.#reader.sequence;
  }

  get kind(): RecordKind {
    return this.#reader.kind;
  }

  get value(): Uint8Array {
    return this.#reader.value;
  }

  next(): void {
    this.#reader.next();
    if (!this.#reader.isValid && this.#block + 1 < this.#table.blocks) {
      this.#block++;
      this.#reader = this.#table.copyBlock(this.#block);
      this.#reader.seekToFirst();
    }
  }

  seek(key: Uint8Array): void {
    const block = this.#table.blockFor(key);
    if (block === this.#table.blocks) {
      this.#reader.isValid = false;
      return;
    }
    this.#block = block;
    this.#reader = this.#table.copyBlock(block);
    this.#reader.seek(key);
  }
}
