/**
 * Opens a log: reads what is there, and makes its end ready for appending, in an order that a crash may interrupt
 * anywhere:
 * 1. a torn tail is overwritten with zeros, and these are synced before anything else is written, so that its bytes can
 *    never come back to life behind new records;
 * 2. a segment that a crash kept from being begun, or the first one, gets its header;
 * 3. the last segment and the directory are synced: what was read may have been in the system's memory only.
 * A crash in between leaves a torn tail, or a part of one, that nothing attests.
 */

import { EnvelopeError, type Outcome } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { type RecoveredLog, recoverLog } from './recovery.ts';
import { SEGMENT_HEADER_BYTES, segmentPath, writeSegmentHeader } from './segment_header.ts';
import type { SpareSegment } from './spare_segment.ts';

const ZEROS_BYTES = 64 * 1024;
/** Bad places that the node's log names one by one. */
const REPORTED_MAX = 100;

export interface OpeningOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: string;
  readonly spare: SpareSegment;
  readonly damage: 'refuse' | 'name';
}

export interface OpenedLog {
  readonly recovered: RecoveredLog;
  /** Number of the segment that the log goes on in. */
  readonly segment: number;
  /** That segment's file, at the place where the next record goes. All before that place is durable. */
  readonly file: AppendFile;
}

type Done = (outcome: Outcome<OpenedLog>) => void;

/** `done` is called later, never from within the call. */
export function openSegments(options: OpeningOptions, done: Done): void {
  new Opening(options, done).start();
}

class Opening {
  readonly #options: OpeningOptions;
  readonly #done: Done;
  #file: AppendFile | null = null;
  #isOver = false;
  #syncsUnderWay = 0;

  constructor(options: OpeningOptions, done: Done) {
    this.#options = options;
    this.#done = done;
  }

  start(): void {
    this.#attempt(() => {
      const { disk, directory, spare, damage } = this.#options;
      disk.makeDirectory(directory);
      spare.clear();
      const recovered = recoverLog(disk, directory, damage);
      this.#report(recovered);
      if (recovered.segment > 0) {
        this.#cutTail(recovered);
        return;
      }
      spare.prepare();
      spare.whenSettled(() => this.#attempt(() => this.#createFirst(recovered)));
    });
  }

  /** A line for each bad place, up to a bound. */
  #report({ damage }: RecoveredLog): void {
    const { logger } = this.#options;
    for (const { path, offset, message } of damage.slice(0, REPORTED_MAX)) {
      logger.log('warn', 'log-damaged', { path, offset, why: message });
    }
    if (damage.length > REPORTED_MAX) logger.log('warn', 'log-damaged-further', { places: damage.length });
  }

  #createFirst(recovered: RecoveredLog): void {
    const file = this.#options.spare.openSegment(this.#path(1));
    this.#file = file;
    this.#finish(recovered, 1, file);
  }

  #cutTail(recovered: RecoveredLog): void {
    const { disk, logger } = this.#options;
    const { segment, position, dirtyEnd } = recovered;
    const path = this.#path(segment);
    const file = disk.openAppend(path, position);
    this.#file = file;
    if (dirtyEnd <= position) {
      this.#finish(recovered, segment, file);
      return;
    }
    sometimes('a torn tail of the log is cut');
    logger.log('info', 'log-torn-tail-cut', { path, offset: position, bytes: dirtyEnd - position });
    const zeros = new Uint8Array(Math.min(ZEROS_BYTES, dirtyEnd - position));
    while (file.position < dirtyEnd) {
      file.append(zeros.subarray(0, Math.min(zeros.length, dirtyEnd - file.position)));
    }
    file.sync((error) => {
      if (error !== null) {
        this.#fail(error);
        return;
      }
      this.#attempt(() => {
        file.close();
        this.#file = disk.openAppend(path, position);
        this.#finish(recovered, segment, this.#file);
      });
    });
  }

  /** Writes the header if it is missing, makes all durable and reports. */
  #finish(recovered: RecoveredLog, segment: number, file: AppendFile): void {
    const { disk, directory } = this.#options;
    if (file.position === 0) {
      if (segment > 1) rarely('a segment that a crash interrupted is begun again');
      const header = new Uint8Array(SEGMENT_HEADER_BYTES);
      writeSegmentHeader(header, 0, { segment, previousEnd: recovered.previousEnd });
      file.append(header);
    }
    const onSynced = (error: Error | null): void => {
      if (error !== null) this.#fail(error);
      this.#syncsUnderWay--;
      if (this.#syncsUnderWay > 0 || this.#isOver) return;
      this.#isOver = true;
      this.#done({ ok: true, value: { recovered, segment, file } });
    };
    this.#syncsUnderWay = 2;
    file.sync(onSynced);
    disk.syncDirectory(directory, onSynced);
    const parent = directory.slice(0, Math.max(0, directory.lastIndexOf('/')));
    // A new log's directory may itself be new to its parent.
    if (recovered.segment === 0 && parent !== '') {
      this.#syncsUnderWay++;
      disk.syncDirectory(parent, onSynced);
    }
  }

  /** Runs a step; what it throws about the log or the disk is the outcome, anything else is not ours to handle. */
  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof EnvelopeError) || error.code === 'ASSERTION') throw error;
      this.#options.clock.later(() => this.#fail(error));
    }
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#file?.close();
    this.#done({ ok: false, error });
  }

  #path(segment: number): string {
    return segmentPath(this.#options.directory, segment);
  }
}
