/**
 * One life of a process as its disk knows it: whether it still lasts, where the next crash inside an operation strikes,
 * and how completions find their way back.
 */
import { DiskError } from '../../src/base/errors.ts';
import { type Holdings, SimCrash, type SimProcess } from '../process.ts';
import type { CrashPoint, Done, Drive } from './drive.ts';
import type { Flight, SimFile } from './file.ts';

/** How the process appears in the trace, put together once. */
export interface Labels {
  readonly makeDirectory: string;
  readonly create: string;
  readonly preallocate: string;
  readonly rename: string;
  readonly link: string;
  readonly renameDirectory: string;
  readonly removeDirectory: string;
  readonly remove: string;
  readonly append: string;
  readonly truncate: string;
  readonly sync: string;
  readonly synced: string;
  readonly syncFailed: string;
  readonly syncDirectory: string;
}

/** Whose sync it is: an open file, that has to remember a failure. */
export interface SyncOwner {
  /** Of the first sync that failed. */
  failure: DiskError | null;
}

export class Life {
  readonly labels: Labels;
  readonly holdings: Holdings;
  readonly #drive: Drive;
  readonly #process: SimProcess;
  readonly #generation: number;
  readonly #epoch: number;
  /** Syncs under way, in the order in which they were asked for. */
  readonly #flights = new Map<Flight, SimFile>();

  constructor(drive: Drive, process: SimProcess) {
    this.#drive = drive;
    this.#process = process;
    this.#generation = process.generation;
    this.holdings = process.holdings;
    this.#epoch = drive.epoch;
    process.onceCrashed(() => this.#abandonSome());
    const { name } = process;
    this.labels = {
      makeDirectory: `${name} make-directory`,
      create: `${name} create`,
      preallocate: `${name} preallocate`,
      rename: `${name} rename`,
      link: `${name} link`,
      renameDirectory: `${name} rename-directory`,
      removeDirectory: `${name} remove-directory`,
      remove: `${name} remove`,
      append: `${name} append`,
      truncate: `${name} truncate`,
      sync: `${name} sync`,
      synced: `${name} synced`,
      syncFailed: `${name} sync-failed`,
      syncDirectory: `${name} sync-directory`,
    };
  }

  /** @throws SimCrash when the life is over. */
  check(): void {
    if (this.#process.generation !== this.#generation || this.#drive.epoch !== this.#epoch) {
      throw new SimCrash(this.#process.name);
    }
  }

  /** Starts an operation that changes the disk; what it returns goes to `end`. */
  begin(): 'no' | 'after' {
    const crash = this.beginPartial();
    return crash === 'partly' ? this.crashInside() : crash;
  }

  /** As `begin`, for an operation that can be done in part: the caller does so at `partly`, and calls `crashInside`. */
  beginPartial(): 'no' | Exclude<CrashPoint, 'before'> {
    this.check();
    const crash = this.#drive.drawCrashInside();
    return crash === 'before' ? this.crashInside() : crash;
  }

  end(crash: 'no' | 'after'): void {
    if (crash === 'after') this.crashInside();
  }

  crashInside(): never {
    this.#process.crashInside();
  }

  /** Calls `done` in a later event of this time. */
  complete(done: Done, error: DiskError | null): void {
    this.#drive.scheduler.soon(() => this.arrive(done, error));
  }

  /** Calls `done` now, if the process can take it. */
  arrive(done: Done, error: DiskError | null): void {
    this.#process.runAs(this.#generation, () => done(error));
  }

  /** @param owner Remembers a failure, and shares in one of an earlier sync. */
  startSync(file: SimFile, operation: string, path: string, owner: SyncOwner, done: Done): void {
    const drive = this.#drive;
    drive.event(this.labels.sync, file.number, file.size);
    const flight = file.startSync();
    const lost = drive.drawSyncError(path);
    this.#flights.set(flight, file);
    this.whenSynced(() => {
      this.#flights.delete(flight);
      if (flight.state === 'abandoned') return;
      if (lost !== null && owner.failure === null) {
        drive.injure('failed-sync', path, 0, flight.size);
        owner.failure = new DiskError(operation, path, 'EIO', 'the sync has failed');
      }
      const error = owner.failure;
      // After a failure no other sync of the same open file is done: what it covered may be lost as well.
      if (error !== null) file.failSync(flight, lost ?? 'forgotten');
      else file.land(flight);
      drive.event(error === null ? this.labels.synced : this.labels.syncFailed, file.number, flight.size);
      this.arrive(done, error);
    });
  }

  /**
   * The process is dead and its machine may live on. A sync that the system had begun goes on to its end; one that had
   * not come to its turn will never be asked for.
   */
  #abandonSome(): void {
    for (const [flight, file] of this.#flights) if (this.#drive.drawAbandoned()) file.abandonSync(flight);
    this.#flights.clear();
  }

  /** Calls `landed` after the time that a sync takes, unless the machine has crashed by then. */
  whenSynced(landed: () => void): void {
    const drive = this.#drive;
    const epoch = this.#epoch;
    drive.scheduler.after(drive.drawSyncUs(), () => {
      if (drive.epoch === epoch) landed();
    });
  }
}
