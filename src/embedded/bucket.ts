/** A bucket of an embedded store: keys and values of two encodings, written and read under one name. */
import { checkLongWork, told } from '../base/arguments.ts';
import { EnvelopeError, LimitError, type Outcome } from '../base/errors.ts';
import { bucketPrefix, bucketRange } from '../kv/key_space.ts';
import { type Condition, type PointWrite, type Result, VALUE_BYTES_MAX } from '../kv/request.ts';
import { NEVER, type StoredValue } from '../kv/stored_value.ts';
import type { StoreIterator } from '../lsm/store_iterator.ts';
import {
  checkBounds,
  checkCondition,
  checkDeletedRange,
  checkedDurability,
  checkedTtlMs,
  checkOptions,
  checkScan,
} from './checks.ts';
import { Cursor } from './cursor.ts';
import { decodeRange, type Encoding } from './encoding.ts';
import { type Durability, type Engine, live, type Moment } from './engine.ts';
import { type Bounds, behind, isEmpty, type KeySpan, limitOf, ownSpan, type Range, spanOf } from './range.ts';
import { Scan } from './scan.ts';

export const KEY_BYTES_MAX = 64 * 1024;
/** Keys that `clear` deletes by one write. */
const CLEAR_KEYS = 1000;

export interface WriteOptions {
  /** `sync` (the default): the promise is fulfilled when the write survives a crash of the machine. */
  readonly durability?: Durability;
}

export interface PutOptions extends WriteOptions {
  /** Whole milliseconds from 1 on, after which the key is gone for every reader. */
  readonly ttlMs?: number;
}

/** What must hold for a conditional write. */
export type If<V> =
  | { readonly type: 'absent' }
  | { readonly type: 'present' }
  /** The key holds this value. */
  | { readonly type: 'value'; readonly value: V }
  /** The key has this revision, as `entry` tells it; 0: it is not there. */
  | { readonly type: 'revision'; readonly revision: number };

export interface ScanOptions<K> extends Range<K> {
  /** Ends the scan with its reason. */
  readonly signal?: AbortSignal;
}

export interface ClearOptions extends WriteOptions {
  readonly signal?: AbortSignal;
  /** Told after every thousand keys. */
  readonly onProgress?: (progress: { readonly keys: number }) => void;
}

export interface Entry<V> {
  readonly value: V;
  /** Of the write that made it; later writes have higher ones. */
  readonly revision: number;
  /** Milliseconds since the Unix epoch; null: never. */
  readonly expiresAtMs: number | null;
}

/** What can be read of a bucket, also as of a snapshot. */
export type BucketReader<K, V> = Pick<
  Bucket<K, V>,
  'name' | 'get' | 'view' | 'entry' | 'has' | 'getMany' | 'entries' | 'keys' | 'values' | 'cursor' | 'count'
>;

export class Bucket<K, V> {
  readonly name: string;
  readonly #engine: Engine;
  readonly #keys: Encoding<K>;
  readonly #values: Encoding<V>;
  readonly #moment: Moment | null;
  /** What its keys in the store begin with, and the first store key behind all of them. */
  readonly #prefix: Uint8Array;
  readonly #end: Uint8Array;
  /** The store key that was looked up last: the next one is written over it if it is as long. */
  #lookedUp: Uint8Array;

  /**
   * For `Database` and `Snapshot`.
   * @param moment Reads are as of then; null: as of now.
   */
  constructor(engine: Engine, name: string, keys: Encoding<K>, values: Encoding<V>, moment: Moment | null) {
    this.#engine = engine;
    this.name = name;
    this.#keys = keys;
    this.#values = values;
    this.#moment = moment;
    this.#prefix = bucketPrefix(name);
    this.#end = bucketRange(name).lt;
    this.#lookedUp = this.#prefix;
  }

  /**
   * The value, undefined when there is no such key. Reads the memory-mapped tables at once, without a promise.
   * @throws CorruptionError, DiskError when it cannot be told; EnvelopeError `CLOSED`.
   */
  get(key: K): V | undefined {
    const found = this.#find(key);
    return found === null ? undefined : this.#decode(found);
  }

  #decode({ bytes, start, end }: StoredValue): V {
    return decodeRange(this.#values, bytes, start, end);
  }

  /** As `get`, the value's bytes without a copy: valid until control returns to the event loop, and not to be written to. */
  view(key: K): Uint8Array | undefined {
    return this.#find(key)?.value;
  }

  /** As `get`, with what is known of the value. */
  entry(key: K): Entry<V> | undefined {
    const found = this.#find(key);
    if (found === null) return undefined;
    const { revision, expiresAtMs } = found;
    return {
      value: this.#decode(found),
      revision,
      expiresAtMs: expiresAtMs === NEVER ? null : expiresAtMs,
    };
  }

  has(key: K): boolean {
    return this.#find(key) !== null;
  }

  /** As `get` of each, in order. */
  getMany(keys: readonly K[]): (V | undefined)[] {
    if (!Array.isArray(keys)) throw new EnvelopeError('INVALID', `keys are an array, not ${told(keys)}`);
    return keys.map((key) => this.get(key));
  }

  /** Keys and values in the order of their keys' bytes, as of this call, whatever is written meanwhile: see `Scan`. */
  entries(options: ScanOptions<K> = {}): Scan<K, [key: K, value: V]> {
    const cursor = this.cursor(options);
    return new Scan<K, [K, V]>(cursor, () => [cursor.key, cursor.value]);
  }

  /** As `entries`; values are not looked at but for their expiry. */
  keys(options: ScanOptions<K> = {}): Scan<K, K> {
    const cursor = this.cursor(options);
    return new Scan<K, K>(cursor, () => cursor.key);
  }

  values(options: ScanOptions<K> = {}): Scan<K, V> {
    const cursor = this.cursor(options);
    return new Scan<K, V>(cursor, () => cursor.value);
  }

  /** The same by hand, and without copies: see `Cursor`. Close it. */
  cursor(options: ScanOptions<K> = {}): Cursor<K, V> {
    checkScan(options);
    checkLongWork(options);
    const limit = limitOf(options);
    const place = {
      engine: this.#engine,
      keys: this.#keys,
      values: this.#values,
      prefix: this.#prefix,
      timeMs: this.#moment?.timeMs ?? this.#engine.timeMs,
    };
    const iterator = this.#iterator(spanOf(options, this.#keys), options.reverse === true);
    return new Cursor(place, iterator, limit, options.signal);
  }

  /** How many keys there are, as of this call. All of them are looked at. */
  async count(options: ScanOptions<K> = {}): Promise<number> {
    let count = 0;
    for await (const _none of new Scan(this.cursor(options), () => null)) count++;
    return count;
  }

  /**
   * Bytes of tables that keys within the bounds take, told by the tables' indexes: what only memtables hold does not count,
   * what is deleted or superseded does until it is compacted, and only whole blocks (4 KiB) do.
   */
  approximateBytes(bounds: Bounds<K> = {}): number {
    this.#engine.assertOpen();
    checkBounds(bounds);
    const { gte, lt } = this.#storeRange(spanOf(bounds, this.#keys));
    return this.#engine.store.approximateBytes(gte, lt);
  }

  /** @throws LimitError at once when the key or the value is too long. */
  put(key: K, value: V, options: PutOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      checkOptions('put', options);
      const { ttlMs, durability = 'sync' } = options;
      const request: PointWrite =
        ttlMs === undefined
          ? { type: 'set', bucket: this.name, key: this.keyBytes(key), value: this.valueBytes(value) }
          : this.#conditional(key, value, ttlMs, { type: 'always' });
      this.#engine.write(request, this.#writable(durability), (outcome) => {
        const refusal = refusalOf(outcome);
        if (refusal === null) resolve();
        else reject(refusal);
      });
    });
  }

  /** Writes if the condition holds; tells whether it did. */
  async putIf(key: K, value: V, condition: If<V>, options: PutOptions = {}): Promise<boolean> {
    checkOptions('putIf', options);
    const request = this.#conditional(key, value, options.ttlMs, this.#conditionOf(condition));
    const result = await this.#write({ ...request, answer: 'flag' }, options);
    return result.type === 'count' && result.count === 1;
  }

  /** Tells whether the key was there. */
  async delete(key: K, options: WriteOptions = {}): Promise<boolean> {
    checkOptions('delete', options);
    const request: PointWrite = { type: 'delete', bucket: this.name, keys: [this.keyBytes(key)] };
    const result = await this.#write(request, options);
    return result.type === 'count' && result.count === 1;
  }

  /**
   * Deletes all keys within the bounds by one short record, however many there are: at once, and all or none of them
   * survives a crash.
   */
  async deleteRange(bounds: Bounds<K> = {}, options: WriteOptions = {}): Promise<void> {
    checkOptions('deleteRange', options);
    checkDeletedRange(bounds);
    const { limit, reverse } = bounds as Range<K>;
    if (limit !== undefined || reverse !== undefined) {
      throw new EnvelopeError('INVALID', 'deleteRange takes neither limit nor reverse: clear does');
    }
    await this.#deleteSpan(spanOf(bounds, this.#keys), options);
  }

  /**
   * As `deleteRange`, with a limit and a count, a thousand keys at a time, each thousand of them all or none: a crash, or the
   * signal, may leave a part of them. What is written into the range meanwhile may go as well.
   * @returns how many there were.
   */
  async clear(range: Range<K> = {}, options: ClearOptions = {}): Promise<number> {
    checkOptions('clear', options);
    checkDeletedRange(range);
    checkLongWork(options);
    const { signal, onProgress, durability = 'sync' } = options;
    const limit = limitOf(range);
    this.#writable(durability);
    let span = ownSpan(spanOf(range, this.#keys));
    // Those that were called before and are not seen yet would not be found, or only after their place was passed.
    await new Promise<void>((resolve, reject) => {
      this.#engine.afterWrites((error) => (error === null ? resolve() : reject(error)));
    });
    let keys = 0;
    while (keys < limit) {
      signal?.throwIfAborted();
      const found = this.#extent(span, range.reverse === true, Math.min(limit - keys, CLEAR_KEYS));
      if (found === null) break;
      await this.#deleteSpan(found.span, options);
      keys += found.count;
      onProgress?.({ keys });
      const { from, to } = found.span;
      span = range.reverse === true ? { from: span.from, to: from } : { from: to, to: span.to };
    }
    return keys;
  }

  #find(key: K): StoredValue | null {
    const prefixBytes = this.#prefix.length;
    const bytes = this.keyBytes(key);
    const { length } = bytes;
    let name = this.#lookedUp;
    if (name.length !== prefixBytes + length) {
      name = new Uint8Array(prefixBytes + length);
      name.set(this.#prefix);
      this.#lookedUp = name;
    }
    // By hand: for keys as short as most are, a call of `set` costs more.
    for (let at = 0; at < length; at++) name[prefixBytes + at] = bytes[at];
    return this.#engine.find(name, this.#moment);
  }

  #iterator(span: KeySpan, reverse: boolean): StoreIterator {
    const { gte, lt } = this.#storeRange(span);
    return this.#engine.iterator({ gte, lt, reverse }, this.#moment);
  }

  #storeRange({ from, to }: KeySpan): { readonly gte: Uint8Array; readonly lt: Uint8Array } {
    return { gte: this.#storeKey(from), lt: to === null ? this.#end : this.#storeKey(to) };
  }

  #storeKey(key: Uint8Array): Uint8Array {
    const prefix = this.#prefix;
    const name = new Uint8Array(prefix.length + key.length);
    name.set(prefix);
    name.set(key, prefix.length);
    return name;
  }

  /** How many keys there are of the first `keysMax`, and from the first to the last of them; null: none. */
  #extent(
    span: KeySpan,
    reverse: boolean,
    keysMax: number,
  ): {
    readonly count: number;
    readonly span: { readonly from: Uint8Array; readonly to: Uint8Array };
  } | null {
    const { timeMs } = this.#engine;
    const prefixBytes = this.#prefix.length;
    const iterator = this.#iterator(span, reverse);
    let count = 0;
    let first: Uint8Array | null = null;
    let last: Uint8Array | null = null;
    try {
      while (count < keysMax && iterator.next()) {
        if (live(iterator.value(), timeMs) === null) continue;
        count++;
        last = iterator.key().slice(prefixBytes);
        first ??= last;
      }
    } finally {
      iterator.close();
    }
    if (first === null || last === null) return null;
    const [low, high] = reverse ? [last, first] : [first, last];
    return { count, span: { from: low, to: behind(high) } };
  }

  async #deleteSpan(span: KeySpan, options: WriteOptions): Promise<void> {
    if (isEmpty(span)) return;
    const { durability = 'sync' } = options;
    const request = { type: 'delete-range', bucket: this.name, ...span } as const;
    await written(this.#engine, request, this.#writable(durability));
  }

  #conditional(
    key: K,
    value: V,
    ttlMs: number | undefined,
    condition: Condition,
  ): PointWrite & { type: 'set-if' } {
    return {
      type: 'set-if',
      bucket: this.name,
      key: this.keyBytes(key),
      value: this.valueBytes(value),
      condition,
      expiry: ttlMs === undefined ? { type: 'never' } : { type: 'after', ms: checkedTtlMs(ttlMs) },
      answer: 'status',
    };
  }

  #conditionOf(condition: If<V>): Condition {
    checkCondition(condition);
    return condition.type === 'value'
      ? { type: 'value', value: this.valueBytes(condition.value) }
      : condition;
  }

  /**
   * For `Batch`.
   * @throws EnvelopeError `INVALID`: it is no bucket, of a snapshot, or of another store, where the write would not go.
   */
  static checkWritable(bucket: unknown, engine: Engine): void {
    if (!(bucket instanceof Bucket)) {
      throw new EnvelopeError('INVALID', `a bucket is what \`Database.bucket\` gives, not ${told(bucket)}`);
    }
    if (bucket.#moment !== null) throw snapshotError();
    if (bucket.#engine === engine) return;
    throw new EnvelopeError('INVALID', `the bucket '${bucket.name}' is of another store than the batch`);
  }

  /** The bytes of a key, for a batch. @throws LimitError */
  keyBytes(key: K): Uint8Array {
    const bytes = this.#keys.encode(key);
    if (bytes.length <= KEY_BYTES_MAX) return bytes;
    throw new LimitError(
      'keyBytes',
      `a key has ${KEY_BYTES_MAX} bytes at most; this one has ${bytes.length}`,
    );
  }

  /** As `keyBytes`. */
  valueBytes(value: V): Uint8Array {
    const bytes = this.#values.encode(value);
    if (bytes.length <= VALUE_BYTES_MAX) return bytes;
    throw new LimitError(
      'valueBytes',
      `a value has ${VALUE_BYTES_MAX} bytes at most; this one has ${bytes.length}`,
    );
  }

  async #write(request: PointWrite, { durability = 'sync' }: WriteOptions): Promise<Result> {
    return await written(this.#engine, request, this.#writable(durability));
  }

  /** @throws EnvelopeError `INVALID`: of a snapshot's bucket, or of a durability that there is not. */
  #writable(durability: Durability): Durability {
    if (this.#moment !== null) throw snapshotError();
    return checkedDurability(durability);
  }
}

function snapshotError(): EnvelopeError {
  return new EnvelopeError('INVALID', 'a snapshot is not written to');
}

/** The outcome of a write as a promise. @throws EnvelopeError with the code of a write that was refused. */
export function written(
  engine: Engine,
  request: Parameters<Engine['write']>[0],
  durability: Durability,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    engine.write(request, durability, (outcome) => {
      const refusal = refusalOf(outcome);
      if (refusal !== null) reject(refusal);
      else if (outcome.ok) resolve(outcome.value);
    });
  });
}

/** Null: it was carried out. */
function refusalOf(outcome: Outcome<Result>): Error | null {
  if (!outcome.ok) return outcome.error;
  return outcome.value.type === 'error' ? new EnvelopeError('REFUSED', outcome.value.message) : null;
}
