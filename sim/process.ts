/**
 * A simulated operating-system process: the gate through which every callback enters a node. A crash makes all that is
 * still on its way to the process disappear; a pause makes it wait, in order, until the process goes on.
 *
 * Each life of the process has its `generation`. A task is bound to the generation in which it was asked for and is
 * dropped in any other. The number also changes at the end of a life, so that what dying code asks for belongs to nobody.
 *
 * A crash can come from inside an operation (`crashInside`): from then on the generation is over and every seam refuses
 * to work for it, so nothing that the unwinding code does, even if it swallows the exception, has an effect. When the
 * task has returned, `onCrashInside` tells the world, which then calls `crash`.
 */
import { toError } from '../src/base/errors.ts';
import type { Scheduler } from './scheduler.ts';

/** Unwinds a task whose process has crashed in the middle of it. */
export class SimCrash extends Error {
  constructor(processName: string) {
    super(`the process ${processName} has crashed inside an operation`);
    this.name = 'SimCrash';
  }
}

/** What one life of a process holds of its world; a process that has stopped in order holds nothing. */
export class Holdings {
  timers = 0;
  files = 0;
  connections = 0;
}

export class SimProcess {
  readonly name: string;
  /** Of the present life. */
  holdings = new Holdings();
  /** A task threw. Without a receiver the error ends the simulation. */
  onPanic: ((error: Error) => void) | null = null;
  /** The process crashed inside a task, which has returned. Without a receiver the process just crashes. */
  onCrashInside: (() => void) | null = null;
  readonly #scheduler: Scheduler;
  #generation = 1;
  #alive = true;
  #paused = false;
  /** The generation is over, but the task in which it ended has not returned or nobody has been told. */
  #dying = false;
  /** Tasks under way, one inside the other. */
  #depth = 0;
  /** Tasks that wait because the process is paused, or has been and is catching up. */
  #waiting: (() => void)[] = [];
  #catchUpIsPlanned = false;
  /** How long each callback keeps the process busy, in microseconds of virtual time. */
  #taskUs = 0;
  /** Until then the process is busy with the callback before. */
  #busyUntilUs = 0;
  /** A callback has run since this was last set to false: something may have changed. */
  hasRun = false;
  #crashListeners: (() => void)[] = [];

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.#scheduler = scheduler;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** A task of it is under way. */
  get isRunning(): boolean {
    return this.#depth > 0;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Runs the task now; while the process is paused, when it goes on; never when it is dead. */
  run(task: () => void): void {
    this.runAs(this.#generation, task);
  }

  /** As `run`, for a task asked for in `generation`. */
  runAs(generation: number, task: () => void): void {
    if (generation !== this.#generation || !this.#alive) return;
    if (this.#paused || this.#waiting.length > 0) {
      this.#waiting.push(task);
      return;
    }
    if (this.#busyUntilUs > this.#scheduler.nowUs) {
      this.#waiting.push(task);
      this.#planCatchUp();
      return;
    }
    this.#enter(generation, task);
  }

  /** From now on each callback keeps the process busy for so long, in microseconds; 0: for no time. */
  setTaskUs(taskUs: number): void {
    this.#taskUs = taskUs;
  }

  /** The task as a callback of the present generation. */
  guard(task: () => void): () => void {
    const generation = this.#generation;
    return () => this.runAs(generation, task);
  }

  /** Calls `listener` once, when the present generation ends. */
  onceCrashed(listener: () => void): void {
    this.#crashListeners.push(listener);
  }

  /** Ends the process at once. No task of it runs any more. */
  crash(): void {
    if (!this.#alive && !this.#dying) return;
    this.#endGeneration();
    this.#dying = false;
    const listeners = this.#crashListeners;
    this.#crashListeners = [];
    for (const listener of listeners) listener();
  }

  /** Ends the generation in the middle of a task, and unwinds the task. */
  crashInside(): never {
    if (this.#alive) {
      this.#endGeneration();
      this.#dying = true;
      if (this.#depth === 0) this.#scheduler.soon(() => this.#onTaskCrashed());
    }
    throw new SimCrash(this.name);
  }

  /** Starts a new generation; a process still alive is crashed first. */
  restart(): void {
    this.crash();
    this.#generation++;
    this.#alive = true;
  }

  pause(): void {
    if (this.#alive) this.#paused = true;
  }

  /** Lets the process go on. What has waited runs now, in order, each task as an event of its own. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#planCatchUp();
  }

  #enter(generation: number, task: () => void): void {
    this.#depth++;
    this.hasRun = true;
    if (this.#taskUs > 0) this.#busyUntilUs = this.#scheduler.nowUs + this.#taskUs;
    try {
      task();
    } catch (error) {
      this.#onThrown(generation, error);
    } finally {
      this.#depth--;
      if (this.#dying && this.#depth === 0) this.#onTaskCrashed();
    }
  }

  #onThrown(generation: number, error: unknown): void {
    if (error instanceof SimCrash) {
      if (this.#alive && generation === this.#generation) {
        this.#endGeneration();
        this.#dying = true;
      }
      return;
    }
    // What falls out of code that is dying already is of no interest.
    if (generation !== this.#generation) return;
    if (this.onPanic === null) throw error;
    this.onPanic(toError(error));
  }

  #onTaskCrashed(): void {
    if (!this.#dying) return;
    this.onCrashInside?.();
    // Whoever was told has usually done this; a process must not stay half dead.
    if (this.#dying) this.crash();
  }

  #endGeneration(): void {
    this.#generation++;
    this.#alive = false;
    this.#paused = false;
    this.#waiting = [];
    this.#busyUntilUs = 0;
    this.holdings = new Holdings();
  }

  #planCatchUp(): void {
    if (this.#catchUpIsPlanned || this.#waiting.length === 0) return;
    this.#catchUpIsPlanned = true;
    // Not before the process has time; now, if it has.
    this.#scheduler.at(Math.max(this.#busyUntilUs, this.#scheduler.nowUs), this.#catchUp);
  }

  readonly #catchUp = (): void => {
    this.#catchUpIsPlanned = false;
    if (this.#paused) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    this.#enter(this.#generation, task);
    if (!this.#paused) this.#planCatchUp();
  };
}
