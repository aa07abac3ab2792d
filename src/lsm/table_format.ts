/**
 * Layout of a sorted table file; `docs/formats/table.md` has every byte.
 *
 *   data block ... data block | filter | index | range tombstones | properties | footer
 *
 * Every block and section ends with its CRC, the footer is of fixed size at the end of the file. They lie without gaps,
 * so every byte of the file is under some checksum. The checksums are seeded with the place that they are for: a piece
 * that a disk has put elsewhere, or kept from an older file, fails it although it is intact in itself.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';
import { readUint32, writeUint32 } from './bytes.ts';
import type { RangeTombstone } from './range_tombstones.ts';

/** "ETBL" */
const MAGIC = 0x4c425445;
/** Version 3 has no hints in its blocks; version 2 has fewer properties as well, and no compression. */
const VERSION = 4;
const OLDEST_VERSION = 2;
export const FOOTER_BYTES = 64;
export const CRC_BYTES = 4;
const CRC_AT = FOOTER_BYTES - 8;
const TWO_TO_32 = 0x1_0000_0000;

/** Where the sections begin; each ends where the next begins. */
export interface Footer {
  readonly version: number;
  /** `Compression.id` of the blocks; 0: none of them is compressed. */
  readonly compression: number;
  readonly filterOffset: number;
  readonly indexOffset: number;
  readonly rangesOffset: number;
  readonly propertiesOffset: number;
  readonly footerOffset: number;
  /** The table's number, as in the file's name. */
  readonly table: number;
}

export interface Properties {
  readonly records: number;
  readonly tombstones: number;
  /** Records with a newer version of their key in the same table: snapshots could see them when it was written. */
  readonly superseded: number;
  readonly rangeTombstones: number;
  readonly blocks: number;
  readonly minSequence: Index;
  readonly maxSequence: Index;
  /** Of the records; empty when there are only range tombstones. */
  readonly minKey: Uint8Array;
  readonly maxKey: Uint8Array;
  /** Values that expire at some time, as the owner's rule has told; and when the first and the last of them do. */
  readonly expiring: number;
  readonly firstExpiryMs: number;
  readonly lastExpiryMs: number;
}

/** Where a checksum starts from, for bytes at `offset` of the file with this number. */
export function placeSeed(file: number, offset: number): number {
  return (Math.imul(file, 0x9e3779b1) ^ (offset % TWO_TO_32)) >>> 0;
}

export function encodeFooter(footer: Omit<Footer, 'version'>): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  writeUint64(bytes, 0, footer.filterOffset);
  writeUint64(bytes, 8, footer.indexOffset);
  writeUint64(bytes, 16, footer.rangesOffset);
  writeUint64(bytes, 24, footer.propertiesOffset);
  writeUint64(bytes, 32, footer.footerOffset);
  writeUint64(bytes, 40, footer.table);
  writeUint32(bytes, 48, footer.compression);
  writeUint32(bytes, 52, VERSION);
  writeUint32(bytes, CRC_AT, crc32(bytes.subarray(0, CRC_AT)));
  writeUint32(bytes, CRC_AT + 4, MAGIC);
  return bytes;
}

/**
 * @param at Where the bytes were found: `FOOTER_BYTES` before the end of the file.
 * @throws CorruptionError when they are not the footer of this table.
 */
export function decodeFooter(bytes: Uint8Array, path: string, at: number, table: number): Footer {
  if (
    readUint32(bytes, CRC_AT + 4) !== MAGIC ||
    readUint32(bytes, CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))
  ) {
    throw new CorruptionError(path, at, 'the footer of the table is not intact');
  }
  const version = readUint32(bytes, 52);
  if (version < OLDEST_VERSION || version > VERSION) {
    throw new CorruptionError(path, at, `table format version ${version} is not known`);
  }
  const footer = {
    version,
    compression: readUint32(bytes, 48),
    filterOffset: readUint64(bytes, 0),
    indexOffset: readUint64(bytes, 8),
    rangesOffset: readUint64(bytes, 16),
    propertiesOffset: readUint64(bytes, 24),
    footerOffset: readUint64(bytes, 32),
    table: readUint64(bytes, 40),
  };
  if (footer.table !== table) {
    throw new CorruptionError(path, at, `the file holds table ${footer.table}, not table ${table}`);
  }
  const { filterOffset, indexOffset, rangesOffset, propertiesOffset, footerOffset } = footer;
  const isOrdered =
    filterOffset < indexOffset &&
    indexOffset < rangesOffset &&
    rangesOffset < propertiesOffset &&
    propertiesOffset < footerOffset;
  if (!isOrdered || footerOffset !== at) {
    throw new CorruptionError(path, at, 'the table has lost or gained bytes');
  }
  return footer;
}

/** Varints, each key behind its length. */
export function encodeProperties(properties: Properties): Uint8Array {
  const { minKey, maxKey } = properties;
  const bytes = new Uint8Array(12 * VARINT_BYTES_MAX + minKey.length + maxKey.length);
  let at = writeVarint(bytes, 0, properties.records);
  at = writeVarint(bytes, at, properties.tombstones);
  at = writeVarint(bytes, at, properties.superseded);
  at = writeVarint(bytes, at, properties.rangeTombstones);
  at = writeVarint(bytes, at, properties.blocks);
  at = writeVarint(bytes, at, properties.minSequence);
  at = writeVarint(bytes, at, properties.maxSequence);
  for (const key of [minKey, maxKey]) {
    at = writeVarint(bytes, at, key.length);
    bytes.set(key, at);
    at += key.length;
  }
  at = writeVarint(bytes, at, properties.expiring);
  at = writeVarint(bytes, at, properties.firstExpiryMs);
  at = writeVarint(bytes, at, properties.lastExpiryMs);
  return bytes.subarray(0, at);
}

/** Copies what it keeps. @throws CorruptionError when the bytes are not properties. */
export function decodeProperties(
  bytes: Uint8Array,
  version: number,
  path: string,
  offset: number,
): Properties {
  const reader = new VarintReader(bytes);
  const tellsExpiry = version >= 3;
  const properties = {
    records: reader.read(),
    tombstones: reader.read(),
    superseded: reader.read(),
    rangeTombstones: reader.read(),
    blocks: reader.read(),
    minSequence: reader.read(),
    maxSequence: reader.read(),
    minKey: readKey(reader, bytes),
    maxKey: readKey(reader, bytes),
    expiring: tellsExpiry ? reader.read() : 0,
    firstExpiryMs: tellsExpiry ? reader.read() : 0,
    lastExpiryMs: tellsExpiry ? reader.read() : 0,
  };
  const { records, tombstones, superseded, rangeTombstones, blocks, minSequence, maxSequence } = properties;
  const { expiring, firstExpiryMs, lastExpiryMs } = properties;
  const isSound =
    tombstones >= 0 &&
    records >= tombstones &&
    superseded >= 0 &&
    superseded <= Math.max(0, records - 1) &&
    rangeTombstones >= 0 &&
    records + rangeTombstones >= 1 &&
    blocks >= Math.min(1, records) &&
    records >= blocks &&
    minSequence >= 0 &&
    maxSequence >= minSequence &&
    expiring >= 0 &&
    expiring <= records - tombstones &&
    firstExpiryMs >= Math.min(1, expiring) &&
    lastExpiryMs >= firstExpiryMs &&
    reader.offset === bytes.length;
  if (!isSound) throw new CorruptionError(path, offset, 'the properties are malformed');
  return properties;
}

function readKey(reader: VarintReader, bytes: Uint8Array): Uint8Array {
  const length = reader.read();
  // A length that is not there or too long shows in where the reader ends up.
  const start = reader.offset;
  reader.offset = length < 0 ? bytes.length + 1 : start + length;
  return bytes.slice(start, reader.offset);
}

/** Each tombstone as its first key and its end, both behind their lengths, and its sequence number. */
export function encodeRangeTombstones(tombstones: readonly RangeTombstone[]): Uint8Array {
  let size = 0;
  for (const { gte, lt } of tombstones) size += 3 * VARINT_BYTES_MAX + gte.length + lt.length;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { gte, lt, sequence } of tombstones) {
    for (const key of [gte, lt]) {
      at = writeVarint(bytes, at, key.length);
      bytes.set(key, at);
      at += key.length;
    }
    at = writeVarint(bytes, at, sequence);
  }
  return bytes.subarray(0, at);
}

/** Copies what it keeps. @throws CorruptionError when the bytes are not so many range tombstones. */
export function decodeRangeTombstones(
  bytes: Uint8Array,
  count: number,
  path: string,
  offset: number,
): RangeTombstone[] {
  const reader = new VarintReader(bytes);
  const tombstones: RangeTombstone[] = [];
  while (reader.offset < bytes.length && tombstones.length < count) {
    const gte = readKey(reader, bytes);
    const lt = readKey(reader, bytes);
    const sequence = reader.read();
    if (sequence < 0 || compareBytes(gte, lt) >= 0) break;
    tombstones.push({ gte, lt, sequence });
  }
  if (tombstones.length !== count || reader.offset !== bytes.length) {
    throw new CorruptionError(path, offset, 'the range tombstones are malformed');
  }
  return tombstones;
}

/** The first possible key above `key`. */
export function behindKey(key: Uint8Array): Uint8Array {
  const behind = new Uint8Array(key.length + 1);
  behind.set(key);
  return behind;
}

/** @throws CorruptionError when the section's CRC does not match; else the section without it. */
export function openSection(
  sealed: Uint8Array,
  path: string,
  table: number,
  offset: number,
  what: string,
): Uint8Array {
  const end = sealed.length - CRC_BYTES;
  if (end < 0 || crc32(sealed.subarray(0, end), placeSeed(table, offset)) !== readUint32(sealed, end)) {
    throw new CorruptionError(path, offset, `the checksum of the ${what} does not match`);
  }
  return sealed.subarray(0, end);
}

function writeUint64(target: Uint8Array, offset: number, value: number): void {
  writeUint32(target, offset, value % TWO_TO_32);
  writeUint32(target, offset + 4, Math.floor(value / TWO_TO_32));
}

function readUint64(source: Uint8Array, offset: number): number {
  return readUint32(source, offset) + readUint32(source, offset + 4) * TWO_TO_32;
}
