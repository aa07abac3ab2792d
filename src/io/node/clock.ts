/**
 * The process's clock and timers.
 *
 * `later` collects tasks and runs them in one `setImmediate`: Node's turn is timers, then sockets and disk, then
 * immediates, so a task runs after everything that the turn has brought. Tasks that are added while others run wait for
 * the next turn: else tasks that always add one would keep sockets and disk waiting for ever.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, Timer } from '../clock.ts';

/** What Node's timers take; a longer delay would fire at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export class NodeClock implements Clock {
  /** Given to `later` since the last drain began. A drain is planned whenever this is not empty. */
  #tasks: (() => void)[] = [];
  /** The array of the last drain, empty: the two take turns. */
  #spare: (() => void)[] = [];

  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, task: () => void): Timer {
    assert(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY, 'a delay is a time to come', { delayMs });
    return new NodeTimer(delayMs, task);
  }

  later(task: () => void): void {
    this.#tasks.push(task);
    if (this.#tasks.length === 1) setImmediate(this.#drain);
  }

  readonly #drain = (): void => {
    const tasks = this.#tasks;
    this.#tasks = this.#spare;
    let done = 0;
    try {
      while (done < tasks.length) tasks[done++]();
    } finally {
      // A task that throws usually ends the process. Where it does not, the others must not be lost with it.
      if (done < tasks.length) this.#putBack(tasks.slice(done));
      tasks.length = 0;
      this.#spare = tasks;
    }
  };

  #putBack(tasks: (() => void)[]): void {
    if (this.#tasks.length === 0) setImmediate(this.#drain);
    this.#tasks = tasks.concat(this.#tasks);
  }
}

class NodeTimer implements Timer {
  readonly #dueMs: number;
  readonly #task: () => void;
  #handle: NodeJS.Timeout;

  constructor(delayMs: number, task: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#task = task;
    this.#handle = this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  /** Node's timers count in whole milliseconds of the loop's own time, may fire a little early, and have a longest. */
  onTimeout(): void {
    const restMs = this.#dueMs - performance.now();
    if (restMs > 0) this.#handle = this.#arm(restMs);
    else this.#task();
  }

  #arm(delayMs: number): NodeJS.Timeout {
    return setTimeout(onTimeout, Math.min(Math.ceil(delayMs), DELAY_MS_MAX), this);
  }
}

function onTimeout(timer: NodeTimer): void {
  timer.onTimeout();
}
