/**
 * The leading role: orders commands, copies the log to the followers, commits what a majority has made durable, and
 * confirms that it still leads before a read is answered.
 */
import { assert } from '../base/assert.ts';
import { maybe, sometimes } from '../base/rare.ts';
import { type Entry, EntryKind, type Index } from '../log/entry.ts';
import type { Core } from './core.ts';
import type { Message, NodeId, ReadBasis } from './message.ts';
import { Progress } from './progress.ts';
import { majorityOf, quorumValue } from './quorum.ts';
import { type AskedRead, ReadRounds } from './read_rounds.ts';
import { Uncommitted } from './uncommitted.ts';

/** Why a proposal is not taken. */
export type Refusal = 'not-leader' | 'handing-over' | 'overloaded';

export class Leader {
  readonly role = 'leader';
  readonly #core: Core;
  readonly #followers = new Map<NodeId, Progress>();
  readonly #reads = new ReadRounds();
  readonly #quorumScratch: number[];
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

  constructor(core: Core) {
    this.#core = core;
    const { log } = core;
    const { heartbeatMs, electionTimeoutMs } = core.timing;
    const options = { flow: core.flow, probeMinMs: heartbeatMs, probeMaxMs: electionTimeoutMs };
    for (const peer of core.peers) {
      this.#followers.set(peer, new Progress(options, log.lastIndex + 1, core.nowMs));
    }
    this.#uncommitted = new Uncommitted(log.lastIndex);
    this.#quorumScratch = new Array<number>(core.voters.length);
    this.#firstIndexOfTerm = log.lastIndex + 1;
    this.#sinceMs = core.nowMs;
    this.#nextHeartbeatMs = core.nowMs;
    this.#nextQuorumCheckMs = core.nowMs + core.timing.electionTimeoutMs;
    this.#append(EntryKind.Noop, new Uint8Array(0));
  }

  get deadlineMs(): number {
    const transferMs = this.#transfer?.deadlineMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#nextHeartbeatMs, this.#nextQuorumCheckMs, transferMs);
  }

  get isTransferring(): boolean {
    return this.#transfer !== null;
  }

  /** A majority, this node included, was heard within an election timeout: rivals are not heard out. */
  get isSticky(): boolean {
    return this.#heardWithin(this.#core.timing.electionTimeoutMs) >= majorityOf(this.#core.voters.length);
  }

  progressOf(peer: NodeId): Readonly<Progress> | undefined {
    return this.#followers.get(peer);
  }

  propose(payload: Uint8Array): Index | Refusal {
    // What is proposed now would keep the successor from catching up.
    if (this.#transfer !== null) return 'handing-over';
    const { bytes } = this.#uncommitted;
    if (bytes > 0 && bytes + payload.length > this.#core.flow.uncommittedBytesMax) {
      sometimes('a proposal is refused because too much is not committed');
      return 'overloaded';
    }
    return this.#append(EntryKind.Command, payload);
  }

  /** See `Raft.transferLeadership`. */
  transfer(to: NodeId | null): NodeId | null {
    const successor = to ?? this.#successor();
    if (successor === null || !this.#followers.has(successor)) return null;
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
    const times = this.#quorumScratch;
    let at = 0;
    for (const follower of this.#followers.values()) times[at++] = follower.heartbeatAnsweredMs;
    const elapsedMs = Math.floor(nowMs - this.#sinceMs);
    times[at] = elapsedMs;
    const promisedAtMs = quorumValue(times);
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
      if (core.peers.length > 0)
        for (const [peer, progress] of this.#followers) this.#heartbeat(peer, progress);
      else this.#confirmReads(this.#reads.round);
    }
    // Followers at the same place, the usual case, share one array of entries.
    let shared: readonly Entry[] = [];
    let sharedFrom: Index = 0;
    for (const [peer, progress] of this.#followers) {
      while (
        progress.canSend &&
        (progress.nextIndex <= core.log.lastIndex || progress.state !== 'replicate')
      ) {
        if (progress.nextIndex < core.log.firstIndex || this.#offersWithoutNeed(progress)) {
          this.#offerSnapshot(peer, progress);
          break;
        }
        if (progress.nextIndex !== sharedFrom) {
          sharedFrom = progress.nextIndex;
          const { lastIndex } = core.log;
          const end = maybe('short-append') ? Math.min(sharedFrom, lastIndex) + 1 : lastIndex + 1;
          shared = sharedFrom > lastIndex ? [] : core.log.entries(sharedFrom, end, core.flow.appendBytesMax);
        }
        this.#sendAppend(peer, progress, shared);
      }
    }
    if (this.#transfer !== null) this.#askSuccessor(this.#transfer);
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
    if (this.#core.leaseMs !== null && message.sentAtMs > progress.heartbeatAnsweredMs)
      progress.heartbeatAnsweredMs = message.sentAtMs;
    if (message.round <= progress.round) return;
    progress.round = message.round;
    if (!this.#reads.isConfirming) return;
    const rounds = this.#quorumScratch;
    let at = 0;
    for (const follower of this.#followers.values()) rounds[at++] = follower.round;
    rounds[at] = this.#reads.round;
    this.#confirmReads(quorumValue(rounds));
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
      best = peer;
      bestIndex = matchIndex;
    }
    return best;
  }

  #append(kind: EntryKind, payload: Uint8Array): Index {
    const { log, term } = this.#core;
    const index = log.lastIndex + 1;
    log.append({ index, term, kind, payload });
    this.#uncommitted.add(index, payload.length);
    return index;
  }

  #commit(): void {
    const { log, commitIndex, term } = this.#core;
    const matches = this.#quorumScratch;
    let at = 0;
    for (const follower of this.#followers.values()) matches[at++] = follower.matchIndex;
    // Our own copy counts only as far as it is durable.
    matches[at] = log.durableIndex;
    const index = quorumValue(matches);
    // Entries of earlier terms are never committed by counting copies, only by what follows them (section 5.4.2).
    if (index > commitIndex && log.termAt(index) !== term)
      sometimes('copies of an earlier term do not count');
    if (index > commitIndex && log.termAt(index) === term) {
      this.#core.advanceCommit(index);
      this.#uncommitted.onCommit(index);
    }
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

  /** An offer stands until it is answered. One that nobody needs is right too, only costly: whoever gets it must cope. */
  #offersWithoutNeed({ state, matchIndex }: Progress): boolean {
    if (state === 'snapshot') return true;
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

  #heardWithin(timeoutMs: number): number {
    let heard = 1;
    for (const progress of this.#followers.values()) {
      if (this.#core.nowMs - progress.heardAtMs < timeoutMs) heard++;
    }
    return heard;
  }
}

function payloadBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.payload.length;
  return bytes;
}
