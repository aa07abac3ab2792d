/**
 * A cluster of consensus cores over logs in memory, driven by hand: time moves when the test says so, messages wait in
 * `inbox` until they are delivered, entries become durable when `sync` is called.
 */
import type { Random } from '../../src/io/random.ts';
import { type LogDamage, NO_DAMAGE } from '../../src/log/damage.ts';
import { type Entry, EntryKind, type Index, type Term } from '../../src/log/entry.ts';
import { type Configuration, decodeConfiguration } from '../../src/raft/configuration.ts';
import { DEFAULT_FLOW, type FlowLimits } from '../../src/raft/flow.ts';
import type { Refusal } from '../../src/raft/leader.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { HardState, ReadState, SnapshotOffer } from '../../src/raft/output.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { RaftLog } from '../../src/raft/raft_log.ts';

export class MemoryLog implements RaftLog {
  /** The entry at `#baseIndex` is the last that was compacted. */
  #baseIndex: Index = 0;
  #baseTerm: Term = 0;
  #entries: Entry[] = [];
  durableIndex: Index = 0;
  readonly damage: LogDamage = NO_DAMAGE;

  get firstIndex(): Index {
    return this.#baseIndex + 1;
  }

  get lastIndex(): Index {
    return this.#baseIndex + this.#entries.length;
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  termAt(index: Index): Term {
    if (index === this.#baseIndex) return this.#baseTerm;
    const entry = this.#entries[index - this.firstIndex];
    if (entry === undefined) throw new Error(`no entry ${index}`);
    return entry.term;
  }

  entries(from: Index, toExclusive: Index, maxBytes: number): Entry[] {
    if (from < this.firstIndex) throw new Error(`entry ${from} was compacted`);
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#entries.slice(from - this.firstIndex, toExclusive - this.firstIndex)) {
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  append(entry: Entry): void {
    if (entry.index < this.firstIndex || entry.index > this.lastIndex + 1) {
      throw new Error(`gap at ${entry.index}`);
    }
    this.#entries.length = entry.index - this.firstIndex;
    this.durableIndex = Math.min(this.durableIndex, entry.index - 1);
    this.#entries.push(entry);
  }

  reset(index: Index, term: Term): void {
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#entries = [];
    this.durableIndex = index;
  }

  /** Forgets the entries up to `index`. */
  compact(index: Index): void {
    const term = this.termAt(index);
    this.#entries.splice(0, index - this.#baseIndex);
    this.#baseIndex = index;
    this.#baseTerm = term;
  }

  sync(): void {
    this.durableIndex = this.lastIndex;
  }

  /** What a crash leaves. */
  loseUnsynced(): void {
    this.#entries.length = this.durableIndex - this.#baseIndex;
  }

  terms(): Term[] {
    return this.#entries.map((entry) => entry.term);
  }
}

export interface Mail {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
}

export class Member {
  readonly id: NodeId;
  readonly log: MemoryLog;
  raft: Raft;
  durable: HardState = { term: 0, vote: null };
  reads: ReadState[] = [];
  /** What a snapshot of this node would hold. */
  snapshotIndex: Index = 0;
  /** As of `snapshotIndex`; null: the group's first. */
  snapshotConfiguration: Configuration | null = null;
  /** The snapshot that the node was told to fetch last. */
  offer: SnapshotOffer | null = null;

  constructor(id: NodeId, log: MemoryLog, raft: Raft) {
    this.id = id;
    this.log = log;
    this.raft = raft;
  }
}

export const TIMING = { heartbeatMs: 50, electionTimeoutMs: 500 };

/** Draws 0, always, unless the test gives its own: node `id` then campaigns after exactly one election timeout. */
const noJitter: Random = { below: () => 0 };

export class Cluster {
  readonly members: Member[] = [];
  inbox: Mail[] = [];
  nowMs = 0;
  /** Sees each message as it is sent. */
  onSend: (mail: Mail) => void = () => {};
  readonly #random: Random;
  readonly #flow: FlowLimits;
  readonly #clockDriftPpmMax: number | null;
  readonly #voters: readonly NodeId[];

  /** @param joiners Nodes beyond `size` that are in no configuration yet. */
  constructor(
    size: number,
    random: Random = noJitter,
    flow: FlowLimits = DEFAULT_FLOW,
    clockDriftPpmMax: number | null = null,
    joiners = 0,
  ) {
    this.#voters = Array.from({ length: size }, (_none, index) => index + 1);
    this.#flow = flow;
    this.#clockDriftPpmMax = clockDriftPpmMax;
    this.#random = random;
    for (let id = 1; id <= size + joiners; id++) {
      const log = new MemoryLog();
      this.members.push(new Member(id, log, this.#makeRaft(id, log, { term: 0, vote: null }, 0, null)));
    }
  }

  member(id: NodeId): Member {
    const member = this.members[id - 1];
    if (member === undefined) throw new Error(`no node ${id}`);
    return member;
  }

  raft(id: NodeId): Raft {
    return this.member(id).raft;
  }

  /** Collects a node's output: persists at once, queues its mail. */
  collect(id: NodeId): void {
    const member = this.member(id);
    const output = member.raft.takeOutput();
    member.reads.push(...output.reads);
    if (output.hardState !== null) member.durable = output.hardState;
    if (output.snapshot !== null) member.offer = output.snapshot;
    for (const { to, message } of output.messages) {
      const mail = { from: id, to, message };
      this.inbox.push(mail);
      this.onSend(mail);
    }
    if (output.hardState !== null) member.raft.onHardStateDurable(output.hardState.term, this.nowMs);
    if (output.hardState !== null || output.isUnfinished) this.collect(id);
  }

  sync(id: NodeId): void {
    this.syncTo(id, this.member(id).log.lastIndex);
  }

  syncTo(id: NodeId, index: Index): void {
    const member = this.member(id);
    if (member.log.durableIndex >= index) return;
    member.log.durableIndex = index;
    member.raft.onDurable(member.log.durableIndex, this.nowMs);
    this.collect(id);
  }

  deliver(mail: Mail): void {
    this.raft(mail.to).step(mail.from, mail.message, this.nowMs);
    this.collect(mail.to);
  }

  /** Delivers everything, and what follows from it, except what `drop` picks; logs are synced as they grow. */
  settle(drop: (mail: Mail) => boolean = () => false): void {
    for (let rounds = 0; rounds < 1000; rounds++) {
      const mails = this.inbox;
      this.inbox = [];
      for (const mail of mails) if (!drop(mail)) this.deliver(mail);
      for (const { id } of this.members) this.sync(id);
      if (this.inbox.length === 0) return;
    }
    throw new Error('the cluster does not come to rest');
  }

  tick(id: NodeId): void {
    this.raft(id).tick(this.nowMs);
    this.collect(id);
  }

  /** Lets an election timeout pass for all, then lets `id` campaign first. */
  elect(id: NodeId, drop?: (mail: Mail) => boolean): void {
    this.nowMs += 2 * TIMING.electionTimeoutMs;
    this.tick(id);
    this.settle(drop);
  }

  /** Passes time in heartbeats: the leaders tick and everything is delivered. */
  beat(times = 1, drop?: (mail: Mail) => boolean): void {
    for (let i = 0; i < times; i++) {
      this.nowMs += TIMING.heartbeatMs;
      for (const { id, raft } of this.members) if (raft.role === 'leader') this.tick(id);
      this.settle(drop);
    }
  }

  propose(id: NodeId, text: string): Index | Refusal {
    const index = this.raft(id).propose(new TextEncoder().encode(text));
    this.collect(id);
    return index;
  }

  restart(id: NodeId): void {
    const member = this.member(id);
    member.log.loseUnsynced();
    const applied = member.snapshotIndex;
    member.raft = this.#makeRaft(id, member.log, member.durable, applied, member.snapshotConfiguration);
    this.inbox = this.inbox.filter((mail) => mail.to !== id);
  }

  /** The node keeps its log only from behind `index`, a snapshot for the rest. */
  compact(id: NodeId, index: Index): void {
    const member = this.member(id);
    for (const { kind, payload } of member.log.entries(member.log.firstIndex, index + 1, Infinity)) {
      if (kind === EntryKind.Configuration) member.snapshotConfiguration = decodeConfiguration(payload);
    }
    member.snapshotIndex = index;
    member.log.compact(index);
  }

  /** The node has fetched what it was offered last, maybe again, and installed it. */
  restore(id: NodeId): void {
    const member = this.member(id);
    if (member.offer === null) throw new Error(`node ${id} was offered no snapshot`);
    const { from, index, term } = member.offer;
    const { snapshotConfiguration } = this.member(from);
    if (member.raft.restore(index, term, this.nowMs, snapshotConfiguration)) {
      member.snapshotIndex = index;
      member.snapshotConfiguration = snapshotConfiguration;
    }
    this.collect(id);
  }

  /** A node as if it had lived before: in `term`, without a vote, its durable log holding entries of `terms`. */
  startOver(id: NodeId, term: Term, terms: readonly Term[]): void {
    const member = this.member(id);
    for (const [at, entryTerm] of terms.entries()) member.log.append(entryOf(at + 1, entryTerm));
    member.log.sync();
    member.durable = { term, vote: null };
    member.raft = this.#makeRaft(id, member.log, member.durable, 0, null);
  }

  #makeRaft(
    id: NodeId,
    log: MemoryLog,
    hardState: HardState,
    appliedIndex: Index,
    configuration: Configuration | null,
  ): Raft {
    const member = (of: NodeId): Member => this.member(of);
    return new Raft({
      id,
      voters: this.#voters.includes(id) ? this.#voters : [],
      configuration,
      log,
      random: this.#random,
      timing: TIMING,
      flow: this.#flow,
      clockDriftPpmMax: this.#clockDriftPpmMax,
      snapshots: {
        get index() {
          return member(id).snapshotIndex;
        },
      },
      hardState,
      appliedIndex,
      nowMs: this.nowMs,
    });
  }
}

/** Drops what goes to or comes from the given nodes. */
export function cutOff(...ids: NodeId[]): (mail: Mail) => boolean {
  return ({ from, to }) => ids.includes(from) !== ids.includes(to);
}

/** A command that names its place. */
export function entryOf(index: Index, term: Term): Entry {
  return { index, term, kind: EntryKind.Command, payload: new TextEncoder().encode(`e${index}`) };
}
