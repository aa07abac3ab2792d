/** A machine with a simulated disk and clock on which a store is opened, used and crashed. */

import { SimClock } from '../../sim/clock.ts';
import { type DiskFaults, NO_DISK_FAULTS } from '../../sim/disk/faults.ts';
import { SimDisk } from '../../sim/disk.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import type { Outcome } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { silentLogger } from '../../src/io/logger.ts';
import { Store, type StoreOptions } from '../../src/lsm/store.ts';

export const DIRECTORY = '/tables';

/** Everything tiny, so that a handful of writes flushes, merges and fills several blocks. */
export const TINY: Partial<StoreOptions> = {
  memtableBytes: 512,
  blockBytes: 96,
  restartInterval: 3,
  mergeAtTables: 3,
  stepBytes: 128,
};

export class Rig {
  readonly scheduler = new Scheduler();
  readonly process = new SimProcess('node', this.scheduler);
  readonly disk: SimDisk;
  readonly #clock = new SimClock(this.scheduler, this.process, { offsetMs: 0, driftPpm: 0 });
  failure: Error | null = null;

  constructor(seed: string, faults: Partial<DiskFaults> = {}) {
    const random = new SimRandom(seed);
    const { scheduler } = this;
    this.disk = new SimDisk({
      scheduler,
      random,
      trace: new Trace(),
      faults: { ...NO_DISK_FAULTS, ...faults },
    });
  }

  /** Opens the store; an error that `open` reports is thrown. */
  open(options: Partial<StoreOptions> = TINY): Store {
    const opened = this.tryOpen(options);
    if (opened instanceof Error) throw opened;
    return opened;
  }

  tryOpen(options: Partial<StoreOptions> = TINY): Store | Error {
    let result: Store | Error = new Error('open did not call back');
    this.failure = null;
    this.beginOpen(options, (outcome) => {
      result = outcome.ok ? outcome.value : outcome.error;
    });
    this.settle();
    const store = result as Store | Error;
    if (store instanceof Store) {
      store.onFailure = (error) => {
        this.failure = error;
      };
    }
    return store;
  }

  /** Only starts to open: what follows happens as the scheduler steps. */
  beginOpen(options: Partial<StoreOptions>, done: (outcome: Outcome<Store>) => void): void {
    const disk = this.disk.attach(this.process);
    Store.open({ disk, directory: DIRECTORY, clock: this.#clock, logger: silentLogger, ...options }, done);
  }

  /** Runs everything that is planned. */
  settle(): void {
    while (this.scheduler.step()) {
      // Until nothing is left.
    }
  }

  steps(count: number): void {
    for (let i = 0; i < count && this.scheduler.step(); i++) {
      // One event at a time.
    }
  }

  later(task: () => void): void {
    this.#clock.later(task);
  }

  crash(): void {
    this.process.crash();
    this.disk.crash();
    this.process.restart();
  }
}

export function put(store: Store, key: string, value: string): void {
  store.put(utf8(key), utf8(value));
}

export function get(store: Store, key: string): string | null {
  const value = store.get(utf8(key));
  return value === null ? null : fromUtf8(value.slice());
}

export function contents(store: Store): [string, string][] {
  const found: [string, string][] = [];
  const iterator = store.iterator();
  while (iterator.next()) found.push([fromUtf8(iterator.key().slice()), fromUtf8(iterator.value().slice())]);
  iterator.close();
  return found;
}
