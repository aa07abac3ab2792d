/** Reading and writing whole ranges through a file descriptor, where the system may do a part at a time. */
import { closeSync, readSync, writeSync } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import { toDiskError } from './disk_error.ts';

/**
 * Reads the bytes `[offset, offset + length)`, which the caller knows to lie within the file.
 *
 * @returns memory of its own, the caller's to keep.
 */
export function readRange(path: string, fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  try {
    while (done < length) {
      const count = readSync(fd, bytes, done, length - done, offset + done);
      if (count === 0) {
        const message = `the file has been cut behind our back: it ends at offset ${offset + done}`;
        throw new DiskError('view', path, 'EIO', message);
      }
      done += count;
    }
  } catch (error) {
    throw toDiskError('view', path, error);
  }
  return bytes;
}

/**
 * Writes some of `bytes` from `from` on at `position` of the file; the caller goes on with the rest.
 *
 * @returns how many, at least one.
 */
export function writeSome(fd: number, bytes: Uint8Array, from: number, position: number): number {
  const count = writeSync(fd, bytes, from, bytes.length - from, position);
  // Nothing written and no error: trying again would never end.
  if (count === 0) throw new Error('the system writes nothing');
  return count;
}

/** Nothing depends on how a close ends: what matters was synced before. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The descriptor is gone either way.
  }
}
