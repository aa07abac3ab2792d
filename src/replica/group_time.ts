/**
 * The time of a group, on one of its nodes: what this node writes into entries never goes back, and an entry that does
 * nothing but carry the time, a tick, is proposed where somebody waits for one or there is something to sweep.
 */
import { rarely } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { Write } from '../kv/request.ts';
import type { StateMachine } from '../kv/state_machine.ts';
import type { Done } from './replica_options.ts';

export interface GroupTimeOptions {
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly stateMachine: Pick<StateMachine, 'hasBacklog' | 'isTickDue'>;
  readonly leads: () => boolean;
  /** The log could be shortened if this group had an entry at its end. */
  readonly isInTheWay: () => boolean;
  readonly propose: (write: Write, done: Done) => void;
}

/** Between ticks that nobody waits for. */
const SWEEP_PAUSE_MS = 50;

export class GroupTime {
  readonly #options: GroupTimeOptions;
  /** The latest wall time handed out. */
  #latestWallMs = 0;
  /** Not before this, on the monotonic clock, is a tick proposed for what has expired since the last. */
  #nextSweepMs = Number.NEGATIVE_INFINITY;
  /** Who waits for the tick under way; null: there is none. */
  #tickWaiters: Done[] | null = null;

  constructor(options: GroupTimeOptions) {
    this.#options = options;
  }

  wallMs(): number {
    this.#latestWallMs = Math.max(this.#latestWallMs, this.#options.clock.wallMs());
    return this.#latestWallMs;
  }

  /** Moves the state machine's time on, once at a time. */
  tick(done: Done): void {
    if (this.#tickWaiters !== null) {
      this.#tickWaiters.push(done);
      return;
    }
    this.#tickWaiters = [done];
    this.#options.propose({ type: 'tick' }, (result) => {
      const waiters = this.#tickWaiters ?? [];
      this.#tickWaiters = null;
      for (const waiter of waiters) waiter(result);
    });
  }

  /** The leader has what is gone removed, a bit at a time: what expires one by one is gathered for a while. */
  sweep(nowMs: number): void {
    const { stateMachine, leads, isInTheWay } = this.#options;
    if (this.#tickWaiters !== null || !leads()) return;
    if (isInTheWay()) {
      rarely('a group writes an entry to let the log be shortened');
      this.tick(() => {});
      return;
    }
    if (!stateMachine.hasBacklog) {
      if (nowMs < this.#nextSweepMs || !stateMachine.isTickDue(this.wallMs())) return;
      this.#nextSweepMs = nowMs + SWEEP_PAUSE_MS;
    }
    this.tick(() => {});
  }
}
