/** A consensus core on trial: its log and its hard state in memory, its clock, and what waits to be written or sent. */
import { EntryKind } from '../../src/log/entry.ts';
import { type Configuration, decodeConfiguration } from '../../src/raft/configuration.ts';
import type { FlowLimits } from '../../src/raft/flow.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { HardState } from '../../src/raft/output.ts';
import { Raft } from '../../src/raft/raft.ts';
import { Proposals } from '../../src/replica/proposals.ts';
import type { FollowedNode } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { CoreLog } from './core_log.ts';
import { ELECTION_TIMEOUT_MS, US_PER_MS } from './core_weather.ts';

export interface CoreNodeOptions {
  readonly id: NodeId;
  readonly voters: readonly NodeId[];
  readonly clock: { readonly offsetMs: number; readonly rate: number };
  readonly clockDriftPpmMax: number | null;
  readonly heartbeatMs: number;
  readonly flow: FlowLimits;
  readonly random: SimRandom;
}

export class CoreNode {
  readonly #options: CoreNodeOptions;
  readonly log = new CoreLog();
  readonly hardState: { durable: HardState } = { durable: { term: 0, vote: null } };
  /** What a snapshot would hold: the state up to `index`, and who belonged to the group by then; null: the founders. */
  readonly snapshots: { index: number; term: number; configuration: Configuration | null } = {
    index: 0,
    term: 0,
    configuration: null,
  };
  proposals = new Proposals();
  /** What a store would hold. */
  appliedIndex = 0;
  saves: HardState[] = [];
  heldBack: { readonly to: NodeId; readonly message: Message }[] = [];
  isSyncing = false;
  /** The latest read that was let through in this life. */
  lastRead = 0;
  isUp = false;
  /** It goes by a configuration in which nobody else votes. */
  isLastVoter = false;
  life = 0;
  /** The deadline at which the core is to be woken. */
  watchedMs: number | null = null;
  raft: Raft;
  observed: FollowedNode;

  constructor(options: CoreNodeOptions) {
    this.#options = options;
    this.raft = this.#make(0);
    this.observed = this.#observe();
  }

  get id(): NodeId {
    return this.#options.id;
  }

  nowMs(trueUs: number): number {
    const { offsetMs, rate } = this.#options.clock;
    return offsetMs + (trueUs * rate) / US_PER_MS;
  }

  /** Whole microseconds of true time, not before the node's clock shows `nowMs`. */
  usAt(nowMs: number): number {
    const { offsetMs, rate } = this.#options.clock;
    return Math.ceil(((nowMs - offsetMs) * US_PER_MS) / rate);
  }

  start(nowMs: number): void {
    this.isUp = true;
    this.life++;
    this.lastRead = 0;
    this.proposals = new Proposals();
    this.appliedIndex = this.snapshots.index;
    // As `mendLog` in `src/replica/snapshots.ts`: a snapshot was installed before the log was durable up to it.
    const { index, term } = this.snapshots;
    if (index > this.log.lastIndex) this.log.reset(index, term);
    this.raft = this.#make(nowMs);
    this.observed = this.#observe();
  }

  crash(): void {
    this.isUp = false;
    this.life++;
    this.log.crash();
    this.saves = [];
    this.heldBack = [];
    this.isSyncing = false;
    this.watchedMs = null;
  }

  /** Shortens the log by all that is committed and durable here, but for `tail` entries. */
  compact(tail: number): void {
    if (!this.isUp) return;
    const index = Math.min(this.raft.commitIndex, this.log.durableIndex);
    for (let at = this.snapshots.index + 1; at <= index; at++) {
      const { kind, payload } = this.log.entry(at);
      if (kind === EntryKind.Configuration) this.snapshots.configuration = decodeConfiguration(payload);
    }
    if (index > this.snapshots.index) {
      this.snapshots.index = index;
      this.snapshots.term = this.log.termAt(index);
    }
    this.log.compact(index - tail);
  }

  #make(nowMs: number): Raft {
    const { id, voters, clockDriftPpmMax, heartbeatMs, flow, random } = this.#options;
    return new Raft({
      id,
      voters,
      configuration: this.snapshots.configuration,
      log: this.log,
      random,
      timing: { heartbeatMs, electionTimeoutMs: ELECTION_TIMEOUT_MS },
      flow,
      clockDriftPpmMax,
      snapshots: this.snapshots,
      hardState: this.hardState.durable,
      appliedIndex: this.snapshots.index,
      nowMs,
    });
  }

  #observe(): FollowedNode {
    const { raft, log, hardState } = this;
    return { replica: { raft, appliedIndex: 0 }, groupLog: log, hardState };
  }
}
