/**
 * ReadIndex (thesis, section 6.4), batched: reads that arrive while a confirmation round is out wait for the next
 * one, so any number of reads costs one heartbeat exchange at a time. A round is confirmed when a majority has
 * answered a heartbeat that carries its number or a higher one; a lost heartbeat is made good by the next, which
 * carries the highest number. Numbers are never used twice in a term, and answers of other terms are not counted.
 */
import type { Index } from '../log/entry.ts';
import type { ReadState } from './output.ts';

export class ReadRounds {
  /** Highest round sent; 0 before the first. */
  round = 0;
  #waiting: number[] = [];
  #confirming: number[] = [];
  /** The round that confirms `#confirming`, and the commit index when it started. */
  #confirmingRound = 0;
  #confirmingIndex: Index = 0;

  add(id: number): void {
    this.#waiting.push(id);
  }

  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#confirming.length === 0;
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

  /** `quorumRound`: highest round that a majority has answered. */
  onQuorum(quorumRound: number, reads: ReadState[]): void {
    if (this.#confirming.length === 0 || quorumRound < this.#confirmingRound) return;
    for (const id of this.#confirming) reads.push({ id, index: this.#confirmingIndex });
    this.#confirming = [];
  }

  /** Leadership is over: nothing is confirmed any more. */
  abandon(reads: ReadState[]): void {
    for (const id of this.#confirming) reads.push({ id, index: null });
    for (const id of this.#waiting) reads.push({ id, index: null });
    this.#confirming = [];
    this.#waiting = [];
  }
}
