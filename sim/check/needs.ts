/**
 * A look ahead. Many operations tell, by their answer, exactly what a key held when they took effect: a point, a key
 * with a value, that some order must pass through. A search that has left a point that is still needed, with nothing left
 * that could come to it again, is at a dead end long before it gets to the operation that needs it.
 *
 * With values that are written once, as in most histories, this settles the order of most writes at once.
 */
import type { KeyValues } from './machine.ts';
import type { Op, Result } from './model.ts';

/** No operation needs to find what the key holds. */
export const NO_POINT = -1;

interface Asked {
  readonly op: Op;
  readonly result: Result;
}

export class Needs {
  readonly #keys: readonly string[];
  readonly #points = new Map<string, Map<string | null, number>>();
  #count = 0;

  /** @param calls All whose answers count. */
  constructor(keys: readonly string[], calls: readonly Asked[]) {
    this.#keys = keys;
    const visit = (key: string, value: string | null): void => this.#add(key, value);
    for (const { op, result } of calls) eachNeeded(op, result, visit);
  }

  get count(): number {
    return this.#count;
  }

  /** Points that the operation must find. */
  neededBy(op: Op, result: Result): readonly number[] {
    const needed: number[] = [];
    eachNeeded(op, result, (key, value) => needed.push(this.#points.get(key)?.get(value) ?? NO_POINT));
    return needed;
  }

  /** Points that the operation may come to, by its answer. */
  reachedBy(op: Op, result: Result): readonly number[] {
    if (result.type === 'fail') return [];
    switch (op.type) {
      case 'write':
      case 'cas':
      case 'getset':
      case 'set-if':
        return this.#point(op.key, op.value);
      case 'append':
        return this.#like(op.key, (value) => value.endsWith(op.value));
      case 'delete':
        return this.#point(op.key, null);
      case 'increment':
        return this.#like(op.key, (value) => /^-?\d+$/.test(value));
      case 'transaction':
        return [...new Set(op.steps.flatMap((step) => this.reachedBy(step, { type: 'unknown' })))];
      case 'read':
      case 'exists':
      case 'mget':
      case 'scan':
        return [];
    }
  }

  /** For each key the point that a state is at. */
  at(values: KeyValues): Int32Array {
    return Int32Array.from(
      values,
      (value, slot) => this.#points.get(this.#keys[slot])?.get(value) ?? NO_POINT,
    );
  }

  #add(key: string, value: string | null): void {
    const points = this.#points.get(key) ?? new Map<string | null, number>();
    this.#points.set(key, points);
    if (!points.has(value)) points.set(value, this.#count++);
  }

  #point(key: string, value: string | null): number[] {
    const point = this.#points.get(key)?.get(value);
    return point === undefined ? [] : [point];
  }

  #like(key: string, isLike: (value: string) => boolean): number[] {
    const points = this.#points.get(key) ?? [];
    return [...points].flatMap(([value, point]) => (value !== null && isLike(value) ? [point] : []));
  }
}

/** Calls `visit` for each key of which the answer says what it held before. */
function eachNeeded(op: Op, result: Result, visit: (key: string, value: string | null) => void): void {
  if (result.type !== 'ok') return;
  const value: unknown = result.value;
  switch (op.type) {
    case 'read':
    case 'getset':
      if (value === null || typeof value === 'string') visit(op.key, value);
      return;
    case 'cas':
      visit(op.key, op.expected);
      return;
    case 'set-if':
      if (op.when === 'absent') visit(op.key, null);
      return;
    case 'exists':
    case 'delete':
      if (value === false) visit(op.key, null);
      return;
    case 'increment':
      // What counts as 0 may have been nothing.
      if (typeof value === 'number' && value !== op.by) visit(op.key, String(value - op.by));
      return;
    case 'mget':
      if (!Array.isArray(value)) return;
      for (const [at, key] of op.keys.entries()) {
        const held: unknown = value[at];
        if (held === null || typeof held === 'string') visit(key, held);
      }
      return;
    case 'scan':
      if (!Array.isArray(value)) return;
      for (const entry of value) {
        if (Array.isArray(entry)) visit(String(entry[0]), String(entry[1]));
      }
      return;
    case 'transaction':
      for (const { key, expected } of op.guards) visit(key, expected);
      return;
    case 'write':
    case 'append':
      return;
  }
}
