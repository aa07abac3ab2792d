/**
 * The leading role: orders commands, copies the log to the followers, commits what a majority has made durable, and
 * confirms that it still leads before a read is answered.
 *
 * Changes of membership: one at a time, each begun only when an entry of this leader's own term is committed (or two
 * leaders could change the same configuration differently, and their majorities miss each other), and when the
 * configuration in force is committed and not joint. A joint configuration is left as soon as it is committed, whoever
 * began it. A leader that is not in the configuration any more leads until that is committed, without counting itself.
 */
import { assert } from '../base/assert.ts';
import { maybe, rarely, sometimes } from '../base/rare.ts';
import { type Entry, EntryKind, type Index } from '../log/entry.ts';
import { type Configuration, encodeConfiguration, isJoint, isVoter, memberOf } from './configuration.ts';
import type { Core } from './core.ts';
import {
  type ChangeOutcome,
  changeOf,
  firstStepTo,
  lastStepOf,
  type MembershipChange,
} from './membership_change.ts';
import type { Message, NodeId, ReadBasis } from './message.ts';
import { Progress } from './progress.ts';
import { isMajority, isQuorum, quorumValue } from './quorum.ts';
import { type AskedRead, ReadRounds } from './read_rounds.ts';
import { Uncommitted } from './uncommitted.ts';

/** Why a proposal is not taken. */
export type Refusal = 'not-leader' | 'handing-over' | 'overloaded' | 'mending';

/** What became of a change that was asked for. */
export type ChangeAnswer =
  /** Decided once a configuration that is not joint, at or behind `index` and of this term, is committed. */
  | { readonly type: 'begun'; readonly id: NodeId; readonly index: Index }
  | Exclude<ChangeOutcome, { type: 'change' }>
  /** Not now. */
  | { readonly type: 'refused'; readonly why: Refusal | 'change-under-way' | 'too-early' }
  /** Those left would not be a majority that answers. */
  | { readonly type: 'unsafe'; readonly silent: readonly NodeId[] };

/** What a quorum is asked for. */
type Reached = 'durable' | 'round' | 'promise';

export class Leader {
  readonly role = 'leader';
  readonly #core: Core;
  readonly #followers = new Map<NodeId, Progress>();
  readonly #reads = new ReadRounds();
  /** Of each half of the configuration, to find what its majority has reached. */
  #quorumScratch: number[][] = [];
  readonly #uncommitted: Uncommitted;
  /** Index of the no-op of this term. Until it is committed the commit index may be behind (section 8). */
  readonly #firstIndexOfTerm: Index;
  /** Leadership is being handed over. `isAsked`: the successor was told to campaign. */
  #transfer: { readonly to: NodeId; readonly deadlineMs: number; isAsked: boolean } | null = null;
  /** Never falls back to false: the request may be delivered at any time from then on. */
  #successorWasAsked = false;
  /** When this leadership began. */
  readonly #sinceMs: number;
  #nextHeartbeatMs: number;
  #nextQuorumCheckMs: number;
  /** The commit index at the last heartbeat: a learner that holds this much keeps up. Infinite without learners. */
  #beatCommitIndex = Number.POSITIVE_INFINITY;
  /** See `hasLeft`. */
  #hasLeft = false;

  constructor(core: Core) {
    this.#core = core;
    const { log } = core;
    this.#uncommitted = new Uncommitted(log.lastIndex);
    this.#firstIndexOfTerm = log.lastIndex + 1;
    this.#sinceMs = core.nowMs;
    this.#nextHeartbeatMs = core.nowMs;
    this.#nextQuorumCheckMs = core.nowMs + core.timing.electionTimeoutMs;
    this.#followMembers();
    this.#append(EntryKind.Noop, new Uint8Array(0));
  }

  get deadlineMs(): number {
    const transferMs = this.#transfer?.deadlineMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#nextHeartbeatMs, this.#nextQuorumCheckMs, transferMs);
  }

  get isTransferring(): boolean {
    return this.#transfer !== null;
  }

  /** A majority was heard within an election timeout, this node being one that hears itself: rivals are not heard out. */
  get isSticky(): boolean {
    return isQuorum(this.#core.configuration, (id) => this.#isHeard(id));
  }

  /** This node leads no more: it is not in the configuration that is now committed. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  progressOf(peer: NodeId): Readonly<Progress> | undefined {
    return this.#followers.get(peer);
  }

  propose(payload: Uint8Array): Index | Refusal {
    // What is proposed now would keep the successor from catching up.
    if (this.#transfer !== null || this.#isLeaving) return 'handing-over';
    if (this.#core.log.damage.damagedCount > 0) {
      sometimes('a proposal is refused to mend the log first');
      return 'mending';
    }
    const { bytes } = this.#uncommitted;
    if (bytes > 0 && bytes + payload.length > this.#core.flow.uncommittedBytesMax) {
      sometimes('a proposal is refused because too much is not committed');
      return 'overloaded';
    }
    return this.#append(EntryKind.Command, payload);
  }

  /** See `Raft.changeMembership`. */
  changeMembership(change: MembershipChange): ChangeAnswer {
    const { configuration, configurationIndex, commitIndex } = this.#core;
    if (this.#transfer !== null || this.#isLeaving) return { type: 'refused', why: 'handing-over' };
    if (this.#core.log.damage.damagedCount > 0) return { type: 'refused', why: 'mending' };
    if (commitIndex < this.#firstIndexOfTerm) return { type: 'refused', why: 'too-early' };
    if (isJoint(configuration) || configurationIndex > commitIndex) {
      rarely('a change of membership is refused beside another');
      return { type: 'refused', why: 'change-under-way' };
    }
    const outcome = changeOf(configuration, change);
    if (outcome.type !== 'change') return outcome;
    const { id, target } = outcome;
    // Nothing could undo it, nor be written, as long as they are silent.
    if (!isMajority(target.voters, (voter) => this.#isHeard(voter))) {
      return { type: 'unsafe', silent: target.voters.filter((voter) => !this.#isHeard(voter)) };
    }
    return { type: 'begun', id, index: this.#configure(firstStepTo(target, configuration)) };
  }

  /** See `Raft.transferLeadership`. */
  transfer(to: NodeId | null): NodeId | null {
    const successor = to ?? this.#successor();
    if (successor === null || successor === this.#core.id) return null;
    if (!this.#followers.has(successor) || !this.#core.configuration.voters.includes(successor)) return null;
    if (this.#transfer !== null) return this.#transfer.to === successor ? successor : null;
    const deadlineMs = this.#core.nowMs + this.#core.timing.electionTimeoutMs;
    this.#transfer = { to: successor, deadlineMs, isAsked: false };
    return successor;
  }

  /**
   * A follower, or this node itself, asks for the right to read.
   * @param from This node's own id for its own reads.
   */
  readIndex(from: NodeId, id: number, basis: ReadBasis): void {
    const { commitIndex } = this.#core;
    // Behind reads that wait for a round it waits as well: those of one connection must not overtake each other.
    const isNext = this.#reads.isEmpty && commitIndex >= this.#firstIndexOfTerm;
    if (basis === 'lease' && isNext && this.holdsLease) {
      sometimes('a lease vouches for a read');
      this.#letRead({ from, id }, commitIndex);
    } else {
      this.#reads.add({ from, id });
    }
  }

  onReadIndex(from: NodeId, message: Message & { type: 'read-index' }): void {
    if (this.#hear(from) !== null) this.readIndex(from, message.id, message.basis);
  }

  /**
   * No other node can have become leader by now: a majority promised it, and the promise has not run out by any clock
   * that keeps to the declared drift. Once a successor was asked to campaign nothing is promised any more: it bypasses
   * the promise, at any later time.
   */
  get holdsLease(): boolean {
    return this.holdsLeaseAt(this.#core.nowMs);
  }

  /** @param nowMs The monotonic time, not before that of the last step. */
  holdsLeaseAt(nowMs: number): boolean {
    const { leaseMs } = this.#core;
    if (leaseMs === null || this.#successorWasAsked) return false;
    const elapsedMs = Math.floor(nowMs - this.#sinceMs);
    const promisedAtMs = this.#quorumOf('promise', elapsedMs);
    return promisedAtMs >= 0 && elapsedMs < promisedAtMs + leaseMs;
  }

  /** Returns false when a majority has been silent for an election timeout: the leader must step down. */
  tick(): boolean {
    const core = this.#core;
    if (core.nowMs >= this.#nextQuorumCheckMs) {
      if (!this.isSticky) return false;
      this.#nextQuorumCheckMs = core.nowMs + core.timing.electionTimeoutMs;
    }
    if (this.#transfer !== null && core.nowMs >= this.#transfer.deadlineMs) {
      sometimes('handing over is given up');
      this.#transfer = null;
    }
    if (core.nowMs >= this.#nextHeartbeatMs) {
      this.#nextHeartbeatMs = core.nowMs + core.timing.heartbeatMs;
      for (const [peer, progress] of this.#followers) {
        const silentMs = core.nowMs - progress.progressAtMs;
        if (progress.awaitsAnswer && silentMs > core.timing.electionTimeoutMs) {
          sometimes('appends without an answer are sent again');
          progress.becomeProbe();
        }
        this.#heartbeat(peer, progress);
      }
      this.#dismissDeparted();
      this.#promoteLearner();
      // The request to campaign may have been lost.
      if (this.#transfer !== null) this.#transfer.isAsked = false;
    }
    return true;
  }

  /** Puts what this turn has gathered into messages: one append per follower, one round for all reads. */
  flush(): void {
    const core = this.#core;
    if (this.#reads.wantsRound && core.commitIndex >= this.#firstIndexOfTerm) {
      this.#reads.start(core.commitIndex);
      for (const [peer, progress] of this.#followers) this.#heartbeat(peer, progress);
      // For the only voter.
      if (core.configuration.voters.length === 1)
        this.#confirmReads(this.#quorumOf('round', this.#reads.round));
    }
    for (let appends = 1; this.#appendToAll(); appends++) {
      if (appends < core.flow.appendsPerTurnMax) continue;
      core.output.isUnfinished = this.#mayAppendMore;
      break;
    }
    if (this.#transfer !== null) this.#askSuccessor(this.#transfer);
  }

  get #mayAppendMore(): boolean {
    const { lastIndex } = this.#core.log;
    for (const { state, canSend, nextIndex } of this.#followers.values())
      if (state === 'replicate' && canSend && nextIndex <= lastIndex) return true;
    return false;
  }

  /** An append, or an offer, for each follower that may be sent one; whether any was. */
  #appendToAll(): boolean {
    const { log } = this.#core;
    // Followers at the same place, the usual case, share one array of entries.
    let shared: readonly Entry[] = [];
    let sharedFrom: Index = 0;
    let isAnySent = false;
    for (const [peer, progress] of this.#followers) {
      const isWanted = progress.nextIndex <= log.lastIndex || progress.state !== 'replicate';
      if (!progress.canSend || !isWanted) continue;
      if (progress.nextIndex < log.firstIndex || this.#offersWithoutNeed(progress)) {
        this.#offerSnapshot(peer, progress);
        continue;
      }
      if (progress.nextIndex !== sharedFrom) {
        sharedFrom = progress.nextIndex;
        shared = this.#entriesFrom(sharedFrom);
      }
      // What comes next can't be read here.
      if (shared.length === 0 && progress.state === 'replicate') continue;
      this.#sendAppend(peer, progress, shared);
      isAnySent = true;
    }
    return isAnySent;
  }

  /** What an append takes of the log. They end before what can't be read here. */
  #entriesFrom(index: Index): readonly Entry[] {
    const { log, flow } = this.#core;
    if (index > log.lastIndex) return [];
    const count = maybe('short-append') ? 1 : flow.appendEntriesMax;
    return log.entries(index, Math.min(index + count, log.lastIndex + 1), flow.appendBytesMax);
  }

  onAccepted(from: NodeId, message: Message & { type: 'append-accepted' }): void {
    const progress = this.#hear(from);
    if (progress === null) return;
    assert(message.matchIndex <= this.#core.log.lastIndex, 'a follower holds no more than we sent', {
      matchIndex: message.matchIndex,
    });
    if (progress.onAccepted(message.matchIndex, this.#core.nowMs)) this.#commit();
  }

  onRejected(from: NodeId, message: Message & { type: 'append-rejected' }): void {
    const progress = this.#hear(from);
    if (progress === null) return;
    const { log } = this.#core;
    // Skip whole terms: no entry of ours with a newer term than the hint's can be the follower's at that place.
    let retryIndex = Math.min(message.hintIndex, log.lastIndex);
    const base = log.firstIndex - 1;
    while (retryIndex >= base && log.termAt(retryIndex) > message.hintTerm) retryIndex--;
    if (maybe('low-probe')) retryIndex = Math.max(retryIndex >> 1, Math.min(retryIndex, base));
    progress.onRejected(message.rejectedIndex, retryIndex);
  }

  onHeartbeatReply(from: NodeId, message: Message & { type: 'heartbeat-reply' }): void {
    const progress = this.#hear(from);
    if (progress === null) return;
    progress.onHeartbeatReply(this.#core.nowMs);
    const { sentAtMs } = message;
    if (this.#core.leaseMs !== null && sentAtMs !== null && sentAtMs > progress.heartbeatAnsweredMs)
      progress.heartbeatAnsweredMs = sentAtMs;
    if (message.round <= progress.round) return;
    progress.round = message.round;
    if (!this.#reads.isConfirming) return;
    this.#confirmReads(this.#quorumOf('round', this.#reads.round));
  }

  onDurable(): void {
    this.#commit();
  }

  /** The connection to a follower is new, or messages to it were dropped: what was in flight may be lost. */
  onPeerReset(peer: NodeId): void {
    this.#followers.get(peer)?.becomeProbe();
  }

  abandon(): void {
    // Followers that asked learn of the end by themselves.
    const { id: self, output } = this.#core;
    for (const { from, id } of this.#reads.abandon())
      if (from === self) output.reads.push({ id, index: null });
  }

  #confirmReads(quorumRound: number): void {
    const confirmed = this.#reads.onQuorum(quorumRound);
    if (confirmed === null) return;
    for (const read of confirmed.reads) this.#letRead(read, confirmed.index);
  }

  #letRead({ from, id }: AskedRead, index: Index): void {
    const { id: self, term, output } = this.#core;
    if (from === self) output.reads.push({ id, index });
    else this.#core.send(from, { type: 'read-index-reply', term, id, index });
  }

  /** Whole milliseconds of this leadership, rounded down. */
  #elapsedMs(): number {
    return Math.floor(this.#core.nowMs - this.#sinceMs);
  }

  /** Only a log that is complete and durable at the successor makes its election, and nothing else, a matter of course. */
  #askSuccessor(transfer: { readonly to: NodeId; isAsked: boolean }): void {
    const { log, term } = this.#core;
    const isReady = this.#followers.get(transfer.to)?.matchIndex === log.lastIndex;
    if (transfer.isAsked || !isReady) return;
    transfer.isAsked = true;
    this.#successorWasAsked = true;
    this.#core.send(transfer.to, { type: 'timeout-now', term });
  }

  /** Of the followers heard within an election timeout the one that holds the most; null: none was heard. */
  #successor(): NodeId | null {
    const { nowMs, timing } = this.#core;
    let best: NodeId | null = null;
    let bestIndex: Index = -1;
    for (const [peer, { heardAtMs, matchIndex }] of this.#followers) {
      if (nowMs - heardAtMs >= timing.electionTimeoutMs || matchIndex <= bestIndex) continue;
      if (!this.#core.configuration.voters.includes(peer)) continue;
      best = peer;
      bestIndex = matchIndex;
    }
    return best;
  }

  #append(kind: EntryKind, payload: Uint8Array): Index {
    const { log, term } = this.#core;
    const index = log.lastIndex + 1;
    this.#core.append({ index, term, kind, payload });
    this.#uncommitted.add(index, payload.length);
    return index;
  }

  #commit(): void {
    const { log, commitIndex, term } = this.#core;
    // Our own copy counts only as far as it is durable.
    const index = this.#quorumOf('durable', log.durableIndex);
    // Entries of earlier terms are never committed by counting copies, only by what follows them (section 5.4.2).
    if (index > commitIndex && log.termAt(index) !== term)
      sometimes('copies of an earlier term do not count');
    if (index > commitIndex && log.termAt(index) === term) {
      this.#core.advanceCommit(index);
      this.#uncommitted.onCommit(index);
      this.#onCommitted();
    }
  }

  /** The largest value that a majority of the voters has reached; in a joint configuration, of both halves. */
  #quorumOf(reached: Reached, own: number): number {
    const { voters, outgoing } = this.#core.configuration;
    const value = this.#reachedBy(voters, 0, reached, own);
    return outgoing.length === 0 ? value : Math.min(value, this.#reachedBy(outgoing, 1, reached, own));
  }

  #reachedBy(voters: readonly NodeId[], half: 0 | 1, reached: Reached, own: number): number {
    const values = this.#quorumScratch[half];
    assert(values?.length === voters.length, 'there is room for what each voter has reached', { half });
    let at = 0;
    for (const voter of voters) {
      if (voter === this.#core.id) {
        values[at++] = own;
        continue;
      }
      const progress = this.#followers.get(voter);
      assert(progress !== undefined, 'every voter is followed', { voter });
      if (reached === 'durable') values[at++] = progress.matchIndex;
      else values[at++] = reached === 'round' ? progress.round : progress.heartbeatAnsweredMs;
    }
    return quorumValue(values);
  }

  /** This node is not in the configuration in force, which may yet be replaced. */
  get #isLeaving(): boolean {
    return !isVoter(this.#core.configuration, this.#core.id);
  }

  #configure(configuration: Configuration): Index {
    if (isJoint(configuration)) rarely('a joint configuration is entered');
    const index = this.#append(EntryKind.Configuration, encodeConfiguration(configuration));
    this.#followMembers();
    return index;
  }

  /** New members are followed from now on; departed ones for a while longer, see `#dismissDeparted`. */
  #followMembers(): void {
    const { configuration, flow, timing, nowMs, log, id: self } = this.#core;
    const { heartbeatMs, electionTimeoutMs } = timing;
    const options = { flow, probeMinMs: heartbeatMs, probeMaxMs: electionTimeoutMs };
    for (const { id } of configuration.members) {
      if (id === self || this.#followers.has(id)) continue;
      this.#followers.set(id, new Progress(options, log.lastIndex + 1, nowMs));
    }
    this.#quorumScratch = [
      new Array<number>(configuration.voters.length).fill(0),
      new Array<number>(configuration.outgoing.length).fill(0),
    ];
    // Those who have answered the round that is out may be a majority now, and need not answer it again.
    if (this.#reads.isConfirming) this.#confirmReads(this.#quorumOf('round', this.#reads.round));
  }

  #onCommitted(): void {
    const core = this.#core;
    const { configuration, configurationIndex, commitIndex } = core;
    if (configurationIndex > commitIndex) return;
    if (isJoint(configuration)) {
      this.#configure(lastStepOf(configuration));
    } else if (this.#isLeaving && !this.#hasLeft) {
      this.#hasLeft = true;
      rarely('a leader leaves its group');
      // The others learn at once that it is committed, and need not wait until they miss this leader.
      for (const [peer, progress] of this.#followers) this.#heartbeat(peer, progress);
      const successor = this.#successor();
      if (successor !== null) core.send(successor, { type: 'timeout-now', term: core.term });
    }
  }

  /** They are told until the configuration without them is committed, so that they need not campaign to find out. */
  #dismissDeparted(): void {
    const { configuration, configurationIndex, commitIndex } = this.#core;
    if (configurationIndex > commitIndex || isJoint(configuration)) return;
    for (const peer of this.#followers.keys()) {
      if (memberOf(configuration, peer) === undefined) this.#followers.delete(peer);
    }
  }

  /** A learner that holds what was committed a heartbeat ago votes from now on: it will not hold the others up. */
  #promoteLearner(): void {
    const { configuration, commitIndex } = this.#core;
    const caughtUpIndex = this.#beatCommitIndex;
    const isIdle = configuration.learners.length === 0;
    this.#beatCommitIndex = isIdle ? Number.POSITIVE_INFINITY : Math.max(commitIndex, this.#firstIndexOfTerm);
    for (const id of configuration.learners) {
      const progress = this.#followers.get(id);
      if (progress?.state !== 'replicate' || progress.matchIndex < caughtUpIndex || !this.#isHeard(id))
        continue;
      if (this.changeMembership({ type: 'promote', id }).type !== 'begun') return;
      rarely('a learner has caught up and is promoted');
      return;
    }
  }

  #isHeard(id: NodeId): boolean {
    const progress = this.#followers.get(id);
    // This node itself; it is no follower of its own.
    if (progress === undefined) return id === this.#core.id;
    return this.#core.nowMs - progress.heardAtMs < this.#core.timing.electionTimeoutMs;
  }

  #sendAppend(peer: NodeId, progress: Progress, entries: readonly Entry[]): void {
    const { log, term, commitIndex, nowMs } = this.#core;
    const prevIndex = progress.nextIndex - 1;
    this.#core.send(peer, {
      type: 'append',
      term,
      prevIndex,
      prevTerm: log.termAt(prevIndex),
      commitIndex,
      entries,
    });
    progress.onSent(prevIndex + entries.length, payloadBytes(entries), nowMs);
  }

  /**
   * An offer stands until it is answered. One that nobody needs is right too, only costly: whoever gets it must cope. But it
   * does not stand for ever, since a leader with damaged tables cannot give a snapshot out.
   */
  #offersWithoutNeed(progress: Progress): boolean {
    const { state, matchIndex } = progress;
    if (state === 'snapshot') {
      if (maybe('needless-snapshot')) return true;
      progress.withdrawOffer();
      return false;
    }
    return state === 'probe' && matchIndex < this.#core.snapshots.index && maybe('needless-snapshot');
  }

  #offerSnapshot(peer: NodeId, progress: Progress): void {
    const { log, term, nowMs } = this.#core;
    const { index } = this.#core.snapshots;
    assert(index >= log.firstIndex - 1, 'what was compacted is in a snapshot', {
      index,
      first: log.firstIndex,
    });
    sometimes('a follower is offered a snapshot');
    this.#core.send(peer, { type: 'snapshot-offer', term, index, snapshotTerm: log.termAt(index) });
    progress.onSnapshotOffered(nowMs);
  }

  #heartbeat(peer: NodeId, progress: Progress): void {
    const { term, commitIndex } = this.#core;
    this.#core.send(peer, {
      type: 'heartbeat',
      term,
      commitIndex: Math.min(commitIndex, progress.matchIndex),
      round: this.#reads.round,
      // Only leases need it.
      sentAtMs: this.#core.leaseMs === null ? 0 : this.#elapsedMs(),
    });
  }

  #hear(from: NodeId): Progress | null {
    const progress = this.#followers.get(from);
    if (progress === undefined) return null;
    progress.heardAtMs = this.#core.nowMs;
    return progress;
  }
}

function payloadBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.payload.length;
  return bytes;
}
