/**
 * Reads what a table keeps in memory while it is open: footer, properties, filter, index and range tombstones, each checked.
 * In steps, because the index of a large table takes milliseconds.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { VarintReader } from '../codec/varint.ts';
import type { ReadFile } from '../io/disk.ts';
import { RangeTombstones } from './range_tombstones.ts';
import { SparseIndex } from './sparse_index.ts';
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
  readonly index: SparseIndex;
  /** Null when there is none. */
  readonly ranges: RangeTombstones | null;
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
  { blocks, minKey, maxKey }: Properties,
  { filterOffset: dataBytes, indexOffset }: Footer,
  path: string,
): Generator<void, SparseIndex> {
  // Each anchor takes two bytes and its key at least.
  if (blocks * 2 > bytes.length) throw new CorruptionError(path, indexOffset, 'the index is malformed');
  const index = new SparseIndex(blocks, minKey, maxKey, { anchorBytes: bytes.length, dataBytes });
  const reader = new VarintReader(bytes);
  for (let block = 0; block < blocks; block += STEP_BLOCKS) {
    yield;
    if (!index.add(block, Math.min(blocks, block + STEP_BLOCKS), bytes, reader)) {
      throw new CorruptionError(path, indexOffset, 'the index is malformed');
    }
  }
  if (reader.offset !== bytes.length || index.startOf(blocks) !== dataBytes) {
    throw new CorruptionError(path, indexOffset, 'the index does not cover the blocks');
  }
  if (blocks > 0 && compareBytes(index.anchor(blocks - 1), maxKey) !== 0) {
    throw new CorruptionError(path, indexOffset, 'index and properties name different last keys');
  }
  index.finish();
  return index;
}
