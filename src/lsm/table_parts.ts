/**
 * Reads what a table keeps in memory while it is open: footer, properties, filter, index and range tombstones, each checked.
 * In steps, because the index of a large table takes milliseconds.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { VarintReader } from '../codec/varint.ts';
import type { ReadFile } from '../io/disk.ts';
import { RangeTombstones } from './range_tombstones.ts';
import {
  decodeFooter,
  decodeProperties,
  decodeRangeTombstones,
  FOOTER_BYTES,
  type Footer,
  openSection,
  type Properties,
} from './table_format.ts';

/** Blocks of the index that are handled in one step: some tenths of a millisecond, also by code that is still cold. */
const STEP_BLOCKS = 1024;

export interface TableParts {
  readonly footer: Footer;
  readonly properties: Properties;
  readonly filter: Uint8Array;
  readonly index: TableIndex;
  /** Null when there is none. */
  readonly ranges: RangeTombstones | null;
}

export interface TableIndex {
  readonly bytes: Uint8Array;
  /** Per block, where in the bytes its last key is, and where in the file it ends. */
  readonly keyStarts: Uint32Array;
  readonly keyEnds: Uint32Array;
  readonly ends: Float64Array;
  /** Bytes that all last keys begin with, and of each the four behind those as a number (`wordAt`). */
  readonly anchorsShare: number;
  readonly words: Uint32Array;
}

/** @throws CorruptionError, DiskError */
export function* readParts(file: ReadFile, number: number): Generator<void, TableParts> {
  const { path, size } = file;
  if (size < FOOTER_BYTES) throw new CorruptionError(path, 0, `a table of ${size} bytes is too short`);
  const section = (start: number, end: number, what: string): Uint8Array =>
    openSection(file.view(start, end - start), path, number, start, what);
  const footerAt = size - FOOTER_BYTES;
  const footer = decodeFooter(file.view(footerAt, FOOTER_BYTES), path, footerAt, number);
  const { filterOffset, indexOffset, rangesOffset, propertiesOffset, footerOffset } = footer;
  const propertyBytes = section(propertiesOffset, footerOffset, 'properties');
  const properties = decodeProperties(propertyBytes, footer.version, path, propertiesOffset);
  const filter = section(filterOffset, indexOffset, 'filter').slice();
  yield;
  const indexBytes = section(indexOffset, rangesOffset, 'index').slice();
  const tombstones = decodeRangeTombstones(
    section(rangesOffset, propertiesOffset, 'range tombstones'),
    properties.rangeTombstones,
    path,
    rangesOffset,
  );
  const ranges = RangeTombstones.of(tombstones);
  const index = yield* decodeIndex(indexBytes, properties, footer, path);
  return { footer, properties, filter, index, ranges };
}

/** The blocks that the index lists fill the file up to the filter, and the last one ends with the table's last key. */
function* decodeIndex(
  bytes: Uint8Array,
  { blocks, maxKey }: Properties,
  { filterOffset: blocksEnd, indexOffset }: Footer,
  path: string,
): Generator<void, TableIndex> {
  const decoder = new IndexDecoder(bytes, blocks);
  for (let block = 0; block < blocks; block += STEP_BLOCKS) {
    yield;
    if (!decoder.decode(block, Math.min(blocks, block + STEP_BLOCKS))) {
      throw new CorruptionError(path, indexOffset, 'the index is malformed');
    }
  }
  if (!decoder.isAtEnd || decoder.blocksEnd !== blocksEnd) {
    throw new CorruptionError(path, indexOffset, 'the index does not cover the blocks');
  }
  if (blocks === 0) return decoder;
  if (compareBytes(decoder.lastKey, maxKey) !== 0) {
    throw new CorruptionError(path, indexOffset, 'index and properties name different last keys');
  }
  decoder.measureAnchors();
  for (let block = 0; block < blocks; block += STEP_BLOCKS) {
    yield;
    decoder.readWords(block, Math.min(blocks, block + STEP_BLOCKS));
  }
  return decoder;
}

/** Its loops are functions of their own: within a generator they take several times as long. */
class IndexDecoder implements TableIndex {
  readonly bytes: Uint8Array;
  readonly keyStarts: Uint32Array;
  readonly keyEnds: Uint32Array;
  readonly ends: Float64Array;
  readonly words: Uint32Array;
  anchorsShare = 0;
  blocksEnd = 0;
  readonly #reader: VarintReader;

  constructor(bytes: Uint8Array, blocks: number) {
    this.bytes = bytes;
    this.keyStarts = new Uint32Array(blocks);
    this.keyEnds = new Uint32Array(blocks);
    this.ends = new Float64Array(blocks);
    this.words = new Uint32Array(blocks);
    this.#reader = new VarintReader(bytes);
  }

  get isAtEnd(): boolean {
    return this.#reader.offset === this.bytes.length;
  }

  get lastKey(): Uint8Array {
    const last = this.ends.length - 1;
    return this.bytes.subarray(this.keyStarts[last], this.keyEnds[last]);
  }

  /** Anchors `[from, to)`, which follow those decoded last; false when they are none. */
  decode(from: number, to: number): boolean {
    const reader = this.#reader;
    for (let block = from; block < to; block++) {
      const keyLength = reader.read();
      this.keyStarts[block] = reader.offset;
      reader.offset += Math.max(0, keyLength);
      this.keyEnds[block] = reader.offset;
      const blockLength = reader.read();
      if (keyLength < 0 || blockLength < 0) return false;
      this.blocksEnd += blockLength;
      this.ends[block] = this.blocksEnd;
    }
    return true;
  }

  /** The anchors ascend: what the first and the last share, all do. */
  measureAnchors(): void {
    this.anchorsShare = sharedBytes(this.bytes.subarray(this.keyStarts[0], this.keyEnds[0]), this.lastKey);
  }

  readWords(from: number, to: number): void {
    for (let block = from; block < to; block++) {
      this.words[block] = wordAt(this.bytes, this.keyStarts[block] + this.anchorsShare, this.keyEnds[block]);
    }
  }
}

/** Four bytes as a number that orders as they do; zeros stand for what lies behind `end`. */
export function wordAt(bytes: Uint8Array, at: number, end: number): number {
  let word = 0;
  for (let i = at; i < at + 4; i++) word = (word << 8) | (i < end ? bytes[i] : 0);
  return word >>> 0;
}

function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  return at;
}
