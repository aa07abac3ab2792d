/**
 * What all roles of a Raft node share: identity, term and vote, log, commit index, clock and the output of the turn.
 * Roles change it only through its methods, so the rules that hold in every role stand here, once.
 */
import { assert } from '../base/assert.ts';
import { maybe } from '../base/rare.ts';
import type { Random } from '../io/random.ts';
import type { Index, Term } from '../log/entry.ts';
import type { FlowLimits } from './flow.ts';
import type { Message, NodeId } from './message.ts';
import type { Output } from './output.ts';
import type { RaftLog } from './raft_log.ts';

export interface RaftTiming {
  /** How often a leader shows that it is there. */
  readonly heartbeatMs: number;
  /**
   * A follower that heard nothing for this long, or up to twice as long (drawn anew each time), campaigns. Several
   * heartbeats long, or one lost message costs an election.
   */
  readonly electionTimeoutMs: number;
}

export const DEFAULT_TIMING: RaftTiming = { heartbeatMs: 50, electionTimeoutMs: 500 };

/**
 * A bound that holds for most clocks by far: one per cent. A lease is as safe as this bound: it must be `null` (no
 * leases) where a clock may run slower or faster, or stand still while the process runs.
 */
export const DEFAULT_CLOCK_DRIFT_PPM_MAX = 10_000;

export interface CoreOptions {
  readonly id: NodeId;
  /** All voting members, `id` among them. */
  readonly voters: readonly NodeId[];
  readonly log: RaftLog;
  readonly random: Random;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** By how many millionths a node's monotonic clock may be faster or slower than true time; null: no bound is trusted. */
  readonly clockDriftPpmMax: number | null;
  /** The latest index of which a snapshot can be given; at least `log.firstIndex - 1`. */
  readonly snapshots: { readonly index: Index };
}

export class Core {
  readonly id: NodeId;
  readonly voters: readonly NodeId[];
  readonly peers: readonly NodeId[];
  readonly log: RaftLog;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** For how long after a heartbeat was sent a leader may rely on its answer; null: not at all. */
  readonly leaseMs: number | null;
  readonly random: Random;
  readonly snapshots: { readonly index: Index };

  /** Never falls. Durable before a message of this term leaves. */
  term: Term;
  /** Whom this node voted for in `term`; set at most once a term. */
  vote: NodeId | null;
  /** Highest index known to be committed; never falls, never above `log.lastIndex`. */
  commitIndex: Index;
  /** Monotonic time of the step under way. */
  nowMs = 0;
  /**
   * When a leader was last heard, of whatever term. For an election timeout from then on this node gives no vote
   * (thesis, section 4.2.3), whatever becomes of its role and term meanwhile: leases rest on it.
   */
  heardLeaderAtMs = Number.NEGATIVE_INFINITY;
  output: Output = emptyOutput();

  constructor(options: CoreOptions, term: Term, vote: NodeId | null, commitIndex: Index) {
    assert(options.voters.includes(options.id), 'a node is a voter of its own group', { id: options.id });
    assert(commitIndex <= options.log.lastIndex, 'what is committed is in the log', { commitIndex });
    this.id = options.id;
    this.voters = options.voters;
    this.peers = options.voters.filter((voter) => voter !== options.id);
    this.log = options.log;
    this.random = options.random;
    this.snapshots = options.snapshots;
    this.timing = options.timing;
    this.flow = options.flow;
    this.leaseMs = leaseMs(options);
    this.term = term;
    this.vote = vote;
    this.commitIndex = commitIndex;
  }

  send(to: NodeId, message: Message): void {
    this.output.messages.push({ to, message });
  }

  broadcast(message: Message): void {
    for (const peer of this.peers) this.send(peer, message);
  }

  takeOutput(): Output {
    const output = this.output;
    this.output = emptyOutput();
    return output;
  }

  /** Enters a later term, in which this node has not voted. */
  enterTerm(term: Term): void {
    assert(term > this.term, 'terms only rise', { from: this.term, to: term });
    this.term = term;
    this.vote = null;
    this.#persist();
  }

  voteFor(candidate: NodeId): void {
    assert(this.vote === null || this.vote === candidate, 'one vote a term', {
      term: this.term,
      vote: this.vote,
    });
    if (this.vote === candidate) return;
    this.vote = candidate;
    this.#persist();
  }

  /** A leader was heard within an election timeout: candidates are not heard out. */
  get isSticky(): boolean {
    return this.nowMs - this.heardLeaderAtMs < this.timing.electionTimeoutMs;
  }

  /** Section 5.4.1: only a log that is at least as complete as ours may lead us. */
  isUpToDate(lastIndex: Index, lastTerm: Term): boolean {
    const ownTerm = this.log.lastTerm;
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.log.lastIndex);
  }

  advanceCommit(index: Index): void {
    if (index <= this.commitIndex) return;
    assert(index <= this.log.lastIndex, 'what is committed is in the log', {
      index,
      last: this.log.lastIndex,
    });
    this.commitIndex = index;
  }

  /**
   * The state up to `index` was installed from a snapshot of what is committed. The log keeps what follows only if it
   * holds that very entry; otherwise nothing of it can be known to follow.
   */
  restore(index: Index, term: Term): void {
    assert(index > this.commitIndex, 'a snapshot is only installed over an older state', {
      index,
      commit: this.commitIndex,
    });
    const holdsEntry = index <= this.log.lastIndex && this.log.termAt(index) === term;
    if (!holdsEntry) this.log.reset(index, term);
    this.commitIndex = index;
  }

  /** A new, randomised moment at which silence becomes an election. */
  drawElectionDeadline(): number {
    const timeout = this.timing.electionTimeoutMs;
    // Split votes, that randomised timeouts make rare.
    if (maybe('equal-election-timeout')) return this.nowMs + timeout;
    return this.nowMs + timeout + this.random.below(timeout);
  }

  #persist(): void {
    this.output.hardState = { term: this.term, vote: this.vote };
  }
}

/**
 * A follower's promise lasts an election timeout by its clock, so at least `timeout / (1 + drift)` of true time; a time
 * by the leader's clock takes at most `1 / (1 - drift)` of it.
 */
function leaseMs({ clockDriftPpmMax, timing }: CoreOptions): number | null {
  if (clockDriftPpmMax === null) return null;
  const drift = clockDriftPpmMax / 1_000_000;
  return Math.floor((timing.electionTimeoutMs * (1 - drift)) / (1 + drift));
}

function emptyOutput(): Output {
  return { hardState: null, messages: [], reads: [], snapshot: null };
}
