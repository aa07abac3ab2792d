/**
 * Virtual time: a queue of events ordered by time and, at one time, by insertion. Running an event is the only thing
 * that happens in a simulated world, and time moves from event to event.
 *
 * Future events are in a binary heap. Those for the present time are in a plain queue beside it: whatever the heap holds
 * for the present was inserted when it still was the future, so it comes first, and no numbers need comparing.
 * A cancelled event lets go of its task at once and leaves the heap when it comes up, or earlier, when more than half of
 * the heap is cancelled: timers that are set and cancelled all the time cost no memory.
 */
import { assert } from '../src/base/assert.ts';
import { Queue } from '../src/base/queue.ts';

export interface Handle {
  /** Idempotent; a cancelled event never runs. */
  cancel(): void;
}

const COMPACT_FROM_EVENTS = 64;

export class Scheduler {
  /** Called after each event: the place to check what must always hold. */
  afterEach: (() => void) | null = null;
  #nowUs = 0;
  #inserted = 0;
  /** Heap by (timeUs, order). */
  #heap: ScheduledEvent[] = [];
  /** Cancelled events still in the heap. */
  #dead = 0;
  /** Events for the present time. */
  readonly #ready = new Queue<ScheduledEvent>();
  /** Cancelled events still in `#ready`. */
  #deadReady = 0;
  /** Run when the current event's task has returned. */
  #endings: (() => void)[] = [];

  /** Virtual time in integer microseconds since the world began. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Events that wait. */
  get size(): number {
    return this.#heap.length - this.#dead + this.#ready.size - this.#deadReady;
  }

  /** @param us Integer microseconds, not before now. */
  at(us: number, task: () => void): Handle {
    if (us === this.#nowUs) return this.soon(task);
    // The details of an assertion are made before it is called: too dear for each event.
    if (!Number.isSafeInteger(us) || us < this.#nowUs) {
      assert(false, 'events are planned in whole microseconds, not in the past', { us, nowUs: this.#nowUs });
    }
    const event = new ScheduledEvent(this, us, this.#inserted++, task);
    this.#push(event);
    return event;
  }

  after(delayUs: number, task: () => void): Handle {
    return this.at(this.#nowUs + delayUs, task);
  }

  /** Runs the task at the present time, after everything already queued for it. */
  soon(task: () => void): Handle {
    const event = new ScheduledEvent(this, this.#nowUs, READY, task);
    this.#ready.push(event);
    return event;
  }

  /** Runs the task when the current event has returned, before `afterEach`; not an event of its own. */
  atEndOfEvent(task: () => void): void {
    this.#endings.push(task);
  }

  /** Runs the next event, moving time to it; false when none is left. */
  step(): boolean {
    const event = this.#take(Number.MAX_SAFE_INTEGER);
    if (event === null) return false;
    this.#run(event);
    return true;
  }

  /** Runs the next event if it is due by `us`. If there is none, moves time to `us` and returns false. */
  stepUntil(us: number): boolean {
    const event = this.#take(us);
    if (event === null) {
      if (us > this.#nowUs) this.#nowUs = us;
      return false;
    }
    this.#run(event);
    return true;
  }

  /** Runs every event due by `us`, those that they plan included; afterwards it is `us`. */
  runUntil(us: number): void {
    while (this.stepUntil(us)) {
      // Everything happens in the step.
    }
  }

  /** For `ScheduledEvent.cancel`. */
  onCancel(event: ScheduledEvent): void {
    if (event.order === READY) {
      this.#deadReady++;
      return;
    }
    this.#dead++;
    if (this.#dead > COMPACT_FROM_EVENTS && this.#dead * 2 > this.#heap.length) this.#compact();
  }

  #run(event: ScheduledEvent): void {
    const task = event.task;
    event.task = null;
    try {
      task?.();
    } finally {
      if (this.#endings.length > 0) this.#runEndings();
    }
    if (this.afterEach !== null) this.afterEach();
  }

  #runEndings(): void {
    const endings = this.#endings;
    this.#endings = [];
    for (const ending of endings) ending();
  }

  #take(untilUs: number): ScheduledEvent | null {
    const heap = this.#heap;
    for (;;) {
      const top = heap.length > 0 ? heap[0] : null;
      if (top === null || top.timeUs !== this.#nowUs) {
        const ready = this.#takeReady();
        if (ready !== null) return ready;
      }
      if (top === null || top.timeUs > untilUs) return null;
      this.#removeTop();
      if (top.task === null) {
        this.#dead--;
        continue;
      }
      this.#nowUs = top.timeUs;
      return top;
    }
  }

  #takeReady(): ScheduledEvent | null {
    for (;;) {
      const event = this.#ready.shift();
      if (event === null || event.task !== null) return event;
      this.#deadReady--;
    }
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    heap.push(event);
    const time = event.timeUs;
    let at = heap.length - 1;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      // The new event is the latest inserted: at equal times it stays below.
      if (parent.timeUs <= time) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = event;
  }

  #removeTop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) siftDown(heap, 0, last);
  }

  #compact(): void {
    const heap = this.#heap.filter(isAlive);
    for (let at = (heap.length >> 1) - 1; at >= 0; at--) siftDown(heap, at, heap[at]);
    this.#heap.length = 0;
    // The array is kept: a step may be looking at it.
    for (const event of heap) this.#heap.push(event);
    this.#dead = 0;
  }
}

/** The `order` of events that wait in the queue for the present time. */
const READY = -1;

class ScheduledEvent implements Handle {
  readonly timeUs: number;
  /** Insertion number, or `READY`. */
  readonly order: number;
  /** Null once run or cancelled. */
  task: (() => void) | null;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, timeUs: number, order: number, task: () => void) {
    this.#scheduler = scheduler;
    this.timeUs = timeUs;
    this.order = order;
    this.task = task;
  }

  cancel(): void {
    if (this.task === null) return;
    this.task = null;
    this.#scheduler.onCancel(this);
  }
}

function isAlive(event: ScheduledEvent): boolean {
  return event.task !== null;
}

function isBefore(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.timeUs < b.timeUs || (a.timeUs === b.timeUs && a.order < b.order);
}

/** Puts `event` into the heap at `start` or below. */
function siftDown(heap: ScheduledEvent[], start: number, event: ScheduledEvent): void {
  const half = heap.length >> 1;
  let at = start;
  while (at < half) {
    let childAt = 2 * at + 1;
    const rightAt = childAt + 1;
    if (rightAt < heap.length && isBefore(heap[rightAt], heap[childAt])) childAt = rightAt;
    const child = heap[childAt];
    if (!isBefore(child, event)) break;
    heap[at] = child;
    at = childAt;
  }
  heap[at] = event;
}
