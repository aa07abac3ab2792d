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
  readonly #operations: (Operation | null)[] = [];
  readonly #refused: Operation[] = [];
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
    const id = this.#operations.length;
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
    this.#operations.push(operation);
    return operation;
  }

  ok(operation: Operation, result: string | null, at: number): void {
    operation.result = result;
    operation.returnedAt = at;
  }

  /** It certainly did not take effect and never will: it is as if it had not been asked. */
  fail(operation: Operation): void {
    this.#operations[operation.id] = null;
    this.#refused.push(operation);
    this.onGivenUp(operation, 'refused');
  }

  /** Without an answer, or with one that leaves it open: it stays as it was invoked. */
  unknown(operation: Operation): void {
    operation.returnedAt = null;
    this.onGivenUp(operation, 'unknown');
  }

  /**
   * Tells what became of operations of unknown outcome. `find` gives the time by which one had taken effect, `never`, or
   * null: nobody knows.
   */
  narrow(find: (operation: Operation) => number | 'never' | null): void {
    for (const [id, operation] of this.#operations.entries()) {
      if (operation === null || operation.returnedAt !== null) continue;
      const found = find(operation);
      if (found === 'never') this.#operations[id] = null;
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

  operations(): readonly Operation[] {
    return this.#operations.filter((operation) => operation !== null);
  }
}
