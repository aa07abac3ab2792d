/**
 * What Raft nodes say to each other. Every message carries its sender's term; a pre-vote carries the term that the
 * sender would campaign in.
 */
import type { Entry, Index, Term } from '../log/entry.ts';

/** A member of a group, from 1. */
export type NodeId = number & { readonly unit?: 'node' };

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
  | { readonly type: 'heartbeat'; readonly term: Term; readonly commitIndex: Index; readonly round: number }
  | { readonly type: 'heartbeat-reply'; readonly term: Term; readonly round: number }
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
