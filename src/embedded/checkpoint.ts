/** Copies of a store that is open, as a user asks for them: `Database.checkpoint` and `Database.backup`. */
import { resolve } from 'node:path';
import { type CopyProgress, copyLive, type LiveCopy } from '../backup/live_copy.ts';
import { runCopy } from '../backup/locked_target.ts';
import type { Steps } from '../backup/steps.ts';
import type { Target } from '../backup/target.ts';
import { checkDirectory, checkLongWork } from '../base/arguments.ts';
import { EnvelopeError } from '../base/errors.ts';
import { NodeClock } from '../io/node/clock.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { checkOptions } from './checks.ts';
import type { Engine } from './engine.ts';

export interface Checkpoint {
  /** Writes up to this revision are in it, and none behind. */
  readonly revision: number;
  readonly tables: number;
  /** How many of the tables are links to the store's own files; the others are copies. */
  readonly linked: number;
  /** What it takes of the disk beside the linked tables. */
  readonly copiedBytes: number;
  /** Why tables were copied and not linked: another file system, for example. Null: all are links. */
  readonly whyCopied: string | null;
}

export type Backup = Omit<Checkpoint, 'linked' | 'whyCopied'>;

export type BackupProgress = CopyProgress;

export interface BackupOptions {
  /** Ends it with its reason; what was copied is removed. */
  readonly signal?: AbortSignal;
  /** Told after each piece of a quarter of a mebibyte or so. */
  readonly onProgress?: (progress: BackupProgress) => void;
}

/** The copies of one store that are under way. */
export class Copies {
  readonly #engine: Engine;
  readonly #underWay = new Set<Promise<unknown>>();
  #isEnding = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async checkpoint(directory: string): Promise<Checkpoint> {
    checkDirectory(directory);
    return await this.#start(resolve(directory), 'link', {});
  }

  async backup(directory: string, options: BackupOptions): Promise<Backup> {
    checkDirectory(directory);
    checkOptions('backup', options);
    checkLongWork(options);
    options.signal?.throwIfAborted();
    const { revision, tables, copiedBytes } = await this.#start(resolve(directory), 'copy', options);
    return { revision, tables, copiedBytes };
  }

  /** Ends what is under way; resolved when nothing of it is left. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(this.#underWay);
  }

  #start(directory: string, tables: 'link' | 'copy', options: BackupOptions): Promise<LiveCopy> {
    const copy = this.#copy(directory, tables, options);
    this.#underWay.add(copy);
    const forget = (): void => {
      this.#underWay.delete(copy);
    };
    copy.then(forget, forget);
    return copy;
  }

  async #copy(
    directory: string,
    tables: 'link' | 'copy',
    { signal, onProgress = () => {} }: BackupOptions,
  ): Promise<LiveCopy> {
    this.#engine.assertOpen();
    // Files are gone through once, and an error in reading one is an error, where a mapping would end the process.
    const disk = new NodeDisk({ reads: 'pread' });
    const options = {
      disk,
      clock: new NodeClock(),
      logger: SILENT,
      tables,
      compressions: nodeCompressions,
      onProgress,
    };
    try {
      const make = (target: Target): Steps<LiveCopy> => copyLive(this.#engine.hold(), target, options);
      const source = this.#engine.directory;
      return await runCopy(disk, { source, path: directory }, make, () => this.#whyStop(signal));
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  }

  #whyStop(signal: AbortSignal | undefined): Error | null {
    if (this.#isEnding) return new EnvelopeError('CLOSED', 'the store is closed');
    if (signal?.aborted !== true) return null;
    return signal.reason instanceof Error
      ? signal.reason
      : new EnvelopeError('ABORTED', String(signal.reason));
  }
}

const SILENT = { log: () => {} };
