/**
 * Whether a log is there at all, and goes on where the tables end. A store makes its log before its tables, and removes a
 * segment only behind a later one: tables without a log have lost what was acknowledged behind them, and nobody can tell how
 * much that was.
 */
import { CorruptionError } from '../base/errors.ts';
import type { Disk } from '../io/disk.ts';
import type { Index } from './entry.ts';

/** A segment, at least. */
export function holdsLog(disk: Disk, directory: string): boolean {
  return disk.exists(directory) && disk.list(directory).some((name) => /^\d{6,}\.log$/.test(name));
}

/** Of a directory without a log. @throws CorruptionError when tables cover entries */
export function assertNoLog(directory: string, flushedIndex: Index): void {
  if (flushedIndex === 0) return;
  throw new CorruptionError(directory, 0, `the log is missing, and tables hold ${flushedIndex} writes of it`);
}

/** @throws CorruptionError when there are entries between the tables and the log that neither holds */
export function assertJoined(directory: string, flushedIndex: Index, firstIndex: Index): void {
  if (firstIndex <= flushedIndex + 1) return;
  const what = `they end with write ${flushedIndex}, and the log begins with ${firstIndex}`;
  throw new CorruptionError(`${directory}/tables`, 0, what);
}
