/**
 * Fetches a snapshot from another node, chunk by chunk, into a file. It asks for one chunk at a time and says where the
 * last one ended, so a broken connection costs one chunk. What is fetched in a second is bounded.
 */
import { assert } from '../base/assert.ts';
import { rarely } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { NodeId } from '../raft/message.ts';
import { lastKeyIn, type SnapshotMessage } from './snapshot_codec.ts';
import { SnapshotFileWriter, type SnapshotIdentity } from './snapshot_file.ts';

export interface SnapshotFetchOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The file, and the directory that it is in. */
  readonly path: string;
  readonly directory: string;
  readonly from: NodeId;
  readonly send: (to: NodeId, message: SnapshotMessage) => void;
  readonly bytesPerSecondMax: number;
  /** An answer that has not come after this long is asked for again. */
  readonly retryMs: number;
  /** The file is complete and durable. */
  readonly done: (identity: SnapshotIdentity) => void;
  readonly onFailure: (error: Error) => void;
}

const EMPTY = new Uint8Array(0);

export class SnapshotFetch {
  readonly #options: SnapshotFetchOptions;
  #identity: SnapshotIdentity | null = null;
  #file: SnapshotFileWriter | null = null;
  /** The chunk that is asked for. */
  #number = 0;
  #lastKey: Uint8Array = EMPTY;
  #askedAtMs = 0;
  #state: 'fetching' | 'syncing' | 'over' = 'fetching';
  #timer: Timer | null = null;

  constructor(options: SnapshotFetchOptions) {
    this.#options = options;
  }

  get from(): NodeId {
    return this.#options.from;
  }

  readonly ask = (): void => {
    if (this.#state !== 'fetching') return;
    const { send, from, retryMs, clock } = this.#options;
    this.#askedAtMs = clock.monotonicMs();
    send(from, {
      type: 'fetch',
      index: this.#identity?.index ?? 0,
      number: this.#number,
      after: this.#lastKey,
    });
    this.#askIn(retryMs);
  };

  /** @throws EnvelopeError `FORMAT` when the records are malformed. */
  onChunk(message: SnapshotMessage & { type: 'chunk' }): void {
    if (this.#state !== 'fetching') return;
    if (message.number === -1) {
      // Only if it is this fetch that is meant, not an earlier request.
      if (this.#number > 0 && message.index === this.#identity?.index) this.#beginAnew();
      return;
    }
    if (message.number !== this.#number) return;
    if (this.#number > 0 && message.index !== this.#identity?.index) return;
    try {
      this.#take(message);
    } catch (error) {
      if (!(error instanceof Error) || (error as { code?: string }).code !== 'DISK') throw error;
      this.#fail(error);
    }
  }

  cancel(): void {
    this.#state = 'over';
    this.#timer?.cancel();
    this.#file?.file.close();
  }

  #take({ index, term, records, isLast }: SnapshotMessage & { type: 'chunk' }): void {
    const { disk, path, bytesPerSecondMax } = this.#options;
    // Also looks at every record: what is malformed is not taken.
    const lastKey = lastKeyIn(records) ?? this.#lastKey;
    if (this.#number === 0) {
      this.#identity = { index, term };
      this.#file = new SnapshotFileWriter(disk, path, this.#identity);
    }
    assert(this.#file !== null, 'the first chunk makes the file');
    this.#lastKey = lastKey;
    this.#number++;
    // Whoever is asked packs the next chunk while this one is written.
    if (!isLast) this.#askAt(this.#askedAtMs + (records.length / bytesPerSecondMax) * 1000);
    this.#file.append(records);
    if (isLast) this.#finish(this.#file);
  }

  #finish(writer: SnapshotFileWriter): void {
    const { disk, directory, done } = this.#options;
    this.#state = 'syncing';
    this.#timer?.cancel();
    const { file } = writer;
    writer.end();
    file.sync((error) => {
      if (this.#state === 'over') return;
      file.close();
      if (error !== null) {
        this.#fail(error);
        return;
      }
      disk.syncDirectory(directory, (directoryError) => {
        if (this.#state === 'over') return;
        this.#state = 'over';
        if (directoryError !== null) this.#options.onFailure(directoryError);
        else if (this.#identity !== null) done(this.#identity);
      });
    });
  }

  #beginAnew(): void {
    rarely('a fetch of a snapshot begins anew');
    this.#file?.file.close();
    this.#file = null;
    this.#identity = null;
    this.#number = 0;
    this.#lastKey = EMPTY;
    this.ask();
  }

  #fail(error: Error): void {
    this.cancel();
    this.#options.onFailure(error);
  }

  /** The way of the last chunk counts as a part of the pause behind it. */
  #askAt(ms: number): void {
    const delayMs = ms - this.#options.clock.monotonicMs();
    if (delayMs > 0) this.#askIn(delayMs);
    else this.ask();
  }

  #askIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, this.ask);
  }
}
