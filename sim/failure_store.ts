/** Seeds that failed, kept in a file between campaigns: they are run first, until they hold. */
import { existsSync, writeFileSync } from 'node:fs';
import { messageOf, readInput, UsageError } from './commands/arguments.ts';
import type { SeedOrder } from './worker.ts';

export interface StoredFailure extends SeedOrder {
  readonly check: string;
}

export class FailureStore {
  readonly #path: string;
  /** By seed and length of the storm: the same seed with another one is another run. */
  readonly #failures = new Map<string, StoredFailure>();

  /**
   * Makes the file when there is none: that it cannot be written must not first be told when a seed has failed.
   * @throws UsageError when it cannot be read or written, or is not what this class writes
   */
  constructor(path: string) {
    this.#path = path;
    if (existsSync(path)) {
      for (const failure of parse(readInput(path), path)) this.#failures.set(keyOf(failure), failure);
    }
    try {
      this.#write();
    } catch (error) {
      throw new UsageError(`cannot write ${path}: ${messageOf(error)}`);
    }
  }

  get failures(): readonly StoredFailure[] {
    return [...this.#failures.values()];
  }

  failed(failure: StoredFailure): void {
    this.#failures.set(keyOf(failure), failure);
    this.#write();
  }

  held(run: SeedOrder): void {
    if (this.#failures.delete(keyOf(run))) this.#write();
  }

  #write(): void {
    writeFileSync(this.#path, `${JSON.stringify(this.failures, null, 2)}\n`);
  }
}

function keyOf({ seed, stormMs }: SeedOrder): string {
  return `${stormMs} ${seed}`;
}

function parse(text: string, path: string): readonly StoredFailure[] {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path} is not a list of failed seeds: ${messageOf(error)}`);
  }
  if (!Array.isArray(stored)) throw new UsageError(`${path} is not a list of failed seeds`);
  for (const [at, one] of (stored as (Partial<StoredFailure> | null)[]).entries()) {
    if (typeof one?.seed !== 'string' || one.seed === '')
      throw new UsageError(`${path}: [${at}].seed is not a text`);
    if (!Number.isSafeInteger(one.stormMs) || (one.stormMs ?? 0) < 0)
      throw new UsageError(`${path}: [${at}].stormMs is not a whole number`);
  }
  return stored as StoredFailure[];
}
