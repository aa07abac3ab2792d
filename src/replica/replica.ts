/**
 * One Raft group on one node: joins the consensus core, the log and the state machine.
 *
 * Everything that arrives in a turn of the event loop is only taken in; at the end of the turn `#turn` does the rest
 * in one go: one append per follower, one write to the log, one round for all reads, then what is committed is applied
 * and answered. What safety rests on has a place each: no message leaves before the hard state it was made under is
 * durable (`outbox.ts`); an entry is applied only when it is committed and durable here (`applier.ts`); a read is
 * answered when consensus has vouched for it and what it must see is applied (`replica_reads.ts`); what an answer to a
 * write may say (`proposals.ts`); the state is kept whole (`state_care.ts`).
 */

import { toError } from '../base/errors.ts';
import { maybe, rarely, sometimes } from '../base/rare.ts';
import type { Timer } from '../io/clock.ts';
import { type Administration, isMembershipChange, type Read, type Write } from '../kv/request.ts';
import { encodeWrite } from '../kv/write_codec.ts';
import type { Index, Term } from '../log/entry.ts';
import { type Configuration, UNKNOWN_CONFIGURATION } from '../raft/configuration.ts';
import type { Message, NodeId } from '../raft/message.ts';
import { Raft } from '../raft/raft.ts';
import { Administrator } from './administrator.ts';
import { Applier } from './applier.ts';
import type { DivergenceRepair } from './divergence_repair.ts';
import { GroupTime } from './group_time.ts';
import { configurationIfReadable } from './known_configuration.ts';
import { checkFit } from './log_damage.ts';
import { Outbox } from './outbox.ts';
import { LEADER_REBUILDS, MENDING, NOT_LEADER, Proposals } from './proposals.ts';
import { refusalResult } from './refusal.ts';
import type { Done, RaftView, ReplicaOptions } from './replica_options.ts';
import { ReplicaReads } from './replica_reads.ts';
import type { SnapshotMessage } from './snapshot_codec.ts';
import { StateCare } from './state_care.ts';
import type { StateComparison } from './state_comparison.ts';
import type { TableMender } from './table_mender.ts';

/** Entries that a follower may have to apply and still answers reads itself. */
const SERVING_LAG_MAX = 10_000;

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #raft: Raft;
  #turnIsPlanned = false;
  #stopped = false;
  #timer: Timer | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;

  readonly #outbox: Outbox;
  readonly #proposals = new Proposals();
  readonly #time: GroupTime;
  readonly #reads: ReplicaReads;
  readonly #applier: Applier;
  readonly #administrator: Administrator;
  readonly #care: StateCare;

  #lastConfigurations: readonly Configuration[];
  /** Who belongs to the group, as this node knows it, has changed: see `raft.configurations`. */
  onMembersChange: () => void = () => {};

  #lastLeader: NodeId | null = null;
  #lastTerm: Term = 0;
  /** The leader of the group, as this node knows it, has changed. */
  onLeaderChange: (leader: NodeId | null) => void = () => {};

  /** @throws CorruptionError when log and tables do not fit together, or what is needed to start cannot be read. */
  constructor(options: ReplicaOptions) {
    const { log, store, hardState, clock, stateMachine, timing } = options;
    this.#options = options;
    checkFit(log, store);
    const known = configurationIfReadable(stateMachine, options.founders, store);
    const raft = new Raft({
      id: options.id,
      voters: options.founders.voters,
      configuration: known,
      log,
      random: options.random,
      timing,
      flow: options.flow,
      clockDriftPpmMax: options.clockDriftPpmMax,
      snapshots: {
        get index() {
          return store.flushedIndex;
        },
      },
      hardState: hardState.initial,
      appliedIndex: store.flushedIndex,
      nowMs: clock.monotonicMs(),
    });
    this.#raft = raft;
    this.#lastConfigurations = raft.configurations;
    const { send, onFailure, answerTimeoutMs } = options;
    const planTurn = (): void => this.#planTurn();
    this.#outbox = new Outbox({ raft, hardState, clock, send, onReleased: planTurn, onFailure });
    this.#care = new StateCare({
      replica: options,
      raft,
      proposals: this.#proposals,
      isAlone: () => this.isAlone,
      handOver: (to) => this.transferLeadership(to),
      planTurn,
    });
    if (stateMachine.isUnreadable || known === UNKNOWN_CONFIGURATION) this.mender.rebuild();
    this.#time = new GroupTime({
      clock,
      stateMachine,
      leads: () => this.isLeader,
      isInTheWay: () => this.#care.retention.isInTheWay,
      propose: (write, done) => this.propose(write, done),
    });
    this.#reads = new ReplicaReads({
      raft,
      store,
      stateMachine,
      clock,
      time: this.#time,
      answerTimeoutMs,
      staleWaitMs: timing.electionTimeoutMs,
      refusal: () => this.#care.refusal,
      planTurn,
    });
    this.#administrator = new Administrator({
      id: options.id,
      answerTimeoutMs,
      proposalBytesMax: options.proposalBytesMax,
      flow: options.flow,
      raft,
      clock,
      transferLeadership: (to) => this.transferLeadership(to),
      planTurn,
    });
    this.#applier = new Applier({
      log,
      store,
      stateMachine,
      raft,
      proposals: this.#proposals,
      outbox: this.#outbox,
      snapshots: this.#care.snapshots,
      mender: this.mender,
      isAlone: () => this.isAlone,
      onConfiguration: (entry) => this.#administrator.onConfiguration(entry),
      planTurn,
    });
    log.onDurable = (index) => this.#onDurable(index);
    store.onWritable = planTurn;
    store.onDamage = () => this.mender.onDamage();
    stateMachine.onDamage = (error) => {
      store.noteDamage(error);
    };
    this.#planTurn();
  }

  /** What repairs this replica's tables, and gives out ranges to those who repair theirs. */
  get mender(): TableMender {
    return this.#care.mender;
  }

  /** Compares what is applied here with what others apply; null: without a digest of it. */
  get comparison(): StateComparison | null {
    return this.#care.comparison;
  }

  /** What is done when that finds this replica to be the odd one out. */
  get repair(): DivergenceRepair {
    return this.#care.repair;
  }

  get leader(): NodeId | null {
    return this.#raft.leader;
  }

  get isLeader(): boolean {
    return this.#raft.role === 'leader';
  }

  /** The consensus state, to look at. */
  get raft(): RaftView {
    return this.#raft;
  }

  get appliedIndex(): Index {
    return this.#options.store.appliedIndex;
  }

  /** Nothing is asked of it or told to it any more; its store may still finish what it was doing. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Another state takes the place of what the store holds, or does once more: consensus may not be told of it yet. */
  get isInstalling(): boolean {
    return this.#care.snapshots.isInstalling;
  }

  /** Reads that this node is asked for are better answered here than passed on: it knows whom to ask and keeps up. */
  get servesReads(): boolean {
    if (this.#canApplyNothing || this.#options.log.damagedCount > 0) return false;
    return this.#raft.leader !== null && this.#raft.commitIndex - this.appliedIndex <= SERVING_LAG_MAX;
  }

  get #canApplyNothing(): boolean {
    return this.mender.isBlocked || this.mender.mustRebuild;
  }

  /** Nobody else holds what this node holds. */
  get isAlone(): boolean {
    const { members } = this.#raft.configuration;
    return members.length === 1 && members[0].id === this.#options.id;
  }

  /** Nothing that was asked of this node waits for an answer. */
  get isIdle(): boolean {
    return this.#proposals.isIdle && this.#administrator.isIdle && this.#reads.isIdle;
  }

  /**
   * Orders a write. `done` is called once, later: with its result when it is applied; `unavailable` when it was
   * certainly not executed; `unknown` when that cannot be told.
   */
  propose(write: Write, done: Done): void {
    if (this.#stopped || this.#raft.role !== 'leader' || maybe('spurious-refusal')) {
      done(NOT_LEADER);
      return;
    }
    if (this.#canApplyNothing) {
      rarely('a leader refuses a write that it could not apply');
      done(LEADER_REBUILDS);
      return;
    }
    if (maybe('unasked-transfer')) this.transferLeadership(null);
    const payload = encodeWrite(write, this.#time.wallMs());
    const { bytes } = this.#proposals;
    if (bytes > 0 && bytes + payload.length > this.#options.proposalBytesMax) {
      done(refusalResult('overloaded', this.#options));
      return;
    }
    const index = this.#raft.propose(payload);
    if (typeof index !== 'number') {
      if (index === 'handing-over') sometimes('a write is refused while leadership is handed over');
      done(refusalResult(index, this.#options));
      return;
    }
    const deadlineMs = this.#options.clock.monotonicMs() + this.#options.answerTimeoutMs;
    this.#proposals.add(index, { term: this.#raft.term, bytes: payload.length, deadlineMs, done });
    this.#planTurn();
  }

  /** Answers a question about the group, or changes who belongs to it; `done` as in `propose`. */
  administer(request: Administration, done: Done): void {
    if (this.#stopped || this.#raft.role !== 'leader') done(NOT_LEADER);
    else if (this.#canApplyNothing && isMembershipChange(request)) {
      // It might even be the only one with another copy that is to go.
      rarely('a leader refuses a change of members that it could not apply');
      done(LEADER_REBUILDS);
    } else this.#administrator.run(request, done);
  }

  /**
   * Runs a read: `done` is called once, with its result, or `unavailable` when nobody could vouch for it in time. A
   * leader vouches for itself, a follower asks it. A `stale` read is answered by any node, see `stale_reads.ts`.
   */
  read(request: Read, done: Done): void {
    const { terms } = request;
    const { refusal } = this.#care;
    if (refusal !== null) {
      done(refusal);
      return;
    }
    if (terms?.consistency === 'stale' && !this.#stopped) {
      this.#reads.addStale(request, terms, done);
      if (!this.#reads.isStaleIdle) this.#setTimer();
      return;
    }
    if (this.#stopped || this.#raft.leader === null) {
      done(NOT_LEADER);
      return;
    }
    if (this.#raft.role === 'leader' && this.#options.log.damagedCount > 0) {
      done(MENDING);
      return;
    }
    this.#reads.add(
      terms?.consistency === 'lease' || maybe('read-by-lease') ? 'lease' : 'round',
      request,
      done,
    );
  }

  /** See `Raft.transferLeadership`. Writes are answered `unavailable` until it is settled who leads. */
  transferLeadership(to: NodeId | null): NodeId | null {
    if (this.#stopped) return null;
    const successor = this.#raft.transferLeadership(to);
    this.#planTurn();
    return successor;
  }

  /** Takes in a message of a peer. */
  step(from: NodeId, message: Message): void {
    if (this.#stopped) return;
    this.#raft.step(from, message, this.#options.clock.monotonicMs());
    this.#planTurn();
  }

  /** What was sent to a peer and not answered may be lost. */
  onPeerReset(peer: NodeId): void {
    if (this.#stopped) return;
    this.#raft.onPeerReset(peer);
    this.#care.onPeerReset(peer);
    this.#planTurn();
  }

  /** A connection with a peer has ended, in either direction: its process may have. See `Raft.onPeerLost`. */
  onPeerLost(peer: NodeId): void {
    if (this.#stopped) return;
    this.#raft.onPeerLost(peer);
    this.#planTurn();
  }

  /** Takes in what a peer says about its state. @throws EnvelopeError `FORMAT`; DiskError. */
  stepSnapshot(from: NodeId, message: SnapshotMessage): void {
    if (!this.#stopped) this.#care.onMessage(from, message);
  }

  /** Answers everything that waits (`unknown` or `unavailable`) and does nothing from here on. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    this.#outbox.stop();
    this.#care.stop();
    this.#proposals.stop();
    this.#administrator.stop();
    this.#reads.stop();
  }

  #planTurn(): void {
    if (this.#turnIsPlanned || this.#stopped) return;
    this.#turnIsPlanned = true;
    this.#options.clock.later(this.#turnTask);
  }

  readonly #turnTask = (): void => {
    this.#turnIsPlanned = false;
    if (this.#stopped) return;
    try {
      this.#turn();
    } catch (error) {
      this.#options.onFailure(toError(error));
    }
  };

  #turn(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#raft.deadlineMs) this.#raft.tick(nowMs);
    this.#administrator.expire(nowMs);
    this.#proposals.expire(nowMs);
    this.#reads.expire(nowMs);
    this.#reads.ask(nowMs);
    const output = this.#raft.takeOutput();
    this.#care.takeOffer(output);
    this.#outbox.persistAndSend(output);
    if (output.isUnfinished) this.#planTurn();
    // Behind the sends: the followers work while this node writes.
    this.#options.flushLog();
    this.#applier.apply();
    this.#care.review(nowMs);
    this.#reads.review(output.reads, nowMs);
    this.#time.sweep(nowMs);
    this.#care.reportDamage(nowMs);
    this.#noticeLeader();
    this.#noticeMembers();
    this.#setTimer();
  }

  #onDurable(index: Index): void {
    if (this.#stopped) return;
    try {
      // Where damaged entries are mended, those behind them are read: the disk may refuse that.
      this.#raft.onDurable(index, this.#options.clock.monotonicMs());
      this.#planTurn();
    } catch (error) {
      this.#options.onFailure(toError(error));
    }
  }

  #noticeMembers(): void {
    const { configurations } = this.#raft;
    if (configurations === this.#lastConfigurations) return;
    this.#lastConfigurations = configurations;
    this.#options.stateMachine.digest?.setActive(!this.isAlone);
    this.onMembersChange();
  }

  #noticeLeader(): void {
    const { leader, term } = this.#raft;
    if (leader === this.#lastLeader && term === this.#lastTerm) return;
    this.#lastTerm = term;
    const { id: node, logger } = this.#options;
    if (leader === null && this.#lastLeader !== null) {
      logger.log('info', 'leader-lost', { node, leader: this.#lastLeader, term });
    } else if (leader !== null && leader !== this.#lastLeader) {
      logger.log('info', 'leader-known', { node, leader, term });
    }
    this.#lastLeader = leader;
    this.onLeaderChange(leader);
  }

  /** One timer for the core's deadline and the oldest requests; late ones are harmless, so it is only moved forward. */
  #setTimer(): void {
    const atMs = Math.min(
      this.#raft.deadlineMs,
      this.#proposals.deadlineMs,
      this.#administrator.deadlineMs,
      this.#reads.deadlineMs,
    );
    if (this.#timer !== null && this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    const delayMs = Math.max(0, atMs - this.#options.clock.monotonicMs());
    this.#timer = this.#options.clock.after(delayMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#turnTask();
  };
}
