/** What the trials of one part stand on: a process on a simulated disk, with a clock, in a world of its own. */
import { Store, type StoreOptions } from '../../src/lsm/store.ts';
import { SimClock } from '../clock.ts';
import type { DiskFaults } from '../disk/faults.ts';
import { SimDisk } from '../disk.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';

const OPENING_US = 10_000_000;

export interface LoneMachineOptions {
  readonly random: SimRandom;
  /** Of the process. */
  readonly name: string;
  /** Of the disk. */
  readonly faults?: Partial<DiskFaults>;
  /** A task of the process threw. Default: the trial ends with that. */
  readonly onPanic?: (error: Error) => void;
}

export class LoneMachine {
  readonly scheduler = new Scheduler();
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;

  constructor({ random, name, faults = {}, onPanic }: LoneMachineOptions) {
    const { scheduler } = this;
    this.disk = new SimDisk({ scheduler, random: random.fork('disk'), trace: new Trace(), faults });
    this.process = new SimProcess(name, scheduler);
    this.process.onPanic = onPanic ?? null;
    this.clock = new SimClock(scheduler, this.process, { offsetMs: 0, driftPpm: 0 });
  }

  /**
   * Nothing else happens until it is open.
   * @returns the store, why it does not open, or null: it does neither within ten simulated seconds, or before `isOver`.
   */
  openStore(
    directory: string,
    tuning: Partial<StoreOptions>,
    isOver: () => boolean = () => false,
  ): Store | Error | null {
    const { disk, process, clock, scheduler } = this;
    let opened: Store | Error | null = null;
    const options = { disk: disk.attach(process), directory, clock, logger: { log: () => {} }, ...tuning };
    process.run(() =>
      Store.open(options, (outcome) => {
        opened = outcome.ok ? outcome.value : outcome.error;
      }),
    );
    const end = scheduler.nowUs + OPENING_US;
    while (opened === null && !isOver() && scheduler.stepUntil(end)) {
      // Until it is open.
    }
    return opened;
  }
}
