/** The stores that are compared, each with its defaults but for what `docs/performance.md` names. */
import { ClassicLevel } from 'classic-level';
import { open as openLmdb, type RootDatabase } from 'lmdb';
import type { Bucket, Database } from '../../src/index.ts';
import type { CompactionStrategy } from '../../src/lsm/store_options.ts';
import { BUILT_INDEX } from '../built.ts';
import {
  type Contender,
  type ContenderName,
  type Direction,
  type Statistics,
  WRITE_BUFFER_BYTES,
} from './contender.ts';

const CACHE_BYTES = 64 * 1024 * 1024;
const SCAN_ENTRIES = 1000;
const POLL_MS = 50;

export function contender(name: ContenderName): Contender {
  switch (name) {
    case 'envelopedb':
      return new Envelope('levelled', null);
    case 'envelopedb-tiered':
      return new Envelope('size-tiered', null);
    case 'envelopedb-deflate':
      return new Envelope('levelled', 'deflate');
    case 'classic-level':
      return new Level();
    case 'lmdb':
      return new Lmdb();
  }
}

class Envelope implements Contender {
  readonly #compaction: CompactionStrategy;
  readonly #compression: string | null;
  #database: Database | null = null;
  #keys: Bucket<Uint8Array, Uint8Array> | null = null;

  constructor(compaction: CompactionStrategy, compression: string | null) {
    this.#compaction = compaction;
    this.#compression = compression;
  }

  async open(directory: string): Promise<void> {
    const tuning = {
      compaction: this.#compaction,
      compression: this.#compression,
      memtableBytes: WRITE_BUFFER_BYTES,
    };
    const { open }: typeof import('../../src/index.ts') = await import(BUILT_INDEX);
    this.#database = await open(directory, { tuning });
    this.#keys = this.#database.bucket('bench', { keys: 'view', values: 'view' });
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  writeBatch(keys: readonly Uint8Array[], values: readonly Uint8Array[]): Promise<void> {
    const batch = this.#opened.batch();
    const bucket = this.#bucket;
    for (let at = 0; at < keys.length; at++) batch.put(bucket, keys[at], values[at]);
    return batch.write({ durability: 'buffered' });
  }

  putDurably(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#bucket.put(key, value);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#bucket.get(key);
  }

  async scan(direction: Direction, limit: number): Promise<number> {
    let count = 0;
    for (const _entry of this.#bucket.entries({ reverse: direction === 'backward', limit })) count++;
    return count;
  }

  async readFrom(key: Uint8Array, limit: number): Promise<number> {
    let count = 0;
    for (const _entry of this.#bucket.entries({ gte: key, limit })) count++;
    return count;
  }

  readonly compact = async (): Promise<void> => {
    await this.#opened.compact();
  };

  statistics(): Statistics {
    const { writtenBytes, flushedBytes, mergedBytes, indexBytes, filterBytes } = this.#opened.stats();
    return { writeAmplification: (flushedBytes + mergedBytes) / writtenBytes, indexBytes, filterBytes };
  }

  async settle(): Promise<void> {
    await this.#opened.flush();
    while (this.#opened.stats().backgroundJobs > 0) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  get #opened(): Database {
    if (this.#database === null) throw new Error('open it first');
    return this.#database;
  }

  get #bucket(): Bucket<Uint8Array, Uint8Array> {
    if (this.#keys === null) throw new Error('open it first');
    return this.#keys;
  }
}

class Level implements Contender {
  #level: ClassicLevel<Uint8Array, Uint8Array> | null = null;

  async open(directory: string): Promise<void> {
    this.#level = new ClassicLevel<Uint8Array, Uint8Array>(directory, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    });
    await this.#level.open();
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  writeBatch(keys: readonly Uint8Array[], values: readonly Uint8Array[]): Promise<void> {
    const batch = this.#opened.batch();
    for (let at = 0; at < keys.length; at++) batch.put(keys[at], values[at]);
    return batch.write();
  }

  putDurably(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#opened.put(key, value, { sync: true });
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#opened.getSync(key);
  }

  scan(direction: Direction, limit: number): Promise<number> {
    return this.#read({ reverse: direction === 'backward', limit }, SCAN_ENTRIES);
  }

  readFrom(gte: Uint8Array, limit: number): Promise<number> {
    return this.#read({ gte, limit }, limit);
  }

  readonly compact = async (): Promise<void> => {
    await this.#opened.compactRange(new Uint8Array([0]), new Uint8Array([0xff]));
  };

  statistics(): null {
    return null;
  }

  async settle(): Promise<void> {}

  async #read(range: { reverse?: boolean; gte?: Uint8Array; limit: number }, size: number): Promise<number> {
    const iterator = this.#opened.iterator(range);
    let count = 0;
    try {
      for (;;) {
        const entries = await iterator.nextv(size);
        count += entries.length;
        if (entries.length === 0 || count === range.limit) return count;
      }
    } finally {
      await iterator.close();
    }
  }

  get #opened(): ClassicLevel<Uint8Array, Uint8Array> {
    if (this.#level === null) throw new Error('open it first');
    return this.#level;
  }
}

class Lmdb implements Contender {
  #database: RootDatabase<Buffer, Buffer> | null = null;
  readonly compact = null;

  async open(path: string): Promise<void> {
    this.#database = openLmdb<Buffer, Buffer>({
      path,
      keyEncoding: 'binary',
      encoding: 'binary',
      separateFlushed: true,
    });
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  async writeBatch(keys: readonly Uint8Array[], values: readonly Uint8Array[]): Promise<void> {
    const database = this.#opened;
    await database.batch(() => {
      for (let at = 0; at < keys.length; at++) database.put(buffer(keys[at]), buffer(values[at]));
    });
  }

  async putDurably(key: Uint8Array, value: Uint8Array): Promise<void> {
    const committed = this.#opened.put(buffer(key), buffer(value));
    await committed;
    await (committed as Promise<boolean> & { readonly flushed?: Promise<void> }).flushed;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#opened.getBinary(buffer(key));
  }

  async scan(direction: Direction, limit: number): Promise<number> {
    let count = 0;
    for (const _entry of this.#opened.getRange({ reverse: direction === 'backward', limit })) count++;
    return count;
  }

  async readFrom(key: Uint8Array, limit: number): Promise<number> {
    let count = 0;
    for (const _entry of this.#opened.getRange({ start: buffer(key), limit })) count++;
    return count;
  }

  statistics(): null {
    return null;
  }

  async settle(): Promise<void> {}

  get #opened(): RootDatabase<Buffer, Buffer> {
    if (this.#database === null) throw new Error('open it first');
    return this.#database;
  }
}

/** What is handed out already is one: the bench makes keys and values as `Buffer`s. */
function buffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes);
}
