/** Level's explicit snapshots: `get(key, { snapshot })` reads as of when it was taken. */
import { AbstractSnapshot } from 'abstract-level';
import type { Database, Snapshot } from '../embedded/database.ts';
import { LevelError } from './errors.ts';
import { Readers } from './formats.ts';

// The published types leave out the argument, which names the database that closes the snapshot.
const Base = AbstractSnapshot as unknown as new (options: object) => AbstractSnapshot;

export class EnvelopeSnapshot extends Base {
  readonly database: Database;
  readonly #readers: Readers;
  readonly #snapshot: Snapshot;
  #isReleased = false;

  /** For `EnvelopeLevel`. @param options What `abstract-level` hands on. */
  constructor(options: object, database: Database, snapshot: Snapshot, bucket: string) {
    super(options);
    this.database = database;
    this.#readers = new Readers(snapshot, bucket);
    this.#snapshot = snapshot;
  }

  /** @throws LevelError `LEVEL_SNAPSHOT_NOT_OPEN` */
  get readers(): Readers {
    if (!this.#isReleased) return this.#readers;
    throw new LevelError(
      'LEVEL_SNAPSHOT_NOT_OPEN',
      'Snapshot is not open: cannot use snapshot after close()',
    );
  }

  async _close(): Promise<void> {
    this.#isReleased = true;
    this.#snapshot.release();
  }
}
