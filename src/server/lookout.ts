/**
 * Looks every few milliseconds whether something is over. A process that was held up sees its timers first, and only then
 * what has come to it meanwhile, connections and requests: a look that comes late would not know of them, and is put off.
 */
import { sometimes } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';

const EVERY_MS = 5;
/** A look that is later than this is one of a process that was held up. */
const TIMELY_MS = 5;
/** Of a process that is held up again and again not every look can be put off: for so long in all. */
const PUT_OFF_MS_MAX = 500;
/** What a single look that was put off counts for at most, were it that the process stood still for long. */
const COUNTED_MS_MAX = 100;

export class Lookout {
  readonly #clock: Clock;
  readonly #look: () => 'again' | 'over';
  #dueMs = 0;
  #putOffMs = 0;
  #timer: Timer | null = null;

  /** The first look comes a little later. */
  constructor(clock: Clock, look: () => 'again' | 'over') {
    this.#clock = clock;
    this.#look = look;
    this.#plan();
  }

  /** Idempotent. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #plan(): void {
    this.#dueMs = this.#clock.monotonicMs() + EVERY_MS;
    this.#timer = this.#clock.after(EVERY_MS, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    const lateMs = this.#clock.monotonicMs() - this.#dueMs;
    if (lateMs > TIMELY_MS && this.#putOffMs < PUT_OFF_MS_MAX) {
      sometimes('a node that stops was held up');
      this.#putOffMs += Math.min(lateMs, COUNTED_MS_MAX);
      this.#plan();
    } else if (this.#look() === 'again') this.#plan();
  };
}
