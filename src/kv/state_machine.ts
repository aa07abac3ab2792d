/**
 * The state machine: applies committed writes to the store, in order, and answers reads from it. Deterministic: the
 * same entries give the same store on every replica.
 */
import { CorruptionError, DiskError } from '../base/errors.ts';
import { fromUtf8 } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { jsonGet } from './json_path.ts';
import { bucketOf, bucketRange, storeKey, userRange } from './key_space.ts';
import type { KeyValueStore } from './key_value_store.ts';
import { DEFAULT_BUCKET, errorResult, type Read, type Result } from './request.ts';
import { decodeWrite } from './write_codec.ts';

/** A count in steps, so that a large bucket does not hold up everything else. */
export interface Counting {
  /** Looks at up to `keys` more keys; null while unfinished. */
  step(keys: number): Result | null;
  /** Idempotent; a finished count needs none. */
  cancel(): void;
}

const OK: Result = { type: 'ok' };
const NO_VALUE: Result = { type: 'value', value: null };

export class StateMachine {
  readonly #store: KeyValueStore;

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  /**
   * @param result `not-wanted` spares the lookups that only the answer needs.
   * @returns null when it is not wanted.
   * @throws EnvelopeError `FORMAT` when the payload is not a write: the log holds what was never proposed.
   */
  apply(index: Index, payload: Uint8Array, result: 'wanted' | 'not-wanted'): Result | null {
    const write = decodeWrite(payload);
    const store = this.#store;
    store.beginEntry(index);
    if (write.type === 'set') {
      store.put(storeKey(write.bucket, write.key), write.value);
      return result === 'wanted' ? OK : null;
    }
    const keys = write.keys.map((key) => storeKey(write.bucket, key));
    // What is damaged cannot be counted, but it is deleted all the same: every replica must do the same.
    const counted = result === 'wanted' ? guarded(() => this.#deleteCount(keys)) : null;
    for (const key of keys) store.delete(key);
    return counted;
  }

  /** An entry without a command. */
  applyNothing(index: Index): void {
    this.#store.beginEntry(index);
  }

  /** The caller has made sure that the answer is current. Values are copies, the caller's to keep. */
  read(request: Exclude<Read, { type: 'count' }>): Result {
    return guarded(() => this.#read(request));
  }

  count(bucket: string): Counting {
    const iterator = this.#store.iterator(bucketRange(bucket));
    let count = 0;
    return {
      step: (keys) =>
        guarded((): Result | null => {
          for (let i = 0; i < keys; i++) {
            if (!iterator.next()) {
              iterator.close();
              return { type: 'count', count };
            }
            count++;
          }
          return null;
        }),
      cancel: () => iterator.close(),
    };
  }

  #read(request: Exclude<Read, { type: 'count' }>): Result {
    const store = this.#store;
    switch (request.type) {
      case 'get': {
        const value = store.get(storeKey(request.bucket, request.key));
        return value === null ? NO_VALUE : { type: 'value', value: value.slice() };
      }
      case 'json-get': {
        const value = store.get(storeKey(request.bucket, request.key));
        return value === null ? NO_VALUE : jsonGet(fromUtf8(value.slice()), request.path);
      }
      case 'exists': {
        let count = 0;
        for (const key of request.keys) if (store.has(storeKey(request.bucket, key))) count++;
        return { type: 'count', count };
      }
      case 'list-buckets':
        return { type: 'names', names: this.#buckets() };
    }
  }

  /** Goes from bucket to bucket, not from key to key. */
  #buckets(): string[] {
    const names = new Set([DEFAULT_BUCKET]);
    const iterator = this.#store.iterator(userRange);
    try {
      while (iterator.next()) {
        const { bucket, end } = bucketOf(iterator.key());
        names.add(bucket);
        iterator.seek(end);
      }
    } finally {
      iterator.close();
    }
    return [...names].sort();
  }

  #deleteCount(keys: readonly Uint8Array[]): Result {
    const seen = new Set<string>();
    let count = 0;
    for (const key of keys) {
      // A key named twice is there only once.
      const name = key.join();
      if (!seen.has(name) && this.#store.has(key)) count++;
      seen.add(name);
    }
    return { type: 'count', count };
  }
}

/** Turns damage and failed disks into answers. */
function guarded<T extends Result | null>(task: () => T): T | Result {
  try {
    return task();
  } catch (error) {
    if (error instanceof CorruptionError) return errorResult('corruption', error.message);
    if (error instanceof DiskError) return errorResult('internal', error.message);
    throw error;
  }
}
