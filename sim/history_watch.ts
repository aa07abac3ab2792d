/**
 * Checks what the clients of a world see while they see it, and forgets what has been checked, so that a run may be of any
 * length: operations that have ended go to a `HistoryStream`, which is looked at twice a simulated second.
 *
 * What was never answered is carried on. The log tells of a write of a value that it is committed, and when; such a write
 * has taken effect by then. One that was given up long ago, and that no log holds where it could yet be committed, never
 * will: nothing that is on its way in a world lives as long as that. That is held against the logs once more at the end.
 * Of operations that the log cannot tell (a delete, a count, a drop) the outcome stays unknown; as old as that, they take
 * no effect any more.
 *
 * Where many clients ask for few keys, something of each is always under way. So in a run whose history is not kept they
 * hold their breath every ten simulated seconds, until all that was asked has ended.
 *
 * A value that expires may vanish: an operation of unknown outcome until nothing can hold that value any more.
 */
import { findWrite, refusedButCommitted } from './acknowledgements.ts';
import { CHECK_DEFAULTS } from './check/check_calls.ts';
import type { History, Operation } from './check/history.ts';
import { opOf, toCall, toCalls } from './check/linearizability.ts';
import type { Call } from './check/model.ts';
import { HistoryStream, type StreamVerdict } from './check/stream.ts';
import { ExpiringWrites } from './expiry.ts';
import type { Invariants } from './invariants.ts';
import type { Workload } from './workload.ts';

export interface HistoryWatchOptions {
  readonly history: History;
  readonly invariants: Invariants;
  readonly workload: Workload;
}

/** A write that was never answered, and what the world knows of it when all is over. */
export type Fate = number | 'never' | null;

interface Vanishing {
  readonly call: Call;
  readonly write: Operation;
}

const LOOK_EVERY_US = 500_000;
/** A request whose client gave it up so long ago is nowhere on its way any more. */
const GONE_AFTER_US = 40_000_000;
/** In a long run clients hold their breath so often, for so long at most, that nothing is under way for a moment. */
const BREATH_EVERY_US = 10_000_000;
const BREATH_US_MAX = 20_000_000;
const PIECE_MIN = 24;
const CUT_STATES_MAX = 20_000;

export class HistoryWatch {
  readonly #history: History;
  readonly #invariants: Invariants;
  readonly #stream: HistoryStream;
  #nextLookUs = LOOK_EVERY_US;
  #breathAtUs = BREATH_EVERY_US;
  /** Writes that were never answered, whose fate the log may tell, with the time at which they were given up. */
  readonly #open = new Map<Operation, number>();
  /** The same of those of which it can't. */
  readonly #untold = new Map<Operation, number>();
  readonly #vanishing = new Map<number, Vanishing>();
  /** Writes that are taken to be gone for good. */
  #refused: { readonly operation: Operation; readonly atUs: number }[] = [];
  readonly #gone: { readonly bucket: string; readonly key: string; readonly value: string }[] = [];
  #failed: StreamVerdict | null = null;
  #wronged: string | null = null;
  readonly #expiring = new ExpiringWrites();
  #overdue: readonly [write: Operation, read: Operation] | null = null;
  /** Operations held at most, after a look. */
  peak = 0;
  /** How often a piece was kept that was too hard to cut, by reason. */
  readonly kept = new Map<string, number>();

  constructor({ history, invariants, workload }: HistoryWatchOptions) {
    this.#history = history;
    this.#invariants = invariants;
    this.#stream = new HistoryStream({
      ...CHECK_DEFAULTS,
      order: 'program',
      pieceMin: PIECE_MIN,
      cutStatesMax: CUT_STATES_MAX,
      onKept: (why) => this.kept.set(why, (this.kept.get(why) ?? 0) + 1),
      onDropped: (calls) => {
        for (const { id } of calls) if (id >= 0) history.forget(id);
      },
    });
    if (joinsKeys(workload)) {
      for (let bucket = 0; bucket < workload.buckets; bucket++)
        this.#stream.declare({ type: 'scan', prefix: `${bucket}/`, from: null, to: null, limit: null });
    }
    history.onEnded = (operation) => this.#onEnded(operation);
  }

  /** Operations held. */
  get size(): number {
    return this.#stream.size + this.#history.pending.size;
  }

  /** Who was told a value that had expired, while this looked; null: nobody. */
  get overdue(): readonly [write: Operation, read: Operation] | null {
    return this.#overdue;
  }

  /** Those that failed for certain, so far as they are not forgotten. */
  get refused(): readonly Operation[] {
    return [...this.#refused.map(({ operation }) => operation), ...this.#history.refused()];
  }

  /** Returns what is wrong with one that is forgotten now: it has taken effect. Null: nothing. */
  #forgetRefused(nowUs: number): string | null {
    if (this.#history.isKept) return null;
    for (const operation of this.#history.takeRefused()) this.#refused.push({ operation, atUs: nowUs });
    const old = this.#refused.findIndex(({ atUs }) => nowUs - atUs < GONE_AFTER_US);
    const gone = this.#refused.splice(0, old < 0 ? this.#refused.length : old);
    return refusedButCommitted(
      gone.map(({ operation }) => operation),
      (...write) => this.#invariants.committedIndexOf(...write),
    );
  }

  /** Clients are to ask for nothing new. */
  get isHolding(): boolean {
    return !this.#history.isKept && this.#nextLookUs > this.#breathAtUs;
  }

  /** What contradicts itself; null: nothing so far. To be called often. */
  look(nowUs: number): StreamVerdict | null {
    const isQuiet = this.isHolding && this.#history.pending.size === 0;
    if ((nowUs < this.#nextLookUs && !isQuiet) || this.#failed !== null) return null;
    this.#nextLookUs = nowUs + LOOK_EVERY_US;
    this.#wronged ??= this.#forgetRefused(nowUs);
    this.#settle(nowUs);
    const pending = [...this.#history.pending].map((one) => ({ op: opOf(one), call: one.invokedAt }));
    const verdict = this.#stream.advance(nowUs, pending, isQuiet ? 1 : undefined);
    this.#retire(nowUs);
    if (isQuiet || nowUs - this.#breathAtUs > BREATH_US_MAX) this.#breathAtUs = nowUs + BREATH_EVERY_US;
    this.peak = Math.max(this.peak, this.size);
    if (verdict.type === 'linearizable') return null;
    this.#failed = verdict;
    return verdict;
  }

  /**
   * Nothing follows.
   *
   * @param fateOf As `History.narrow`'s.
   */
  finish(nowUs: number, fateOf: (operation: Operation) => Fate): StreamVerdict {
    if (this.#failed !== null) return this.#failed;
    for (const operation of [...this.#history.pending]) this.#giveUp(operation, nowUs);
    for (const operation of [...this.#open.keys()]) {
      const fate = fateOf(operation);
      if (fate === 'never') this.#stream.discard(openCall(operation));
      else if (fate !== null) this.#stream.settle(openCall(operation), Math.max(fate, operation.invokedAt));
    }
    this.#open.clear();
    return this.#stream.finish();
  }

  /** A write that was refused, or was taken to be gone, and has taken effect; null: there is none. */
  findReturned(): string | null {
    if (this.#wronged !== null) return this.#wronged;
    for (const { bucket, key, value } of this.#gone) {
      if (this.#invariants.committedIndexOf(bucket, key, value) !== null)
        return `${bucket}/${key} ${value} was given up a minute before it was committed`;
    }
    return null;
  }

  #onEnded(operation: Operation): void {
    if (operation.returnedAt === null) {
      this.#giveUp(operation, this.#nextLookUs);
      return;
    }
    for (const call of toCalls(operation)) this.#add(call, operation);
    this.#expiring.add(operation);
    const write = this.#expiring.overdueIn(operation);
    if (write !== null) this.#overdue ??= [write, operation];
  }

  #giveUp(operation: Operation, atUs: number): void {
    const [, ...others] = toCalls(operation);
    const committedAt = findWrite(operation, (...write) => this.#invariants.committedAtUs(...write));
    const call = openCall(operation);
    if (committedAt === null) {
      this.#stream.add(call);
      const isTold = findWrite(operation, () => true) === true;
      (isTold ? this.#open : this.#untold).set(operation, atUs);
    } else this.#stream.add({ ...call, return: Math.max(committedAt, operation.invokedAt) });
    for (const other of others) this.#add(other, operation);
  }

  #add(call: Call, write: Operation): void {
    this.#stream.add(call);
    if (call.id < 0) this.#vanishing.set(call.id, { call, write });
  }

  #settle(nowUs: number): void {
    for (const [operation, givenUpUs] of this.#open) {
      const at = findWrite(operation, (...write) => this.#invariants.committedAtUs(...write));
      if (at !== null) this.#stream.settle(openCall(operation), Math.max(at, operation.invokedAt));
      else if (nowUs - givenUpUs < GONE_AFTER_US || this.#mayYetCommit(operation)) continue;
      else {
        this.#stream.discard(openCall(operation));
        findWrite(operation, (bucket, key, value) => this.#gone.push({ bucket, key, value }));
        this.#history.forget(operation.id);
      }
      this.#open.delete(operation);
    }
  }

  #mayYetCommit(operation: Operation): boolean {
    return findWrite(operation, (...write) => this.#invariants.mayYetCommit(...write)) === true;
  }

  /** What can take effect no more: a value that is gone or was overwritten can't vanish, nor comes a request back for ever. */
  #retire(nowUs: number): void {
    for (const [id, { call, write }] of this.#vanishing) {
      if (this.#open.has(write) || this.#stream.mayHold(write.key, write.argument ?? '')) continue;
      if (!this.#stream.retire(call)) continue;
      this.#vanishing.delete(id);
      this.#expiring.remove(write);
    }
    for (const [operation, givenUpUs] of this.#untold) {
      if (nowUs - givenUpUs < GONE_AFTER_US || !this.#stream.retire(openCall(operation))) continue;
      this.#untold.delete(operation);
      this.#history.forget(operation.id);
    }
  }
}

/** Of unknown outcome, and bound to no order of its client's. */
function openCall(operation: Operation): Call {
  return { ...toCall(operation), process: -1 - operation.id, return: null, result: { type: 'unknown' } };
}

/** What a client asks of several keys at once joins those of a bucket. */
function joinsKeys({ scanPermille, dropPermille, manyPermille, transactionPermille }: Workload): boolean {
  return scanPermille + dropPermille + manyPermille + transactionPermille > 0;
}
