/**
 * Is there an order of the operations, compatible with real time, in which each answer is what a single copy would have
 * given? Checked key by key: linearizability is local (Herlihy and Wing, 1990), so a history is linearizable exactly if
 * the part of each key is.
 *
 * The search is Wing and Gong's with Lowe's memoisation (G. Lowe, "Testing for linearizability", 2017), on a linked list
 * of call and return events: repeatedly take an operation whose call stands before the first return, try it, take it
 * out; at a dead end go back. Configurations (which operations are taken, what the register holds) that were left
 * without success are remembered and never entered again.
 *
 * A read that may come next and that the present value satisfies is taken at once, without a look at other orders: it
 * changes nothing, and whatever may follow later may follow it now.
 *
 * Operations of one client take effect in the order in which it asked for them, also when they overlap in a pipeline:
 * the server promises that, and it keeps the search small.
 *
 * Writes of unknown outcome are not in the list. One that takes effect but is overwritten before anybody reads might
 * as well never have happened, and reads that what was there before would have satisfied may be put before it; so it
 * need only be considered immediately before a read that the present value does not satisfy. That keeps the search
 * small however many there are, and it is exact.
 */
import type { Operation } from './history.ts';

export type Verdict =
  | { readonly ok: true; readonly statesVisited: number }
  | {
      readonly ok: false;
      readonly key: string;
      /** The smallest beginning of the key's history, by return time, that already contradicts itself. */
      readonly operations: readonly Operation[];
      readonly explanation: string;
    }
  /** Gave up: neither proven nor refuted. */
  | { readonly ok: null; readonly key: string; readonly statesVisited: number };

export interface CheckOptions {
  /** Configurations to enter, per key, before giving up. */
  readonly statesMax: number;
}

const DEFAULTS: CheckOptions = { statesMax: 5_000_000 };

/** Operations that happen at equal times are concurrent. */
export function checkLinearizability(
  history: readonly Operation[],
  options: CheckOptions = DEFAULTS,
): Verdict {
  const byKey = new Map<string, Operation[]>();
  for (const operation of history) {
    const operations = byKey.get(operation.key);
    if (operations === undefined) byKey.set(operation.key, [operation]);
    else operations.push(operation);
  }
  let statesVisited = 0;
  for (const [key, operations] of byKey) {
    const search = new Search(operations, options.statesMax);
    const found = search.run();
    statesVisited += search.statesVisited;
    if (found === null) return { ok: null, key, statesVisited };
    if (!found) {
      const prefix = smallestFailingPrefix(operations, options.statesMax);
      const explanation = `key ${key}: no order of these ${prefix.length} operations explains every answer`;
      return { ok: false, key, operations: prefix, explanation };
    }
  }
  return { ok: true, statesVisited };
}

/** A table for a person: one line an operation, by time of invocation. */
export function formatOperations(operations: readonly Operation[]): string {
  const rows = [...operations]
    .sort((a, b) => a.invokedAt - b.invokedAt)
    .map(({ client, kind, argument, result, invokedAt, returnedAt }) => [
      String(invokedAt),
      returnedAt === null ? 'unknown' : String(returnedAt),
      `client ${client}`,
      argument === null ? kind : `${kind} ${shorten(argument)}`,
      returnedAt === null || kind === 'set' || kind === 'delete'
        ? ''
        : `-> ${result === null ? 'none' : shorten(result)}`,
    ]);
  const header = ['invoked', 'returned', 'client', 'operation', 'answer'];
  const widths = header.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** An operation of the search's list. */
interface Step {
  readonly operation: Operation;
  /** The same client's step before it, which must be taken first; -1: none. */
  readonly after: number;
  /** Value written (`NONE` for a delete), for writes. */
  readonly writes: number;
  readonly isWrite: boolean;
  /** The wanted value, for gets; `ANY` for an exists that found something. */
  readonly wants: number;
}

/** No such key; values are numbered from 1. */
const NONE = 0;
const ANY = -1;

/** A choice that was made: which call, before it which unknown write, and what the register held. */
interface Choice {
  readonly call: number;
  readonly value: number;
  /** Place in `alternatives`, to go on from when this one fails. */
  readonly alternative: number;
  /** The unknown write put before it; -1: none. */
  readonly unknown: number;
  /** There was no other choice worth a look. */
  readonly isForced: boolean;
}

class Search {
  statesVisited = 0;
  readonly #statesMax: number;
  readonly #steps: Step[] = [];
  readonly #unknowns: { readonly at: number; readonly writes: number }[] = [];
  readonly #unknownIsUsed: boolean[] = [];
  #unknownsUsed = 0;
  readonly #values = new Map<string, number>();
  /** Events by position from 1; 0 is the head of the list and the end. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** For a call its step, for a return -1. */
  readonly #stepOf: Int32Array;
  /** For a call the position of its return. */
  readonly #returnOf: Int32Array;
  readonly #timeOf: Float64Array;
  readonly #isTaken: boolean[];
  /** All steps before it are taken. */
  #low = 0;
  /** No step from it on is taken. */
  #high = 0;
  #taken = 0;
  readonly #seen = new Set<string>();

  constructor(operations: readonly Operation[], statesMax: number) {
    this.#statesMax = statesMax;
    const lastOf = new Map<number, number>();
    for (const operation of [...operations].sort((a, b) => a.invokedAt - b.invokedAt || a.id - b.id)) {
      if (operation.returnedAt !== null) {
        const after = lastOf.get(operation.client) ?? -1;
        lastOf.set(operation.client, this.#steps.length);
        this.#steps.push(this.#makeStep(operation, after));
      } else if (operation.kind === 'set' || operation.kind === 'delete') {
        this.#unknowns.push({ at: operation.invokedAt, writes: this.#numberOf(operation.argument) });
        this.#unknownIsUsed.push(false);
      }
    }
    this.#isTaken = this.#steps.map(() => false);
    const events = this.#steps.flatMap(({ operation }, step) => [
      { time: operation.invokedAt, step, isReturn: 0 },
      { time: operation.returnedAt ?? 0, step, isReturn: 1 },
    ]);
    // At equal times calls come first: such operations overlap.
    events.sort((a, b) => a.time - b.time || a.isReturn - b.isReturn || a.step - b.step);
    const count = events.length;
    this.#next = Int32Array.from({ length: count + 1 }, (_none, at) => (at < count ? at + 1 : 0));
    this.#previous = Int32Array.from({ length: count + 1 }, (_none, at) => (at > 0 ? at - 1 : count));
    this.#stepOf = new Int32Array(count + 1).fill(-1);
    this.#returnOf = new Int32Array(count + 1);
    this.#timeOf = new Float64Array(count + 1);
    const callOf = new Int32Array(this.#steps.length);
    for (const [at, { time, step, isReturn }] of events.entries()) {
      this.#timeOf[at + 1] = time;
      if (isReturn === 0) {
        this.#stepOf[at + 1] = step;
        callOf[step] = at + 1;
      } else {
        this.#returnOf[callOf[step]] = at + 1;
      }
    }
  }

  /** Null: gave up. */
  run(): boolean | null {
    const choices: Choice[] = [];
    let value = NONE;
    let at = this.#next[0];
    let alternative = 0;
    while (this.#taken < this.#steps.length) {
      if (at === this.#next[0] && alternative === 0) {
        const free = this.#freeRead(value);
        if (free > 0) {
          const forced = { call: free, value, alternative: 0, unknown: -1, isForced: true };
          this.#do(forced);
          choices.push(forced);
          at = this.#next[0];
          continue;
        }
      }
      const step = at === 0 ? -1 : this.#stepOf[at];
      if (step >= 0) {
        const made = this.#choose(at, value, alternative);
        if (made !== null) {
          choices.push(made);
          value = this.#valueAfter(made);
          at = this.#next[0];
          alternative = 0;
          if (this.statesVisited > this.#statesMax) return null;
        } else {
          at = this.#next[at];
          alternative = 0;
        }
        continue;
      }
      // Behind the first return nothing may come next: a dead end.
      let last = choices.pop();
      for (; last?.isForced === true; last = choices.pop()) this.#undo(last);
      if (last === undefined) return false;
      this.#undo(last);
      value = last.value;
      at = last.call;
      alternative = last.alternative + 1;
    }
    return true;
  }

  /** A call, before the first return, of a read that the value satisfies; 0: there is none. */
  #freeRead(value: number): number {
    for (let at = this.#next[0]; this.#stepOf[at] >= 0; at = this.#next[at]) {
      const step = this.#steps[this.#stepOf[at]];
      if (step.isWrite || !satisfies(value, step.wants)) continue;
      if (step.after < 0 || this.#isTaken[step.after]) return at;
    }
    return 0;
  }

  /** Takes the call, if a way to do so is left that leads to a new configuration. */
  #choose(call: number, value: number, from: number): Choice | null {
    const step = this.#steps[this.#stepOf[call]];
    if (step.after >= 0 && !this.#isTaken[step.after]) return null;
    for (let alternative = from; ; alternative++) {
      const unknown = this.#alternative(step, call, value, alternative);
      if (unknown === null) return null;
      const choice = { call, value, alternative, unknown, isForced: false };
      this.#do(choice);
      const configuration = this.#configuration(this.#valueAfter(choice));
      if (!this.#seen.has(configuration)) {
        this.#seen.add(configuration);
        this.statesVisited++;
        return choice;
      }
      this.#undo(choice);
    }
  }

  /** The n-th way to take a step: -1 as it is, else the unknown write to put before it; null when there is none. */
  #alternative(step: Step, call: number, value: number, n: number): number | null {
    if (step.isWrite || satisfies(value, step.wants)) return n === 0 ? -1 : null;
    const beforeUs = this.#firstReturn(call);
    let left = n;
    for (const [at, unknown] of this.#unknowns.entries()) {
      if (unknown.at > beforeUs) break;
      if (this.#unknownIsUsed[at] || !satisfies(unknown.writes, step.wants)) continue;
      if (left-- === 0) return at;
      // Deletes that may come now are as good as each other, now and later.
      if (step.wants === NONE) return null;
    }
    return null;
  }

  /** Time of the first return at or behind an event: what was called by then may take effect now. */
  #firstReturn(from: number): number {
    let at = from;
    while (this.#stepOf[at] >= 0) at = this.#next[at];
    return this.#timeOf[at];
  }

  #valueAfter({ call, value, unknown }: Choice): number {
    const step = this.#steps[this.#stepOf[call]];
    if (step.isWrite) return step.writes;
    return unknown < 0 ? value : this.#unknowns[unknown].writes;
  }

  #do({ call, unknown }: Choice): void {
    const step = this.#stepOf[call];
    if (unknown >= 0) {
      this.#unknownIsUsed[unknown] = true;
      this.#unknownsUsed++;
    }
    this.#isTaken[step] = true;
    this.#taken++;
    while (this.#low < this.#isTaken.length && this.#isTaken[this.#low]) this.#low++;
    this.#high = Math.max(this.#high, step + 1);
    this.#takeOut(call);
    this.#takeOut(this.#returnOf[call]);
  }

  #undo({ call, unknown }: Choice): void {
    const step = this.#stepOf[call];
    this.#putBack(this.#returnOf[call]);
    this.#putBack(call);
    this.#isTaken[step] = false;
    this.#taken--;
    this.#low = Math.min(this.#low, step);
    while (this.#high > 0 && !this.#isTaken[this.#high - 1]) this.#high--;
    if (unknown >= 0) {
      this.#unknownIsUsed[unknown] = false;
      this.#unknownsUsed--;
    }
  }

  #takeOut(at: number): void {
    this.#next[this.#previous[at]] = this.#next[at];
    this.#previous[this.#next[at]] = this.#previous[at];
  }

  #putBack(at: number): void {
    this.#next[this.#previous[at]] = at;
    this.#previous[this.#next[at]] = at;
  }

  /** Which steps and unknown writes are taken, and the value, as a short text: only the window of steps between is told. */
  #configuration(value: number): string {
    let text = `${value}:${this.#low}`;
    for (let step = this.#low; step < this.#high; step++) if (this.#isTaken[step]) text += `,${step}`;
    if (this.#unknownsUsed > 0) {
      for (let at = 0; at < this.#unknownIsUsed.length; at++) if (this.#unknownIsUsed[at]) text += `;${at}`;
    }
    return text;
  }

  #makeStep(operation: Operation, after: number): Step {
    const { kind, argument, result } = operation;
    const isWrite = kind === 'set' || kind === 'delete';
    const wants = kind === 'exists' ? (result === '1' ? ANY : NONE) : this.#numberOf(result);
    return { operation, after, isWrite, writes: isWrite ? this.#numberOf(argument) : NONE, wants };
  }

  #numberOf(value: string | null): number {
    if (value === null) return NONE;
    let number = this.#values.get(value);
    if (number === undefined) {
      number = this.#values.size + 1;
      this.#values.set(value, number);
    }
    return number;
  }
}

function satisfies(value: number, wants: number): boolean {
  return wants === ANY ? value !== NONE : value === wants;
}

/** A beginning of a linearizable history is linearizable, so the shortest failing one can be found by bisection. */
function smallestFailingPrefix(operations: readonly Operation[], statesMax: number): readonly Operation[] {
  const ends = operations
    .flatMap(({ returnedAt }) => (returnedAt === null ? [] : [returnedAt]))
    .sort((a, b) => a - b);
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (new Search(until(operations, ends[middle] ?? 0), statesMax).run() === true) low = middle + 1;
    else high = middle;
  }
  return until(operations, ends[low] ?? 0);
}

/** The history as it was at a time: what had not returned by then is unknown. */
function until(operations: readonly Operation[], time: number): Operation[] {
  return operations
    .filter(({ invokedAt }) => invokedAt <= time)
    .map((operation) =>
      operation.returnedAt !== null && operation.returnedAt <= time
        ? operation
        : { ...operation, returnedAt: null, result: null },
    );
}

function shorten(value: string): string {
  const first = value.split(/[ .]{2,}/)[0] ?? '';
  return first.length > 24 ? `${first.slice(0, 24)}...` : first;
}
