/**
 * What a leader knows of one follower.
 *
 * `probe`: the point where the logs agree is unknown; one append is out at a time. `replicate`: it is known; appends
 * are pipelined optimistically, `nextIndex` running ahead of `matchIndex`, a bounded number and size of them unanswered.
 * A lost connection, a rejection or a long silence leads back to `probe`.
 *
 * `snapshot`: what the follower needs was compacted; it was told to fetch a snapshot, and no appends go out until it says
 * that it has it. The offer is repeated as a probe is.
 *
 * A probe that is not answered is repeated when a heartbeat is: the follower is there, the probe may have been lost. Or
 * the follower is slow: so each repetition waits twice as long as the one before.
 */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';
import type { FlowLimits } from './flow.ts';

export interface ProgressOptions {
  readonly flow: FlowLimits;
  /** The shortest and the longest wait before an unanswered probe is repeated. */
  readonly probeMinMs: number;
  readonly probeMaxMs: number;
}

export class Progress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** In `probe` and `snapshot`: an append or an offer is out and nothing is sent until it is answered or a heartbeat is. */
  paused = false;
  /** Highest entry known to be durable at the follower and equal to ours. */
  matchIndex: Index = 0;
  /** Next entry to send; always above `matchIndex`. */
  nextIndex: Index;
  /** Monotonic time at which the follower last answered in this term. */
  heardAtMs: number;
  /** Highest heartbeat round that the follower has answered. */
  round = 0;
  /** When the latest heartbeat that it has answered was sent, in milliseconds of this leadership; -1: none. */
  heartbeatAnsweredMs = -1;
  /** Last index of each unanswered append in `replicate`, oldest first. */
  readonly #inFlight: Index[] = [];
  readonly #inFlightBytes: number[] = [];
  #bytes = 0;
  /** When the oldest unanswered append left, or the last answer came: the guard against a silently lost message. */
  progressAtMs: number;
  readonly #options: ProgressOptions;
  /** When the last probe left, and how long it is waited for. */
  #probedAtMs: number;
  #probeWaitMs: number;

  constructor(options: ProgressOptions, nextIndex: Index, nowMs: number) {
    this.#options = options;
    this.#probedAtMs = nowMs;
    this.#probeWaitMs = options.probeMinMs;
    this.nextIndex = nextIndex;
    this.heardAtMs = nowMs;
    this.progressAtMs = nowMs;
  }

  get canSend(): boolean {
    if (this.state !== 'replicate') return !this.paused;
    const { inFlightMax, inFlightBytesMax } = this.#options.flow;
    return this.#inFlight.length < inFlightMax && this.#bytes < inFlightBytesMax;
  }

  /** Payload bytes sent and not answered, in `replicate`. */
  get inFlightBytes(): number {
    return this.#bytes;
  }

  get awaitsAnswer(): boolean {
    return this.#inFlight.length > 0;
  }

  onSent(lastIndex: Index, bytes: number, nowMs: number): void {
    if (this.state !== 'replicate') {
      this.#pause(nowMs);
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
    // It still lacks what was offered, or an earlier answer comes late: the offer stands, and is repeated in its time.
    if (this.state === 'snapshot' && !rose) return false;
    if (rose) this.matchIndex = matchIndex;
    if (this.nextIndex <= this.matchIndex) this.nextIndex = this.matchIndex + 1;
    if (this.state !== 'replicate') {
      this.state = 'replicate';
      this.paused = false;
      this.#probeWaitMs = this.#options.probeMinMs;
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
    if (this.state === 'snapshot' || rejectedIndex !== this.nextIndex - 1) return false;
    assert(retryIndex < rejectedIndex, 'a rejection moves the probe back', { rejectedIndex, retryIndex });
    this.nextIndex = Math.max(retryIndex, this.matchIndex) + 1;
    this.paused = false;
    this.#probeWaitMs = this.#options.probeMinMs;
    return true;
  }

  /** The follower is there: a probe that is out for long may be repeated. */
  onHeartbeatReply(nowMs: number): void {
    if (!this.paused || nowMs - this.#probedAtMs < this.#probeWaitMs) return;
    this.paused = false;
    this.#probeWaitMs = Math.min(2 * this.#probeWaitMs, this.#options.probeMaxMs);
  }

  /** What the follower needs was compacted, and it has been told so. */
  onSnapshotOffered(nowMs: number): void {
    // Where the probe was is kept while the offer is repeated: it may turn out not to be needed.
    if (this.state !== 'snapshot') this.becomeProbe();
    this.state = 'snapshot';
    this.#pause(nowMs);
  }

  /** What was offered is not needed: go on where the probe was. */
  withdrawOffer(): void {
    assert(this.state === 'snapshot', 'what is withdrawn was offered', { next: this.nextIndex });
    this.state = 'probe';
  }

  #pause(nowMs: number): void {
    this.paused = true;
    this.#probedAtMs = nowMs;
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
