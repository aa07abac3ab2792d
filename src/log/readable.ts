/** Reads a segment of which the disk may refuse to give some sectors. */
import type { DiskError } from '../base/errors.ts';
import { isReadError, readStubbornly } from '../base/read_error.ts';
import type { ReadFile } from '../io/disk.ts';

/** What a disk reads, or fails to read, at a time; if it is more, the neighbours of what is lost seem lost as well. */
const SECTOR_BYTES = 512;

export interface Readable {
  readonly bytes: Uint8Array;
  /** Behind the last sector that could not be read. */
  readonly unreadableEnd: number;
  /** Null: all could be read. */
  readonly error: DiskError | null;
}

/** The first bytes of a file; zeros stand for the sectors that the disk cannot give any more. @throws DiskError */
export function viewReadable(file: ReadFile, bytes: number): Readable {
  try {
    return { bytes: file.view(0, bytes), unreadableEnd: 0, error: null };
  } catch (error) {
    if (!isReadError(error)) throw error;
  }
  const readable = new Uint8Array(bytes);
  let unreadableEnd = 0;
  let lastError: DiskError | null = null;
  for (let at = 0; at < bytes; at += SECTOR_BYTES) {
    try {
      const length = Math.min(SECTOR_BYTES, bytes - at);
      readable.set(
        readStubbornly(() => file.view(at, length)),
        at,
      );
    } catch (error) {
      if (!isReadError(error)) throw error;
      unreadableEnd = Math.min(bytes, at + SECTOR_BYTES);
      lastError = error;
    }
  }
  return { bytes: readable, unreadableEnd, error: lastError };
}
