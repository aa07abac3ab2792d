/**
 * The parts of a simulated disk that survive the processes using it, shared by the door to the world (`SimDisk`) and
 * the doors to the processes (`AttachedDisk`): names, faults, the random streams, and the count of crashes.
 */
import type { DiskError } from '../../src/base/errors.ts';
import type { SimRandom } from '../random.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Trace } from '../trace.ts';
import { ArmedFaults } from './armed.ts';
import { type DiskFaults, NO_DISK_FAULTS } from './faults.ts';
import { type LostSync, SECTOR_BYTES, SimFile } from './file.ts';
import type { Injury, InjuryKind } from './injury.ts';
import { SimNamespace } from './namespace.ts';

/** The callback of an asynchronous operation. */
export type Done = (error: DiskError | null) => void;

/** Where in an operation that changes the disk the process crashes: `partly` is anywhere in what can be done in part. */
export type CrashPoint = 'before' | 'partly' | 'after';

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
  /** Where in it; null: drawn. */
  crashInsideAt: CrashPoint | null = null;
  readonly armed = new ArmedFaults();
  /** Of the files together; beyond that, ENOSPC. Besides `faults.capacityBytes`, for as long as the disk is made full. */
  fullAtBytes = Number.MAX_SAFE_INTEGER;
  /** The world looks at what a node holds: that is no operation of the node's. */
  isLookedAt = false;
  onInjury: (injury: Injury) => void = () => {};
  /** Syncs take so many times as long. */
  slowness = 1;
  /** How often it was set: who set it for a time asks whether somebody else has since. */
  slownessSet = 0;
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

  /** What the worst crash would leave of a file of another drive. */
  takeOver(file: SimFile): SimFile {
    return file.survivor(++this.#files);
  }

  drawSyncUs(): number {
    const { syncUs, longTailPermille, longTailUs } = this.faults;
    const range = this.#latencyRandom.chance(longTailPermille) ? longTailUs : syncUs;
    const us = this.#latencyRandom.between(range.min, range.max);
    // Slow, but never for as long as a cluster may take to recover.
    return this.slowness === 1 ? us : Math.min(us * this.slowness, Math.max(us, SLOW_SYNC_US_MAX));
  }

  /** Whether a process may have a whole file at once: no read of it is going to fail, and nobody watches its views. */
  get mayMap(): boolean {
    const { poisonViews, readErrorPerMillion } = this.faults;
    return !poisonViews && readErrorPerMillion === 0 && this.armed.isEmpty;
  }

  /** Whether this read fails. */
  drawReadError(path: string): boolean {
    if (this.isLookedAt) return false;
    if (!this.armed.isEmpty && this.armed.take('read', path) !== null) return true;
    return this.#faultRandom.chancePerMillion(this.faults.readErrorPerMillion);
  }

  /** Whether this append fails. */
  drawWriteError(path: string): boolean {
    if (!this.armed.isEmpty && this.armed.take('write', path) !== null) return true;
    return this.#faultRandom.chancePerMillion(this.faults.writeErrorPerMillion);
  }

  /** What this sync, of a file or directory, loses when it fails; null: it does not fail. */
  drawSyncError(path: string): LostSync | null {
    if (!this.armed.isEmpty) {
      const fault = this.armed.take('sync', path);
      if (fault !== null) return fault.seen === 'at-crash' ? 'ghosts' : 'reverted';
    }
    return this.#faultRandom.chancePerMillion(this.faults.syncErrorPerMillion) ? 'forgotten' : null;
  }

  /** Whether a sync was still waiting for its turn when the process that had asked for it was killed. */
  drawAbandoned(): boolean {
    return this.#faultRandom.chance(500);
  }

  /** Whether, and where in an operation that changes the disk, the process crashes. */
  drawCrashInside(): 'no' | CrashPoint {
    if (this.crashInsideAfter > 0 && --this.crashInsideAfter === 0) {
      return this.crashInsideAt ?? this.#drawCrashPoint();
    }
    if (!this.#faultRandom.chancePerMillion(this.faults.crashInsidePerMillion)) return 'no';
    return this.#drawCrashPoint();
  }

  #drawCrashPoint(): CrashPoint {
    return this.#faultRandom.chance(500) ? 'partly' : 'after';
  }

  /** How many of the bytes of a failing or interrupted write are written. */
  drawPart(bytes: number): number {
    return this.#faultRandom.between(0, bytes);
  }

  /** Bytes that still fit. */
  freeBytes(): number {
    const capacityBytes = Math.min(this.faults.capacityBytes, this.fullAtBytes);
    if (capacityBytes === Number.MAX_SAFE_INTEGER) return capacityBytes;
    return Math.max(0, capacityBytes - this.usedBytes());
  }

  /** Of all files that have a name. */
  usedBytes(): number {
    let used = 0;
    for (const [, file] of this.names.entries()) used += file.size;
    return used;
  }

  /**
   * Puts a misdirected write somewhere over a file, from the start of a sector on; nowhere when no file has one for it.
   *
   * @param bytes As many as were to be written to `source` at `offset`.
   */
  misdirect(bytes: Uint8Array, source: SimFile, offset: number, goes: 'same-file' | 'other-file'): void {
    const victims: [string, SimFile][] = [];
    for (const entry of this.names.entries()) {
      const [, file] = entry;
      if ((file === source) === (goes === 'same-file') && file.size > 0) victims.push(entry);
    }
    if (victims.length === 0) return;
    const [path, victim] = this.#faultRandom.pick(victims);
    // In the same file it goes to what was written before, which is what there is to lose.
    const sectors = Math.ceil(
      (victim === source ? Math.min(offset, victim.size) : victim.size) / SECTOR_BYTES,
    );
    if (sectors === 0) return;
    const at = SECTOR_BYTES * this.#faultRandom.below(sectors);
    this.named('disk-misdirected', path, offset, at);
    victim.damage(at, bytes);
    this.injure('overwritten', path, at, Math.min(at + bytes.length, victim.size));
  }

  injure(kind: InjuryKind, path: string, start = 0, end = start): void {
    this.onInjury({ kind, path, start, end });
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
