/**
 * Reads of a sorted table what can be read: each part by itself, so that damage to one leaves the others. For people who
 * look into a table, and for repair; lookups use `lsm/table_reader.ts`, which wants all parts whole.
 */
import { CorruptionError } from '../base/errors.ts';
import { VarintReader } from '../codec/varint.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk, ReadFile } from '../io/disk.ts';
import { type BlockPlace, BlockReader, verifyBlock } from '../lsm/block_reader.ts';
import { readUint32 } from '../lsm/bytes.ts';
import { unpackBlock } from '../lsm/packed_block.ts';
import type { RangeTombstone } from '../lsm/range_tombstones.ts';
import {
  decodeFooter,
  decodeProperties,
  decodeRangeTombstones,
  FOOTER_BYTES,
  type Footer,
  openSection,
  type Properties,
  placeSeed,
} from '../lsm/table_format.ts';
import { packedLengthAt, walkBlocks } from './block_walk.ts';
import { readAround } from './read_around.ts';

/** A part of a table and where it begins, or what is wrong with it. */
export type Part<T> =
  | { readonly ok: true; readonly offset: number; readonly value: T }
  | { readonly ok: false; readonly damage: CorruptionError };

export interface Anchor {
  readonly offset: number;
  /** Of the block in bytes. */
  readonly length: number;
  readonly lastKey: Uint8Array;
}

export interface BlockPart {
  readonly offset: number;
  readonly length: number;
  /** Null: the index does not tell. */
  readonly lastKey: Uint8Array | null;
  /** Null: it is whole. */
  readonly damage: CorruptionError | null;
  /** All of it, also when it is damaged; empty where it cannot be said where blocks are. */
  readonly bytes: Uint8Array;
  /** Stands on no record yet; null when the block is damaged. */
  readonly records: BlockReader | null;
}

const TABLE_BYTES_AT = FOOTER_BYTES - 24;
/** Compressed blocks that are larger are not found behind a damaged one when the index is lost as well. */
const SEARCHED_BYTES_MAX = 64 * 1024;

export class TableParts {
  readonly path: string;
  readonly sizeBytes: number;
  /** As the file's name says, or, when that says nothing, as its footer does. */
  readonly number: number;
  readonly footer: Part<Footer>;
  readonly properties: Part<Properties>;
  readonly filter: Part<Uint8Array>;
  readonly index: Part<readonly Anchor[]>;
  readonly ranges: Part<readonly RangeTombstone[]>;
  readonly #file: ReadFile;
  readonly #compressions: readonly Compression[];

  /** Takes over the file. @param number From the name of the file; null: take it from the footer. @throws DiskError */
  constructor(file: ReadFile, number: number | null, compressions: readonly Compression[] = []) {
    this.#file = file;
    this.#compressions = compressions;
    this.path = file.path;
    this.sizeBytes = file.size;
    this.number = number ?? numberInFooter(file);
    this.footer = this.#readFooter();
    if (!this.footer.ok) {
      const { path } = this;
      const lost = {
        ok: false,
        damage: new CorruptionError(path, 0, 'only the footer says where it is'),
      } as const;
      this.properties = lost;
      this.filter = lost;
      this.index = lost;
      this.ranges = lost;
      return;
    }
    const { filterOffset, indexOffset, rangesOffset, propertiesOffset, footerOffset, version } =
      this.footer.value;
    const { path } = this;
    this.properties = this.#section(propertiesOffset, footerOffset, 'properties', (bytes) =>
      decodeProperties(bytes, version, path, propertiesOffset),
    );
    this.filter = this.#section(filterOffset, indexOffset, 'filter', (bytes) => bytes.slice());
    this.index = this.#section(indexOffset, rangesOffset, 'index', (bytes) => {
      return decodeAnchors(bytes, path, indexOffset, filterOffset);
    });
    this.ranges = this.#section(rangesOffset, propertiesOffset, 'range tombstones', (bytes) => {
      const count = this.properties.ok ? this.properties.value.rangeTombstones : countRanges(bytes);
      return decodeRangeTombstones(bytes, count, path, rangesOffset);
    });
  }

  /** Its data blocks may be compressed: of a damaged one no record can be read. */
  get isPacked(): boolean {
    return this.footer.ok && this.footer.value.compression !== 0;
  }

  /** What is damaged beside data blocks. Where the footer is, that is all there is to say. */
  get damage(): CorruptionError[] {
    if (!this.footer.ok) return [this.footer.damage];
    const parts: Part<unknown>[] = [this.properties, this.filter, this.index, this.ranges];
    return parts.flatMap((part) => (part.ok ? [] : [part.damage]));
  }

  /** Data blocks in order, damaged ones too; without an index those that are whole, and what lies between them. */
  *blocks(): Generator<BlockPart> {
    if (!this.index.ok) {
      yield* this.isPacked ? this.#foundPackedBlocks() : this.#foundBlocks();
      return;
    }
    for (const { offset, length, lastKey } of this.index.value) yield this.#block(offset, length, lastKey);
  }

  close(): void {
    this.#file.close();
  }

  *#foundBlocks(): Generator<BlockPart> {
    const end = this.footer.ok ? this.footer.value.filterOffset : this.sizeBytes;
    // A copy: whoever goes through the blocks may rest between them.
    const bytes = readAround(this.#file, 0, this.sizeBytes);
    let at = 0;
    for (const { offset, length } of walkBlocks(bytes, end, this.number)) {
      if (offset > at) yield this.#gap(at, offset);
      yield this.#block(offset, length, null);
      at = offset + length;
    }
    // Without a footer nobody knows where blocks end and the filter begins.
    if (at < end) yield this.#gap(at, end);
  }

  /** From one block to the next; behind a damaged one each place is tried, for blocks that are not too large. */
  *#foundPackedBlocks(): Generator<BlockPart> {
    const end = this.footer.ok ? this.footer.value.filterOffset : 0;
    const bytes = readAround(this.#file, 0, end);
    let gapFrom: number | null = null;
    for (let at = 0; at < end; ) {
      const limit = gapFrom === null ? end : Math.min(end, at + SEARCHED_BYTES_MAX);
      const length = packedLengthAt(bytes, at, limit, this.number);
      if (length === null || !isReadable(this.#block(at, length, null))) {
        gapFrom ??= at;
        at++;
        continue;
      }
      if (gapFrom !== null) yield this.#gap(gapFrom, at);
      gapFrom = null;
      yield this.#block(at, length, null);
      at += length;
    }
    if (gapFrom !== null) yield this.#gap(gapFrom, end);
  }

  #gap(from: number, to: number): BlockPart {
    const what = this.footer.ok
      ? `no data block that is whole is in the ${to - from} bytes from here on`
      : `no data block that is whole is in the ${to - from} bytes from here on, in which filter and index may be`;
    const damage = new CorruptionError(this.path, from, what);
    return {
      offset: from,
      length: to - from,
      lastKey: null,
      damage,
      bytes: new Uint8Array(0),
      records: null,
    };
  }

  #block(offset: number, length: number, lastKey: Uint8Array | null): BlockPart {
    const place = this.placeOf(offset);
    const bytes = readAround(this.#file, offset, length);
    try {
      verifyBlock(bytes, place);
      const contents = this.isPacked ? unpackBlock(bytes, this.#compression(), place) : bytes;
      const records = new BlockReader(contents, place);
      return { offset, length, lastKey, damage: null, bytes, records };
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      return { offset, length, lastKey, damage: error, bytes, records: null };
    }
  }

  placeOf(offset: number): BlockPlace {
    const form = this.isPacked ? 'unpacked' : 'plain';
    return { path: this.path, offset, seed: placeSeed(this.number, offset), form };
  }

  #compression(): Compression | null {
    const id = this.footer.ok ? this.footer.value.compression : 0;
    return this.#compressions.find((known) => known.id === id) ?? null;
  }

  #readFooter(): Part<Footer> {
    const { path, size } = this.#file;
    const offset = size - FOOTER_BYTES;
    return attempt(Math.max(0, offset), () => {
      if (offset < 0) throw new CorruptionError(path, 0, `a table of ${size} bytes is too short`);
      return decodeFooter(readAround(this.#file, offset, FOOTER_BYTES), path, offset, this.number);
    });
  }

  #section<T>(start: number, end: number, what: string, decode: (bytes: Uint8Array) => T): Part<T> {
    return attempt(start, () => {
      return decode(
        openSection(readAround(this.#file, start, end - start), this.path, this.number, start, what),
      );
    });
  }
}

/** All of its records are what was written. */
function isReadable({ records }: BlockPart): boolean {
  if (records === null) return false;
  try {
    for (records.seekToFirst(); records.isValid; records.next());
    return true;
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return false;
  }
}

/** @param number From the name of the file; null: take it from the footer. @throws DiskError */
export function openParts(
  disk: Disk,
  path: string,
  number: number | null,
  compressions: readonly Compression[] = [],
): TableParts {
  const file = disk.open(path);
  try {
    return new TableParts(file, number, compressions);
  } catch (error) {
    file.close();
    throw error;
  }
}

function attempt<T>(offset: number, read: () => T): Part<T> {
  try {
    return { ok: true, offset, value: read() };
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return { ok: false, damage: error };
  }
}

/** Whatever stands there: if it is nonsense, the footer's checksum says so. */
function numberInFooter(file: ReadFile): number {
  if (file.size < FOOTER_BYTES) return 0;
  const footer = readAround(file, file.size - FOOTER_BYTES, FOOTER_BYTES);
  return readUint32(footer, TABLE_BYTES_AT) + 2 ** 32 * readUint32(footer, TABLE_BYTES_AT + 4);
}

/** Where each block is, and its last key. They fill the file up to the filter. */
function decodeAnchors(bytes: Uint8Array, path: string, offset: number, blocksEnd: number): Anchor[] {
  const anchors: Anchor[] = [];
  const reader = new VarintReader(bytes);
  let at = 0;
  while (reader.offset < bytes.length) {
    const keyLength = reader.read();
    const keyStart = reader.offset;
    reader.offset += Math.max(0, keyLength);
    const lastKey = bytes.slice(keyStart, reader.offset);
    const length = reader.read();
    if (keyLength < 0 || length < 0) throw new CorruptionError(path, offset, 'the index is malformed');
    anchors.push({ offset: at, length, lastKey });
    at += length;
  }
  if (at !== blocksEnd) throw new CorruptionError(path, offset, 'the index does not cover the blocks');
  return anchors;
}

/** How many range tombstones the bytes hold, when the properties do not tell. */
function countRanges(bytes: Uint8Array): number {
  const reader = new VarintReader(bytes);
  let count = 0;
  while (reader.offset < bytes.length) {
    for (let key = 0; key < 2; key++) {
      const length = reader.read();
      reader.offset += Math.max(0, length);
    }
    if (reader.read() < 0) break;
    count++;
  }
  return count;
}
