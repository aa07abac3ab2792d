/**
 * What a turn of the core asks its surroundings to do. Entries are not listed: the core hands them to its `RaftLog`
 * at once, which buffers them, and hears through `onDurable` how far they are safe.
 *
 * The order that safety needs: `hardState`, when set, is durable before any of `messages` (of this output or a later
 * one) leaves. Acknowledgements of entries are only made after `onDurable`, so they need no order of their own.
 */
import type { Index, Term } from '../log/entry.ts';
import type { Message, NodeId } from './message.ts';

/** Must survive a crash: a node that forgot its vote could vote twice in a term. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId | null;
}

export interface Output {
  hardState: HardState | null;
  readonly messages: Envelope[];
  readonly reads: ReadState[];
  /** The leader's log doesn't reach back to where ours ends: its state is to be fetched, see `Raft.restore`. */
  snapshot: SnapshotOffer | null;
  /** There is more to send than a turn should: take the next output soon. */
  isUnfinished: boolean;
}

export interface SnapshotOffer {
  /** Who has it. */
  readonly from: NodeId;
  /** It holds the effects of all entries up to this one, whose term is `term`. */
  readonly index: Index;
  readonly term: Term;
}

export interface Envelope {
  readonly to: NodeId;
  readonly message: Message;
}

/** The answer to `readIndex(id)`. */
export interface ReadState {
  readonly id: number;
  /** The read may run once this index is applied; null: this node does not lead, nothing was confirmed. */
  readonly index: Index | null;
}
