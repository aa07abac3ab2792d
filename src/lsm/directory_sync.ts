/**
 * Makes the names of a directory's files durable, one sync at a time. A sync that fails may have dropped any name that was
 * not durable yet, and one that is started meanwhile knows nothing of that: it would say that all is well. So nobody's
 * sync overlaps with another's, and after a failure every one fails.
 */
import type { DiskError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Disk } from '../io/disk.ts';

type Done = (error: DiskError | null) => void;

export class DirectorySync {
  readonly #disk: Disk;
  readonly #directory: string;
  /** They are told by the sync under way, and by the one after it. */
  #told: Done[] = [];
  #waiting: Done[] = [];
  #isUnderWay = false;
  #failure: DiskError | null = null;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** `done` comes later, without an error when all names that were there at the call are durable. */
  sync(done: Done): void {
    this.#waiting.push(done);
    if (this.#isUnderWay) rarely('names of tables wait for the sync of others');
    else this.#start();
  }

  #start(): void {
    this.#isUnderWay = true;
    this.#told = this.#waiting;
    this.#waiting = [];
    this.#disk.syncDirectory(this.#directory, this.#onSynced);
  }

  readonly #onSynced = (error: DiskError | null): void => {
    this.#isUnderWay = false;
    this.#failure ??= error;
    // What has come meanwhile is lost with the names that this sync should have kept.
    const told = this.#failure === null ? this.#told : [...this.#told, ...this.#waiting];
    if (this.#failure !== null) this.#waiting = [];
    this.#told = [];
    if (this.#waiting.length > 0) this.#start();
    for (const done of told) done(this.#failure);
  };
}
