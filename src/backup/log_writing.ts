/** Writes a log anew: the entries behind what a store's tables cover. */
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Entry, GroupId, Index, Term } from '../log/entry.ts';
import { Log } from '../log/log.ts';
import { resultOf, type Steps } from './steps.ts';

/** What of the log is written between two syncs. */
const PIECE_BYTES = 1024 * 1024;
const CACHE_BYTES = 64 * 1024;

export interface LogPart {
  /** Tables cover the log up to here. */
  readonly flushedIndex: Index;
  /** The last entry. */
  readonly lastIndex: Index;
  readonly group: GroupId;
  /** Of the entry at `flushedIndex`. */
  readonly term: Term;
  /** From `flushedIndex + 1` to `lastIndex`. */
  readonly entry: (index: Index) => Entry;
}

export interface LogWritingOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** All is durable when it has ended, but for the name of the directory. Returns its size in bytes. */
export function* writeLog(
  { disk, clock, logger }: LogWritingOptions,
  directory: string,
  { group, term, flushedIndex, lastIndex, entry }: LogPart,
): Steps<number> {
  const log = yield* resultOf<Log>((done) => {
    // Nobody reads what is written here.
    Log.open({ disk, clock, logger, directory, preallocate: 'never', cacheBytes: CACHE_BYTES }, done);
  });
  let isClosed = false;
  try {
    const entries = log.group(group);
    if (flushedIndex > 0) entries.reset(flushedIndex, term);
    let bytes = 0;
    for (let index = flushedIndex + 1; index <= lastIndex; index++) {
      const next = entry(index);
      entries.append(next);
      bytes += next.payload.length;
      if (bytes < PIECE_BYTES) continue;
      bytes = 0;
      yield (done) => {
        log.onFailure = done;
        entries.onDurable = (durable) => {
          if (durable >= index) done(null);
        };
        log.flush();
      };
      entries.onDurable = () => {};
      log.onFailure = () => {};
    }
    isClosed = true;
    yield (done) => log.close(done);
  } finally {
    if (!isClosed) log.close(() => {});
  }
  return log.statistics().bytes;
}
