/** What clients asked, when, and what they were told: the input of the linearizability check. */

export type OperationKind =
  | 'set'
  | 'get'
  | 'delete'
  | 'exists'
  | 'cas'
  | 'setnx'
  | 'increment'
  | 'append'
  | 'getset'
  | 'mget'
  | 'mset'
  | 'scan'
  | 'txn'
  | 'exec'
  | 'drop';

export interface Operation {
  readonly id: number;
  readonly client: number;
  /** Of several keys the first. */
  readonly key: string;
  readonly kind: OperationKind;
  /** What a set, a cas, a getset writes, an append adds, an increment counts. */
  readonly argument: string | null;
  /** What a cas wants to find. */
  readonly expected?: string | null;
  /** All keys of an mget or mset, and what an mset writes to each; the steps of a transaction; all keys of a bucket that is dropped. */
  readonly parts?: readonly Part[];
  /** What a set writes expires. */
  readonly expiry?: Expiry;
  /** Without it nothing of a transaction is done. */
  readonly guard?: KeyGuard;
  /** Integer time, of any unit. */
  readonly invokedAt: number;
  /** Null: the outcome is unknown. A write may then take effect at any time after its invocation, or never. */
  returnedAt: number | null;
  /** What a get or a getset answered (null: no such key), an exists, a cas or a setnx ('1' or '0'), an increment. */
  result: string | null;
  /** It was never answered, but is known to have taken effect by `returnedAt`: maybe after what its client asked later. */
  isNarrowed?: true;
  /** It was asked more than once, in a session: maybe again after what its client asked later. */
  isRepeated?: true;
  /** What an mget answered; what each step of a transaction did, null for one that writes. */
  results?: readonly (string | null)[];
  /** What a scan of a bucket answered; keys are as the server names them. */
  entries?: readonly (readonly [key: string, value: string])[];
}

/** Of what is written, in the unit of `invokedAt`. */
export interface Expiry {
  /** It may be gone from then on, once, if nothing has overwritten it. */
  readonly earliestAt: number;
  /** It is gone when so long has passed since it had been written; null: clocks are such that nobody can tell. */
  readonly latestAfter: number | null;
}

/** The key holds this, or, null, nothing. */
export interface KeyGuard {
  readonly key: string;
  readonly expected: string | null;
}

/** What only some operations have. */
export type Details = Pick<Operation, 'expected' | 'parts' | 'guard' | 'expiry'>;

export interface Part {
  readonly key: string;
  /** Null: it is only read. */
  readonly value: string | null;
}

export class History {
  /** By number, in the order in which they were asked. */
  readonly #operations = new Map<number, Operation>();
  readonly #pending = new Set<Operation>();
  #refused: Operation[] = [];
  /** Operations on a key, by its name. */
  readonly #keys = new Map<string, number>();
  #asked = 0;
  /** Of those that were asked, the ones that are as if they had not been. */
  #undone = 0;
  /** What has been checked can be forgotten; if not, it is kept for reports. */
  isKept = true;
  /** Is told of operations that have returned, or have been given up. */
  onEnded: (operation: Operation) => void = () => {};
  /** Is told of operations that end without an answer that counts. */
  onGivenUp: (operation: Operation, outcome: 'unknown' | 'refused') => void = () => {};

  invoke(
    client: number,
    key: string,
    kind: Operation['kind'],
    argument: string | null,
    at: number,
    details: Details = {},
  ): Operation {
    const id = this.#asked++;
    const operation = {
      id,
      client,
      key,
      kind,
      argument,
      expected: null,
      invokedAt: at,
      returnedAt: null,
      result: null,
      ...details,
    };
    this.#operations.set(id, operation);
    this.#pending.add(operation);
    if (namesKey(operation)) this.#keys.set(key, (this.#keys.get(key) ?? 0) + 1);
    return operation;
  }

  ok(operation: Operation, result: string | null, at: number): void {
    operation.result = result;
    operation.returnedAt = at;
    this.#pending.delete(operation);
    this.onEnded(operation);
  }

  /** It certainly did not take effect and never will: it is as if it had not been asked. */
  fail(operation: Operation): void {
    this.#undo(operation);
    this.#refused.push(operation);
    this.onGivenUp(operation, 'refused');
  }

  /** Without an answer, or with one that leaves it open: it stays as it was invoked. */
  unknown(operation: Operation): void {
    operation.returnedAt = null;
    this.#pending.delete(operation);
    this.onGivenUp(operation, 'unknown');
    this.onEnded(operation);
  }

  /** It has been checked. */
  forget(id: number): void {
    if (!this.isKept) this.#operations.delete(id);
  }

  /** Lets go of those that were refused, and gives them. */
  takeRefused(): readonly Operation[] {
    const taken = this.#refused;
    this.#refused = [];
    return taken;
  }

  /**
   * Tells what became of operations of unknown outcome. `find` gives the time by which one had taken effect, `never`, or
   * null: nobody knows.
   */
  narrow(find: (operation: Operation) => number | 'never' | null): void {
    for (const operation of [...this.#operations.values()]) {
      if (operation.returnedAt !== null) continue;
      const found = find(operation);
      if (found === 'never') this.#undo(operation);
      else if (found !== null) {
        operation.returnedAt = Math.max(found, operation.invokedAt);
        operation.isNarrowed = true;
      }
    }
  }

  /** Those that failed for certain. */
  refused(): readonly Operation[] {
    return this.#refused;
  }

  /** That are held. */
  operations(): readonly Operation[] {
    return [...this.#operations.values()];
  }

  /** Have been asked and not ended. */
  get pending(): ReadonlySet<Operation> {
    return this.#pending;
  }

  /** How many there were, those that failed for certain aside. */
  get count(): number {
    return this.#asked - this.#undone;
  }

  /** That operations were on, but for scans and drops; sorted. */
  keys(): string[] {
    return [...this.#keys.keys()].sort();
  }

  #undo(operation: Operation): void {
    this.#operations.delete(operation.id);
    this.#pending.delete(operation);
    this.#undone++;
    if (!namesKey(operation)) return;
    const left = (this.#keys.get(operation.key) ?? 1) - 1;
    if (left > 0) this.#keys.set(operation.key, left);
    else this.#keys.delete(operation.key);
  }
}

function namesKey({ kind }: Operation): boolean {
  return kind !== 'scan' && kind !== 'drop';
}
