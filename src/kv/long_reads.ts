/**
 * Reads that may pass over many keys, in steps, so that a large bucket does not hold up everything else. They see the
 * keys as of their first step: the iterator's moment, and the time and the drops known then.
 */
import { unreachable } from '../base/assert.ts';
import { compareBytes } from '../codec/bytes.ts';
import { bucketOf, bucketRange, storeKey, userRange } from './key_space.ts';
import type { KeyRange, KeyValueIterator, KeyValueStore } from './key_value_store.ts';
import { LiveKeys, type MachineState } from './live_keys.ts';
import { answerTooLong } from './point_reads.ts';
import { ANSWER_BYTES_MAX, DEFAULT_BUCKET, ITEM_BYTES, type LongRead, type Result } from './request.ts';
import type { StoredValue } from './stored_value.ts';

export interface SteppedRead {
  /**
   * Looks at up to `keys` more keys; null while unfinished.
   * @throws CorruptionError, DiskError
   */
  step(keys: number): Result | null;
  /** Idempotent; a finished read needs none. */
  cancel(): void;
}

/** Bytes of keys and values after which a page ends, whatever its limit: at least one entry is in it. */
const PAGE_BYTES = 1024 * 1024;

export function startLongRead(
  store: KeyValueStore,
  state: MachineState,
  read: Exclude<LongRead, { type: 'feed' }>,
): SteppedRead {
  const live = new LiveKeys(store, { ...state, drops: new Map(state.drops) });
  switch (read.type) {
    case 'count':
      return new Walk(store.iterator(bucketRange(read.bucket)), live, new Count(read.bucket));
    case 'list-buckets':
      return new Walk(store.iterator(userRange), live, new BucketNames());
    case 'keys':
      return new Walk(
        store.iterator(rangeOf(read.bucket, read.prefix, read.prefix, null)),
        live,
        new KeyNames(read),
      );
    case 'range':
      return new Walk(
        store.iterator({
          ...rangeOf(read.bucket, read.prefix, read.from, read.to),
          reverse: read.order === 'descending',
        }),
        live,
        new Page(read),
      );
    default:
      return unreachable(read);
  }
}

/** What a read makes of the live keys that it passes. */
interface Gatherer {
  /** Of the store key at hand. */
  bucketAt(key: Uint8Array): string;
  /** Takes in a live key. `end`: the answer is complete. */
  take(key: Uint8Array, found: StoredValue, iterator: KeyValueIterator): 'more' | 'end';
  result(): Result;
}

class Walk implements SteppedRead {
  readonly #iterator: KeyValueIterator;
  readonly #live: LiveKeys;
  readonly #gatherer: Gatherer;

  constructor(iterator: KeyValueIterator, live: LiveKeys, gatherer: Gatherer) {
    this.#iterator = iterator;
    this.#live = live;
    this.#gatherer = gatherer;
  }

  step(keys: number): Result | null {
    const iterator = this.#iterator;
    const gatherer = this.#gatherer;
    for (let i = 0; i < keys; i++) {
      if (!iterator.next()) return this.#finish();
      const key = iterator.key();
      const found = this.#live.live(gatherer.bucketAt(key), iterator.value());
      if (found !== null && gatherer.take(key, found, iterator) === 'end') return this.#finish();
    }
    return null;
  }

  cancel(): void {
    this.#iterator.close();
  }

  #finish(): Result {
    this.#iterator.close();
    return this.#gatherer.result();
  }
}

class Count implements Gatherer {
  readonly #bucket: string;
  #count = 0;

  constructor(bucket: string) {
    this.#bucket = bucket;
  }

  bucketAt(): string {
    return this.#bucket;
  }

  take(): 'more' {
    this.#count++;
    return 'more';
  }

  result(): Result {
    return { type: 'count', count: this.#count };
  }
}

/** Goes from bucket to bucket, not from key to key, once a bucket is known to hold one. */
class BucketNames implements Gatherer {
  readonly #names = new Set([DEFAULT_BUCKET]);

  bucketAt(key: Uint8Array): string {
    return bucketOf(key).bucket;
  }

  take(key: Uint8Array, _found: StoredValue, iterator: KeyValueIterator): 'more' {
    const { bucket, end } = bucketOf(key);
    this.#names.add(bucket);
    iterator.seek(end);
    return 'more';
  }

  result(): Result {
    return { type: 'names', names: [...this.#names].sort() };
  }
}

class KeyNames implements Gatherer {
  readonly #bucket: string;
  readonly #prefixBytes: number;
  readonly #items: Result[] = [];
  #bytes = 0;

  constructor(read: Extract<LongRead, { type: 'keys' }>) {
    this.#bucket = read.bucket;
    this.#prefixBytes = storeKey(read.bucket, new Uint8Array(0)).length;
  }

  bucketAt(): string {
    return this.#bucket;
  }

  take(key: Uint8Array): 'more' | 'end' {
    this.#items.push({ type: 'value', value: key.slice(this.#prefixBytes) });
    this.#bytes += ITEM_BYTES + key.length;
    return this.#bytes > ANSWER_BYTES_MAX ? 'end' : 'more';
  }

  result(): Result {
    return this.#bytes > ANSWER_BYTES_MAX ? answerTooLong() : { type: 'list', items: this.#items };
  }
}

class Page implements Gatherer {
  readonly #read: Extract<LongRead, { type: 'range' }>;
  readonly #prefixBytes: number;
  readonly #items: Result[] = [];
  #keys = 0;
  #bytes = 0;
  /** Of the page so far. */
  #last: Uint8Array | null = null;
  #next: Uint8Array | null = null;

  constructor(read: Extract<LongRead, { type: 'range' }>) {
    this.#read = read;
    this.#prefixBytes = storeKey(read.bucket, new Uint8Array(0)).length;
  }

  bucketAt(): string {
    return this.#read.bucket;
  }

  take(key: Uint8Array, found: StoredValue): 'more' | 'end' {
    const name = key.slice(this.#prefixBytes);
    if (this.#keys >= this.#read.limit || this.#bytes >= PAGE_BYTES) {
      this.#next = this.#read.order === 'ascending' ? name : this.#last;
      return 'end';
    }
    this.#keys++;
    this.#last = name;
    this.#bytes += name.length;
    this.#items.push({ type: 'value', value: name });
    if (this.#read.answer === 'entries') {
      this.#bytes += found.length;
      this.#items.push({ type: 'value', value: found.copy() });
    }
    return 'more';
  }

  result(): Result {
    return {
      type: 'list',
      items: [
        { type: 'value', value: this.#next },
        { type: 'list', items: this.#items },
      ],
    };
  }
}

/** Keys of a bucket that begin with `prefix`, are not below `from`, and below `to`. */
function rangeOf(
  bucket: string,
  prefix: Uint8Array,
  from: Uint8Array,
  to: Uint8Array | null,
): Required<KeyRange> {
  const gte = storeKey(bucket, compareBytes(from, prefix) < 0 ? prefix : from);
  let lt = behindPrefix(bucket, prefix);
  if (to !== null) {
    const end = storeKey(bucket, to);
    if (compareBytes(end, lt) < 0) lt = end;
  }
  return { gte, lt };
}

function behindPrefix(bucket: string, prefix: Uint8Array): Uint8Array {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return bucketRange(bucket).lt;
  const end = storeKey(bucket, prefix.slice(0, length));
  end[end.length - 1]++;
  return end;
}
