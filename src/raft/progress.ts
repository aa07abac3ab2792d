/**
 * What a leader knows of one follower.
 *
 * `probe`: the point where the logs agree is unknown; one append is out at a time. `replicate`: it is known; appends
 * are pipelined optimistically, `nextIndex` running ahead of `matchIndex`, at most `IN_FLIGHT_MAX` unanswered. A lost
 * connection or a rejection leads back to `probe`.
 */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';

/** Appends to one follower that may be unanswered; bounds what a dead follower makes us buffer. */
export const IN_FLIGHT_MAX = 64;
/** Payload bytes in them; one append may exceed it. */
export const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024;

export class Progress {
  state: 'probe' | 'replicate' = 'probe';
  /** In `probe`: an append is out and nothing is sent until it is answered or a heartbeat is. */
  paused = false;
  /** Highest entry known to be durable at the follower and equal to ours. */
  matchIndex: Index = 0;
  /** Next entry to send; always above `matchIndex`. */
  nextIndex: Index;
  /** Monotonic time at which the follower last answered in this term. */
  heardAtMs: number;
  /** Highest heartbeat round that the follower has answered. */
  round = 0;
  /** Last index of each unanswered append in `replicate`, oldest first. */
  readonly #inFlight: Index[] = [];
  readonly #inFlightBytes: number[] = [];
  #bytes = 0;
  /** When the oldest unanswered append left, or the last answer came: the guard against a silently lost message. */
  progressAtMs: number;

  constructor(nextIndex: Index, nowMs: number) {
    this.nextIndex = nextIndex;
    this.heardAtMs = nowMs;
    this.progressAtMs = nowMs;
  }

  get canSend(): boolean {
    if (this.state === 'probe') return !this.paused;
    return this.#inFlight.length < IN_FLIGHT_MAX && this.#bytes < IN_FLIGHT_BYTES_MAX;
  }

  get awaitsAnswer(): boolean {
    return this.#inFlight.length > 0;
  }

  onSent(lastIndex: Index, bytes: number, nowMs: number): void {
    if (this.state === 'probe') {
      this.paused = true;
      return;
    }
    assert(lastIndex + 1 >= this.nextIndex, 'appends are sent in order', { lastIndex, next: this.nextIndex });
    if (this.#inFlight.length === 0) this.progressAtMs = nowMs;
    this.#inFlight.push(lastIndex);
    this.#inFlightBytes.push(bytes);
    this.#bytes += bytes;
    this.nextIndex = lastIndex + 1;
  }

  /** Returns whether `matchIndex` rose. */
  onAccepted(matchIndex: Index, nowMs: number): boolean {
    this.progressAtMs = nowMs;
    const rose = matchIndex > this.matchIndex;
    if (rose) this.matchIndex = matchIndex;
    if (this.nextIndex <= this.matchIndex) this.nextIndex = this.matchIndex + 1;
    if (this.state === 'probe') {
      this.state = 'replicate';
      this.paused = false;
      this.nextIndex = this.matchIndex + 1;
    }
    let answered = 0;
    while (answered < this.#inFlight.length && this.#inFlight[answered] <= matchIndex) {
      this.#bytes -= this.#inFlightBytes[answered];
      answered++;
    }
    if (answered > 0) {
      this.#inFlight.splice(0, answered);
      this.#inFlightBytes.splice(0, answered);
    }
    return rose;
  }

  /**
   * @param rejectedIndex The `prevIndex` that did not match.
   * @param retryIndex Highest index that may match instead, below `rejectedIndex`.
   * @returns whether the rejection told something new (old ones arrive late).
   */
  onRejected(rejectedIndex: Index, retryIndex: Index): boolean {
    if (rejectedIndex <= this.matchIndex) return false;
    if (this.state === 'replicate') {
      this.becomeProbe();
      return true;
    }
    if (rejectedIndex !== this.nextIndex - 1) return false;
    assert(retryIndex < rejectedIndex, 'a rejection moves the probe back', { rejectedIndex, retryIndex });
    this.nextIndex = Math.max(retryIndex, this.matchIndex) + 1;
    this.paused = false;
    return true;
  }

  /** What was sent and not answered may be lost: start again from what is known. */
  becomeProbe(): void {
    this.paused = false;
    if (this.state === 'probe') return;
    this.state = 'probe';
    this.nextIndex = this.matchIndex + 1;
    this.#inFlight.length = 0;
    this.#inFlightBytes.length = 0;
    this.#bytes = 0;
  }
}
