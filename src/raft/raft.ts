/**
 * The consensus core of one Raft group on one node (Ongaro, "Consensus: Bridging Theory and Practice", 2014).
 *
 * No I/O: time and messages come in as arguments, and `takeOutput` hands out what must be persisted and sent. The
 * three roles are classes of their own (`follower.ts`, `candidate.ts`, `leader.ts`) over the shared `Core`; this class
 * holds the rules that decide which role acts: a later term ends every role, an earlier one is turned away, votes.
 *
 * Liveness has three guards that only work together: pre-vote (a returning node asks before it raises the term),
 * CheckQuorum (a leader that a majority does not answer steps down) and stickiness (who hears a leader helps no
 * candidate).
 *
 * Turn order for the caller: any number of `step`, `tick`, `propose`, `readIndex`, `onDurable`,
 * `onHardStateDurable`; then one `takeOutput`.
 */

import { assert, unreachable } from '../base/assert.ts';
import { rarely, sometimes } from '../base/rare.ts';
import type { Index, Term } from '../log/entry.ts';
import { Candidate, type Occasion } from './candidate.ts';
import type { Configuration } from './configuration.ts';
import { Core, type CoreOptions } from './core.ts';
import { Follower } from './follower.ts';
import { type ChangeAnswer, Leader, type Refusal } from './leader.ts';
import type { MembershipChange } from './membership_change.ts';
import { Mending, type MendingStatus } from './mending.ts';
import type { Message, NodeId, ReadBasis } from './message.ts';
import type { HardState, Output } from './output.ts';

export interface RaftOptions extends CoreOptions {
  /** As last made durable; term 0 and no vote on a new node. */
  readonly hardState: HardState;
  /** What the state machine already covers: committed for certain. */
  readonly appliedIndex: Index;
  readonly nowMs: number;
}

export class Raft {
  readonly #core: Core;
  readonly #mending: Mending;
  #role: Follower | Candidate | Leader;
  /** When it was looked at last. */
  #firstDamaged: Index;

  constructor(options: RaftOptions) {
    const { hardState, log } = options;
    // The log may be ahead of the hard state by a term that was never acknowledged to anyone: nothing was voted in it.
    const behind = log.lastTerm > hardState.term;
    const term = behind ? log.lastTerm : hardState.term;
    this.#core = new Core(options, term, behind ? null : hardState.vote, options.appliedIndex);
    this.#core.nowMs = options.nowMs;
    this.#mending = new Mending(this.#core);
    // Of the fence's term and those before, this node does not know what it has acknowledged. So a leader of such a term
    // must give way: it counts copies that are no more.
    const { fenceTerm, isFenced } = log.damage;
    if (isFenced && term <= fenceTerm) this.#core.enterTerm(fenceTerm + 1);
    // An earlier life may have heard a leader just now, and promised it not to vote.
    if (this.#core.leaseMs !== null) this.#core.heardLeaderAtMs = options.nowMs;
    this.#firstDamaged = log.damage.firstDamaged;
    const follower = new Follower(this.#core, null);
    // Nobody else can be leader of a group of one: it need not wait.
    if (this.#isAlone) follower.electionDeadlineMs = options.nowMs;
    this.#role = follower;
  }

  get id(): NodeId {
    return this.#core.id;
  }

  get term(): Term {
    return this.#core.term;
  }

  get vote(): NodeId | null {
    return this.#core.vote;
  }

  get role(): 'follower' | 'candidate' | 'leader' {
    return this.#role.role;
  }

  get commitIndex(): Index {
    return this.#core.commitIndex;
  }

  /** In force here: the latest that the log holds, committed or not. */
  get configuration(): Configuration {
    return this.#core.configuration;
  }

  /** The one that is known to be committed, and those that follow it: whoever is in one of them may have something to say. */
  get configurations(): readonly Configuration[] {
    return this.#core.configurations;
  }

  /** The leader of this term as far as this node knows. */
  get leader(): NodeId | null {
    switch (this.#role.role) {
      case 'follower':
        return this.#role.leader;
      case 'candidate':
        return null;
      case 'leader':
        return this.#core.id;
      default:
        return unreachable(this.#role);
    }
  }

  /** This node leads and may answer reads by its lease at this monotonic time, which is not before that of its last step. */
  holdsLeaseAt(nowMs: number): boolean {
    return this.#role.role === 'leader' && this.#role.holdsLeaseAt(nowMs);
  }

  /** Monotonic time at which `tick` has something to do. May move later; a tick too early does nothing. */
  get deadlineMs(): number {
    const roleMs = this.#role.role === 'leader' ? this.#role.deadlineMs : this.#role.electionDeadlineMs;
    return Math.min(roleMs, this.#mending.deadlineMs);
  }

  /** What is damaged, and who is waited for; null: nothing is. */
  get mending(): MendingStatus | null {
    return this.#mending.status;
  }

  tick(nowMs: number): void {
    this.#setTime(nowMs);
    if (nowMs >= this.#mending.deadlineMs) this.#mending.ask(this.leader);
    const role = this.#role;
    if (role.role === 'leader') {
      if (!role.tick()) {
        sometimes('a leader without a majority steps down');
        this.#becomeFollower(null);
      }
    } else if (nowMs >= role.electionDeadlineMs) {
      if (this.#core.mayCampaign) this.#campaign('pre-vote', 'silence');
      else this.#becomeFollower(null);
    }
  }

  /**
   * Orders a command.
   * @returns the index where it may be committed (check the term there when it is), or why it was not taken.
   */
  propose(payload: Uint8Array): Index | Refusal {
    return this.#role.role === 'leader' ? this.#role.propose(payload) : 'not-leader';
  }

  /** Begins a change of the group's membership, which this node leads. */
  changeMembership(change: MembershipChange, nowMs: number): ChangeAnswer {
    this.#setTime(nowMs);
    if (this.#role.role !== 'leader') return { type: 'refused', why: 'not-leader' };
    return this.#role.changeMembership(change);
  }

  /** This node leads and has begun to hand over: it takes no proposals. */
  get isTransferring(): boolean {
    return this.#role.role === 'leader' && this.#role.isTransferring;
  }

  /**
   * Hands leadership to `to`, or, null, to the follower that is best prepared. From here on proposals are not taken,
   * until either another node leads or an election timeout has passed.
   * @returns who is to lead; null when nothing was begun: this node does not lead, hands over to another already, or
   * there is nobody to take over.
   */
  transferLeadership(to: NodeId | null): NodeId | null {
    return this.#role.role === 'leader' ? this.#role.transfer(to) : null;
  }

  /**
   * Asks for the right to read; the answer is a `ReadState` with this `id`, which the caller never uses twice.
   * @param nowMs A time at or after which the read was asked for: a lease is held up to its end, not beyond.
   */
  readIndex(id: number, basis: ReadBasis, nowMs: number): void {
    this.#setTime(nowMs);
    const role = this.#role;
    if (role.role === 'leader') role.readIndex(this.#core.id, id, basis);
    else if (role.role === 'follower') role.readIndex(id, basis);
    else this.#core.output.reads.push({ id, index: null });
  }

  /**
   * A snapshot of the state up to `index`, whose entry is of `term`, is installed and durable. `configuration`: as of
   * `index`; none when the group is as it was founded.
   * @returns false: all that is committed here already; the leader is told so.
   */
  restore(index: Index, term: Term, nowMs: number, configuration: Configuration | null = null): boolean {
    this.#setTime(nowMs);
    if (index <= this.#core.commitIndex) {
      // Who gave it takes it for needed, and must hear how far this node is.
      if (this.#role.role === 'follower') this.#role.onRestored();
      return false;
    }
    sometimes('a snapshot is installed');
    const { role } = this.#role;
    const { log } = this.#core;
    const holdsEntry = index <= log.lastIndex && log.termAt(index) === term;
    assert(role !== 'leader' || holdsEntry, 'a leader holds all that is committed', { index });
    this.#core.restore(index, term, configuration);
    if (this.#role.role === 'follower') this.#role.onRestored();
    return true;
  }

  /**
   * Which configuration was in force when this node started with `UNKNOWN_CONFIGURATION`: as of any index that is committed
   * here. Without effect when the log has said so itself, or it was known.
   */
  learn(configuration: Configuration): void {
    this.#core.learn(configuration);
  }

  /** The log has become durable up to `durableIndex`. */
  onDurable(durableIndex: Index, nowMs: number): void {
    this.#setTime(nowMs);
    if (this.#core.log.damage.firstDamaged !== this.#firstDamaged) this.#onMended();
    if (this.#role.role === 'follower') this.#role.onDurable(durableIndex);
    else if (this.#role.role === 'leader') this.#role.onDurable();
    this.#retireIfGone();
  }

  /** The hard state of an output, of `term`, has become durable. */
  onHardStateDurable(term: Term, nowMs: number): void {
    this.#setTime(nowMs);
    const role = this.#role;
    if (role.role !== 'candidate' || role.phase !== 'vote' || term !== this.#core.term) return;
    this.#settle(role, role.onOwnVoteDurable());
  }

  /** What was sent to a peer and not answered may be lost. */
  onPeerReset(peer: NodeId): void {
    if (this.#role.role !== 'candidate') this.#role.onPeerReset(peer);
  }

  /**
   * A connection with a peer has ended, in either direction: its process may have. To be told of both: what the peer had
   * said before its end may still be read from the one when the end of the other is known.
   */
  onPeerLost(peer: NodeId): void {
    if (this.#role.role === 'follower' && this.#role.leader === peer) this.#role.onLeaderLost();
  }

  takeOutput(): Output {
    if (this.#role.role !== 'candidate') this.#role.flush();
    return this.#core.takeOutput();
  }

  step(from: NodeId, message: Message, nowMs: number): void {
    this.#setTime(nowMs);
    const core = this.#core;
    // Whoever it is: who leads, or asks for a vote, may be in a configuration that this node does not know yet.
    if (from === core.id) return;
    if (message.term > core.term && !this.#entersTermOf(from, message)) return;
    if (message.term < core.term) {
      this.#turnAway(from, message);
      return;
    }
    switch (message.type) {
      case 'pre-vote':
      case 'vote':
        this.#onVoteRequest(from, message);
        return;
      case 'pre-vote-reply':
        this.#onBallot('pre-vote', from, message.granted);
        return;
      case 'vote-reply':
        this.#onBallot('vote', from, message.granted);
        return;
      case 'append':
        this.#followerOf(from).onAppend(from, message);
        return;
      case 'heartbeat':
        this.#followerOf(from).onHeartbeat(from, message);
        return;
      case 'append-accepted':
        if (this.#role.role === 'leader') this.#role.onAccepted(from, message);
        this.#retireIfGone();
        return;
      case 'append-rejected':
        if (this.#role.role === 'leader') this.#role.onRejected(from, message);
        return;
      case 'heartbeat-reply':
        if (this.#role.role === 'leader') this.#role.onHeartbeatReply(from, message);
        return;
      case 'read-index':
        if (this.#role.role === 'leader') this.#role.onReadIndex(from, message);
        return;
      case 'read-index-reply':
        if (this.#role.role === 'follower') this.#role.onReadIndexReply(from, message);
        return;
      case 'snapshot-offer':
        this.#followerOf(from).onSnapshotOffer(from, message);
        return;
      case 'mend-request':
        this.#mending.onRequest(from, message);
        return;
      case 'mend-reply': {
        const role = this.#role.role === 'leader' ? 'leads' : 'does-not-lead';
        const index = this.#mending.onReply(from, message, role);
        if (index !== null) this.#discard(index);
        return;
      }
      case 'timeout-now':
        this.#onTimeoutNow(from);
        return;
      default:
        unreachable(message);
    }
  }

  /** Handles a message of a later term. Returns whether `step` goes on with it, now in that term. */
  #entersTermOf(from: NodeId, message: Message): boolean {
    const core = this.#core;
    if (message.type === 'pre-vote') {
      // The term is only a proposal: answer, and stay in ours.
      const granted = !this.#isSticky() && core.isUpToDate(message.lastIndex, message.lastTerm);
      if (!granted) sometimes('a pre-vote is refused');
      const term = granted ? message.term : core.term;
      core.send(from, { type: 'pre-vote-reply', term, granted });
      return false;
    }
    if (message.type === 'pre-vote-reply' && message.granted) {
      // It grants the term that we would campaign in, the one after ours.
      if (message.term === core.term + 1) this.#onBallot('pre-vote', from, true);
      return false;
    }
    if (message.type === 'vote' && !message.transfer && this.#isSticky()) {
      sometimes('a vote is not heard out beside a live leader');
      return false;
    }
    core.enterTerm(message.term);
    this.#becomeFollower(isOfLeader(message) ? from : null);
    return true;
  }

  /**
   * A sender of an earlier term learns ours, so that an old leader or candidate gives way. It may have come to lead in our
   * term meanwhile: what it sent before is no reason to promise it anything.
   */
  #turnAway(from: NodeId, message: Message): void {
    const { term } = this.#core;
    if (isOfLeader(message) || message.type === 'read-index') {
      this.#core.send(from, { type: 'heartbeat-reply', term, round: 0, sentAtMs: null });
    } else if (message.type === 'pre-vote') {
      this.#core.send(from, { type: 'pre-vote-reply', term, granted: false });
    } else if (message.type === 'vote') {
      this.#core.send(from, { type: 'vote-reply', term, granted: false });
    }
  }

  /** A request for a vote in the term that we are in. */
  #onVoteRequest(from: NodeId, message: Message & { type: 'pre-vote' | 'vote' }): void {
    const core = this.#core;
    if (message.type === 'pre-vote') {
      core.send(from, { type: 'pre-vote-reply', term: core.term, granted: false });
      return;
    }
    if (!message.transfer && this.#isSticky() && core.vote !== from) {
      sometimes('a vote of this term is not heard out beside the last leader');
      return;
    }
    const free = core.vote === from || (core.vote === null && this.leader === null);
    const granted = free && core.isUpToDate(message.lastIndex, message.lastTerm);
    if (!free) sometimes('two candidates meet in one term');
    else if (!granted) sometimes('a vote is refused to a log that is behind');
    if (granted) {
      core.voteFor(from);
      // Also ends a pre-vote of our own; and gives the candidate time.
      this.#becomeFollower(null);
    }
    core.send(from, { type: 'vote-reply', term: core.term, granted });
  }

  #onMended(): void {
    this.#firstDamaged = this.#core.log.damage.firstDamaged;
    this.#mending.onMended();
    this.#core.onMended();
  }

  /**
   * The entry at `index` was never committed, and never will be. This leadership ends first: a leader does not take back
   * what it has written, its entries of this term are known to others by their indices.
   */
  #discard(index: Index): void {
    rarely('a damaged entry is discarded that a majority never had');
    this.#becomeFollower(null);
    this.#core.discard(index);
  }

  #retireIfGone(): void {
    if (this.#role.role === 'leader' && this.#role.hasLeft) this.#becomeFollower(null);
  }

  /** Nobody else can lead, or have led: one that has left the group may not know yet that it is to lead no more. */
  get #isAlone(): boolean {
    const { configuration, id } = this.#core;
    return id === 1 && configuration.lastId === 1 && configuration.voters.length === 1;
  }

  /** No pre-vote: the others would refuse it, since they hear a leader. */
  #onTimeoutNow(from: NodeId): void {
    if (this.#role.role !== 'follower' || this.#role.leader !== from || !this.#core.mayCampaign) return;
    sometimes('a leader hands over');
    this.#campaign('vote', 'transfer');
  }

  #onBallot(phase: 'pre-vote' | 'vote', from: NodeId, granted: boolean): void {
    if (this.#role.role !== 'candidate' || this.#role.phase !== phase) return;
    this.#settle(this.#role, this.#role.onBallot(from, granted));
  }

  #campaign(phase: 'pre-vote' | 'vote', occasion: Occasion): void {
    const asksBefore = phase === 'pre-vote' && this.#role.role !== 'leader' ? this.#role.asksLeft : 0;
    if (phase === 'vote') this.#core.enterTerm(this.#core.term + 1);
    this.#abandon();
    const candidate = new Candidate(this.#core, phase, occasion, Math.max(0, asksBefore - 1));
    this.#role = candidate;
    this.#settle(candidate, candidate.ballot());
  }

  #settle(candidate: Candidate, ballot: 'won' | 'lost' | 'open'): void {
    // Whoever asks again soon stays what it is until then.
    if (ballot === 'lost' && candidate.asksLeft === 0) this.#becomeFollower(null);
    if (ballot !== 'won') return;
    if (candidate.phase === 'pre-vote') this.#campaign('vote', 'silence');
    else this.#role = new Leader(this.#core);
  }

  #followerOf(leader: NodeId): Follower {
    assert(this.#role.role !== 'leader', 'a term has one leader', { term: this.#core.term, other: leader });
    if (this.#role.role === 'candidate') this.#becomeFollower(leader);
    assert(this.#role.role === 'follower', 'who hears a leader follows it');
    return this.#role;
  }

  #becomeFollower(leader: NodeId | null): void {
    if (this.#role.role === 'leader') sometimes('a leader is deposed');
    this.#abandon();
    this.#role = new Follower(this.#core, leader);
  }

  /** The reads that wait in this role are not answered any more. */
  #abandon(): void {
    if (this.#role.role !== 'candidate') this.#role.abandon();
  }

  #isSticky(): boolean {
    return this.#role.role === 'leader' ? this.#role.isSticky : this.#core.isSticky;
  }

  #setTime(nowMs: number): void {
    assert(nowMs >= this.#core.nowMs, 'monotonic time does not go back', { nowMs, before: this.#core.nowMs });
    this.#core.nowMs = nowMs;
  }
}

/** Only the leader of the message's term says this. */
function isOfLeader({ type }: Message): boolean {
  return type === 'append' || type === 'heartbeat' || type === 'snapshot-offer';
}
