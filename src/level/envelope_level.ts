/**
 * A store as a database of the Level ecosystem: what is written for `abstract-level` runs on it. One bucket holds the key
 * space; sublevels are prefixes in it, made by `abstract-level`.
 *
 * Reads are synchronous underneath. A caller that reads one key after the other gives way to the rest of the process every
 * two milliseconds all the same.
 */
import { AbstractLevel } from 'abstract-level';
import type { Bucket, BucketReader } from '../embedded/bucket.ts';
import { checkBucketName } from '../embedded/checks.ts';
import { Database, open } from '../embedded/database.ts';
import { type OpenOptions, openOptionsAmong } from '../embedded/open_options.ts';
import { Turns } from '../embedded/turns.ts';
import { EnvelopeChainedBatch } from './chained_batch.ts';
import { LevelError, levelError } from './errors.ts';
import { type Data, FORMATS, type Format, Readers } from './formats.ts';
import {
  boundsOf,
  EnvelopeIterator,
  EnvelopeKeyIterator,
  EnvelopeValueIterator,
  entryWalk,
  keyWalk,
  valueWalk,
  type WalkOptions,
} from './iterators.ts';
import type {
  BatchOperation,
  BatchOptions,
  ClearOptions,
  DatabaseOptions,
  DelOptions,
  PutOptions,
  StartEndOptions,
} from './options.ts';
import { EnvelopeSnapshot } from './snapshot.ts';
import { durabilityOf, type TimedOptions, type WriteOptions } from './write_options.ts';

const DEFAULT_BUCKET = 'default';
/** What one write deletes when a snapshot says which: so many keys, or a little more than so many bytes of them. */
const CLEAR_KEYS = 1000;
const CLEAR_BYTES = 1024 * 1024;

/** What `abstract-level` hands on of the options of reads. */
interface ReadOptions {
  readonly valueEncoding?: Format;
  readonly snapshot?: EnvelopeSnapshot | null;
}

type Operation = TimedOptions & { readonly key: Data; readonly sublevel?: object | null } & (
    | { readonly type: 'put'; readonly value: Data }
    | { readonly type: 'del' }
  );

/** While it is open. */
interface Opened {
  readonly database: Database;
  readonly bucket: Bucket<Data, Data>;
  readonly readers: Readers;
}

/** The methods of `abstract-level` whose options this database adds to, as types only. */
export interface EnvelopeLevel<KDefault = string, VDefault = string> {
  put(key: KDefault, value: VDefault): Promise<void>;
  put<K = KDefault, V = VDefault>(key: K, value: V, options: PutOptions<K, V>): Promise<void>;
  del(key: KDefault): Promise<void>;
  del<K = KDefault>(key: K, options: DelOptions<K>): Promise<void>;
  clear(): Promise<void>;
  clear<K = KDefault>(options: ClearOptions<K>): Promise<void>;
  batch(): EnvelopeChainedBatch<this, KDefault, VDefault>;
  batch(operations: BatchOperation<this, KDefault, VDefault>[]): Promise<void>;
  batch<K = KDefault, V = VDefault>(
    operations: BatchOperation<this, K, V>[],
    options: BatchOptions<K, V>,
  ): Promise<void>;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: each method is there, and takes these options.
export class EnvelopeLevel<KDefault = string, VDefault = string> extends AbstractLevel<
  string | Buffer | Uint8Array,
  KDefault,
  VDefault
> {
  readonly #place: string | Database;
  readonly #bucket: string;
  readonly #turns = new Turns();
  #opened: Opened | null = null;

  /**
   * @param place The directory of a store of its own; or a store that is open, which stays so when this database is closed.
   * @throws TypeError
   */
  constructor(place: string | Database, options: DatabaseOptions<KDefault, VDefault> = {}) {
    const isDirectory = typeof place === 'string' && place !== '';
    if (!isDirectory && !(place instanceof Database)) {
      throw new TypeError('the first argument is the path of a directory, or a Database');
    }
    const { bucket = DEFAULT_BUCKET, ...rest } = options;
    const manifest = {
      encodings: { utf8: true, buffer: true, view: true },
      has: true,
      getSync: true,
      createIfMissing: isDirectory,
      errorIfExists: isDirectory,
      explicitSnapshots: true,
      additionalMethods: { approximateSize: true },
      signals: { iterators: true },
    };
    super(manifest, rest);
    this.#place = place;
    this.#bucket = bucket;
  }

  /** The directory; null when it was given an open store. */
  get location(): string | null {
    return typeof this.#place === 'string' ? this.#place : null;
  }

  /** The store underneath, for what Level has no words for: statistics, compaction. Null while it is not open. */
  get database(): Database | null {
    return this.#opened?.database ?? null;
  }

  /**
   * Bytes of tables that the keys from `start` to `end`, itself not included, take: see `Bucket.approximateBytes`.
   * @throws LevelError `LEVEL_DATABASE_NOT_OPEN`
   */
  async approximateSize<K = KDefault>(start: K, end: K, options: StartEndOptions<K> = {}): Promise<number> {
    if (start === undefined || end === undefined) {
      throw new TypeError("The arguments 'start' and 'end' are required");
    }
    if (this.status === 'opening') return this.deferAsync(() => this.approximateSize(start, end, options));
    const encoding = this.keyEncoding((options.keyEncoding ?? undefined) as never);
    const range = { gte: encoding.encode(start as never), lt: encoding.encode(end as never) };
    try {
      return this.#open().bucket.approximateBytes(range);
    } catch (error) {
      throw levelError(error);
    }
  }

  async _open(options: OpenOptions): Promise<void> {
    try {
      // Before the store is open, which nobody would close.
      checkBucketName(this.#bucket);
      const place = this.#place;
      const database = typeof place === 'string' ? await open(place, openOptionsAmong(options)) : place;
      if (!database.isOpen) throw new LevelError('LEVEL_DATABASE_NOT_OPEN', 'the store is closed');
      const encodings = { keys: FORMATS.view, values: FORMATS.view };
      this.#opened = {
        database,
        bucket: database.bucket(this.#bucket, encodings),
        readers: new Readers(database, this.#bucket),
      };
    } catch (error) {
      throw levelError(error);
    }
  }

  /** Rejects when writes may have been lost; it is closed all the same, as closing it again tells. */
  async _close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    if (opened === null || typeof this.#place !== 'string') return;
    try {
      await opened.database.close();
    } catch (error) {
      throw levelError(error);
    }
  }

  _getSync(key: Data, options: ReadOptions): Data | undefined {
    try {
      return this.#reader(options).get(key);
    } catch (error) {
      throw levelError(error);
    }
  }

  async _get(key: Data, options: ReadOptions): Promise<Data | undefined> {
    const value = this._getSync(key, options);
    if (this.#turns.isOver()) await this.#turns.next();
    return value;
  }

  async _getMany(keys: readonly Data[], options: ReadOptions): Promise<(Data | undefined)[]> {
    return this.#ofMany(keys, options, (reader, key) => reader.get(key));
  }

  async _has(key: Data, options: ReadOptions): Promise<boolean> {
    try {
      const isThere = this.#reader(options).has(key);
      if (this.#turns.isOver()) await this.#turns.next();
      return isThere;
    } catch (error) {
      throw levelError(error);
    }
  }

  async _hasMany(keys: readonly Data[], options: ReadOptions): Promise<boolean[]> {
    return this.#ofMany(keys, options, (reader, key) => reader.has(key));
  }

  async _put(key: Data, value: Data, options: TimedOptions): Promise<void> {
    const { ttlMs } = options;
    const durability = durabilityOf(options);
    try {
      await this.#open().bucket.put(key, value, ttlMs === undefined ? { durability } : { durability, ttlMs });
    } catch (error) {
      throw levelError(error);
    }
  }

  async _del(key: Data, options: WriteOptions): Promise<void> {
    try {
      await this.#open().bucket.delete(key, { durability: durabilityOf(options) });
    } catch (error) {
      throw levelError(error);
    }
  }

  async _batch(operations: readonly Operation[], options: WriteOptions): Promise<void> {
    const { database, bucket } = this.#open();
    try {
      const batch = database.batch();
      for (const operation of operations) {
        // Those of its own sublevels have become prefixes by now.
        if (operation.sublevel != null) throw new TypeError('the sublevel belongs to another database');
        if (operation.type === 'put') {
          const { key, value, ttlMs } = operation;
          batch.put(bucket, key, value, ttlMs === undefined ? undefined : { ttlMs });
        } else batch.delete(bucket, operation.key);
      }
      await batch.write({ durability: durabilityOf(options) });
    } catch (error) {
      throw levelError(error);
    }
  }

  _chainedBatch(): EnvelopeChainedBatch<this, KDefault, VDefault> {
    const { database, bucket } = this.#open();
    return new EnvelopeChainedBatch<this, KDefault, VDefault>(this, bucket, database.batch());
  }

  async _clear(options: WalkOptions & WriteOptions): Promise<void> {
    const { bucket } = this.#open();
    const bounds = boundsOf(options);
    const { limit, reverse, snapshot } = options;
    const durability = durabilityOf(options);
    try {
      if (snapshot != null) await this.#clearAsOf(snapshot, options);
      else if (limit === -1) await bucket.deleteRange(bounds, { durability });
      else await bucket.clear({ ...bounds, limit, reverse }, { durability });
    } catch (error) {
      throw levelError(error);
    }
  }

  _iterator(options: WalkOptions): EnvelopeIterator<this, KDefault, VDefault> {
    return new EnvelopeIterator(this, options, this.#walk(entryWalk, options));
  }

  _keys(options: WalkOptions): EnvelopeKeyIterator<this, KDefault> {
    return new EnvelopeKeyIterator(this, options, this.#walk(keyWalk, options));
  }

  _values(options: WalkOptions): EnvelopeValueIterator<this, KDefault, VDefault> {
    return new EnvelopeValueIterator(this, options, this.#walk(valueWalk, options));
  }

  _snapshot(options: object): EnvelopeSnapshot {
    const { database } = this.#open();
    try {
      return new EnvelopeSnapshot(options, database, database.snapshot(), this.#bucket);
    } catch (error) {
      throw levelError(error);
    }
  }

  /** @throws LevelError */
  #open(): Opened {
    if (this.#opened === null) throw new LevelError('LEVEL_DATABASE_NOT_OPEN', 'Database is not open');
    return this.#opened;
  }

  #readers({ snapshot }: { readonly snapshot?: EnvelopeSnapshot | null }): Readers {
    const { database, readers } = this.#open();
    if (snapshot == null) return readers;
    if (!(snapshot instanceof EnvelopeSnapshot) || snapshot.database !== database) {
      throw new TypeError('the snapshot is of another database');
    }
    return snapshot.readers;
  }

  #reader(options: ReadOptions): BucketReader<Data, Data> {
    return this.#readers(options).forValues(options.valueEncoding ?? 'view');
  }

  #walk<T>(make: (readers: Readers, options: WalkOptions) => T, options: WalkOptions): T {
    try {
      return make(this.#readers(options), options);
    } catch (error) {
      throw levelError(error);
    }
  }

  /** All as of the call. */
  async #ofMany<T>(
    keys: readonly Data[],
    options: ReadOptions,
    read: (reader: BucketReader<Data, Data>, key: Data) => T,
  ): Promise<T[]> {
    const found: T[] = [];
    let snapshot: { reader: BucketReader<Data, Data>; release: () => void } | null = null;
    try {
      let reader = this.#reader(options);
      for (const key of keys) {
        found.push(read(reader, key));
        if (found.length === keys.length || !this.#turns.isOver()) continue;
        if (snapshot === null && options.snapshot == null) {
          snapshot = this.#readerOfNow(options);
          reader = snapshot.reader;
        }
        await this.#turns.next();
      }
      return found;
    } catch (error) {
      throw levelError(error);
    } finally {
      snapshot?.release();
    }
  }

  #readerOfNow(options: ReadOptions): { reader: BucketReader<Data, Data>; release: () => void } {
    const snapshot = this.#open().database.snapshot();
    const reader = new Readers(snapshot, this.#bucket).forValues(options.valueEncoding ?? 'view');
    return { reader, release: () => snapshot.release() };
  }

  /** Deletes what the snapshot sees of a range, whatever has become of it. */
  async #clearAsOf(snapshot: EnvelopeSnapshot, options: WalkOptions & WriteOptions): Promise<void> {
    const { database, bucket } = this.#open();
    const durability = durabilityOf(options);
    const { limit, reverse } = options;
    const range = { ...boundsOf(options), reverse, ...(limit === -1 ? {} : { limit }) };
    const batch = database.batch();
    for await (const key of this.#readers({ snapshot }).forValues('view').keys(range)) {
      batch.delete(bucket, key);
      if (batch.size >= CLEAR_KEYS || batch.sizeBytes >= CLEAR_BYTES) await batch.write({ durability });
    }
    await batch.write({ durability });
  }
}
