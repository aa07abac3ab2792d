/**
 * ReadIndex (thesis, section 6.4), batched: reads that arrive while a confirmation round is out wait for the next
 * one, so any number of reads costs one heartbeat exchange at a time. A round is confirmed when a majority has
 * answered a heartbeat that carries its number or a higher one; a lost heartbeat is made good by the next, which
 * carries the highest number. Numbers are never used twice in a term, and answers of other terms are not counted.
 */
import type { Index } from '../log/entry.ts';
import type { NodeId } from './message.ts';

/** A read, or the reads for which a follower asks together. */
export interface AskedRead {
  readonly from: NodeId;
  readonly id: number;
}

export interface ConfirmedReads {
  readonly index: Index;
  readonly reads: readonly AskedRead[];
}

export class ReadRounds {
  /** Highest round sent; 0 before the first. */
  round = 0;
  #waiting: AskedRead[] = [];
  #confirming: AskedRead[] = [];
  /** The round that confirms `#confirming`, and the commit index when it started. */
  #confirmingRound = 0;
  #confirmingIndex: Index = 0;

  add(read: AskedRead): void {
    this.#waiting.push(read);
  }

  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#confirming.length === 0;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#confirming.length === 0;
  }

  get isConfirming(): boolean {
    return this.#confirming.length > 0;
  }

  /** Starts a round for everything that waits: it may read at `commitIndex`. */
  start(commitIndex: Index): void {
    this.round++;
    this.#confirmingRound = this.round;
    this.#confirmingIndex = commitIndex;
    this.#confirming = this.#waiting;
    this.#waiting = [];
  }

  /**
   * @param quorumRound Highest round that a majority has answered.
   * @returns what it confirms; null: nothing.
   */
  onQuorum(quorumRound: number): ConfirmedReads | null {
    if (this.#confirming.length === 0 || quorumRound < this.#confirmingRound) return null;
    const reads = this.#confirming;
    this.#confirming = [];
    return { index: this.#confirmingIndex, reads };
  }

  /** Leadership is over: what waits is not confirmed any more. */
  abandon(): readonly AskedRead[] {
    const reads = [...this.#confirming, ...this.#waiting];
    this.#confirming = [];
    this.#waiting = [];
    return reads;
  }
}
