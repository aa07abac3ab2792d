/** Seeds that failed, kept in a file between campaigns: they are run first, until they hold. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

export interface StoredFailure {
  readonly seed: string;
  readonly stormMs: number;
  readonly check: string;
}

export class FailureStore {
  readonly #path: string;
  readonly #failures = new Map<string, StoredFailure>();

  /** @throws Error when the file is there and not what this class writes. */
  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) return;
    const stored: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!Array.isArray(stored)) throw new Error(`${path} is not a list of failed seeds`);
    for (const failure of stored as StoredFailure[]) this.#failures.set(failure.seed, failure);
  }

  get failures(): readonly StoredFailure[] {
    return [...this.#failures.values()];
  }

  failed(failure: StoredFailure): void {
    this.#failures.set(failure.seed, failure);
    this.#write();
  }

  held(seed: string): void {
    if (this.#failures.delete(seed)) this.#write();
  }

  #write(): void {
    writeFileSync(this.#path, `${JSON.stringify(this.failures, null, 2)}\n`);
  }
}
