/**
 * Reads that a disk refuses (EIO). One that fails for once says nothing of the bytes, so it is tried again; what still
 * fails then is an error of the disk.
 */
import { DiskError } from './errors.ts';

/** Of one read, the first included. */
const TRIES_MAX = 4;

export function isReadError(error: unknown): error is DiskError {
  return error instanceof DiskError && error.errno === 'EIO';
}

/** @throws DiskError `EIO` when every try fails so; what `read` throws otherwise, at once. */
export function readStubbornly<T>(read: () => T): T {
  for (let left = TRIES_MAX - 1; left > 0; left--) {
    try {
      return read();
    } catch (error) {
      if (!isReadError(error)) throw error;
    }
  }
  return read();
}
