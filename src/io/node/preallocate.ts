/**
 * Makes a file of zeros, off the main thread: create, write, `fdatasync`, close. The zeros are written and not merely
 * reserved, because a reserved block's first write changes the file's metadata again, which is what a later sync is to
 * be spared.
 */
import { close, fdatasync, open, unlink, write } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import type { Done } from './append_file.ts';
import { toDiskError } from './disk_error.ts';

type SystemError = NodeJS.ErrnoException;

const ZEROS = new Uint8Array(1024 * 1024);

/** As `Disk.preallocate`. What was made is removed again when a step fails. */
export function preallocateFile(path: string, bytes: number, done: Done): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    setImmediate(done, new DiskError('preallocate', path, 'EINVAL', `${bytes} is not a size`));
    return;
  }
  // Exclusive: what is removed after a failure is never somebody else's file.
  open(path, 'wx', (error, fd) => {
    if (error !== null) done(toDiskError('preallocate', path, error));
    else writeZeros(fd, 0, bytes, (failure) => finish(path, fd, failure, done));
  });
}

/** Writes zeros from `at` to `end` and syncs them. */
function writeZeros(fd: number, at: number, end: number, done: (error: SystemError | null) => void): void {
  if (at === end) {
    fdatasync(fd, done);
    return;
  }
  write(fd, ZEROS, 0, Math.min(ZEROS.length, end - at), at, (error, written) => {
    if (error !== null) done(error);
    else if (written === 0) done(new Error('the system writes nothing'));
    else writeZeros(fd, at + written, end, done);
  });
}

function finish(path: string, fd: number, failure: SystemError | null, done: Done): void {
  close(fd, (closeError) => {
    const cause = failure ?? closeError ?? null;
    if (cause === null) done(null);
    // The remains are of no use, and may be what fills the disk. The first error is the one to tell.
    else unlink(path, () => done(toDiskError('preallocate', path, cause)));
  });
}
