/**
 * Stale reads: answered from what this node has applied, if it can prove that this is not too old.
 *
 * The proof is a read index (thesis, section 6.4): this node asks the group for one at a moment of its own clock, and the
 * leader of that time or a later one confirms by a round that it leads. Everything that was acknowledged to anybody
 * before the question was asked is at or below the index in the answer. So once that index is applied, the state is
 * complete as of the moment at which this node asked: no other clock is involved, no message can make it look younger
 * by being late, and a leader that was deposed behind a partition proves nothing. Having heard a heartbeat would not do:
 * it may have been on its way for long, and come from such a leader.
 *
 * Proofs come for free with the linearizable reads that this node answers. Where there are none, one is asked for when
 * stale reads have used up half of the age that they allow, so that the next ones need not wait. A read for which no
 * proof is young enough waits a little for the next one, and is refused when that does not come.
 *
 * What this node has applied only grows while it lives, and reads of equal terms are answered in the order in which they
 * were asked for: so one never sees less than another before it.
 */
import { rarely } from '../base/rare.ts';
import { errorResult, type Read, type Result, type StaleTerms } from '../kv/request.ts';
import type { Index } from '../log/entry.ts';

type Done = (result: Result) => void;

export interface StaleReadsOptions {
  /** Answers the read from what is applied. */
  readonly run: (request: Read, terms: StaleTerms, done: Done) => void;
  /** Asks the group for a read index that a round confirms; returns the number under which `onReadIndex` comes. */
  readonly ask: (nowMs: number) => number;
  /** How long a read waits for what it needs before it is refused. */
  readonly waitMs: number;
}

interface WaitingRead {
  readonly request: Read;
  readonly terms: StaleTerms;
  readonly done: Done;
  /** As of then the state must be complete, by this node's monotonic clock. */
  readonly neededMs: number;
  readonly deadlineMs: number;
}

/** The state up to `index` is complete as of `atMs`. */
interface Proof {
  readonly atMs: number;
  readonly index: Index;
}

/** Proofs that wait for what they need to be applied; of more the latest counts alone. */
const PROOFS_MAX = 64;

export class StaleReads {
  readonly #options: StaleReadsOptions;
  #appliedIndex: Index = 0;
  /** Of the state that is applied. */
  #provenAtMs = Number.NEGATIVE_INFINITY;
  /** What will be proven by applying more, ascending in both. */
  readonly #ahead: Proof[] = [];
  /** The question that is not answered. */
  #asked: { readonly id: number; readonly atMs: number } | null = null;
  #waiting: WaitingRead[] = [];

  constructor(options: StaleReadsOptions) {
    this.#options = options;
  }

  /** `done` is called once, maybe before this returns. */
  read(request: Read, terms: StaleTerms, nowMs: number, done: Done): void {
    const { waitMs, run } = this.#options;
    const neededMs = nowMs - terms.maxAgeMs;
    if (neededMs <= this.#provenAtMs && terms.minRevision <= this.#appliedIndex) {
      // The next reads shall not have to wait.
      if (nowMs - this.#latestMs > terms.maxAgeMs / 2) this.#ask(nowMs);
      run(request, terms, done);
      return;
    }
    rarely('a stale read waits for what it must see');
    this.#waiting.push({ request, terms, done, neededMs, deadlineMs: nowMs + waitMs });
    if (neededMs > this.#latestMs) this.#ask(nowMs);
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** When `expire` has something to do; infinite: nothing waits. */
  get deadlineMs(): number {
    return this.#waiting[0]?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * @param index Null: nobody confirms anything at this time.
   * @returns whether this was the answer to a question of stale reads.
   */
  onReadIndex(id: number, index: Index | null, nowMs: number): boolean {
    if (this.#asked === null || this.#asked.id !== id) return false;
    const { atMs } = this.#asked;
    this.#asked = null;
    if (index !== null) this.onProof(atMs, index, nowMs);
    else this.#refuseUnproven(nowMs);
    return true;
  }

  /** A round that this node asked for at `atMs` has confirmed `index`. */
  onProof(atMs: number, index: Index, nowMs: number): void {
    if (atMs > this.#latestMs) {
      if (this.#ahead.length === PROOFS_MAX) this.#ahead.pop();
      this.#ahead.push({ atMs, index });
    }
    this.onApplied(this.#appliedIndex, nowMs);
  }

  /** Everything up to `index` is applied. */
  onApplied(index: Index, nowMs: number): void {
    this.#appliedIndex = index;
    let reached = 0;
    for (const proof of this.#ahead) {
      if (proof.index > index) break;
      this.#provenAtMs = proof.atMs;
      reached++;
    }
    if (reached > 0) this.#ahead.splice(0, reached);
    if (this.#waiting.length > 0) this.#serve(nowMs);
  }

  /** Refuses what has waited for too long. */
  expire(nowMs: number): void {
    while (this.#waiting.length > 0 && this.#waiting[0].deadlineMs <= nowMs) {
      const read = this.#waiting.shift();
      if (read !== undefined) this.#refuse(read, nowMs);
    }
  }

  stop(result: Result): void {
    for (const { done } of this.#waiting.splice(0)) done(result);
  }

  /** As of when the state will be complete once everything that has been confirmed is applied. */
  get #latestMs(): number {
    return this.#ahead[this.#ahead.length - 1]?.atMs ?? this.#provenAtMs;
  }

  #ask(nowMs: number): void {
    if (this.#asked === null) this.#asked = { id: this.#options.ask(nowMs), atMs: nowMs };
  }

  #serve(nowMs: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    let isProofNeeded = false;
    for (const read of waiting) {
      if (this.#isMet(read)) this.#options.run(read.request, read.terms, read.done);
      else {
        this.#waiting.push(read);
        if (read.neededMs > this.#latestMs) isProofNeeded = true;
      }
    }
    if (isProofNeeded) this.#ask(nowMs);
  }

  #isMet({ neededMs, terms }: WaitingRead): boolean {
    return neededMs <= this.#provenAtMs && terms.minRevision <= this.#appliedIndex;
  }

  /** Those whose proof is on its way may still be answered. */
  #refuseUnproven(nowMs: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const read of waiting) {
      if (read.neededMs <= this.#latestMs) this.#waiting.push(read);
      else this.#refuse(read, nowMs);
    }
  }

  #refuse({ terms, neededMs, done }: WaitingRead, nowMs: number): void {
    if (neededMs <= this.#provenAtMs) {
      rarely('a stale read is refused because its revision is not here');
      done(
        tooStale(`revision ${terms.minRevision} (MINREV) is not applied here, only ${this.#appliedIndex}`),
      );
      return;
    }
    rarely('a stale read is refused because nothing proves how old it is');
    const age = Math.ceil(nowMs - this.#provenAtMs);
    const last = Number.isFinite(age)
      ? `is complete as of ${age} ms ago`
      : 'was not confirmed since it started';
    done(tooStale(`what this node has applied ${last}, and ${terms.maxAgeMs} ms are allowed (MAXAGE)`));
  }
}

function tooStale(why: string): Result {
  return errorResult('unavailable', `too stale: ${why}`);
}
