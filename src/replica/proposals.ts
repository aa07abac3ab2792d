/**
 * Writes that a leader has proposed and not answered yet, by their place in the log.
 *
 * What an answer may say is decided here. `unavailable` means that the write was certainly not executed and never will
 * be: another entry must have been *applied* in its place. As long as that is not so, some node may hold the write in its
 * log, come to lead and commit it, however many leaders there were in between; then the answer is `unknown`.
 */
import { assert } from '../base/assert.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { errorResult, type Result } from '../kv/request.ts';
import type { Entry, Index, Term } from '../log/entry.ts';

/** The entry's place was given to a later proposal, or its fate lies hidden in a snapshot. */
export const SUPERSEDED = errorResult('unknown', 'leadership changed: the write may or may not take effect');
/** Another entry was applied in its place. */
export const NOT_LEADER = errorResult('unavailable', 'this node does not lead');
export const MENDING = errorResult(
  'unavailable',
  'the leader waits for damaged entries of its log, which it fetches from other nodes: see INFO',
);
export const LEADER_REBUILDS = errorResult(
  'unavailable',
  'the leader can apply nothing, since what it holds is being rebuilt from another node: see INFO',
);

const NOT_IN_TIME = errorResult(
  'unknown',
  'no majority has confirmed the write in time: it may or may not take effect',
);

interface Proposal {
  readonly term: Term;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly done: (result: Result) => void;
}

export class Proposals {
  /** Oldest first. */
  readonly #proposals = new Map<Index, Proposal>();
  #bytes = 0;

  /** Payload bytes of all. */
  get bytes(): number {
    return this.#bytes;
  }

  get isIdle(): boolean {
    return this.#proposals.size === 0;
  }

  /** When `expire` has something to do; infinity: never. O(1). */
  get deadlineMs(): number {
    for (const { deadlineMs } of this.#proposals.values()) return deadlineMs;
    return Number.POSITIVE_INFINITY;
  }

  /** @param proposal What this node, leading `term`, has just given the place `index` in its log. */
  add(index: Index, proposal: Proposal): void {
    // A proposal of an earlier leadership at this index is gone from our log, but another node may still hold it and,
    // should it lead before this entry is committed, commit it.
    if (this.#proposals.has(index)) rarely('a proposal is superseded by a later leadership');
    this.#settle(index, SUPERSEDED);
    this.#proposals.set(index, proposal);
    this.#bytes += proposal.bytes;
  }

  /** Whether the entry, which is about to be applied, is the one that was proposed here. */
  holds({ index, term }: Entry): boolean {
    return this.#proposals.get(index)?.term === term;
  }

  /** @param result Of the entry, when `holds` is true of it. */
  onApplied(entry: Entry, result: Result | null): void {
    const { index } = entry;
    if (!this.#proposals.has(index)) return;
    if (!this.holds(entry)) {
      sometimes('a proposal lost its place to another leader');
      this.#settle(index, NOT_LEADER);
      return;
    }
    assert(result !== null, 'a wanted result is given', { index });
    this.#settle(index, result);
  }

  /** They may be among what the snapshot up to `index` holds, or not: their entries are not seen here. */
  onSnapshot(index: Index): void {
    for (const proposed of [...this.#proposals.keys()]) {
      if (proposed <= index) this.#settle(proposed, SUPERSEDED);
    }
  }

  expire(nowMs: number): void {
    for (const [index, { deadlineMs }] of this.#proposals) {
      if (deadlineMs > nowMs) return;
      sometimes('a proposal is not decided in time');
      this.#settle(index, NOT_IN_TIME);
    }
  }

  /** Answers all of them. */
  stop(): void {
    const stopped = errorResult('unknown', 'the node stopped: the write may or may not take effect');
    for (const index of [...this.#proposals.keys()]) this.#settle(index, stopped);
  }

  #settle(index: Index, result: Result): void {
    const proposal = this.#proposals.get(index);
    if (proposal === undefined) return;
    this.#proposals.delete(index);
    this.#bytes -= proposal.bytes;
    proposal.done(result);
  }
}
