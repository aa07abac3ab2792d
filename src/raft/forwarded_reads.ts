/**
 * Reads that a follower serves itself: it asks the leader for a read index, once for all reads that wait, and runs them
 * when it has applied that far. One request is out at a time; what comes meanwhile goes into the next.
 *
 * A request that was lost is asked again under a new number. Numbers don't start anew with each life of the node: a late
 * answer to an earlier life's request would let a read through that is younger than the index.
 */
import type { Random } from '../io/random.ts';
import type { Index } from '../log/entry.ts';
import type { ReadBasis } from './message.ts';
import type { ReadState } from './output.ts';

export interface ReadRequest {
  readonly id: number;
  readonly basis: ReadBasis;
}

export class ForwardedReads {
  #nextId: number;
  /** Not asked for yet. A lease is not enough for all of them when it is not for one. */
  #waiting: number[] = [];
  #waitingBasis: ReadBasis = 'lease';
  /** Asked for under `#request`. */
  #asked: number[] = [];
  #request: ReadRequest | null = null;
  #askedAtMs = 0;

  constructor(random: Random) {
    this.#nextId = random.below(2 ** 20) * 2 ** 32 + random.below(2 ** 32);
  }

  add(id: number, basis: ReadBasis): void {
    this.#waiting.push(id);
    if (basis === 'round') this.#waitingBasis = 'round';
  }

  /** The next request to send; null: none is due. */
  next(nowMs: number): ReadRequest | null {
    if (this.#request !== null || this.#waiting.length === 0) return null;
    this.#asked = this.#waiting;
    this.#request = { id: this.#nextId++, basis: this.#waitingBasis };
    this.#waiting = [];
    this.#waitingBasis = 'lease';
    this.#askedAtMs = nowMs;
    return this.#request;
  }

  /** What was asked at least `ageMs` ago and not answered may be lost: it is to be asked again. */
  repeat(nowMs: number, ageMs: number): void {
    if (this.#request === null || nowMs - this.#askedAtMs < ageMs) return;
    this.#waiting = [...this.#asked, ...this.#waiting];
    if (this.#request.basis === 'round') this.#waitingBasis = 'round';
    this.#asked = [];
    this.#request = null;
  }

  onReply(id: number, index: Index, reads: ReadState[]): void {
    if (this.#request === null || this.#request.id !== id) return;
    for (const read of this.#asked) reads.push({ id: read, index });
    this.#asked = [];
    this.#request = null;
  }

  /** The leader that was asked leads no more. */
  abandon(reads: ReadState[]): void {
    for (const id of this.#asked) reads.push({ id, index: null });
    for (const id of this.#waiting) reads.push({ id, index: null });
    this.#asked = [];
    this.#waiting = [];
    this.#waitingBasis = 'lease';
    this.#request = null;
  }
}
