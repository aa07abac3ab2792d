/**
 * How a node leaves in order, so that its clients notice as little as possible: a leader hands leadership over first
 * (writes wait meanwhile, and go on to the successor), then what was asked is answered and nothing new is taken, and who was
 * asking is told so. Both steps are bounded in time: a node that can't hand over, or whose group is stuck, stops all the same.
 */
import { sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { Replica } from '../replica/replica.ts';
import { Lookout } from './lookout.ts';
import type { Router } from './router.ts';

export interface DepartureOptions {
  readonly replica: Replica;
  readonly router: Router;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long handing over may take, the election included. */
  readonly handOverMs: number;
  /** How long requests under way may take to be answered. */
  readonly drainMs: number;
  /**
   * A client that was asking until `sinceMs`, when nothing new was taken any more, has not asked since: what it asks next
   * would be lost with its connection, and it could not know that it was not carried out.
   */
  readonly hasClientsToTell: (sinceMs: number) => boolean;
  /** It is time to stop. Not called after `cancel`. */
  readonly done: () => void;
}

/** Long enough for what is on its way to arrive. */
const DRAIN_MIN_MS = 50;

export class Departure {
  readonly #options: DepartureOptions;
  #step: 'handing-over' | 'draining' | 'answered' = 'handing-over';
  #deadlineMs: number;
  /** When draining began. */
  #drainingSinceMs = 0;
  #lookout: Lookout | null = null;

  constructor(options: DepartureOptions) {
    this.#options = options;
    this.#deadlineMs = options.clock.monotonicMs() + options.handOverMs;
  }

  start(): void {
    const { replica, logger, clock } = this.#options;
    const successor = replica.transferLeadership(null);
    if (successor !== null) logger.log('info', 'leadership-handed-over', { to: successor });
    else this.#drain();
    this.#lookout = new Lookout(clock, this.#look);
  }

  cancel(): void {
    this.#lookout?.cancel();
  }

  readonly #look = (): 'again' | 'over' => {
    const { replica, clock, done } = this.#options;
    const nowMs = clock.monotonicMs();
    const isLate = nowMs >= this.#deadlineMs;
    if (this.#step === 'handing-over') {
      // Until the successor is known here, what waits could not be sent to it.
      const hasLeft = !replica.isLeader && replica.leader !== null;
      // The successor is gone as well, maybe because the whole cluster stops.
      const hasGivenUp = replica.isLeader && !replica.raft.isTransferring;
      if (hasLeft) sometimes('a leader that stops has handed over');
      if (hasLeft || hasGivenUp || isLate) this.#drain();
      return 'again';
    }
    const isOver = isLate || this.#isQuiet(nowMs);
    // Looked at twice, with a turn of the loop in between: the last answers are on their way out of this process.
    if (this.#step === 'answered' && isOver) {
      done();
      return 'over';
    }
    this.#step = isOver ? 'answered' : 'draining';
    return 'again';
  };

  #isQuiet(nowMs: number): boolean {
    const { replica, router, hasClientsToTell } = this.#options;
    if (nowMs - this.#drainingSinceMs < DRAIN_MIN_MS || !router.isIdle || !replica.isIdle) return false;
    return !hasClientsToTell(this.#drainingSinceMs);
  }

  #drain(): void {
    this.#step = 'draining';
    this.#drainingSinceMs = this.#options.clock.monotonicMs();
    this.#deadlineMs = this.#drainingSinceMs + this.#options.drainMs;
    this.#options.router.drain();
  }
}
