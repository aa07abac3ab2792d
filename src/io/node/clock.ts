/** The process's clock and timers. */
import type { Clock, Timer } from '../clock.ts';

/** What Node's timers take; longer delays fire early, which the seam forbids. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export class NodeClock implements Clock {
  #later: (() => void)[] = [];

  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, task: () => void): Timer {
    return new NodeTimer(delayMs, task);
  }

  /** Tasks that are added while others run come in the next turn, so that sockets and disk get theirs between. */
  later(task: () => void): void {
    this.#later.push(task);
    if (this.#later.length === 1) setImmediate(this.#runLater);
  }

  readonly #runLater = (): void => {
    const tasks = this.#later;
    this.#later = [];
    for (const task of tasks) task();
  };
}

class NodeTimer implements Timer {
  readonly #dueMs: number;
  readonly #task: () => void;
  #handle: NodeJS.Timeout;

  constructor(delayMs: number, task: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#task = task;
    this.#handle = setTimeout(this.#fire, Math.min(Math.ceil(delayMs), DELAY_MS_MAX));
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  readonly #fire = (): void => {
    // Node's timers count in whole milliseconds of the loop's own time and may fire a little early.
    const restMs = this.#dueMs - performance.now();
    if (restMs > 0) this.#handle = setTimeout(this.#fire, Math.min(Math.ceil(restMs), DELAY_MS_MAX));
    else this.#task();
  };
}
