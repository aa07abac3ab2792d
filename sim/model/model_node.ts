/**
 * One node as the model drives it: the production `Raft` over a log in memory, with the order of persisting and sending
 * that `src/replica/replica.ts` keeps. A hard state is durable before a message of its turn, or of a later one, leaves;
 * entries become durable when `sync` says so; a crash loses what was not.
 *
 * Time stands still while a node works and moves only by `timer` and `lapse`, to the moments at which the core would do
 * something else than before.
 */

import { unreachable } from '../../src/base/assert.ts';
import type { Random } from '../../src/io/random.ts';
import { DEFAULT_FLOW } from '../../src/raft/flow.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { Envelope, HardState, ReadState } from '../../src/raft/output.ts';
import type { Raft } from '../../src/raft/raft.ts';
import { ModelLog } from './model_log.ts';
import type { RaftClass } from './opened_raft.ts';
import { pictureOf } from './picture.ts';

/**
 * The smallest times that keep all differences: a follower is sticky for 2 after it heard its leader and campaigns
 * after 3; a leader's heartbeat and quorum check fall together.
 */
export const MODEL_TIMING = { heartbeatMs: 2, electionTimeoutMs: 2 };
const JITTER_MS = 1;
const random: Random = { below: (bound) => Math.min(JITTER_MS, bound - 1) };
/** The core asks whether a silence is as long as, or longer than, an election timeout: beyond that all is the same. */
const TIME_MEMORY_MS = MODEL_TIMING.electionTimeoutMs + 1;

/** `at-once`: whatever a turn writes is durable when it ends. `steps`: saves and syncs are steps of their own. */
export type Persistence = 'at-once' | 'steps';

export type Input =
  /** The node's clock reaches its deadline: an election timeout, or a leader's heartbeat and quorum check. */
  | { readonly type: 'timer' }
  /** The node's clock passes the time in which it holds to the leader that it last heard. */
  | { readonly type: 'lapse' }
  | { readonly type: 'propose'; readonly ordinal: number }
  | { readonly type: 'read'; readonly id: number }
  | { readonly type: 'deliver'; readonly from: NodeId; readonly message: Message }
  /** The oldest hard state that is being written is durable. */
  | { readonly type: 'save' }
  /** The first of the records that are being written are durable. */
  | { readonly type: 'sync'; readonly records: number }
  /** The connection to a peer is made anew. */
  | { readonly type: 'reset'; readonly peer: NodeId }
  /** Power fails, and comes back: of what was being written the first parts are kept. */
  | { readonly type: 'crash'; readonly keptSaves: number; readonly keptRecords: number };

export interface NodeSetup {
  readonly raftClass: RaftClass;
  readonly voters: readonly NodeId[];
  readonly persistence: Persistence;
}

export class ModelNode {
  readonly id: NodeId;
  readonly #setup: NodeSetup;
  #nowMs = 0;
  #raft: Raft;
  #log = new ModelLog();
  #durable: HardState = { term: 0, vote: null };
  /** Hard states that are being written, oldest first. */
  #saves: HardState[] = [];
  /** Messages that wait for them. */
  #heldBack: Envelope[] = [];
  /** What has left, and which reads were answered, since `takeEffects`. */
  #sent: Envelope[] = [];
  #reads: ReadState[] = [];

  constructor(id: NodeId, setup: NodeSetup) {
    this.id = id;
    this.#setup = setup;
    this.#raft = this.#start();
  }

  get raft(): Raft {
    return this.#raft;
  }

  get log(): ModelLog {
    return this.#log;
  }

  get savesUnderWay(): number {
    return this.#saves.length;
  }

  get canLapse(): boolean {
    const { role, leader, deadlineMs } = this.#raft;
    return role === 'follower' && leader !== null && this.#nowMs < deadlineMs - JITTER_MS;
  }

  /** @throws AssertionError when the core finds that one of its own invariants is broken. */
  apply(input: Input): void {
    const raft = this.#raft;
    switch (input.type) {
      case 'timer':
        this.#nowMs = Math.max(this.#nowMs, raft.deadlineMs);
        raft.tick(this.#nowMs);
        break;
      case 'lapse':
        this.#nowMs = Math.max(this.#nowMs, raft.deadlineMs - JITTER_MS);
        return;
      case 'propose':
        raft.propose(Uint8Array.of(input.ordinal));
        break;
      case 'read':
        raft.readIndex(input.id, 'round', this.#nowMs);
        break;
      case 'deliver':
        raft.step(input.from, input.message, this.#nowMs);
        break;
      case 'save':
        this.#save();
        break;
      case 'sync':
        this.#sync(input.records);
        break;
      case 'reset':
        raft.onPeerReset(input.peer);
        break;
      case 'crash':
        this.#crash(input.keptSaves, input.keptRecords);
        return;
      default:
        unreachable(input);
    }
    this.#turn();
    if (this.#setup.persistence === 'steps') return;
    while (this.#saves.length > 0 || this.#log.pending.length > 0) {
      if (this.#saves.length > 0) this.#save();
      else this.#sync(this.#log.pending.length);
      this.#turn();
    }
  }

  takeEffects(): { readonly sent: readonly Envelope[]; readonly reads: readonly ReadState[] } {
    const effects = { sent: this.#sent, reads: this.#reads };
    this.#sent = [];
    this.#reads = [];
    return effects;
  }

  /** Equal for nodes that behave the same from here on. */
  picture(): string {
    const rest = {
      id: this.id,
      durable: this.#durable,
      saves: this.#saves,
      heldBack: this.#heldBack,
      entries: this.#log.durable,
      pending: this.#log.pending,
      durableIndex: this.#log.durableIndex,
      raft: this.#raft,
    };
    return pictureOf(rest, { nowMs: this.#nowMs, timeMemoryMs: TIME_MEMORY_MS });
  }

  #turn(): void {
    const output = this.#raft.takeOutput();
    for (const read of output.reads) this.#reads.push(read);
    if (output.hardState !== null) this.#saves.push(output.hardState);
    const to = this.#saves.length > 0 ? this.#heldBack : this.#sent;
    for (const envelope of output.messages) to.push(envelope);
    if (output.isUnfinished) this.#turn();
  }

  #save(): void {
    const saved = this.#saves.shift();
    if (saved === undefined) return;
    this.#durable = saved;
    this.#raft.onHardStateDurable(saved.term, this.#nowMs);
    if (this.#saves.length > 0) return;
    for (const envelope of this.#heldBack) this.#sent.push(envelope);
    this.#heldBack = [];
  }

  #sync(records: number): void {
    const before = this.#log.durableIndex;
    this.#log.sync(records);
    if (this.#log.durableIndex > before) this.#raft.onDurable(this.#log.durableIndex, this.#nowMs);
  }

  #crash(keptSaves: number, keptRecords: number): void {
    if (keptSaves > 0) this.#durable = this.#saves[keptSaves - 1];
    this.#log = this.#log.afterCrash(keptRecords);
    this.#saves = [];
    this.#heldBack = [];
    this.#raft = this.#start();
  }

  #start(): Raft {
    const { raftClass, voters } = this.#setup;
    return new raftClass({
      id: this.id,
      voters,
      log: this.#log,
      random,
      timing: MODEL_TIMING,
      flow: DEFAULT_FLOW,
      clockDriftPpmMax: null,
      snapshots: { index: 0 },
      hardState: this.#durable,
      appliedIndex: 0,
      nowMs: this.#nowMs,
    });
  }
}
