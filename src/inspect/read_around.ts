/** Reads around what a disk cannot read: zeros stand for it, which no checksum lets pass. */
import { DiskError } from '../base/errors.ts';
import type { ReadFile } from '../io/disk.ts';

/** Of a disk, at least: a larger piece that cannot be read is taken apart. */
const SECTOR_BYTES = 512;

/** A copy. @throws DiskError other than `EIO` */
export function readAround(file: ReadFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  readPart(file, offset, bytes);
  return bytes;
}

function readPart(file: ReadFile, offset: number, into: Uint8Array): void {
  if (into.length === 0) return;
  try {
    into.set(file.view(offset, into.length));
  } catch (error) {
    if (!(error instanceof DiskError) || error.errno !== 'EIO') throw error;
    if (into.length <= SECTOR_BYTES) return;
    // Cut where sectors are.
    const half = Math.ceil(into.length / 2 / SECTOR_BYTES) * SECTOR_BYTES;
    readPart(file, offset, into.subarray(0, half));
    readPart(file, offset + half, into.subarray(half));
  }
}
