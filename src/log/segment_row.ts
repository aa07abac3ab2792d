/**
 * The segments that are there, from the first to the last that is sealed, and their removal: the oldest first and one at a
 * time, so that a directory never shows a gap, whenever power fails.
 */
import { DiskError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { SealedSegments } from './sealed_segments.ts';
import { segmentPath } from './segment_header.ts';

export interface SegmentRowOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sealed: SealedSegments;
  /** Number of the first segment with something that somebody needs; null: none may be removed now. */
  readonly firstNeeded: () => number | null;
  /** It is not known whether a removal is durable. */
  readonly onFailure: (error: Error) => void;
}

export class SegmentRow {
  readonly #options: SegmentRowOptions;
  /** Number of the first segment that is there. */
  #first: number;
  /** The ends of the sealed ones, from the first on. */
  readonly #ends: number[];
  #bytes: number;
  #isRemoving = false;

  constructor(options: SegmentRowOptions, first: number, ends: number[]) {
    this.#options = options;
    this.#first = first;
    this.#ends = ends;
    this.#bytes = ends.reduce((sum, end) => sum + end, 0);
  }

  get first(): number {
    return this.#first;
  }

  /** Of all that are sealed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The next one has ended there. */
  seal(end: number): void {
    this.#ends.push(end);
    this.#bytes += end;
  }

  /** The first segment from which on there are at most so many bytes; `tail` are those of the one that is written to. */
  firstWithin(bytes: number, tail: number): number {
    let segment = this.#first;
    let rest = this.#bytes + tail;
    for (const end of this.#ends) {
      if (rest <= bytes) return segment;
      rest -= end;
      segment++;
    }
    return segment;
  }

  /** Removes what nobody needs. */
  removeUseless(): void {
    const { disk, directory, clock, logger, sealed, firstNeeded } = this.#options;
    if (this.#isRemoving || this.#first >= (firstNeeded() ?? 0)) return;
    const path = segmentPath(directory, this.#first);
    this.#isRemoving = true;
    sometimes('a segment of the log is removed');
    try {
      sealed.forget(this.#first);
      // It may have been missing from the start.
      if (disk.exists(path)) disk.remove(path);
      this.#first++;
      this.#bytes -= this.#ends.shift() ?? 0;
      disk.syncDirectory(directory, (error) => {
        if (error !== null) {
          this.#options.onFailure(error);
          return;
        }
        this.#isRemoving = false;
        this.removeUseless();
      });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      logger.log('warn', 'log-segment-not-removed', { path, why: error.message });
      // Once more when more has been compacted; meanwhile the log is only larger than it need be.
      clock.later(() => {
        this.#isRemoving = false;
      });
    }
  }
}
