/** What clients asked, when, and what they were told: the input of the linearizability check. */

export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly key: string;
  readonly kind: 'set' | 'get' | 'delete' | 'exists';
  /** What a set writes. */
  readonly argument: string | null;
  /** Integer time, of any unit. */
  readonly invokedAt: number;
  /** Null: the outcome is unknown. A write may then take effect at any time after its invocation, or never. */
  returnedAt: number | null;
  /** What a get answered (null: no such key), or an exists ('1' or '0'). */
  result: string | null;
}

export class History {
  readonly #operations: (Operation | null)[] = [];
  /** Is told of operations that end without an answer that counts. */
  onGivenUp: (operation: Operation, outcome: 'unknown' | 'refused') => void = () => {};

  invoke(
    client: number,
    key: string,
    kind: Operation['kind'],
    argument: string | null,
    at: number,
  ): Operation {
    const id = this.#operations.length;
    const operation = { id, client, key, kind, argument, invokedAt: at, returnedAt: null, result: null };
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
    this.onGivenUp(operation, 'refused');
  }

  /** Without an answer, or with one that leaves it open: it stays as it was invoked. */
  unknown(operation: Operation): void {
    operation.returnedAt = null;
    this.onGivenUp(operation, 'unknown');
  }

  operations(): readonly Operation[] {
    return this.#operations.filter((operation) => operation !== null);
  }
}
