/**
 * A process's clock in virtual time: it starts at an offset, runs too fast or too slow by a drift that may change, and
 * its wall time can be made to jump. Timers and deferred tasks enter the process through its gate, so that a crash
 * drops them and a pause makes them late.
 */
import { assert } from '../src/base/assert.ts';
import { Queue } from '../src/base/queue.ts';
import type { Clock, Timer } from '../src/io/clock.ts';
import type { Holdings, SimProcess } from './process.ts';
import type { Handle, Scheduler } from './scheduler.ts';

export interface SimClockOptions {
  /** What the monotonic clock shows at the beginning of the world. */
  readonly offsetMs: number;
  /** Parts in a million by which the clock runs fast (positive) or slow; above -500 000. */
  readonly driftPpm: number;
}

/** The wall time at which worlds begin: 2024-01-01T00:00:00Z. */
const EPOCH_MS = 1_704_067_200_000;
const US_PER_MS = 1000;
/** A timer of a clock that stands still looks this often whether it goes on. */
const FROZEN_LOOK_US = 10_000;

export class SimClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #process: SimProcess;
  /** Since `#baseUs` of virtual time, at which this clock showed `#baseMs`, it runs at `#rate`. */
  #baseUs = 0;
  #baseMs: number;
  #rate: number;
  #wallOffsetMs = 0;
  #isFrozen = false;
  /** Tasks given to `later`, and beside them the generations that they belong to. */
  readonly #laters = new Queue<() => void>();
  readonly #laterGenerations = new Queue<number>();

  constructor(scheduler: Scheduler, process: SimProcess, options: SimClockOptions) {
    this.#scheduler = scheduler;
    this.#process = process;
    this.#baseMs = options.offsetMs;
    this.#rate = rateOf(options.driftPpm);
  }

  monotonicMs(): number {
    return this.#atUs(this.#scheduler.nowUs);
  }

  wallMs(): number {
    return EPOCH_MS + this.#wallOffsetMs + this.monotonicMs();
  }

  /** From now on the clock runs at another rate. What it shows does not jump. */
  setDriftPpm(driftPpm: number): void {
    this.#baseMs = this.monotonicMs();
    this.#baseUs = this.#scheduler.nowUs;
    this.#rate = rateOf(driftPpm);
  }

  /** The clock stands still until `thaw`, as if it had lost no time. Idempotent. */
  freeze(): void {
    this.#baseMs = this.monotonicMs();
    this.#baseUs = this.#scheduler.nowUs;
    this.#isFrozen = true;
  }

  thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#baseUs = this.#scheduler.nowUs;
  }

  /** Moves the wall time, either way. */
  jumpWallMs(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  after(delayMs: number, task: () => void): Timer {
    assert(delayMs >= 0 && Number.isFinite(delayMs), 'a delay is not negative', { delayMs });
    return new SimTimer(this.#scheduler, this.#process, this, delayMs, task);
  }

  later(task: () => void): void {
    this.#laters.push(task);
    this.#laterGenerations.push(this.#process.generation);
    this.#scheduler.soon(this.#runLater);
  }

  /** When a timer due at `ms` should look at this clock: the first microsecond at which it shows at least `ms`. */
  firstUsAt(ms: number): number {
    const nowUs = this.#scheduler.nowUs;
    if (this.#isFrozen) return nowUs + FROZEN_LOOK_US;
    let us = Math.max(nowUs, this.#baseUs + Math.ceil(((ms - this.#baseMs) * US_PER_MS) / this.#rate));
    // Division rounds; a timer may be late, but never early.
    while (this.#atUs(us) < ms) us++;
    return us;
  }

  #atUs(us: number): number {
    if (this.#isFrozen) return this.#baseMs;
    return this.#baseMs + ((us - this.#baseUs) * this.#rate) / US_PER_MS;
  }

  readonly #runLater = (): void => {
    const task = this.#laters.shift();
    const generation = this.#laterGenerations.shift();
    assert(task !== null && generation !== null, 'each planned event of a deferred task has its task');
    this.#process.runAs(generation, task);
  };
}

class SimTimer implements Timer {
  readonly #scheduler: Scheduler;
  readonly #process: SimProcess;
  readonly #generation: number;
  readonly #clock: SimClock;
  readonly #holdings: Holdings;
  readonly #startMs: number;
  readonly #delayMs: number;
  #task: (() => void) | null;
  readonly #run: () => void;
  #handle: Handle | null = null;
  /** The delay has passed, and the timer is at the process's gate. */
  #isDue = false;

  constructor(scheduler: Scheduler, process: SimProcess, clock: SimClock, delayMs: number, task: () => void) {
    this.#scheduler = scheduler;
    this.#process = process;
    this.#generation = process.generation;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#delayMs = delayMs;
    this.#task = task;
    this.#holdings = process.holdings;
    this.#holdings.timers++;
    // Bound, not an arrow with a name: naming functions takes time, and there are many timers.
    this.#run = SimTimer.prototype.fire.bind(this);
    // Even without a delay a timer fires in a later event.
    this.#handle = scheduler.at(clock.firstUsAt(this.#startMs + delayMs), this.#run);
  }

  cancel(): void {
    if (this.#task !== null) this.#holdings.timers--;
    this.#task = null;
    this.#handle?.cancel();
    this.#handle = null;
  }

  /** For the scheduler and the process's gate. One function for both steps: a timer costs one closure. */
  fire(): void {
    if (this.#isDue) {
      // A paused process may have been told to cancel while the timer waited.
      const task = this.#task;
      if (task === null) return;
      this.#task = null;
      this.#holdings.timers--;
      task();
      return;
    }
    this.#handle = null;
    const nowMs = this.#clock.monotonicMs();
    const dueMs = this.#startMs + this.#delayMs;
    // The clock may have been slowed down since, or the difference lost a bit in rounding.
    if (nowMs < dueMs || nowMs - this.#startMs < this.#delayMs) {
      const atUs = Math.max(this.#scheduler.nowUs + 1, this.#clock.firstUsAt(dueMs));
      this.#handle = this.#scheduler.at(atUs, this.#run);
      return;
    }
    this.#isDue = true;
    this.#process.runAs(this.#generation, this.#run);
  }
}

function rateOf(driftPpm: number): number {
  assert(driftPpm > -500_000, 'a clock runs forward, at no less than half speed', { driftPpm });
  return 1 + driftPpm / 1_000_000;
}
