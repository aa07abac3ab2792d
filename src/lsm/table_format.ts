/**
 * Layout of a sorted table file; `docs/formats/table.md` has every byte.
 *
 *   data block ... data block | filter | index | properties | footer
 *
 * Every section ends with its CRC, the footer is of fixed size at the end of the file. Sections lie without gaps, so
 * every byte of the file is under some checksum.
 */
import { CorruptionError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { readUint32, writeUint32 } from './bytes.ts';

/** "ETBL" */
const MAGIC = 0x4c425445;
const VERSION = 1;
export const FOOTER_BYTES = 48;
export const CRC_BYTES = 4;
const TWO_TO_32 = 0x1_0000_0000;

/** Where the sections begin; each ends where the next begins. */
export interface Footer {
  readonly filterOffset: number;
  readonly indexOffset: number;
  readonly propertiesOffset: number;
  readonly footerOffset: number;
}

export function encodeFooter(footer: Footer): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  writeUint64(bytes, 0, footer.filterOffset);
  writeUint64(bytes, 8, footer.indexOffset);
  writeUint64(bytes, 16, footer.propertiesOffset);
  writeUint64(bytes, 24, footer.footerOffset);
  writeUint32(bytes, 32, VERSION);
  writeUint32(bytes, 36, 0);
  writeUint32(bytes, 40, crc32(bytes.subarray(0, 40)));
  writeUint32(bytes, 44, MAGIC);
  return bytes;
}

/** @throws CorruptionError when the bytes are not the footer of a table of this size. */
export function decodeFooter(bytes: Uint8Array, path: string, fileBytes: number): Footer {
  const at = fileBytes - FOOTER_BYTES;
  if (readUint32(bytes, 44) !== MAGIC || readUint32(bytes, 40) !== crc32(bytes.subarray(0, 40))) {
    throw new CorruptionError(path, at, 'the footer of the table is not intact');
  }
  const version = readUint32(bytes, 32);
  if (version !== VERSION)
    throw new CorruptionError(path, at, `table format version ${version} is not known`);
  const footer = {
    filterOffset: readUint64(bytes, 0),
    indexOffset: readUint64(bytes, 8),
    propertiesOffset: readUint64(bytes, 16),
    footerOffset: readUint64(bytes, 24),
  };
  const { filterOffset, indexOffset, propertiesOffset, footerOffset } = footer;
  const isOrdered =
    filterOffset < indexOffset && indexOffset < propertiesOffset && propertiesOffset < footerOffset;
  if (!isOrdered || footerOffset !== at)
    throw new CorruptionError(path, at, 'the table has lost or gained bytes');
  return footer;
}

export function writeUint64(target: Uint8Array, offset: number, value: number): void {
  writeUint32(target, offset, value % TWO_TO_32);
  writeUint32(target, offset + 4, Math.floor(value / TWO_TO_32));
}

export function readUint64(source: Uint8Array, offset: number): number {
  return readUint32(source, offset) + readUint32(source, offset + 4) * TWO_TO_32;
}

/** The section with its CRC behind it. */
export function sealSection(section: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(section.length + CRC_BYTES);
  sealed.set(section);
  writeUint32(sealed, section.length, crc32(section));
  return sealed;
}

/** @throws CorruptionError when the section's CRC does not match. */
export function openSection(sealed: Uint8Array, path: string, offset: number, what: string): Uint8Array {
  const end = sealed.length - CRC_BYTES;
  const section = sealed.subarray(0, Math.max(0, end));
  if (end < 0 || crc32(section) !== readUint32(sealed, end)) {
    throw new CorruptionError(path, offset, `the checksum of the ${what} does not match`);
  }
  return section;
}
