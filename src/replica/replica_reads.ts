/**
 * Reads of one replica. Those that are asked for in one turn go together: consensus vouches for an index, by a round or by
 * the lease, and once that is applied they are answered from the state machine. Stale reads have a way of their own
 * (`stale_reads.ts`) and end in the same place.
 */
import { sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import { errorResult, isLongRead, type Read, type Result, type StaleTerms } from '../kv/request.ts';
import type { StateMachine } from '../kv/state_machine.ts';
import type { Index } from '../log/entry.ts';
import type { Store } from '../lsm/store.ts';
import type { ReadBasis } from '../raft/message.ts';
import type { ReadState } from '../raft/output.ts';
import type { Raft } from '../raft/raft.ts';
import type { GroupTime } from './group_time.ts';
import { NOT_LEADER } from './proposals.ts';
import type { Done } from './replica_options.ts';
import { StaleReads } from './stale_reads.ts';

export interface ReplicaReadsOptions {
  readonly raft: Pick<Raft, 'readIndex' | 'commitIndex' | 'leader'>;
  readonly store: Pick<Store, 'appliedIndex'>;
  readonly stateMachine: Pick<StateMachine, 'read' | 'readLong'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly time: GroupTime;
  readonly answerTimeoutMs: number;
  /** How long a stale read waits for its proof. */
  readonly staleWaitMs: number;
  /** Why nothing of the store may be shown to anybody; null: it may. */
  readonly refusal: () => Result | null;
  readonly planTurn: () => void;
}

interface PendingRead {
  readonly request: Read;
  readonly done: Done;
}

/** A long read of which a part has been done. */
interface SteppedRead {
  readonly cancel: () => void;
  readonly done: Done;
}

/** Reads that were asked for in one turn and go together. */
interface ReadBatch {
  readonly reads: readonly PendingRead[];
  readonly basis: ReadBasis;
  readonly askedAtMs: number;
  readonly deadlineMs: number;
}

/** Keys that a read of many looks at in one turn. */
const READ_KEYS_PER_TURN = 2048;

const NOT_IN_TIME = errorResult('unavailable', 'no leader has vouched for the read in time');
const STOPPING = errorResult('unavailable', 'the node is stopping');

export class ReplicaReads {
  readonly #options: ReplicaReadsOptions;
  /** Of this turn, by what is to vouch for them. */
  readonly #arriving: Record<ReadBasis, PendingRead[]> = { round: [], lease: [] };
  #nextId = 1;
  /** Handed to the core, not confirmed yet; oldest first. */
  readonly #unconfirmed = new Map<number, ReadBatch>();
  /** Confirmed, waiting for their index to be applied. */
  #confirmed: { index: Index; batch: ReadBatch }[] = [];
  readonly #stepped = new Set<SteppedRead>();
  readonly #stale: StaleReads;
  #stopped = false;

  constructor(options: ReplicaReadsOptions) {
    this.#options = options;
    this.#stale = new StaleReads({
      run: (request, terms, done) => this.#runStale(request, terms, done),
      ask: (nowMs) => this.#askForProof(nowMs),
      waitMs: options.staleWaitMs,
    });
  }

  get isIdle(): boolean {
    return (
      this.#arriving.round.length === 0 &&
      this.#arriving.lease.length === 0 &&
      this.#unconfirmed.size === 0 &&
      this.#confirmed.length === 0 &&
      this.#stepped.size === 0 &&
      this.#stale.isIdle
    );
  }

  /** No stale read waits. */
  get isStaleIdle(): boolean {
    return this.#stale.isIdle;
  }

  /** When `expire` has something to do; infinity: never. */
  get deadlineMs(): number {
    let atMs = this.#stale.deadlineMs;
    for (const { deadlineMs } of this.#unconfirmed.values()) {
      if (deadlineMs < atMs) atMs = deadlineMs;
      break;
    }
    for (const { batch } of this.#confirmed) if (batch.deadlineMs < atMs) atMs = batch.deadlineMs;
    return atMs;
  }

  /** `done` is called once, later. */
  add(basis: ReadBasis, request: Read, done: Done): void {
    this.#arriving[basis].push({ request, done });
    this.#options.planTurn();
  }

  /** See `StaleReads.read`. */
  addStale(request: Read, terms: StaleTerms, done: Done): void {
    this.#stale.read(request, terms, this.#options.clock.monotonicMs(), done);
  }

  /** Asks the core to vouch for what has arrived. */
  ask(nowMs: number): void {
    this.#ask('round', nowMs);
    this.#ask('lease', nowMs);
  }

  /** What the core has vouched for, or not, in this turn; behind what was applied in it. */
  review(answers: readonly ReadState[], nowMs: number): void {
    this.#take(answers, nowMs);
    this.#stale.onApplied(this.#options.store.appliedIndex, nowMs);
    this.#stale.expire(nowMs);
    this.#run();
  }

  /** Refuses what has waited for too long. */
  expire(nowMs: number): void {
    for (const [id, { deadlineMs, reads }] of this.#unconfirmed) {
      if (deadlineMs > nowMs) break;
      sometimes('a read is not vouched for in time');
      this.#unconfirmed.delete(id);
      for (const { done } of reads) done(NOT_IN_TIME);
    }
    if (!this.#confirmed.some(({ batch }) => batch.deadlineMs <= nowMs)) return;
    sometimes('a read waits too long for what it must see');
    const waiting = this.#confirmed;
    this.#confirmed = waiting.filter(({ batch }) => batch.deadlineMs > nowMs);
    for (const { batch } of waiting) {
      if (batch.deadlineMs <= nowMs) for (const { done } of batch.reads) done(NOT_IN_TIME);
    }
  }

  /** Answers everything that waits. */
  stop(): void {
    this.#stopped = true;
    const batches = [...this.#unconfirmed.values(), ...this.#confirmed.map(({ batch }) => batch)];
    const waiting = [...Object.values(this.#arriving), ...batches.map(({ reads }) => reads)].flat();
    const stepped = [...this.#stepped];
    this.#arriving.round = [];
    this.#arriving.lease = [];
    this.#unconfirmed.clear();
    this.#confirmed = [];
    this.#stepped.clear();
    for (const { done } of waiting) done(STOPPING);
    for (const { cancel, done } of stepped) {
      cancel();
      done(STOPPING);
    }
    this.#stale.stop(STOPPING);
  }

  #ask(basis: ReadBasis, nowMs: number): void {
    const reads = this.#arriving[basis];
    if (reads.length === 0) return;
    this.#arriving[basis] = [];
    const id = this.#nextId++;
    const deadlineMs = nowMs + this.#options.answerTimeoutMs;
    this.#unconfirmed.set(id, { reads, basis, askedAtMs: nowMs, deadlineMs });
    this.#options.raft.readIndex(id, basis, nowMs);
  }

  /** For stale reads: the read index alone. Never by a lease, which another node's clock is part of. */
  #askForProof(nowMs: number): number {
    const { raft, planTurn } = this.#options;
    const id = this.#nextId++;
    raft.readIndex(id, 'round', nowMs);
    planTurn();
    return id;
  }

  #take(answers: readonly ReadState[], nowMs: number): void {
    for (const { id, index } of answers) {
      if (this.#stale.onReadIndex(id, index, nowMs)) continue;
      const batch = this.#unconfirmed.get(id);
      // Given up meanwhile.
      if (batch === undefined) continue;
      this.#unconfirmed.delete(id);
      if (batch.basis === 'round' && index !== null) this.#stale.onProof(batch.askedAtMs, index, nowMs);
      if (index === null) for (const { done } of batch.reads) done(NOT_LEADER);
      else this.#confirmed.push({ index, batch });
    }
  }

  #run(): void {
    if (this.#confirmed.length === 0) return;
    const { store, time } = this.#options;
    const ready = this.#confirmed;
    this.#confirmed = [];
    for (const confirmed of ready) {
      const { index, batch } = confirmed;
      if (index > store.appliedIndex) {
        sometimes('a confirmed read waits for what it must see');
        this.#confirmed.push(confirmed);
        continue;
      }
      const wallMs = time.wallMs();
      for (const { request, done } of batch.reads) this.#runRead(request, wallMs, done);
    }
  }

  #runStale(request: Read, { answer }: StaleTerms, done: Done): void {
    const revision: Result = { type: 'count', count: this.#options.store.appliedIndex };
    // By the time of the entries: nobody is asked for a tick.
    this.#runRead(request, 0, (result) => {
      const isPlain = answer === 'plain' || result.type === 'error';
      done(isPlain ? result : { type: 'list', items: [revision, result] });
    });
  }

  /** @param wallMs What has expired by then is not seen. */
  #runRead(request: Read, wallMs: number, done: Done): void {
    const { stateMachine, clock, refusal } = this.#options;
    const refused = refusal();
    if (refused !== null) {
      done(refused);
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
    const stepped: SteppedRead = { cancel: () => read.cancel(), done };
    this.#stepped.add(stepped);
    const step = (): void => {
      // Answered when the replica stopped.
      if (!this.#stepped.has(stepped)) return;
      const refusedMeanwhile = refusal();
      if (refusedMeanwhile !== null) read.cancel();
      const result = refusedMeanwhile ?? read.step(READ_KEYS_PER_TURN);
      if (result === null) {
        clock.after(0, step);
        return;
      }
      this.#stepped.delete(stepped);
      done(result);
    };
    step();
  }

  /**
   * What the read met should have expired by now: the group must know that before a client does. The tick under way may
   * have been proposed too early for it; the next one was not.
   */
  #readBehindTick(request: Read, wallMs: number, done: Done): void {
    this.#options.time.tick((result) => {
      if (result.type === 'ok' && !this.#stopped) this.#runRead(request, wallMs, done);
      else done(NOT_LEADER);
    });
  }
}
