/**
 * Reads a sorted table: footer, properties, index and filter are checked and kept when it is opened, a data block is
 * checked when it is first used, a record when it is handed out. A block in which a key was looked for in vain is checked
 * again: damage may come after the first look. So damage is an error with file and offset, never a wrong value and never a
 * key that seems to be absent.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import type { BlockCache } from './block_cache.ts';
import { BlockLookup } from './block_lookup.ts';
import { type BlockPlace, BlockReader, type RecordChecks, verifyBlock } from './block_reader.ts';
import { mayContain } from './bloom_filter.ts';
import { unpackBlock } from './packed_block.ts';
import type { RangeTombstones } from './range_tombstones.ts';
import { type ReadCounters, UNCOUNTED } from './read_counters.ts';
import type { SparseIndex } from './sparse_index.ts';
import { TableFile, type Unreadable } from './table_file.ts';
import {
  behindKey,
  decodeFooter,
  FOOTER_BYTES,
  openSection,
  type Properties,
  placeSeed,
} from './table_format.ts';
import { readParts, type TableParts } from './table_parts.ts';

export class TableReader {
  readonly #file: TableFile;
  readonly number: number;
  readonly properties: Properties;
  /** Null when there is none. */
  readonly ranges: RangeTombstones | null;
  /** Everything in the table, range tombstones too, is about keys `[low, end)`. */
  readonly low: Uint8Array;
  readonly end: Uint8Array;
  readonly #filter: Uint8Array;
  readonly #index: SparseIndex;
  /** One bit per block: it has been checked since the table was opened. */
  readonly #verified: Uint8Array;
  readonly #isPacked: boolean;
  /** Null when no block is compressed, or the compression is not known. */
  readonly #compression: Compression | null;
  readonly #lookup: BlockLookup;
  readonly #cache: BlockCache | null;

  /** Takes over the file, which these are parts of. */
  constructor(file: TableFile, number: number, parts: TableParts, { cache, compressions }: TableReading) {
    const { footer, properties, ranges, filter, index } = parts;
    this.#file = file;
    this.#cache = cache;
    this.number = number;
    this.properties = properties;
    this.ranges = ranges;
    const bounds = boundsOf(properties, ranges);
    this.low = bounds.low;
    this.end = bounds.end;
    this.#filter = filter;
    this.#index = index;
    this.#verified = new Uint8Array(Math.ceil(properties.blocks / 8));
    this.#isPacked = footer.compression !== 0;
    this.#compression = compressions.find(({ id }) => id === footer.compression) ?? null;
    this.#lookup = new BlockLookup(this.#isPacked ? 'unpacked' : 'plain');
  }

  get path(): string {
    return this.#file.path;
  }

  /** Size of the file in bytes. */
  get sizeBytes(): number {
    return this.#file.size;
  }

  /** What it keeps in memory to find blocks, and its filter, in bytes. */
  get indexBytes(): number {
    return this.#index.bytes + this.#verified.length;
  }

  get filterBytes(): number {
    return this.#filter.length;
  }

  get blocks(): number {
    return this.#index.blocks;
  }

  /**
   * The newest record of the key that is not above `visible`, of use until the next lookup or until control returns to the
   * event loop; null when the table has none. `hash` is `hashKey(key)`. Range tombstones are not asked. What the filter was
   * good for goes to `counters`.
   * @throws CorruptionError, DiskError
   */
  find(
    key: Uint8Array,
    hash: number,
    visible: Index,
    counters: ReadCounters = UNCOUNTED,
  ): BlockLookup | null {
    if (!mayContain(this.#filter, hash)) {
      counters.filterNegatives++;
      return null;
    }
    const index = this.#index;
    if (index.orderOfPrefix(key) === 0) {
      for (let block = index.search(key); block < index.blocks; block++) {
        if (this.#findInBlock(block, key, hash, visible)) {
          counters.filterTruePositives++;
          return this.#lookup;
        }
        // Versions of the key go on in the next block only if it is this one's last.
        if (index.compareAnchor(block, key) !== 0) break;
      }
    }
    counters.filterFalsePositives++;
    return null;
  }

  #findInBlock(block: number, key: Uint8Array, hash: number, visible: Index): boolean {
    const { path } = this.#file;
    const { share } = this.#index;
    const known = this.#index.known(block, key);
    const offset = this.#index.startOf(block);
    if (this.#cache !== null || this.#isPacked) {
      const contents =
        this.#cache === null ? this.#checkedCopy(block).bytes : this.#cachedBlock(this.#cache, block);
      return this.#lookup.find(contents, 0, contents.length, key, share, visible, path, offset, hash, known);
    }
    const length = this.#index.startOf(block + 1) - offset;
    const { mapped } = this.#file;
    const bytes = mapped ?? this.#file.view(offset, length);
    const start = mapped === null ? 0 : offset;
    const end = start + length;
    const mask = 1 << (block & 7);
    const isFirstUse = (this.#verified[block >>> 3] & mask) === 0;
    if (isFirstUse) {
      verifyBlock(bytes.subarray(start, end), this.#placeOf(block));
      this.#verified[block >>> 3] |= mask;
    }
    const isFound = this.#lookup.find(bytes, start, end, key, share, visible, path, offset, hash, known);
    // With several versions of a key, damage to one could make an older one seem to be the newest.
    if (!isFirstUse && (!isFound || this.properties.superseded > 0)) {
      verifyBlock(bytes.subarray(start, end), this.#placeOf(block));
    }
    return isFound;
  }

  /** Checked once, when it comes from the disk. */
  #cachedBlock(cache: BlockCache, block: number): Uint8Array {
    const cached = cache.get(this.number, block);
    if (cached !== null) return cached;
    const { bytes } = this.#checkedCopy(block);
    cache.add(this.number, block, bytes);
    return bytes;
  }

  /** The block that holds the newest version of the key if any does: the first whose last key is not below it; `blocks` when there is none. */
  blockFor(key: Uint8Array): number {
    return this.#index.blockFor(key);
  }

  /** Where in the file the block begins that `blockFor` names; `dataBytes` when there is none. */
  offsetFor(key: Uint8Array): number {
    return this.#index.startOf(this.blockFor(key));
  }

  /** Size of all blocks. */
  get dataBytes(): number {
    return this.#index.startOf(this.blocks);
  }

  /**
   * A reader of a checked copy of the block, for who goes on over many turns. It stands on no record yet.
   * @param into Where the copy may be made, of `bytesOf(block)` at least; null: in memory of its own.
   * @throws CorruptionError, DiskError
   */
  copyBlock(block: number, checks: RecordChecks, into: Uint8Array | null): BlockReader {
    const { bytes, place } = this.#checkedCopy(block, into);
    return new BlockReader(bytes, place, checks);
  }

  /** What the block takes in the file. */
  bytesOf(block: number): number {
    return this.#index.startOf(block + 1) - this.#index.startOf(block);
  }

  /** False: its blocks are compressed in a way that is not known. */
  get isReadable(): boolean {
    return !this.#isPacked || this.#compression !== null;
  }

  /** A view of the file does not last beyond the turn. */
  #checkedCopy(
    block: number,
    into: Uint8Array | null = null,
  ): { readonly bytes: Uint8Array; readonly place: BlockPlace } {
    const place = this.#placeOf(block);
    if (this.#isPacked) return { bytes: unpackBlock(this.#view(block), this.#compression, place), place };
    const bytes = copyOf(this.#view(block), into);
    verifyBlock(bytes, place);
    return { bytes, place };
  }

  /** The first and the last key that the block may hold; the first as far as the index tells. */
  keysOf(block: number): { readonly from: Uint8Array; readonly to: Uint8Array } {
    const index = this.#index;
    return { from: block === 0 ? this.low : index.anchor(block - 1), to: index.anchor(block) };
  }

  /** Reads the block and checks it; its size in bytes. @throws CorruptionError, DiskError */
  verifyBlock(block: number): number {
    const bytes = this.#view(block);
    verifyBlock(bytes, this.#placeOf(block));
    return bytes.length;
  }

  /**
   * As `verifyBlock`, and checks each record and hint, where it can read them: what has changed in memory before its block
   * was complete has a block that holds.
   */
  verifyRecords(block: number): number {
    if (!this.isReadable) return this.verifyBlock(block);
    this.copyBlock(block, 'each', null).verifyAll();
    return this.bytesOf(block);
  }

  /** Reads everything behind the blocks again and checks it; its size in bytes. @throws CorruptionError, DiskError */
  verifySections(): number {
    const { path, size } = this.#file;
    const footerAt = size - FOOTER_BYTES;
    const footer = decodeFooter(this.#file.view(footerAt, FOOTER_BYTES), path, footerAt, this.number);
    this.#section(footer.filterOffset, footer.indexOffset, 'filter');
    this.#section(footer.indexOffset, footer.rangesOffset, 'index');
    this.#section(footer.rangesOffset, footer.propertiesOffset, 'range tombstones');
    this.#section(footer.propertiesOffset, footer.footerOffset, 'properties');
    return size - footer.filterOffset;
  }

  close(): void {
    this.#file.close();
  }

  #placeOf(block: number): BlockPlace {
    const offset = this.#index.startOf(block);
    const form = this.#isPacked ? 'unpacked' : 'plain';
    return { path: this.#file.path, offset, seed: placeSeed(this.number, offset), form };
  }

  #view(block: number): Uint8Array {
    const offset = this.#index.startOf(block);
    return this.#file.view(offset, this.#index.startOf(block + 1) - offset);
  }

  #section(start: number, end: number, what: string): Uint8Array {
    return openSection(this.#file.view(start, end - start), this.#file.path, this.number, start, what);
  }
}

function copyOf(bytes: Uint8Array, into: Uint8Array | null): Uint8Array {
  if (into === null) return bytes.slice();
  into.set(bytes);
  return into.subarray(0, bytes.length);
}

function boundsOf(
  { records, minKey, maxKey }: Properties,
  ranges: RangeTombstones | null,
): { low: Uint8Array; end: Uint8Array } {
  const fragments = ranges?.fragments ?? [];
  const starts = fragments.map(({ gte }) => gte);
  const ends = fragments.map(({ lt }) => lt);
  if (records > 0) {
    starts.push(minKey);
    ends.push(behindKey(maxKey));
  }
  return { low: starts.sort(compareBytes)[0], end: ends.sort(compareBytes)[ends.length - 1] };
}

/** How a table is read. */
export interface TableReading {
  /** For the blocks of point reads. */
  readonly cache: BlockCache | null;
  /** Those that are known. Of a table with another one all can be checked, and no block be read. */
  readonly compressions: readonly Compression[];
  /** Left out: `error`. */
  readonly unreadable?: Unreadable;
}

const PLAIN_READING: TableReading = { cache: null, compressions: [] };

/** @throws CorruptionError, also when the file is missing; DiskError */
export function openTable(
  disk: Disk,
  path: string,
  number: number,
  reading: TableReading = PLAIN_READING,
): TableReader {
  const steps = openTableInSteps(disk, path, number, reading);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * As `openTable`, with a rest wherever a good part of a millisecond may have passed: the index of a large table takes
 * several. Who gives up in between ends it by `return`.
 */
export function* openTableInSteps(
  disk: Disk,
  path: string,
  number: number,
  reading: TableReading,
): Generator<void, TableReader> {
  if (!disk.exists(path)) throw new CorruptionError(path, 0, 'a table that the manifest lists is missing');
  const file = TableFile.open(disk, path, reading.unreadable ?? 'error');
  let isOpen = false;
  try {
    const parts = yield* readParts(file, number);
    isOpen = true;
    return new TableReader(file, number, parts, reading);
  } finally {
    if (!isOpen) file.close();
  }
}
