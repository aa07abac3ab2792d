/**
 * One Raft group on one node: joins the consensus core, the log and the state machine.
 *
 * Everything that arrives in a turn of the event loop is only taken in; at the end of the turn `#turn` does the rest
 * in one go: one append per follower, one write to the log, one round for all reads, then what is committed is applied
 * and answered. The order within it is what safety rests on: no message leaves before the hard state it was made
 * under is durable, and an entry is applied only when it is committed and durable here (so tables never cover more
 * than the log does).
 */

import { unreachable } from '../base/assert.ts';
import { CorruptionError } from '../base/errors.ts';
import { maybe, rarely, sometimes } from '../base/rare.ts';
import { utf8 } from '../codec/bytes.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Random } from '../io/random.ts';
import {
  type Administration,
  errorResult,
  isLongRead,
  type Read,
  type Result,
  type StaleTerms,
  type Write,
} from '../kv/request.ts';
import type { StateMachine } from '../kv/state_machine.ts';
import { encodeWrite } from '../kv/write_codec.ts';
import { type Entry, EntryKind, type Index, type Term } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import {
  type Configuration,
  decodeConfiguration,
  isJoint,
  UNKNOWN_CONFIGURATION,
} from '../raft/configuration.ts';
import type { RaftTiming } from '../raft/core.ts';
import type { FlowLimits } from '../raft/flow.ts';
import type { ChangeAnswer, Refusal } from '../raft/leader.ts';
import type { MembershipChange } from '../raft/membership_change.ts';
import type { Message, NodeId, ReadBasis } from '../raft/message.ts';
import type { Envelope, Output } from '../raft/output.ts';
import { Raft } from '../raft/raft.ts';
import type { HardStateFile } from './hard_state_file.ts';
import { DamageReport, dropCovered } from './log_damage.ts';
import { LogRetention } from './log_retention.ts';
import { MENDING, NOT_LEADER, Proposals, SUPERSEDED } from './proposals.ts';
import { RangeSource } from './range_source.ts';
import type { SnapshotMessage } from './snapshot_codec.ts';
import { type SnapshotLimits, Snapshots, snapshotPath } from './snapshots.ts';
import { StaleReads } from './stale_reads.ts';
import { StateComparison } from './state_comparison.ts';
import { TableMender } from './table_mender.ts';

export interface ReplicaOptions {
  readonly id: NodeId;
  /** Who belongs to the group as long as no entry says more; nobody: this node waits to be told. */
  readonly founders: Configuration;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** See `CoreOptions`. */
  readonly clockDriftPpmMax: number | null;
  readonly disk: Disk;
  /** Where a fetched snapshot goes. */
  readonly directory: string;
  readonly snapshots: SnapshotLimits;
  readonly log: GroupLog;
  readonly hardState: HardStateFile;
  readonly store: Store;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A proposal that is not decided after this long is answered `unknown`, a read `unavailable`. */
  readonly answerTimeoutMs: number;
  /** Payload bytes proposed and not applied yet; more is refused. */
  readonly proposalBytesMax: number;
  /** Best effort; a message that cannot be sent is dropped and `onPeerReset` called. */
  readonly send: (to: NodeId, message: Message) => void;
  /** As `send`, of what nodes say to each other to fetch a snapshot. */
  readonly sendSnapshot: (to: NodeId, message: SnapshotMessage) => void;
  /** Writes the log's pending records and starts their sync. */
  readonly flushLog: () => void;
  /** The replica met damage or a failed disk and must not go on. */
  readonly onFailure: (error: Error) => void;
}

type Done = (result: Result) => void;

interface PendingRead {
  readonly request: Read;
  readonly done: Done;
}

/** A change of membership that this node has begun as a leader. */
interface PendingChange {
  /** Of the first entry that holds a part of it. */
  readonly index: Index;
  readonly term: Term;
  readonly id: NodeId;
  readonly deadlineMs: number;
  readonly done: Done;
}

/** Reads that were asked for in one turn and go together. */
interface ReadBatch {
  readonly reads: readonly PendingRead[];
  readonly basis: ReadBasis;
  readonly askedAtMs: number;
  readonly deadlineMs: number;
}

/** Entries applied in one turn, so that other work gets its share of the loop. */
const APPLY_ENTRIES_MAX = 2048;
const APPLY_BYTES_MAX = 1024 * 1024;
/** Entries read from the log at a time: what the store does not take any more has to be read again. */
const APPLY_READ_MAX = 32;
/** Keys that a read of many looks at in one turn. */
const READ_KEYS_PER_TURN = 2048;
/** Between ticks that nobody waits for. */
const SWEEP_PAUSE_MS = 50;

/** Entries that a follower may have to apply and still answers reads itself. */
const SERVING_LAG_MAX = 10_000;
/** What is held for a peer that fetches a range is let go when it has not asked for so long. */
const RANGE_IDLE_MS = 30_000;

const NOT_IN_TIME = errorResult('unavailable', 'no leader has vouched for the read in time');
const BEING_REBUILT = errorResult('unavailable', 'what this node holds is being rebuilt from another node');
const HANDING_OVER = errorResult('unavailable', 'leadership is being handed over');

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #raft: Raft;
  #turnIsPlanned = false;
  #stopped = false;
  #timer: Timer | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;
  /** Set while a hard state is being written: messages made under it wait. */
  #heldBack: Envelope[] | null = null;
  #savesUnderWay = 0;

  readonly #proposals = new Proposals();

  /** Of this turn, by what is to vouch for them. */
  readonly #arrivingReads: Record<ReadBasis, PendingRead[]> = { round: [], lease: [] };
  #nextReadId = 1;
  /** Handed to the core, not confirmed yet; oldest first. */
  readonly #unconfirmedReads = new Map<number, ReadBatch>();
  /** Confirmed, waiting for their index to be applied. */
  #confirmedReads: { index: Index; batch: ReadBatch }[] = [];
  readonly #staleReads: StaleReads;

  /** The latest wall time handed out: what this node writes into entries never goes back. */
  #latestWallMs = 0;
  /** Not before this, on the monotonic clock, is a tick proposed for what has expired since the last. */
  #nextSweepMs = Number.NEGATIVE_INFINITY;
  /** Who waits for the tick under way; null: there is none. */
  #tickWaiters: Done[] | null = null;

  #pendingChange: PendingChange | null = null;
  #lastConfigurations: readonly Configuration[];
  /** Who belongs to the group, as this node knows it, has changed: see `raft.configurations`. */
  onMembersChange: () => void = () => {};

  readonly #snapshots: Snapshots;
  /** What repairs this replica's tables, and gives out ranges to those who repair theirs. */
  readonly mender: TableMender;
  /** Compares what is applied here with what others apply; null: without a digest of it. */
  readonly comparison: StateComparison | null;
  readonly #ranges: RangeSource;
  readonly #retention: LogRetention;
  readonly #damageReport: DamageReport;
  /** The index of the snapshot that was offered last. */
  #offeredIndex: Index = 0;

  #lastLeader: NodeId | null = null;
  #lastTerm: Term = 0;
  /** The leader of the group, as this node knows it, has changed. */
  onLeaderChange: (leader: NodeId | null) => void = () => {};

  constructor(options: ReplicaOptions) {
    const { log, store, hardState, clock } = options;
    this.#options = options;
    if (store.flushedIndex > log.lastIndex) {
      throw new CorruptionError(
        'log',
        0,
        `the tables cover index ${store.flushedIndex}, the log ends at ${log.lastIndex}: log records are missing`,
      );
    }
    if (store.flushedIndex < log.firstIndex - 1) {
      throw new CorruptionError(
        'log',
        0,
        `the log begins behind index ${log.firstIndex - 1}, the tables cover ${store.flushedIndex}: log records are missing`,
      );
    }
    const known = this.#configurationIfReadable();
    this.#raft = new Raft({
      id: options.id,
      voters: options.founders.voters,
      configuration: known,
      log,
      random: options.random,
      timing: options.timing,
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
    this.#lastConfigurations = this.#raft.configurations;
    this.#snapshots = new Snapshots({
      store,
      log,
      disk: options.disk,
      clock,
      directory: options.directory,
      limits: options.snapshots,
      send: options.sendSnapshot,
      isSound: () => !this.mender.mustRebuild,
      onInstall: () => this.mender.onInstall(),
      onInstalled: (index, term) => this.#onInstalled(index, term),
      onKnown: (index, term) => {
        this.#raft.restore(index, term, options.clock.monotonicMs());
        this.#planTurn();
      },
      onFailure: options.onFailure,
    });
    this.#ranges = new RangeSource({
      store,
      clock,
      termAt: (index) => log.termAt(index),
      isSound: () => !this.#snapshots.isInstalling && !this.mender.mustRebuild,
      chunkBytes: options.snapshots.chunkBytes,
      idleMs: RANGE_IDLE_MS,
    });
    this.mender = this.#makeMender();
    this.comparison = this.#makeComparison();
    if (options.stateMachine.isUnreadable || known === UNKNOWN_CONFIGURATION) this.mender.rebuild();
    this.#retention = new LogRetention({
      log,
      store,
      limits: options.snapshots,
      heldIndex: () => this.#snapshots.heldIndex,
    });
    this.#damageReport = new DamageReport(options.id, options.logger);
    this.#staleReads = new StaleReads({
      run: (request, terms, done) => this.#runStaleRead(request, terms, done),
      ask: (nowMs) => this.#askForProof(nowMs),
      waitMs: options.timing.electionTimeoutMs,
    });
    log.onDurable = (index) => this.#onDurable(index);
    store.onWritable = () => this.#planTurn();
    store.onDamage = () => this.mender.onDamage();
    options.stateMachine.onDamage = (error) => {
      store.noteDamage(error);
    };
    this.#planTurn();
  }

  #makeMender(): TableMender {
    const { store, disk, clock, random, logger, directory, snapshots, sendSnapshot, onFailure } =
      this.#options;
    return new TableMender({
      store,
      disk,
      clock,
      random,
      logger,
      directory,
      wholePath: snapshotPath(directory),
      bytesPerSecondMax: snapshots.bytesPerSecondMax,
      peers: () => this.#peers(),
      send: sendSnapshot,
      isBusy: () => this.#snapshots.isBusy,
      leads: () => this.isLeader,
      handOver: () => this.transferLeadership(null),
      releaseHeld: () => this.#ranges.release(),
      install: (identity, atLeast) => this.#snapshots.install(identity, atLeast),
      onProgress: () => this.#planTurn(),
      onFailure,
    });
  }

  #makeComparison(): StateComparison | null {
    const { id, logger, stateMachine, sendSnapshot } = this.#options;
    const { digest } = stateMachine;
    if (digest === null) return null;
    digest.setActive(!this.isAlone);
    return new StateComparison({
      id,
      digest,
      logger,
      leads: () => this.isLeader,
      peers: () => this.#peers(),
      send: sendSnapshot,
    });
  }

  /** The other members, the leader first. */
  #peers(): NodeId[] {
    const { leader } = this.#raft;
    const { id: self } = this.#options;
    const others = this.#raft.configuration.members.map(({ id }) => id).filter((id) => id !== self);
    if (leader !== null && leader !== self && !others.includes(leader)) others.push(leader);
    return others.sort((a, b) => Number(b === leader) - Number(a === leader) || a - b);
  }

  get leader(): NodeId | null {
    return this.#raft.leader;
  }

  get isLeader(): boolean {
    return this.#raft.role === 'leader';
  }

  /** The consensus state, to look at. */
  get raft(): Omit<
    Raft,
    | 'tick'
    | 'propose'
    | 'readIndex'
    | 'onDurable'
    | 'onHardStateDurable'
    | 'onPeerReset'
    | 'onPeerLost'
    | 'takeOutput'
    | 'step'
    | 'transferLeadership'
    | 'changeMembership'
    | 'restore'
    | 'learn'
  > {
    return this.#raft;
  }

  get appliedIndex(): Index {
    return this.#options.store.appliedIndex;
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
    if (maybe('unasked-transfer')) this.transferLeadership(null);
    const payload = encodeWrite(write, this.#wallMs());
    const { bytes } = this.#proposals;
    if (bytes > 0 && bytes + payload.length > this.#options.proposalBytesMax) {
      done(this.#refusal('overloaded'));
      return;
    }
    const index = this.#raft.propose(payload);
    if (typeof index !== 'number') {
      if (index === 'handing-over') sometimes('a write is refused while leadership is handed over');
      done(this.#refusal(index));
      return;
    }
    const deadlineMs = this.#options.clock.monotonicMs() + this.#options.answerTimeoutMs;
    this.#proposals.add(index, { term: this.#raft.term, bytes: payload.length, deadlineMs, done });
    this.#planTurn();
  }

  /** Answers a question about the group, or changes who belongs to it; `done` as in `propose`. */
  administer(request: Administration, done: Done): void {
    if (this.#stopped || this.#raft.role !== 'leader') {
      done(NOT_LEADER);
      return;
    }
    switch (request.type) {
      case 'member-list':
        done({ type: 'value', value: utf8(this.#listMembers()) });
        return;
      case 'member-transfer':
        done(this.#transferTo(request.id));
        return;
      case 'member-add':
        this.#change({ type: 'add', address: request.address, identity: request.identity }, done);
        return;
      case 'member-remove':
        this.#change({ type: 'remove', id: request.id }, done);
        return;
      case 'member-promote':
        this.#change({ type: 'promote', id: request.id }, done);
        return;
      default:
        unreachable(request);
    }
  }

  #listMembers(): string {
    const { configuration, leader } = this.#raft;
    const { members, voters, outgoing, learners } = configuration;
    const lines = members.map(({ id, address }) => {
      let role = learners.includes(id) ? 'learner' : 'voter';
      if (outgoing.length > 0 && !outgoing.includes(id) && voters.includes(id)) role = 'voter joining';
      if (outgoing.includes(id) && !voters.includes(id)) role = 'voter leaving';
      return `${id} ${address} ${role}${id === leader ? ' leader' : ''}\r\n`;
    });
    return lines.join('');
  }

  #transferTo(id: NodeId): Result {
    if (id === this.#options.id || this.transferLeadership(id) === id) return { type: 'ok' };
    if (this.#raft.configuration.voters.includes(id)) return HANDING_OVER;
    return errorResult('invalid', `node ${id} is not a voter of this group: it cannot lead`);
  }

  #change(change: MembershipChange, done: Done): void {
    const nowMs = this.#options.clock.monotonicMs();
    const answer = this.#raft.changeMembership(change, nowMs);
    this.#planTurn();
    if (answer.type !== 'begun') {
      done(changeResult(answer, this.#refusal));
      return;
    }
    const { index, id } = answer;
    this.#settleChange(SUPERSEDED);
    const deadlineMs = nowMs + this.#options.answerTimeoutMs;
    this.#pendingChange = { index, id, term: this.#raft.term, deadlineMs, done };
  }

  #settleChange(result: Result): void {
    const change = this.#pendingChange;
    if (change === null) return;
    this.#pendingChange = null;
    change.done(result);
  }

  /** As the store knows it: of the entry applied last. */
  #configuration(): Configuration {
    const bytes = this.#options.stateMachine.configuration;
    return bytes === null ? this.#options.founders : decodeConfiguration(bytes);
  }

  /** @throws CorruptionError when there is nobody who could tell. */
  #configurationIfReadable(): Configuration {
    try {
      return this.#configuration();
    } catch (error) {
      const { founders, store } = this.#options;
      const isAlone = founders.members.length === 1;
      if (!(error instanceof CorruptionError) || isAlone || !store.noteDamage(error)) throw error;
      rarely('a node starts without knowing its group');
      return UNKNOWN_CONFIGURATION;
    }
  }

  #applyConfiguration({ index, term, payload }: Entry): void {
    this.#options.stateMachine.applyConfiguration(index, payload);
    const change = this.#pendingChange;
    if (change === null || index < change.index || isJoint(decodeConfiguration(payload))) return;
    // What another leader has done in its place may be something else.
    this.#settleChange(term === change.term ? { type: 'count', count: change.id } : SUPERSEDED);
  }

  #noticeMembers(): void {
    const { configurations } = this.#raft;
    if (configurations === this.#lastConfigurations) return;
    this.#lastConfigurations = configurations;
    this.#options.stateMachine.digest?.setActive(!this.isAlone);
    this.onMembersChange();
  }

  readonly #refusal = (why: Refusal): Result => {
    switch (why) {
      case 'not-leader':
        return NOT_LEADER;
      case 'handing-over':
        return HANDING_OVER;
      case 'mending':
        return MENDING;
      case 'overloaded': {
        const { proposalBytesMax, flow } = this.#options;
        const bytesMax = Math.min(proposalBytesMax, flow.uncommittedBytesMax);
        return errorResult('overloaded', `overloaded: more than ${bytesMax} bytes of writes wait`);
      }
      default:
        return unreachable(why);
    }
  };

  /** Reads that this node is asked for are better answered here than passed on: it knows whom to ask and keeps up. */
  get servesReads(): boolean {
    if (this.mender.isBlocked || this.mender.mustRebuild || this.#options.log.damagedCount > 0) return false;
    return this.#raft.leader !== null && this.#raft.commitIndex - this.appliedIndex <= SERVING_LAG_MAX;
  }

  /** Nobody else holds what this node holds. */
  get isAlone(): boolean {
    const { members } = this.#raft.configuration;
    return members.length === 1 && members[0].id === this.#options.id;
  }

  /**
   * Runs a read: `done` is called once, with its result, or `unavailable` when nobody could vouch for it in time. A
   * leader vouches for itself, a follower asks it. A `stale` read is answered by any node, see `stale_reads.ts`.
   */
  read(request: Read, done: Done): void {
    const { terms } = request;
    if (this.mender.mustRebuild) {
      done(BEING_REBUILT);
      return;
    }
    if (terms?.consistency === 'stale' && !this.#stopped) {
      this.#staleReads.read(request, terms, this.#options.clock.monotonicMs(), done);
      if (!this.#staleReads.isIdle) this.#setTimer();
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
    const basis = terms?.consistency === 'lease' || maybe('read-by-lease') ? 'lease' : 'round';
    this.#arrivingReads[basis].push({ request, done });
    this.#planTurn();
  }

  /** See `Raft.transferLeadership`. Writes are answered `unavailable` until it is settled who leads. */
  transferLeadership(to: NodeId | null): NodeId | null {
    if (this.#stopped) return null;
    const successor = this.#raft.transferLeadership(to);
    this.#planTurn();
    return successor;
  }

  /** Nothing that was asked of this node waits for an answer. */
  get isIdle(): boolean {
    return (
      this.#proposals.isIdle &&
      this.#pendingChange === null &&
      this.#arrivingReads.round.length === 0 &&
      this.#arrivingReads.lease.length === 0 &&
      this.#unconfirmedReads.size === 0 &&
      this.#confirmedReads.length === 0 &&
      this.#staleReads.isIdle
    );
  }

  /** Takes in a message of a peer. */
  step(from: NodeId, message: Message): void {
    if (this.#stopped) return;
    this.#raft.step(from, message, this.#options.clock.monotonicMs());
    this.#planTurn();
  }

  onPeerReset(peer: NodeId): void {
    if (this.#stopped) return;
    this.#raft.onPeerReset(peer);
    this.#snapshots.onPeerReset(peer);
    this.mender.onPeerReset(peer);
    this.#planTurn();
  }

  /** As `onPeerReset`, and the peer's process may have ended. */
  onPeerLost(peer: NodeId): void {
    if (this.#stopped) return;
    this.#raft.onPeerLost(peer);
    this.#snapshots.onPeerReset(peer);
    this.mender.onPeerReset(peer);
    this.#planTurn();
  }

  /** Takes in what a peer says about a snapshot. @throws EnvelopeError `FORMAT`; DiskError. */
  stepSnapshot(from: NodeId, message: SnapshotMessage): void {
    if (this.#stopped) return;
    if (message.type === 'range-fetch') this.#options.sendSnapshot(from, this.#ranges.answer(from, message));
    else if (message.type === 'range-chunk') this.mender.onChunk(from, message);
    else if (message.type === 'state-digests' || message.type === 'state-differs')
      this.comparison?.onMessage(from, message);
    else this.#snapshots.onMessage(from, message);
  }

  /** Answers everything that waits (`unknown` or `unavailable`) and does nothing from here on. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    this.#snapshots.stop();
    this.mender.stop();
    this.#ranges.stop();
    this.#proposals.stop();
    this.#settleChange(
      errorResult('unknown', 'the node stopped: the change of membership may or may not take effect'),
    );
    const stopped = errorResult('unavailable', 'the node is stopping');
    for (const reads of Object.values(this.#arrivingReads)) for (const { done } of reads) done(stopped);
    for (const { reads } of this.#unconfirmedReads.values()) for (const { done } of reads) done(stopped);
    for (const { batch } of this.#confirmedReads) for (const { done } of batch.reads) done(stopped);
    this.#staleReads.stop(stopped);
    this.#arrivingReads.round = [];
    this.#arrivingReads.lease = [];
    this.#unconfirmedReads.clear();
    this.#confirmedReads = [];
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
      this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
    }
  };

  #turn(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#raft.deadlineMs) this.#raft.tick(nowMs);
    this.#expireProposals(nowMs);
    this.#expireReads(nowMs);
    this.#askToRead('round', nowMs);
    this.#askToRead('lease', nowMs);
    const output = this.#raft.takeOutput();
    this.#takeOffer(output);
    this.#persistAndSend(output);
    // Behind the sends: the followers work while this node writes.
    this.#options.flushLog();
    this.#apply();
    this.comparison?.review();
    this.mender.review(nowMs);
    this.#retention.review();
    this.#takeReads(output, nowMs);
    this.#staleReads.onApplied(this.appliedIndex, nowMs);
    this.#staleReads.expire(nowMs);
    this.#runReads();
    this.#sweep(nowMs);
    this.#damageReport.review(this.#raft.mending, this.#options.log, nowMs);
    this.#noticeLeader();
    this.#noticeMembers();
    this.#setTimer();
  }

  #persistAndSend(output: Output): void {
    if (output.hardState !== null) {
      this.#heldBack ??= [];
      this.#savesUnderWay++;
      const { term } = output.hardState;
      this.#options.hardState.save(output.hardState, (error) => this.#onSaved(term, error));
    }
    if (this.#heldBack !== null) {
      if (this.#savesUnderWay > 1) sometimes('messages wait for more than one save');
      for (const envelope of output.messages) this.#heldBack.push(envelope);
      return;
    }
    for (const { to, message } of output.messages) this.#options.send(to, message);
  }

  #onSaved(term: Term, error: Error | null): void {
    if (this.#stopped) return;
    if (error !== null) {
      this.#options.onFailure(error);
      return;
    }
    this.#savesUnderWay--;
    this.#raft.onHardStateDurable(term, this.#options.clock.monotonicMs());
    if (this.#savesUnderWay > 0 || this.#heldBack === null) return;
    const messages = this.#heldBack;
    this.#heldBack = null;
    for (const { to, message } of messages) this.#options.send(to, message);
    this.#planTurn();
  }

  #onDurable(index: Index): void {
    if (this.#stopped) return;
    this.#raft.onDurable(index, this.#options.clock.monotonicMs());
    this.#planTurn();
  }

  #apply(): void {
    const { store, log } = this.#options;
    // In a group of one nobody else vouches for the hard state: nothing is decided before it is durable.
    if (this.#heldBack !== null || this.#snapshots.isInstalling) return;
    const target = Math.min(this.#raft.commitIndex, log.durableIndex, this.mender.applyLimit);
    let applied = 0;
    let bytes = 0;
    // Asked before the entries are read: while the store holds writers up, turns must not read them over and over.
    while (store.writable && store.appliedIndex < target && applied < APPLY_ENTRIES_MAX) {
      const from = store.appliedIndex + 1;
      const until = Math.min(target, from + APPLY_READ_MAX - 1);
      for (const entry of log.entries(from, until + 1, APPLY_BYTES_MAX)) {
        if (!store.writable) {
          sometimes('the store holds the replica up');
          return;
        }
        if (!this.#applyIfReadable(entry)) return;
        applied++;
        bytes += entry.payload.length;
      }
      if (bytes >= APPLY_BYTES_MAX) break;
    }
    // Otherwise `onWritable` plans the next turn.
    if (store.writable && store.appliedIndex < target) this.#planTurn();
  }

  #takeOffer({ snapshot }: Output): void {
    if (snapshot !== null) {
      this.#offeredIndex = snapshot.index;
      this.#snapshots.onOffer(snapshot.from);
    }
    // What can't be read is of no use here, committed or not.
    const { log } = this.#options;
    const reached = log.damagedCount === 0 ? this.#raft.commitIndex : this.appliedIndex;
    this.#snapshots.onCommitted(reached, this.#offeredIndex);
  }

  /** The store holds what another node had applied up to `index`; the log goes on from there. */
  #onInstalled(index: Index, term: Term): void {
    if (this.#stopped) return;
    const { logger, id, clock } = this.#options;
    logger.log('info', 'snapshot-installed', { node: id, index, term });
    try {
      const configuration = this.#configuration();
      this.#raft.restore(index, term, clock.monotonicMs(), configuration);
      this.#raft.learn(configuration);
      this.comparison?.onReplaced();
      this.mender.onInstalled();
      this.#reloadIfReadable();
    } catch (error) {
      this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#proposals.onSnapshot(index);
    dropCovered(this.#options.log, this.#options.store);
    this.#planTurn();
  }

  /**
   * What was installed a moment ago may have rotted already: as at a start, nothing is shown and nothing applied before it
   * has been fetched once more.
   * @throws CorruptionError when nobody has another copy.
   */
  #reloadIfReadable(): void {
    const { stateMachine, store } = this.#options;
    try {
      stateMachine.reload();
    } catch (error) {
      if (!(error instanceof CorruptionError) || this.isAlone || !store.noteDamage(error)) throw error;
      rarely('a state that was installed cannot be read');
      this.mender.rebuild();
    }
  }

  /**
   * False when the entry depends on what is damaged here. The others go on with what this replica cannot know, so nothing of
   * it is left, and nothing behind it is applied before the damage is mended.
   * @throws CorruptionError when nobody has another copy.
   */
  #applyIfReadable(entry: Entry): boolean {
    const { store, stateMachine } = this.#options;
    try {
      this.#applyEntry(entry);
      return true;
    } catch (error) {
      if (!(error instanceof CorruptionError) || this.isAlone || !store.noteDamage(error)) throw error;
      store.abandonEntry();
      stateMachine.abandonEntry();
      this.mender.block();
      return false;
    }
  }

  #applyEntry(entry: Entry): void {
    const { stateMachine } = this.#options;
    let result: Result | null = null;
    if (entry.kind === EntryKind.Command) {
      const isWanted = this.#proposals.holds(entry);
      result = stateMachine.apply(entry.index, entry.payload, isWanted ? 'wanted' : 'not-wanted');
    } else if (entry.kind === EntryKind.Configuration) this.#applyConfiguration(entry);
    else stateMachine.applyNothing(entry.index);
    this.#proposals.onApplied(entry, result);
  }

  #expireProposals(nowMs: number): void {
    if (this.#pendingChange !== null && this.#pendingChange.deadlineMs <= nowMs) {
      const message =
        'no majority has confirmed the change of membership in time: it may or may not take effect';
      this.#settleChange(errorResult('unknown', message));
    }
    this.#proposals.expire(nowMs);
  }

  #askToRead(basis: ReadBasis, nowMs: number): void {
    const reads = this.#arrivingReads[basis];
    if (reads.length === 0) return;
    this.#arrivingReads[basis] = [];
    const id = this.#nextReadId++;
    const deadlineMs = nowMs + this.#options.answerTimeoutMs;
    this.#unconfirmedReads.set(id, { reads, basis, askedAtMs: nowMs, deadlineMs });
    this.#raft.readIndex(id, basis, nowMs);
  }

  /** For stale reads: the read index alone. Never by a lease, which another node's clock is part of. */
  #askForProof(nowMs: number): number {
    const id = this.#nextReadId++;
    this.#raft.readIndex(id, 'round', nowMs);
    this.#planTurn();
    return id;
  }

  #takeReads(output: Output, nowMs: number): void {
    for (const { id, index } of output.reads) {
      if (this.#staleReads.onReadIndex(id, index, nowMs)) continue;
      const batch = this.#unconfirmedReads.get(id);
      // Given up meanwhile.
      if (batch === undefined) continue;
      this.#unconfirmedReads.delete(id);
      if (batch.basis === 'round' && index !== null) this.#staleReads.onProof(batch.askedAtMs, index, nowMs);
      if (index === null) for (const { done } of batch.reads) done(NOT_LEADER);
      else this.#confirmedReads.push({ index, batch });
    }
  }

  #expireReads(nowMs: number): void {
    for (const [id, { deadlineMs, reads }] of this.#unconfirmedReads) {
      if (deadlineMs > nowMs) break;
      sometimes('a read is not vouched for in time');
      this.#unconfirmedReads.delete(id);
      for (const { done } of reads) done(NOT_IN_TIME);
    }
    if (!this.#confirmedReads.some(({ batch }) => batch.deadlineMs <= nowMs)) return;
    sometimes('a read waits too long for what it must see');
    const waiting = this.#confirmedReads;
    this.#confirmedReads = waiting.filter(({ batch }) => batch.deadlineMs > nowMs);
    for (const { batch } of waiting) {
      if (batch.deadlineMs <= nowMs) for (const { done } of batch.reads) done(NOT_IN_TIME);
    }
  }

  #runReads(): void {
    if (this.#confirmedReads.length === 0) return;
    const ready = this.#confirmedReads;
    this.#confirmedReads = [];
    for (const confirmed of ready) {
      const { index, batch } = confirmed;
      if (index > this.appliedIndex) {
        sometimes('a confirmed read waits for what it must see');
        this.#confirmedReads.push(confirmed);
        continue;
      }
      const wallMs = this.#wallMs();
      for (const { request, done } of batch.reads) this.#runRead(request, wallMs, done);
    }
  }

  #runStaleRead(request: Read, { answer }: StaleTerms, done: Done): void {
    const revision: Result = { type: 'count', count: this.appliedIndex };
    // By the time of the entries: nobody is asked for a tick.
    this.#runRead(request, 0, (result) => {
      const isPlain = answer === 'plain' || result.type === 'error';
      done(isPlain ? result : { type: 'list', items: [revision, result] });
    });
  }

  /** @param wallMs What has expired by then is not seen. */
  #runRead(request: Read, wallMs: number, done: Done): void {
    const { stateMachine, clock } = this.#options;
    if (this.mender.mustRebuild) {
      done(BEING_REBUILT);
      return;
    }
    if (!isLongRead(request)) {
      const result = stateMachine.read(request, wallMs);
      if (result === 'due') this.#readBehindTick(request, wallMs, done);
      else done(result);
      return;
    }
    const read = stateMachine.readLong(request, wallMs);
    if (read === 'due') {
      this.#readBehindTick(request, wallMs, done);
      return;
    }
    if (!('step' in read)) {
      done(read);
      return;
    }
    const step = (): void => {
      if (this.mender.mustRebuild) {
        read.cancel();
        done(BEING_REBUILT);
        return;
      }
      if (this.#stopped) {
        read.cancel();
        done(errorResult('unavailable', 'the node is stopping'));
        return;
      }
      const result = read.step(READ_KEYS_PER_TURN);
      if (result === null) clock.after(0, step);
      else done(result);
    };
    step();
  }

  /**
   * What the read met should have expired by now: the group must know that before a client does. The tick under way may
   * have been proposed too early for it; the next one was not.
   */
  #readBehindTick(request: Read, wallMs: number, done: Done): void {
    this.#tick((result) => {
      if (result.type === 'ok' && !this.#stopped) this.#runRead(request, wallMs, done);
      else done(NOT_LEADER);
    });
  }

  /** Moves the state machine's time on, once at a time. */
  #tick(done: Done): void {
    if (this.#tickWaiters !== null) {
      this.#tickWaiters.push(done);
      return;
    }
    this.#tickWaiters = [done];
    this.propose({ type: 'tick' }, (result) => {
      const waiters = this.#tickWaiters ?? [];
      this.#tickWaiters = null;
      for (const waiter of waiters) waiter(result);
    });
  }

  /** The leader has what is gone removed, a bit at a time: what expires one by one is gathered for a while. */
  #sweep(nowMs: number): void {
    if (this.#tickWaiters !== null || this.#raft.role !== 'leader') return;
    if (this.#retention.isInTheWay) {
      rarely('a group writes an entry to let the log be shortened');
      this.#tick(() => {});
      return;
    }
    const { stateMachine } = this.#options;
    if (!stateMachine.hasBacklog) {
      if (nowMs < this.#nextSweepMs || !stateMachine.isTickDue(this.#wallMs())) return;
      this.#nextSweepMs = nowMs + SWEEP_PAUSE_MS;
    }
    this.#tick(() => {});
  }

  #wallMs(): number {
    this.#latestWallMs = Math.max(this.#latestWallMs, this.#options.clock.wallMs());
    return this.#latestWallMs;
  }

  #noticeLeader(): void {
    const { leader, term } = this.#raft;
    if (leader === this.#lastLeader && term === this.#lastTerm) return;
    this.#lastTerm = term;
    if (leader !== null && leader !== this.#lastLeader) {
      this.#options.logger.log('info', 'leader-known', { node: this.#options.id, leader, term });
    }
    this.#lastLeader = leader;
    this.onLeaderChange(leader);
  }

  /** One timer for the core's deadline and the oldest requests; late ones are harmless, so it is only moved forward. */
  #setTimer(): void {
    const changeMs = this.#pendingChange?.deadlineMs ?? Number.POSITIVE_INFINITY;
    let atMs = Math.min(this.#raft.deadlineMs, this.#proposals.deadlineMs, changeMs);
    for (const { deadlineMs } of this.#unconfirmedReads.values()) {
      if (deadlineMs < atMs) atMs = deadlineMs;
      break;
    }
    for (const { batch } of this.#confirmedReads) if (batch.deadlineMs < atMs) atMs = batch.deadlineMs;
    if (this.#staleReads.deadlineMs < atMs) atMs = this.#staleReads.deadlineMs;
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

/** What a client is told of a change that was not begun. */
function changeResult(
  answer: Exclude<ChangeAnswer, { type: 'begun' }>,
  refusal: (why: Refusal) => Result,
): Result {
  switch (answer.type) {
    case 'none':
      return { type: 'count', count: answer.id };
    case 'invalid':
      return errorResult('invalid', answer.why);
    case 'unsafe': {
      const silent = answer.silent.join(', ');
      return errorResult('invalid', `no majority would answer: nothing is heard of node ${silent}`);
    }
    case 'refused':
      if (answer.why === 'too-early') return errorResult('unavailable', 'the leader has just been elected');
      if (answer.why !== 'change-under-way') return refusal(answer.why);
      return errorResult('invalid', 'another change of membership is under way: try again when it is done');
    default:
      return unreachable(answer);
  }
}
