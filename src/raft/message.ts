/**
 * What Raft nodes say to each other. Every message carries its sender's term; a pre-vote carries the term that the
 * sender would campaign in.
 */
import type { Entry, Index, Term } from '../log/entry.ts';

/** A member of a group, from 1. */
export type NodeId = number & { readonly unit?: 'node' };

/** What vouches for a leadership when a read is let through: a round of heartbeats, or a lease while one is held. */
export type ReadBasis = 'round' | 'lease';

export type Message =
  /** "Would you vote for me?" Changes nothing at the receiver (thesis, section 9.6). */
  | { readonly type: 'pre-vote'; readonly term: Term; readonly lastIndex: Index; readonly lastTerm: Term }
  | { readonly type: 'pre-vote-reply'; readonly term: Term; readonly granted: boolean }
  /** `transfer`: the leader itself asked for this election, so it is heard out beside a live leader. */
  | {
      readonly type: 'vote';
      readonly term: Term;
      readonly lastIndex: Index;
      readonly lastTerm: Term;
      readonly transfer: boolean;
    }
  | { readonly type: 'vote-reply'; readonly term: Term; readonly granted: boolean }
  | AppendMessage
  /** All entries up to `matchIndex` equal the leader's and are durable at the sender. */
  | { readonly type: 'append-accepted'; readonly term: Term; readonly matchIndex: Index }
  /**
   * The sender has no entry that equals the leader's at `rejectedIndex`. Its last entry at or before it whose term
   * is no newer than the leader's there is (`hintIndex`, `hintTerm`): nothing behind it can match.
   */
  | {
      readonly type: 'append-rejected';
      readonly term: Term;
      readonly rejectedIndex: Index;
      readonly hintIndex: Index;
      readonly hintTerm: Term;
    }
  /** `commitIndex` is capped at what the receiver is known to hold; `round` confirms leadership for reads. */
  | {
      readonly type: 'heartbeat';
      readonly term: Term;
      readonly commitIndex: Index;
      readonly round: number;
      /** When it was sent, in whole milliseconds of this leadership; the reply carries it back. Leases count from it. */
      readonly sentAtMs: number;
    }
  | {
      readonly type: 'heartbeat-reply';
      readonly term: Term;
      readonly round: number;
      /** Of the heartbeat that is answered; null: it answers no heartbeat of this term, and promises nothing. */
      readonly sentAtMs: number | null;
    }
  /** A follower asks for the right to read. `id` is never used twice, not even by another life of the follower. */
  | { readonly type: 'read-index'; readonly term: Term; readonly id: number; readonly basis: ReadBasis }
  /** Reads for which the follower asked may run once it has applied `index`. */
  | { readonly type: 'read-index-reply'; readonly term: Term; readonly id: number; readonly index: Index }
  /**
   * What the receiver needs next is no longer in the sender's log: it is to fetch the state as of `index`, whose entry is
   * of `snapshotTerm`. Answered with `append-accepted` once that is installed, however long it takes.
   */
  | {
      readonly type: 'snapshot-offer';
      readonly term: Term;
      readonly index: Index;
      readonly snapshotTerm: Term;
    }
  /** The sender's log holds these entries, by index and term, and can't read them. */
  | {
      readonly type: 'mend-request';
      readonly term: Term;
      /** Ascending. */
      readonly indices: readonly Index[];
      readonly terms: readonly Term[];
    }
  /** What the sender knows of the entries that it was asked for; of those that it doesn't mention it says nothing yet. */
  | {
      readonly type: 'mend-reply';
      readonly term: Term;
      /** By ascending index, with gaps. */
      readonly entries: readonly Entry[];
      /** The sender does not hold, and has not forgotten, an entry of this index and the term asked for. */
      readonly absent: readonly Index[];
      /** It holds them, damaged as well; or it has forgotten what it held. */
      readonly cannotSay: readonly Index[];
      /** Some that were asked for are in its log no more: what it can give is the state as of this index; 0: none were. */
      readonly snapshotIndex: Index;
      readonly snapshotTerm: Term;
    }
  /** The leader hands over: the receiver, whose log is complete, campaigns at once (thesis, section 3.10). */
  | { readonly type: 'timeout-now'; readonly term: Term };

export interface AppendMessage {
  readonly type: 'append';
  readonly term: Term;
  /** The entry before the first of `entries`: the receiver must hold the same one. */
  readonly prevIndex: Index;
  readonly prevTerm: Term;
  readonly commitIndex: Index;
  readonly entries: readonly Entry[];
}
