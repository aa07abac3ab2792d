/** What the trials of a store stand on: a machine with a store, which remembers what went wrong first. */
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import type { DiskFaults } from '../disk/faults.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';

/** How long a sync takes. */
export const SYNC_US = { min: 50, max: 2000 };
const POWER_LOSS_PERMILLE = 700;

export class StoreMachine extends LoneMachine {
  /** Null: nothing so far. */
  failure: string | null = null;

  /** @param faults Of the disk, beside syncs that take their time. */
  constructor(random: SimRandom, faults: Partial<DiskFaults> = {}) {
    super({
      random,
      name: 'store',
      faults: { syncUs: SYNC_US, ...faults },
      onPanic: (error) => this.fail(error.stack ?? error.message),
    });
  }

  /** The trial ends with this. The first one counts. */
  fail(what: string): void {
    this.failure ??= what;
  }

  /** Runs it in the process. */
  guarded(task: () => void): void {
    this.process.run(() => {
      try {
        task();
      } catch (error) {
        this.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    });
  }

  /** As `openStore`, of one that has to open and must not fail later; null: the trial has failed. */
  openSoundStore(directory: string, tuning: Partial<StoreOptions>): Store | null {
    const store = this.openStore(directory, tuning, () => this.failure !== null);
    if (store === null || store instanceof Error) {
      this.fail(`the store does not open: ${store?.stack ?? 'not in time'}`);
      return null;
    }
    store.onFailure = (error) => this.fail(`the store has failed: ${error.stack ?? error.message}`);
    return store;
  }

  /** The process ends, mostly with the power, and another one may be run. */
  endLife(random: SimRandom): void {
    this.process.crash();
    if (random.chance(POWER_LOSS_PERMILLE)) this.disk.crash();
    this.process.restart();
  }
}
