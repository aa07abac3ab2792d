/**
 * Makes the file of the next segment, ahead of time where that is wanted: allocated zeros, over which appending makes a
 * sync a good deal cheaper than growing a file does. It waits under the name `spare.tmp`, and takes its segment's name
 * when the log gets there. A log that gets there first, or that can't have one (no space), goes on in a plain file.
 */

import { DiskError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';

const SPARE_NAME = 'spare.tmp';

export interface SpareOptions {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly preallocate: 'ahead' | 'never';
}

export class SpareSegment {
  readonly #options: SpareOptions;
  readonly #path: string;
  #state: 'absent' | 'being-made' | 'ready' = 'absent';
  #onSettled: (() => void) | null = null;

  constructor(options: SpareOptions) {
    this.#options = options;
    this.#path = `${options.directory}/${SPARE_NAME}`;
  }

  /** Removes a spare, also one that an earlier process has left: nobody knows what is in that. */
  clear(): void {
    const { disk } = this.#options;
    if (disk.exists(this.#path)) disk.remove(this.#path);
    this.#state = 'absent';
  }

  /** Starts to make a spare, where that is wanted and there is none. */
  prepare(): void {
    const { disk, preallocate, segmentBytes } = this.#options;
    if (preallocate === 'never' || this.#state !== 'absent') return;
    this.#state = 'being-made';
    try {
      disk.preallocate(this.#path, segmentBytes, (error) => this.#onMade(error));
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#onMade(error);
    }
  }

  /** Calls `done` once no spare is being made: at once or later. */
  whenSettled(done: () => void): void {
    if (this.#state === 'being-made') this.#onSettled = done;
    else done();
  }

  /** Makes the file `path`, at its start, from the spare if there is one. The name is not durable yet. */
  openSegment(path: string): AppendFile {
    const { disk, logger, preallocate } = this.#options;
    if (this.#state === 'ready') {
      disk.rename(this.#path, path);
      this.#state = 'absent';
      return disk.openAppend(path, 0);
    }
    sometimes('a segment is begun before its spare is ready');
    if (preallocate === 'ahead') logger.log('warn', 'log-segment-not-preallocated', { path });
    return disk.create(path);
  }

  #onMade(error: DiskError | null): void {
    this.#state = error === null ? 'ready' : 'absent';
    if (error !== null) {
      this.#options.logger.log('warn', 'log-preallocation-failed', { path: this.#path, why: error.message });
      this.#discard();
    }
    const settled = this.#onSettled;
    this.#onSettled = null;
    settled?.();
  }

  /** What there is of a spare that could not be made only takes space; that it stays harms nobody. */
  #discard(): void {
    try {
      this.clear();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#options.logger.log('warn', 'log-spare-not-removed', { path: this.#path, why: error.message });
    }
  }
}
