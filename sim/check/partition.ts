/**
 * Splits a history into parts that can be checked alone: linearizability is local (Herlihy and Wing, "Linearizability:
 * a correctness condition for concurrent objects", 1990), so a history is linearizable exactly if the part of each
 * object is. An object is a key, or all keys that some operation joins: those of a transaction, of a read of several
 * keys, or all in the range of a scan, for a key that a scan did not see is as much of its answer as one that it saw.
 */
import { type Call, isInRange, keysAnswered, keysOf, type Op } from './model.ts';

export interface Partition {
  readonly keys: readonly string[];
  readonly calls: readonly Call[];
}

/** Parts in the order in which their keys first occur. */
export function partition(calls: readonly Call[]): readonly Partition[] {
  const joined = new JoinedKeys();
  for (const { op, result } of calls) joined.join([...keysOf(op), ...keysAnswered(op, result)]);
  joinScanned(calls, joined);
  const parts = new Map<string | null, { keys: string[]; calls: Call[] }>();
  for (const key of joined.keys()) {
    const root = joined.rootOf(key);
    const part = parts.get(root);
    if (part === undefined) parts.set(root, { keys: [key], calls: [] });
    else part.keys.push(key);
  }
  for (const call of calls) {
    const [key] = keysTouched(call, joined);
    const root = key === undefined ? null : joined.rootOf(key);
    let part = parts.get(root);
    if (part === undefined) {
      // Of operations that touch nothing, like a scan of an empty range.
      part = { keys: [], calls: [] };
      parts.set(root, part);
    }
    part.calls.push(call);
  }
  return [...parts.values()];
}

type Scan = Extract<Op, { type: 'scan' }>;

function joinScanned(calls: readonly Call[], joined: JoinedKeys): void {
  const ranges = new Map<string, Scan>();
  for (const { op } of calls) {
    if (op.type === 'scan') ranges.set(JSON.stringify([op.prefix, op.from, op.to]), op);
  }
  for (const range of ranges.values()) joined.join([...joined.keys()].filter((key) => isInRange(range, key)));
}

function keysTouched({ op, result }: Call, joined: JoinedKeys): readonly string[] {
  if (op.type !== 'scan') return keysOf(op);
  const answered = keysAnswered(op, result);
  if (answered.length > 0) return answered;
  for (const key of joined.keys()) if (isInRange(op, key)) return [key];
  return [];
}

/** Disjoint sets of keys, with path halving. */
class JoinedKeys {
  readonly #parents = new Map<string, string>();

  join(keys: readonly string[]): void {
    const [first, ...rest] = keys;
    if (first === undefined) return;
    const root = this.rootOf(first);
    for (const key of rest) this.#parents.set(this.rootOf(key), root);
  }

  keys(): Iterable<string> {
    return this.#parents.keys();
  }

  rootOf(key: string): string {
    let at = key;
    for (;;) {
      const parent = this.#parents.get(at);
      if (parent === undefined) {
        this.#parents.set(at, at);
        return at;
      }
      if (parent === at) return at;
      const above = this.#parents.get(parent) ?? parent;
      this.#parents.set(at, above);
      at = above;
    }
  }
}
