/**
 * The model of one partition's keys as the search needs it: states and operations are small integers, and a step from
 * a state by an operation is looked up, because the search asks for the same ones over and over.
 */
import { assert } from '../../src/base/assert.ts';
import type { AliveValues } from './alive.ts';
import { agrees, compareKeys, type Op, perform, type Result, type Store } from './model.ts';

/** The answer contradicts: the operation cannot take effect in this state. */
export const IMPOSSIBLE = -1;

/** What a state takes besides its keys' values. */
const STATE_CELLS = 16;

/** What keys hold, in the order of the machine's keys. */
export type KeyValues = readonly (string | null)[];

interface Action {
  readonly op: Op;
  readonly result: Result;
}

export class Machine {
  /** In order of code points. */
  readonly keys: readonly string[];
  readonly #alive: AliveValues | null;
  readonly #states: KeyValues[] = [];
  readonly #numbers = new Map<string | null, number>();
  /** Only for partitions of several keys: values by number, to name a state by. */
  readonly #values = new Map<string | null, number>();
  readonly #actions: Action[] = [];
  /** Per action, the next state by state; undefined: not yet computed. */
  readonly #next: (number | undefined)[][] = [];
  #computed = 0;
  readonly #scratch: Scratch;

  /** @param alive Null: values are kept as they are. */
  constructor(keys: readonly string[], alive: AliveValues | null) {
    this.keys = [...keys].sort(compareKeys);
    this.#alive = alive;
    this.#scratch = new Scratch(this.keys);
  }

  /** The number of the state in which the keys hold these values. */
  state(values: KeyValues): number {
    assert(values.length === this.keys.length, 'a state has a value for each key');
    const kept =
      this.#alive === null ? values : values.map((value, at) => this.#standFor(this.keys[at] ?? '', value));
    const name = kept.length === 1 ? kept[0] : kept.map((value) => this.#valueNumber(value)).join();
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#states.length;
      this.#numbers.set(name, number);
      this.#states.push(kept);
    }
    return number;
  }

  /** How much it has come to remember: keys of states, and steps. About 20 bytes each. */
  get cells(): number {
    return this.#states.length * (this.keys.length + STATE_CELLS) + this.#computed;
  }

  valuesOf(state: number): KeyValues {
    return this.#states[state];
  }

  /** The number of an operation with its answer. */
  action(op: Op, result: Result): number {
    this.#actions.push({ op, result });
    this.#next.push([]);
    return this.#actions.length - 1;
  }

  /** An operation that does the same, with values that can make no difference as one. */
  simplified(op: Op): Op {
    const alive = this.#alive;
    if (alive === null) return op;
    switch (op.type) {
      case 'write':
      case 'getset':
      case 'cas':
      case 'set-if':
        return { ...op, value: alive.standFor(op.key, op.value) };
      case 'append':
        if (alive.isPartOfAny(op.key, op.value)) return op;
        return { type: 'write', key: op.key, value: alive.dead };
      default:
        return op;
    }
  }

  /** The state that an action leads to, or IMPOSSIBLE. */
  step(state: number, action: number): number {
    const known = this.#next[action][state];
    return known === undefined ? this.#compute(state, action) : known;
  }

  #compute(state: number, action: number): number {
    const { op, result } = this.#actions[action];
    this.#scratch.load(this.#states[state]);
    const given = perform(op, this.#scratch);
    let next = IMPOSSIBLE;
    if (agrees(given, result)) next = this.#scratch.isChanged ? this.state(this.#scratch.values()) : state;
    this.#next[action][state] = next;
    this.#computed++;
    return next;
  }

  #standFor(key: string, value: string | null): string | null {
    return value === null || this.#alive === null ? value : this.#alive.standFor(key, value);
  }

  #valueNumber(value: string | null): number {
    let number = this.#values.get(value);
    if (number === undefined) {
      number = this.#values.size;
      this.#values.set(value, number);
    }
    return number;
  }
}

/** A store of a fixed set of keys. */
class Scratch implements Store {
  isChanged = false;
  readonly #keys: readonly string[];
  readonly #slots: ReadonlyMap<string, number>;
  #values: (string | null)[] = [];

  constructor(keys: readonly string[]) {
    this.#keys = keys;
    this.#slots = new Map(keys.map((key, slot) => [key, slot]));
  }

  load(values: KeyValues): void {
    this.#values = values.slice();
    this.isChanged = false;
  }

  values(): KeyValues {
    return this.#values;
  }

  get(key: string): string | null {
    return this.#values[this.#slot(key)];
  }

  set(key: string, value: string | null): void {
    const slot = this.#slot(key);
    if (this.#values[slot] === value) return;
    this.#values[slot] = value;
    this.isChanged = true;
  }

  keys(): Iterable<string> {
    return this.#keys;
  }

  #slot(key: string): number {
    const slot = this.#slots.get(key);
    assert(slot !== undefined, 'an operation touches keys of its partition only', { key });
    return slot;
  }
}
