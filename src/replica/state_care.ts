/**
 * What keeps a replica's state whole and within bounds, beside applying: snapshots both ways, ranges for those who mend
 * their tables, the mending of its own, the comparing with others, and how much of the log is kept.
 */
import { CorruptionError, toError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Result } from '../kv/request.ts';
import type { Index, Term } from '../log/entry.ts';
import type { Configuration } from '../raft/configuration.ts';
import type { NodeId } from '../raft/message.ts';
import type { Output } from '../raft/output.ts';
import type { Raft } from '../raft/raft.ts';
import { DivergenceRepair } from './divergence_repair.ts';
import { configurationOf } from './known_configuration.ts';
import { DamageReport, dropCovered } from './log_damage.ts';
import { LogRetention } from './log_retention.ts';
import type { Proposals } from './proposals.ts';
import { RangeSource } from './range_source.ts';
import { BEING_REBUILT, ODD_ONE_OUT } from './refusal.ts';
import type { ReplicaOptions } from './replica_options.ts';
import { isAboutDigests, type SnapshotMessage } from './snapshot_codec.ts';
import { Snapshots, snapshotPath } from './snapshots.ts';
import { StateComparison } from './state_comparison.ts';
import { TableMender } from './table_mender.ts';

export interface StateCareOptions {
  readonly replica: ReplicaOptions;
  readonly raft: Raft;
  readonly proposals: Pick<Proposals, 'onSnapshot'>;
  /** Nobody else holds what this node holds. */
  readonly isAlone: () => boolean;
  /** See `Raft.transferLeadership`. */
  readonly handOver: (to: NodeId | null) => NodeId | null;
  readonly planTurn: () => void;
}

/** What is held for a peer that fetches a range is let go when it has not asked for so long. */
const RANGE_IDLE_MS = 30_000;
const REINSTALLED_MAX = 3;

export class StateCare {
  readonly #options: StateCareOptions;
  readonly snapshots: Snapshots;
  /** What repairs this replica's tables, and gives out ranges to those who repair theirs. */
  readonly mender: TableMender;
  /** Compares what is applied here with what others apply; null: without a digest of it. */
  readonly comparison: StateComparison | null;
  /** What is done when that finds this replica to be the odd one out. */
  readonly repair: DivergenceRepair;
  readonly retention: LogRetention;
  readonly #ranges: RangeSource;
  readonly #damageReport: DamageReport;
  /** The index of the snapshot that was offered last. */
  #offeredIndex: Index = 0;
  /** So often in a row the same state has been installed since it could not be read. */
  #reinstalled = 0;
  /** For damaged entries that tables do not cover yet. */
  #isFlushing = false;
  #handOvers = 0;
  #stopped = false;

  constructor(options: StateCareOptions) {
    this.#options = options;
    const { store, log, clock, snapshots: limits, id, logger } = options.replica;
    this.snapshots = this.#makeSnapshots();
    this.#ranges = new RangeSource({
      store,
      clock,
      termAt: (index) => log.termAt(index),
      isSound: () => !this.snapshots.isInstalling && !this.mender.mustRebuild,
      chunkBytes: limits.chunkBytes,
      idleMs: RANGE_IDLE_MS,
    });
    this.mender = this.#makeMender();
    this.repair = this.#makeRepair();
    this.comparison = this.#makeComparison();
    this.repair.resume(options.isAlone());
    this.retention = new LogRetention({ log, store, limits, heldIndex: () => this.snapshots.heldIndex });
    this.#damageReport = new DamageReport(id, logger);
  }

  /** Takes in what a peer says. @throws EnvelopeError `FORMAT`; DiskError. */
  onMessage(from: NodeId, message: SnapshotMessage): void {
    const { sendSnapshot } = this.#options.replica;
    if (message.type === 'range-fetch') sendSnapshot(from, this.#ranges.answer(from, message));
    else if (message.type === 'range-chunk') this.mender.onChunk(from, message);
    else if (isAboutDigests(message)) this.comparison?.onMessage(from, message);
    else this.snapshots.onMessage(from, message);
  }

  /** Why nothing of the state may be shown; null: it may. */
  get refusal(): Result | null {
    if (!this.mender.mustRebuild) return null;
    return this.repair.isOdd ? ODD_ONE_OUT : BEING_REBUILT;
  }

  onPeerReset(peer: NodeId): void {
    this.snapshots.onPeerReset(peer);
    this.mender.onPeerReset(peer);
  }

  /** What the core says of snapshots in this turn. */
  takeOffer({ snapshot }: Output): void {
    const { raft, replica } = this.#options;
    // The leader may be odd as well. And one that is no more would be waited for: the mender asks all that may be asked.
    if (snapshot !== null && !this.repair.isOdd) {
      this.#offeredIndex = snapshot.index;
      this.snapshots.onOffer(snapshot.from);
    }
    const { log, store } = replica;
    if (snapshot !== null && log.firstDamaged <= store.appliedIndex) this.#flushDamaged();
    // What can't be read is of no use here, committed or not.
    const reached = log.damagedCount === 0 ? raft.commitIndex : store.appliedIndex;
    this.snapshots.onCommitted(reached, this.#offeredIndex);
  }

  /**
   * Damaged entries have been applied here, and elsewhere they are gone already. No snapshot is needed then, nor may one ever
   * come that is newer: once this replica's own tables cover them, they are let go.
   */
  #flushDamaged(): void {
    if (this.#isFlushing) return;
    rarely('damaged entries that were applied are flushed');
    this.#isFlushing = true;
    // A store that cannot flush has said so; the next answer tries again.
    this.#options.replica.store.flush(() => {
      this.#isFlushing = false;
      this.#options.planTurn();
    });
  }

  /** Once in each turn, behind what was applied in it. */
  review(nowMs: number): void {
    this.comparison?.review(nowMs);
    this.mender.review(nowMs);
    this.retention.review();
  }

  /** Tells the node's log how it is with the damage of the replica's. */
  reportDamage(nowMs: number): void {
    const { raft, replica } = this.#options;
    const { log, store } = replica;
    // What was met in this turn may be of no use any more.
    if (log.firstDamaged <= store.flushedIndex) dropCovered(log, store);
    this.#damageReport.review(raft.mending, log, nowMs);
  }

  stop(): void {
    this.#stopped = true;
    this.snapshots.stop();
    this.mender.stop();
    this.#ranges.stop();
  }

  #makeSnapshots(): Snapshots {
    const { raft, planTurn } = this.#options;
    const { store, log, disk, clock, directory, snapshots, sendSnapshot, onFailure } = this.#options.replica;
    return new Snapshots({
      store,
      log,
      disk,
      clock,
      directory,
      limits: snapshots,
      send: sendSnapshot,
      isSound: () => !this.mender.mustRebuild,
      onInstall: () => this.mender.onInstall(),
      onInstalled: (index, term) => this.#onInstalled(index, term),
      onKnown: (index, term) => {
        raft.restore(index, term, clock.monotonicMs());
        planTurn();
      },
      onFailure,
    });
  }

  #makeMender(): TableMender {
    const { raft, planTurn } = this.#options;
    const { store, disk, clock, random, logger, directory, snapshots, sendSnapshot, onFailure } =
      this.#options.replica;
    return new TableMender({
      store,
      disk,
      clock,
      random,
      logger,
      directory,
      wholePath: snapshotPath(directory),
      bytesPerSecondMax: snapshots.bytesPerSecondMax,
      isAlone: this.#options.isAlone,
      peers: () => this.#peers(),
      send: sendSnapshot,
      isBusy: () => this.snapshots.isBusy,
      leads: () => raft.role === 'leader',
      mayRebuild: () => this.repair.mayBegin,
      handOver: () => this.#handOver(),
      releaseHeld: () => this.#ranges.release(),
      install: (identity, atLeast) => this.snapshots.install(identity, atLeast),
      onProgress: planTurn,
      onFailure,
    });
  }

  /** From a replica that is odd to one of those that agree, in turn: another that is odd would only hand over again. */
  #handOver(): void {
    const { handOver } = this.#options;
    const { sources } = this.repair;
    const first = this.#handOvers++;
    for (let n = 0; n < sources.length; n++) {
      if (handOver(sources[(first + n) % sources.length]) !== null) return;
    }
    handOver(null);
  }

  #makeRepair(): DivergenceRepair {
    const { raft } = this.#options;
    const { id, disk, directory, clock, logger } = this.#options.replica;
    return new DivergenceRepair({
      id,
      disk,
      directory,
      clock,
      logger,
      leads: () => raft.role === 'leader',
      rebuild: (sources) => {
        this.snapshots.giveUp();
        this.mender.rebuild(sources);
      },
    });
  }

  #makeComparison(): StateComparison | null {
    const { raft, isAlone } = this.#options;
    const { id, logger, stateMachine, sendSnapshot } = this.#options.replica;
    const { digest } = stateMachine;
    if (digest === null) return null;
    digest.setActive(!isAlone());
    return new StateComparison({
      id,
      digest,
      logger,
      leads: () => raft.role === 'leader',
      peers: () => this.#peers(),
      configurations: () => raft.configurations,
      send: sendSnapshot,
      onOdd: (verdict) => this.repair.onOdd(verdict),
    });
  }

  /** The other members, the leader first. */
  #peers(): NodeId[] {
    const { leader, configuration } = this.#options.raft;
    const { id: self } = this.#options.replica;
    const { members } = configuration;
    // Who does not know its group still knows by the file `odd` whom it may ask.
    const known = members.length > 0 ? members.map(({ id }) => id) : this.repair.sources;
    const others = known.filter((id) => id !== self);
    if (leader !== null && leader !== self && !others.includes(leader)) others.push(leader);
    return others.sort((a, b) => Number(b === leader) - Number(a === leader) || a - b);
  }

  /** The store holds what another node had applied up to `index`; the log goes on from there. */
  #onInstalled(index: Index, term: Term): void {
    if (this.#stopped) return;
    const { raft, proposals, planTurn } = this.#options;
    const { logger, id, clock, log, store, onFailure } = this.#options.replica;
    logger.log('info', 'snapshot-installed', { node: id, index, term });
    try {
      const configuration = this.#configurationInstalled(index, term);
      if (configuration === null) return;
      raft.restore(index, term, clock.monotonicMs(), configuration);
      raft.learn(configuration);
      this.comparison?.onReplaced();
      this.mender.onInstalled();
      this.repair.onInstalled(index);
      this.#reloadIfReadable();
    } catch (error) {
      onFailure(toError(error));
      return;
    }
    proposals.onSnapshot(index);
    dropCovered(log, store);
    planTurn();
  }

  /**
   * Who belongs to the group has to be known before consensus goes on from what was installed. The file that it came from is
   * there and whole: when the tables made of it cannot be read, it is installed once more.
   * @returns null when it is.
   * @throws CorruptionError when that has not helped.
   */
  #configurationInstalled(index: Index, term: Term): Configuration | null {
    const { isAlone, replica } = this.#options;
    const { stateMachine, founders, store } = replica;
    try {
      const configuration = configurationOf(stateMachine, founders);
      this.#reinstalled = 0;
      return configuration;
    } catch (error) {
      const isDamage = error instanceof CorruptionError && !isAlone() && store.noteDamage(error);
      if (!isDamage || this.#reinstalled === REINSTALLED_MAX) throw error;
      rarely('who belongs to the group cannot be read of what was installed');
      this.#reinstalled++;
      // Until then nothing of it is shown, and nothing applied to it.
      this.mender.rebuild();
      this.snapshots.reinstall({ index, term });
      return null;
    }
  }

  /**
   * What was installed a moment ago may have rotted already: as at a start, nothing is shown and nothing applied before it
   * has been fetched once more.
   * @throws CorruptionError when nobody has another copy.
   */
  #reloadIfReadable(): void {
    const { isAlone, replica } = this.#options;
    const { stateMachine, store } = replica;
    try {
      stateMachine.reload();
    } catch (error) {
      if (!(error instanceof CorruptionError) || isAlone() || !store.noteDamage(error)) throw error;
      rarely('a state that was installed cannot be read');
      this.mender.rebuild();
    }
  }
}
