/** How the trials open a store on a simulated disk: nothing else happens until it is open. */
import { Store, type StoreOptions } from '../../src/lsm/store.ts';
import type { SimClock } from '../clock.ts';
import type { SimDisk } from '../disk.ts';
import type { SimProcess } from '../process.ts';
import type { Scheduler } from '../scheduler.ts';

const OPENING_US = 10_000_000;

export interface StoreGround {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
}

/**
 * Returns the store, why it does not open, or null: it does neither within ten simulated seconds, or before `isOver`.
 */
export function openStore(
  { scheduler, disk, process, clock }: StoreGround,
  directory: string,
  tuning: Partial<StoreOptions>,
  isOver: () => boolean,
): Store | Error | null {
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
