/** Options of writes, beside those that all of Level knows. */
import type { Durability } from '../embedded/engine.ts';

export interface WriteOptions {
  /**
   * True: the promise is fulfilled when the write survives a crash of the machine. False, the default as in LevelDB: at once;
   * a crash may lose the last of them.
   */
  readonly sync?: boolean;
}

export interface TimedOptions extends WriteOptions {
  /** Whole milliseconds from 1 on, after which the key is gone for every reader. */
  readonly ttlMs?: number;
}

export function durabilityOf({ sync }: WriteOptions): Durability {
  return sync === true ? 'sync' : 'buffered';
}
