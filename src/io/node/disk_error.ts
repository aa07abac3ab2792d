/** Turns what Node throws, or hands to a callback, into the `DiskError` that the disk seam promises. */
import { DiskError } from '../../base/errors.ts';

/** Runs a call that completes before it returns. @throws DiskError naming the operation and the path. */
export function attempt<T>(operation: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw toDiskError(operation, path, error);
  }
}

/** @param context Put before the system's message: what else the operation was about, ending in `: `. */
export function toDiskError(operation: string, path: string, error: unknown, context = ''): DiskError {
  if (error instanceof DiskError) return error;
  if (!(error instanceof Error)) return new DiskError(operation, path, 'EIO', String(error));
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) {
    // Not the system's: an argument that Node refuses before it asks.
    return new DiskError(operation, path, 'EINVAL', message);
  }
  return new DiskError(operation, path, code, context + plainMessage(code, syscall, message));
}

export function closedError(operation: string, path: string): DiskError {
  return new DiskError(operation, path, 'EBADF', 'the file has been closed');
}

/** @throws DiskError `EINVAL` unless `[offset, offset + length)` lies within `size` bytes. */
export function checkRange(path: string, offset: number, length: number, size: number): void {
  const end = offset + length;
  if (offset >= 0 && length >= 0 && end <= size && Number.isInteger(offset) && Number.isInteger(end)) return;
  throw new DiskError(
    'view',
    path,
    'EINVAL',
    `${length} bytes at offset ${offset} do not lie within ${size} bytes`,
  );
}

/** From `ENOENT: no such file or directory, open '/a'` what is not said beside it anyway. */
function plainMessage(code: string, syscall: string, message: string): string {
  const start = message.startsWith(`${code}: `) ? code.length + 2 : 0;
  const end = message.lastIndexOf(`, ${syscall}`);
  return end > start ? message.slice(start, end) : message.slice(start);
}
