/**
 * What servers say of writes, held against what is committed: a write that is acknowledged is committed by then; those of
 * one connection are committed in the order in which they were asked; one that was refused never is. The linearizability
 * check sees as much only where somebody reads at the right moment.
 */
import type { Operation } from './check/history.ts';
import { bucketName } from './workload.ts';

/** Where a write is committed; null: nowhere, so far. */
export type FindCommitted = (bucket: string, key: string, value: string) => number | null;

/** The value by which a write is known; null: an operation that none is known by. */
export function valueOfWrite({ kind, argument, parts }: Operation): string | null {
  // The first thing that they write is to the operation's key.
  if (kind === 'mset' || kind === 'txn' || kind === 'exec') return parts?.[0]?.value ?? null;
  // Counters are counted on by the same numbers over and over.
  return kind === 'increment' ? null : argument;
}

/** Calls `find` with what a write is known by; null: it is not known by anything. */
export function findWrite<T>(
  operation: Operation,
  find: (bucket: string, key: string, value: string) => T,
): T | null {
  const value = valueOfWrite(operation);
  if (value === null) return null;
  const [bucket, name] = operation.key.split('/');
  return find(bucketName(Number(bucket)), name, value);
}

/** Of one connection. */
export class AcknowledgedWrites {
  readonly #find: FindCommitted;
  #lastIndex = 0;

  constructor(find: FindCommitted) {
    this.#find = find;
  }

  /** Of the writes that were acknowledged on this connection the last. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Takes down that a write was acknowledged. Returns what is wrong with that; null: nothing. */
  add(operation: Operation): string | null {
    if (valueOfWrite(operation) === null) return null;
    const index = findWrite(operation, this.#find);
    const what = `${operation.kind} ${operation.key} ${valueOfWrite(operation)?.slice(0, 20)}`;
    if (index === null) return `${what} was acknowledged and is not committed`;
    // An earlier connection may have brought it there.
    if (operation.isRepeated === true) return null;
    if (index < this.#lastIndex)
      return `${what} is entry ${index}, and what its client asked before is entry ${this.#lastIndex}`;
    this.#lastIndex = index;
    return null;
  }
}

/** Returns which of the writes that were refused has taken effect; null: none. */
export function refusedButCommitted(refused: readonly Operation[], find: FindCommitted): string | null {
  for (const operation of refused) {
    const index = findWrite(operation, find);
    if (index !== null) return `${operation.kind} ${operation.key} was refused, and is entry ${index}`;
  }
  return null;
}
