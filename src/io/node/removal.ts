/**
 * Removes files without waiting for what that takes. A file goes with the last that has it open, and giving up its pages and
 * its space takes the system milliseconds for some MiB: so the name goes at once, and the rest on the thread pool.
 *
 * One file at a time, as syncs of the log wait for the same few threads; and few wait, as each is a descriptor: when a merge
 * lets go of more at once, the others are removed in the call.
 */
import { close, constants, openSync, unlinkSync } from 'node:fs';
import { Queue } from '../../base/queue.ts';

/** Removed files that are still open. */
const REMOVED_MAX = 32;

const removed = new Queue<number>();

/** @throws what `unlinkSync` does. */
export function removeFile(path: string): void {
  const fd = openToRemove(path);
  try {
    unlinkSync(path);
  } finally {
    if (fd !== null) {
      removed.push(fd);
      if (removed.size === 1) closeFirst();
    }
  }
}

/** It leaves the queue when it is closed. */
function closeFirst(): void {
  const fd = removed.first;
  if (fd === null) return;
  close(fd, () => {
    removed.shift();
    closeFirst();
  });
}

/** Null: it cannot be opened, or is not to be, or the system keeps the name of a file that is open. */
function openToRemove(path: string): number | null {
  if (process.platform === 'win32' || removed.size >= REMOVED_MAX) return null;
  try {
    // Whatever it is, opening does not wait for it.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}
