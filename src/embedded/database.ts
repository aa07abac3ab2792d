/**
 * An embedded store: `open` one in a directory of this process. Reads are synchronous; a write is a promise that is
 * fulfilled when the write is durable. One process at a time opens a directory.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkDirectory, checkFields, checkLongWork, checkObject } from '../base/arguments.ts';
import { EnvelopeError, LimitError, toError } from '../base/errors.ts';
import { NodeClock } from '../io/node/clock.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { attempt } from '../io/node/disk_error.ts';
import { NodeLogger } from '../io/node/logger.ts';
import type { PageCache, PageCacheStatistics } from '../io/node/page_cache.ts';
import { BatchWriter } from '../kv/batch.ts';
import { DEFAULT_BUCKET, VALUE_BYTES_MAX } from '../kv/request.ts';
import type { ReadSnapshot } from '../lsm/read_snapshot.ts';
import { ThreadRunBuilder } from '../threads/thread_run_builder.ts';
import { Bucket, type BucketReader, type PutOptions, type WriteOptions, written } from './bucket.ts';
import { bucketNames } from './bucket_names.ts';
import { type Backup, type BackupOptions, type Checkpoint, Copies } from './checkpoint.ts';
import { checkBucketName, checkedDurability, checkedTtlMs, checkOptions } from './checks.ts';
import type { DatabaseStatistics } from './database_statistics.ts';
import { giveBackBytes, lendBytes } from './edit_memory.ts';
import { encodingOf, type KeyEncoding, type TypeOf, type ValueEncoding } from './encoding.ts';
import { Engine, type EngineOptions, type Moment } from './engine.ts';
import { checkOpenOptions, type OpenOptions } from './open_options.ts';

const BUFFERED_MS = 100;
const PROGRESS_MS = 100;
/** Of keys and values, and a few bytes more for each. */
const BATCH_BYTES_MAX = VALUE_BYTES_MAX;

export interface CompactOptions {
  /** Gives the merge up. */
  readonly signal?: AbortSignal;
  /** Told every tenth of a second while tables are merged: how many bytes of them, and about how many are done. */
  readonly onProgress?: (progress: { readonly inputBytes: number; readonly doneBytes: number }) => void;
}

export interface BucketOptions<K extends KeyEncoding, V extends ValueEncoding> {
  readonly keys?: K;
  readonly values?: V;
}

/**
 * Opens the store in a directory, which is made if it is missing. A relative path is that of the directory in which the
 * process is at the call, wherever it goes later.
 * @throws EnvelopeError `LOCKED` that names the process which holds it, `MISSING`, `EXISTS`, `NODE` of a directory that is a
 * node's, `INVALID` that names an option and what it may be; CorruptionError; DiskError
 */
export async function open(path: string, options: OpenOptions = {}): Promise<Database> {
  checkDirectory(path);
  checkOpenOptions(options);
  const directory = resolve(path);
  const { createIfMissing = true, errorIfExists = false } = options;
  if (!createIfMissing && !holdsStore(directory)) {
    throw new EnvelopeError('MISSING', `a store in ${directory} does not exist, and none is to be made`);
  }
  assertNoNode(directory);
  attempt('mkdir', directory, () => mkdirSync(directory, { recursive: true }));
  const unlock = lockDirectory(directory);
  try {
    if (errorIfExists && holdsStore(directory)) {
      throw new EnvelopeError('EXISTS', `a store in ${directory} exists, and a new one is wanted`);
    }
    return await openLocked(directory, options, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function openLocked(directory: string, options: OpenOptions, unlock: () => void): Promise<Database> {
  const { pageCacheBytes, segmentBytes } = options;
  const { bufferedMs = BUFFERED_MS, tuning = {}, logLevel = 'silent', background = 'thread' } = options;
  const reads = pageCacheBytes === undefined ? 'auto' : 'direct';
  const thread = background === 'thread' ? new ThreadRunBuilder(reads) : null;
  const disk = new NodeDisk(pageCacheBytes === undefined ? { reads } : { reads, pageCacheBytes });
  const engine = await openEngine({
    disk,
    directory,
    clock: new NodeClock(),
    logger: new NodeLogger({ level: logLevel }),
    bufferedMs,
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    store: { runBuilder: thread, ...tuning },
    compressions: nodeCompressions,
  }).catch((error: unknown) => {
    void thread?.close();
    throw error;
  });
  return new Database(engine, disk.pageCache, () => {
    void thread?.close();
    unlock();
  });
}

/** Whether anything of a store is there, also of one that a crash has cut short. */
function holdsStore(directory: string): boolean {
  return ['log', 'tables'].some((part) => existsSync(join(directory, part)));
}

/**
 * A node's log is in part what others have, by index and term: an entry of this process in it would be taken for theirs.
 * @throws EnvelopeError `NODE`
 */
function assertNoNode(directory: string): void {
  if (!['vote-a', 'vote-b'].some((name) => existsSync(join(directory, name)))) return;
  throw new EnvelopeError(
    'NODE',
    `${directory} is that of a node, with a term and a vote: envelopedb repair --as store makes a store of it`,
  );
}

function openEngine(options: EngineOptions): Promise<Engine> {
  return new Promise((resolve, reject) => {
    Engine.open(options, (outcome) => {
      if (outcome.ok) resolve(outcome.value);
      else reject(outcome.error);
    });
  });
}

export class Database {
  readonly #engine: Engine;
  readonly #pageCache: PageCache | null;
  readonly #onClosed: () => void;
  readonly #copies: Copies;
  #closing: Promise<void> | null = null;

  /** For `open`. */
  constructor(engine: Engine, pageCache: PageCache | null, onClosed: () => void) {
    this.#engine = engine;
    this.#copies = new Copies(engine);
    this.#pageCache = pageCache;
    this.#onClosed = onClosed;
  }

  /** A handle to a bucket, which need not exist: keys and values are texts unless said otherwise. */
  bucket<K extends KeyEncoding = 'utf8', V extends ValueEncoding = 'utf8'>(
    name: string = DEFAULT_BUCKET,
    options: BucketOptions<K, V> = {},
  ): Bucket<TypeOf<K>, TypeOf<V>> {
    return bucketOf(this.#engine, name, options, null);
  }

  /**
   * The names of the buckets that hold a key now, in the order of their bytes. Costs a search for each of them, and a look at
   * those of their first keys that have expired.
   * @throws CorruptionError, DiskError when it cannot be told; EnvelopeError `CLOSED`
   */
  bucketNames(): string[] {
    using snapshot = this.snapshot();
    return snapshot.bucketNames();
  }

  /** Gathers writes that take effect together or not at all. */
  batch(): Batch {
    return new Batch(this.#engine);
  }

  /** The state of now, for reads that belong together; release it, or compaction keeps what it sees. */
  snapshot(): Snapshot {
    const moment = this.#engine.moment();
    forgotten.register(moment, moment.view, moment);
    return new Snapshot(this.#engine, moment);
  }

  /** Until `close` is called. */
  get isOpen(): boolean {
    return this.#closing === null;
  }

  /** Why writes are refused, although the store is open: a sync or a write of its files has failed. */
  get failure(): Error | null {
    return this.#engine.failure;
  }

  /**
   * Why tables cannot be written at present: the disk is full. It is tried again each second (`outOfSpaceRetryMs`); until
   * then all is readable, and writes wait as soon as memtables have no room. Null: nothing is in the way.
   */
  get outOfSpace(): Error | null {
    return this.#engine.store.outOfSpace;
  }

  /** Counts, sizes and rates: see `DatabaseStatistics`. Costs some microseconds for each table. */
  stats(): DatabaseStatistics {
    return this.#engine.statistics();
  }

  /** Of the cache that `pageCacheBytes` has made; null: there is none. */
  pageCacheStatistics(): PageCacheStatistics | null {
    return this.#pageCache?.statistics() ?? null;
  }

  /** Everything is durable, in tables, that was written by calls before this one, whether they have been fulfilled or not. */
  flush(): Promise<void> {
    return settled((done) => this.#engine.flush(done));
  }

  /**
   * Merges all tables: what is deleted, superseded or expired is gone. The store serves meanwhile.
   * @throws The reason of the signal, or what `onProgress` has thrown, once what was written for the merge is given up;
   * CorruptionError; DiskError
   */
  async compact(options: CompactOptions = {}): Promise<void> {
    checkOptions('compact', options);
    checkLongWork(options);
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    let stop: (error: Error) => void = () => {};
    const tell = (): void => {
      try {
        this.#tellProgress(onProgress);
      } catch (error) {
        stop(toError(error));
      }
    };
    const onAbort = (): void => stop(new EnvelopeError('ABORTED', 'the merge was given up'));
    const timer = onProgress === undefined ? null : setInterval(tell, PROGRESS_MS);
    try {
      await settled((done) => {
        stop = this.#engine.compact(done);
        signal?.addEventListener('abort', onAbort);
      });
    } catch (error) {
      if (error instanceof EnvelopeError && error.code === 'ABORTED') signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (timer !== null) clearInterval(timer);
    }
  }

  #tellProgress(onProgress: CompactOptions['onProgress']): void {
    const { compaction } = this.#engine.store;
    if (compaction?.isOfAll === true) onProgress?.(compaction);
  }

  /**
   * Makes `directory` a store with the state of now, buffered writes included, within milliseconds: its tables are further
   * names of this store's files, which never change; where those cannot be, as on another file system, they are copied.
   * The directory must not exist, or be empty. It is there as a whole or not at all, whatever crashes. Writing goes on.
   * @throws EnvelopeError `EXISTS`, `INVALID` (it lies in the store's own directory), `LOCKED` (it is being made already),
   * `CLOSED`, `FAILED`; DiskError
   */
  checkpoint(directory: string): Promise<Checkpoint> {
    return this.#copies.checkpoint(directory);
  }

  /**
   * As `checkpoint`, but shares no file with this store: every byte is copied, and every checksum of the copy is checked.
   * Meanwhile files that compaction has replaced stay on the disk.
   * @throws also CorruptionError, naming the file of this store that is damaged; then there is no backup. The signal's reason.
   */
  backup(directory: string, options: BackupOptions = {}): Promise<Backup> {
    return this.#copies.backup(directory, options);
  }

  /**
   * Makes durable what was written, buffered writes too, and lets go of the directory. Writes that wait are carried out as
   * far as memtables have room, and refused (`CLOSED`) beyond. Checkpoints and backups under way end with an error.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const copies = this.#copies.end();
    try {
      await settled((done) => this.#engine.close(done));
    } finally {
      await copies;
      this.#onClosed();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Writes of any buckets, in order, as one. What is added is copied at once. */
export class Batch {
  readonly #engine: Engine;
  readonly #writer = new BatchWriter(lendBytes);

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get size(): number {
    return this.#writer.size;
  }

  /** Of keys and values so far, and a few bytes more for each. */
  get sizeBytes(): number {
    return this.#writer.sizeBytes;
  }

  /** @throws LimitError, EnvelopeError `INVALID`; the batch is as before then. */
  put<K, V>(bucket: Bucket<K, V>, key: K, value: V, options?: Pick<PutOptions, 'ttlMs'>): this {
    Bucket.checkWritable(bucket, this.#engine);
    // Most have none, and there are many.
    const ttlMs = options === undefined ? 0 : ttlOf(options);
    const keyBytes = bucket.keyBytes(key);
    const valueBytes = bucket.valueBytes(value);
    this.#checkRoom(keyBytes.length + valueBytes.length);
    this.#writer.put(bucket.name, keyBytes, valueBytes, ttlMs);
    return this;
  }

  delete<K, V>(bucket: Bucket<K, V>, key: K): this {
    Bucket.checkWritable(bucket, this.#engine);
    const keyBytes = bucket.keyBytes(key);
    this.#checkRoom(keyBytes.length);
    this.#writer.delete(bucket.name, keyBytes);
    return this;
  }

  /** Takes back everything that was added. */
  clear(): this {
    this.#writer.clear();
    return this;
  }

  /** Empties the batch, which can then be filled again. */
  async write(options: WriteOptions = {}): Promise<void> {
    checkOptions('write', options);
    const { durability = 'sync' } = options;
    checkedDurability(durability);
    if (this.#writer.size === 0) return;
    const edits = this.#writer.take();
    try {
      await written(this.#engine, { type: 'batch', edits }, durability);
    } finally {
      giveBackBytes(edits);
    }
  }

  #checkRoom(bytes: number): void {
    if (this.#writer.sizeBytes + bytes > BATCH_BYTES_MAX) {
      throw new LimitError('batchBytes', `a batch has ${BATCH_BYTES_MAX} bytes at most`);
    }
  }
}

/** 0: it never expires. */
function ttlOf(options: Pick<PutOptions, 'ttlMs'>): number {
  checkOptions('Batch.put', options);
  return options.ttlMs === undefined ? 0 : checkedTtlMs(options.ttlMs);
}

/** Snapshots that nobody can read any more, and that were not released: compaction would keep what they see for good. */
const forgotten = new FinalizationRegistry<ReadSnapshot>((view) => view.release());

/** Reads as of one moment. One that is forgotten is released when the garbage collector finds that, which may be late. */
export class Snapshot {
  readonly #engine: Engine;
  readonly #moment: Moment;

  constructor(engine: Engine, moment: Moment) {
    this.#engine = engine;
    this.#moment = moment;
  }

  bucket<K extends KeyEncoding = 'utf8', V extends ValueEncoding = 'utf8'>(
    name: string = DEFAULT_BUCKET,
    options: BucketOptions<K, V> = {},
  ): BucketReader<TypeOf<K>, TypeOf<V>> {
    return bucketOf(this.#engine, name, options, this.#moment);
  }

  /** As `Database.bucketNames`. */
  bucketNames(): string[] {
    return bucketNames(this.#engine, this.#moment);
  }

  /** Idempotent. */
  release(): void {
    forgotten.unregister(this.#moment);
    this.#moment.view.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

const BUCKET_FIELDS: ReadonlySet<string> = new Set(['keys', 'values']);

function bucketOf<K extends KeyEncoding, V extends ValueEncoding>(
  engine: Engine,
  name: string,
  options: BucketOptions<K, V>,
  moment: Moment | null,
): Bucket<TypeOf<K>, TypeOf<V>> {
  checkBucketName(name);
  checkObject('options are', options);
  checkFields('a bucket', options, BUCKET_FIELDS);
  const { keys, values } = options;
  if ((keys as unknown) === 'json') {
    throw new EnvelopeError('INVALID', 'keys are utf8, view, buffer or an encoding of your own, not json');
  }
  const keyEncoding = encodingOf(keys === undefined ? ('utf8' as K) : keys);
  const valueEncoding = encodingOf(values === undefined ? ('utf8' as V) : values);
  return new Bucket(engine, name, keyEncoding, valueEncoding, moment);
}

function settled(task: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    task((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
