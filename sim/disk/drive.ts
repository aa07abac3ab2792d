/**
 * The parts of a simulated disk that survive the processes using it, shared by the door to the world (`SimDisk`) and
 * the doors to the processes (`AttachedDisk`): names, faults, the random streams, and the count of crashes.
 */
import type { DiskError } from '../../src/base/errors.ts';
import type { SimRandom } from '../random.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Trace } from '../trace.ts';
import { type DiskFaults, NO_DISK_FAULTS } from './faults.ts';
import { SimFile } from './file.ts';
import { SimNamespace } from './namespace.ts';

/** The callback of an asynchronous operation. */
export type Done = (error: DiskError | null) => void;

const POISON = 0xdb;
const SLOW_SYNC_US_MAX = 1_000_000;

export class Drive {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly names = new SimNamespace();
  faults: DiskFaults;
  /** Crashes so far: what was started in an earlier epoch never completes. */
  epoch = 0;
  /** The process crashes inside its n-th next operation that changes the disk; 0: it does not. */
  crashInsideAfter = 0;
  /** Syncs take so many times as long. */
  slowness = 1;
  /** Streams by purpose: turning one fault on leaves the other draws as they were. */
  readonly crashRandom: SimRandom;
  readonly #latencyRandom: SimRandom;
  readonly #faultRandom: SimRandom;
  #files = 0;
  /** Views handed out in this event, when they are to be poisoned. */
  #lent: Uint8Array[] = [];

  constructor(scheduler: Scheduler, random: SimRandom, trace: Trace, faults: Partial<DiskFaults>) {
    this.scheduler = scheduler;
    this.trace = trace;
    this.faults = { ...NO_DISK_FAULTS, ...faults };
    this.crashRandom = random.fork('crash');
    this.#latencyRandom = random.fork('latency');
    this.#faultRandom = random.fork('fault');
  }

  makeFile(): SimFile {
    return new SimFile(++this.#files);
  }

  drawSyncUs(): number {
    const { syncUs, longTailPermille, longTailUs } = this.faults;
    const range = this.#latencyRandom.chance(longTailPermille) ? longTailUs : syncUs;
    const us = this.#latencyRandom.between(range.min, range.max);
    // Slow, but never for as long as a cluster may take to recover.
    return this.slowness === 1 ? us : Math.min(us * this.slowness, Math.max(us, SLOW_SYNC_US_MAX));
  }

  drawReadError(): boolean {
    return this.#faultRandom.chancePerMillion(this.faults.readErrorPerMillion);
  }

  drawWriteError(): boolean {
    return this.#faultRandom.chancePerMillion(this.faults.writeErrorPerMillion);
  }

  drawSyncError(): boolean {
    return this.#faultRandom.chancePerMillion(this.faults.syncErrorPerMillion);
  }

  /** Whether, and where in an operation that changes the disk, the process crashes. */
  drawCrashInside(): 'no' | 'before' | 'after' {
    if (this.crashInsideAfter > 0 && --this.crashInsideAfter === 0) {
      return this.#faultRandom.chance(500) ? 'before' : 'after';
    }
    if (!this.#faultRandom.chancePerMillion(this.faults.crashInsidePerMillion)) return 'no';
    return this.#faultRandom.chance(500) ? 'before' : 'after';
  }

  /** How many of the bytes of a failing or interrupted write are written. */
  drawPart(bytes: number): number {
    return this.#faultRandom.between(0, bytes);
  }

  /** Bytes that still fit. */
  freeBytes(): number {
    const { capacityBytes } = this.faults;
    if (capacityBytes === Number.MAX_SAFE_INTEGER) return capacityBytes;
    let used = 0;
    for (const [, file] of this.names.entries()) used += file.size;
    return Math.max(0, capacityBytes - used);
  }

  /** A view as it goes out to a process. */
  lend(view: Uint8Array): Uint8Array {
    if (!this.faults.poisonViews) return view;
    if (this.#lent.length === 0) this.scheduler.atEndOfEvent(this.#poison);
    const copy = view.slice();
    this.#lent.push(copy);
    return copy;
  }

  /** Traces at the present time. */
  event(label: string, a: number, b: number, bytes?: Uint8Array): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.event(label, a, b, bytes);
  }

  named(label: string, path: string, a: number, b: number): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.named(label, path, a, b);
  }

  readonly #poison = (): void => {
    for (const view of this.#lent) view.fill(POISON);
    this.#lent = [];
  };
}
