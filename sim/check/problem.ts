/** The operations of one partition, made ready for the search: numbered, and with what may happen to what. */
import type { KeyValues, Machine } from './machine.ts';
import { type Call, isInRange, isObserver, keysOf, type Op } from './model.ts';
import { Needs } from './needs.ts';

/**
 * What order is promised beyond real time. `program`: the operations of one process take effect in the order of their
 * calls, also where they overlap, as those of a pipeline do. That is held part by part (`partition.ts`): over keys that
 * nothing joins it is not a local property.
 */
export type Order = 'real-time' | 'program';

/** An operation that has returned. */
export interface Step {
  readonly id: number;
  readonly call: number;
  readonly return: number;
  readonly action: number;
  /** The step that must be taken before it; -1: none. */
  readonly after: number;
  readonly isObserver: boolean;
  /** Classes of unknown operations that can make a difference to it. */
  readonly heeds: readonly number[];
  /** What it must find, and what it may come to (`needs.ts`). */
  readonly needed: readonly number[];
  readonly reached: readonly number[];
}

/** Operations of unknown outcome that do the same. */
export interface UnknownClass {
  /** The same for what does the same. */
  readonly name: string;
  readonly action: number;
  readonly ids: readonly number[];
  /** When they were called, ascending, in the order of `ids`. */
  readonly calls: readonly number[];
  readonly reached: readonly number[];
}

export interface Problem {
  readonly machine: Machine;
  /** In the order of their calls. */
  readonly steps: readonly Step[];
  readonly classes: readonly UnknownClass[];
  readonly unknownCount: number;
  readonly needs: Needs;
}

/** @param calls All of one partition, whose keys are the machine's. Refused ones are not among them. */
export function pose(calls: readonly Call[], machine: Machine, order: Order): Problem {
  const sorted = [...calls].sort((a, b) => a.call - b.call || a.id - b.id);
  const unknown = groupUnknown(sorted.filter(isUnknown), machine);
  const lastOf = new Map<number, number>();
  const relevance = new Relevance(unknown, machine);
  const needs = new Needs(
    machine.keys,
    sorted.filter((call) => !isUnknown(call)),
  );
  const steps: Step[] = [];
  for (const call of sorted) {
    if (call.return === null) continue;
    const after = order === 'program' ? (lastOf.get(call.process) ?? -1) : -1;
    lastOf.set(call.process, steps.length);
    steps.push({
      id: call.id,
      call: call.call,
      return: call.return,
      action: machine.action(call.op, call.result),
      after,
      isObserver: isObserver(call.op, call.result),
      heeds: relevance.of(call),
      needed: needs.neededBy(call.op, call.result),
      reached: needs.reachedBy(call.op, call.result),
    });
  }
  const classes = unknown.map(({ name, op, calls: members, action }) => ({
    name,
    action,
    ids: members.map(({ id }) => id),
    calls: members.map(({ call }) => call),
    reached: needs.reachedBy(op, { type: 'unknown' }),
  }));
  const unknownCount = classes.reduce((sum, { ids }) => sum + ids.length, 0);
  return { machine, steps, classes, unknownCount, needs };
}

export function isUnknown(call: Call): boolean {
  return call.return === null;
}

/** Holds nothing at all. */
export function nothing(machine: Machine): KeyValues {
  return machine.keys.map(() => null);
}

interface UnknownGroup {
  readonly name: string;
  readonly op: Op;
  readonly action: number;
  readonly calls: Call[];
  readonly keys: readonly string[];
}

function groupUnknown(calls: readonly Call[], machine: Machine): UnknownGroup[] {
  const groups = new Map<string, UnknownGroup>();
  for (const call of calls) {
    // Whether an operation that changes nothing took effect cannot be told.
    if (isObserver(call.op, call.result)) continue;
    const op = machine.simplified(call.op);
    const name = JSON.stringify(op);
    const group = groups.get(name);
    if (group !== undefined) group.calls.push(call);
    else {
      const action = machine.action(op, call.result);
      groups.set(name, { name, op, action, calls: [call], keys: keysTouched(op, machine) });
    }
  }
  return [...groups.values()];
}

/** Which unknown operations can make a difference to which operation: they share a key, if need be by way of others. */
class Relevance {
  readonly #groups: readonly UnknownGroup[];
  readonly #machine: Machine;
  readonly #known = new Map<string, readonly number[]>();

  constructor(groups: readonly UnknownGroup[], machine: Machine) {
    this.#groups = groups;
    this.#machine = machine;
  }

  of({ op, result }: Call): readonly number[] {
    if (this.#groups.length === 0) return [];
    const keys = keysTouched(op, this.#machine);
    const isBlind =
      op.type === 'write' || (op.type === 'delete' && result.type === 'ok' && result.value === undefined);
    const name = `${isBlind ? 'blind' : 'seeing'} ${JSON.stringify(keys)}`;
    let relevant = this.#known.get(name);
    if (relevant === undefined) {
      relevant = this.#find(keys);
      // What it overwrites unseen might as well not have happened, unless that did something elsewhere too.
      if (isBlind && relevant.every((at) => this.#groups[at].keys.length === 1)) relevant = [];
      this.#known.set(name, relevant);
    }
    return relevant;
  }

  #find(keys: readonly string[]): readonly number[] {
    const touched = new Set(keys);
    const relevant = new Set<number>();
    for (let before = -1; before !== relevant.size; ) {
      before = relevant.size;
      for (const [at, group] of this.#groups.entries()) {
        if (relevant.has(at) || !group.keys.some((key) => touched.has(key))) continue;
        relevant.add(at);
        for (const key of group.keys) touched.add(key);
      }
    }
    return [...relevant].sort((a, b) => a - b);
  }
}

function keysTouched(op: Op, machine: Machine): readonly string[] {
  if (op.type === 'scan') return machine.keys.filter((key) => isInRange(op, key));
  return [...new Set(keysOf(op))];
}
