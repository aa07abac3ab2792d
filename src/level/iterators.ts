/**
 * Level's iterators: each is a cursor of the store, whose reads are synchronous. A reader of many items gives way to the rest
 * of the process every two milliseconds.
 */
import { AbstractIterator, AbstractKeyIterator, AbstractValueIterator } from 'abstract-level';
import { compareBytes } from '../codec/bytes.ts';
import type { Cursor } from '../embedded/cursor.ts';
import type { Bounds } from '../embedded/range.ts';
import { Turns } from '../embedded/turns.ts';
import { abortError, levelError } from './errors.ts';
import { bytesOf, type Data, type Format, type Readers } from './formats.ts';
import type { EnvelopeSnapshot } from './snapshot.ts';

/** What `abstract-level` hands on of the options of iterators and of `clear`. */
export interface WalkOptions {
  readonly gt?: Data;
  readonly gte?: Data;
  readonly lt?: Data;
  readonly lte?: Data;
  readonly reverse: boolean;
  /** -1: none. */
  readonly limit: number;
  readonly keyEncoding: Format;
  readonly valueEncoding: Format;
  readonly keys?: boolean;
  readonly values?: boolean;
  readonly signal?: AbortSignal | null;
  readonly snapshot?: EnvelopeSnapshot | null;
}

/** Of `gt` and `gte`, and of `lt` and `lte`, the second counts, as everywhere in Level. */
export function boundsOf({ gt, gte, lt, lte }: WalkOptions): Bounds<Data> {
  return {
    ...(gte !== undefined ? { gte } : gt !== undefined ? { gt } : {}),
    ...(lte !== undefined ? { lte } : lt !== undefined ? { lt } : {}),
  };
}

/** What the three kinds of iterators have in common. The limit is kept by `abstract-level`. */
export class Walk<T> {
  readonly #cursor: Cursor<Data, Data>;
  readonly #item: (cursor: Cursor<Data, Data>) => T;
  readonly #bounds: Bounds<Data>;
  readonly #signal: AbortSignal | null;
  readonly #turns = new Turns();
  /** A `seek` went out of range. */
  #isOutside = false;

  constructor(readers: Readers, options: WalkOptions, item: (cursor: Cursor<Data, Data>) => T) {
    const { keyEncoding, valueEncoding, reverse, signal } = options;
    this.#bounds = boundsOf(options);
    this.#cursor = readers.forEntries(keyEncoding, valueEncoding).cursor({ ...this.#bounds, reverse });
    this.#item = item;
    this.#signal = signal ?? null;
  }

  async next(): Promise<T | undefined> {
    if (this.#signal !== null) await this.#mayBeAborted(this.#signal);
    const item = this.#read();
    if (this.#turns.isOver()) await this.#turns.next();
    return item;
  }

  /** As many as there are, and at most `size`. */
  async nextv(size: number): Promise<T[]> {
    const items: T[] = [];
    if (this.#signal !== null) await this.#mayBeAborted(this.#signal);
    while (items.length < size) {
      const item = this.#read();
      if (item === undefined) break;
      items.push(item);
      if (!this.#turns.isOver()) continue;
      await this.#turns.next();
      if (this.#signal !== null) await this.#mayBeAborted(this.#signal);
    }
    return items;
  }

  seek(target: Data): void {
    this.#isOutside = !isWithin(bytesOf(target), this.#bounds);
    try {
      if (!this.#isOutside) this.#cursor.seek(target);
    } catch (error) {
      throw levelError(error);
    }
  }

  close(): void {
    this.#cursor.close();
  }

  #read(): T | undefined {
    try {
      return !this.#isOutside && this.#cursor.next() ? this.#item(this.#cursor) : undefined;
    } catch (error) {
      throw levelError(error);
    }
  }

  /** Who has called has had the time to say so. */
  async #mayBeAborted(signal: AbortSignal): Promise<void> {
    await null;
    if (signal.aborted) throw abortError(signal);
  }
}

function isWithin(key: Uint8Array, { gt, gte, lt, lte }: Bounds<Data>): boolean {
  if (gte !== undefined && compareBytes(key, bytesOf(gte)) < 0) return false;
  if (gt !== undefined && compareBytes(key, bytesOf(gt)) <= 0) return false;
  if (lte !== undefined && compareBytes(key, bytesOf(lte)) > 0) return false;
  return lt === undefined || compareBytes(key, bytesOf(lt)) < 0;
}

type Entry = [Data | undefined, Data | undefined];

/** Over entries, without the halves that the options leave out. */
export function entryWalk(readers: Readers, options: WalkOptions): Walk<Entry> {
  const { keys, values } = options;
  return new Walk(readers, options, (cursor) => [
    keys === false ? undefined : cursor.key,
    values === false ? undefined : cursor.value,
  ]);
}

export function keyWalk(readers: Readers, options: WalkOptions): Walk<Data> {
  return new Walk(readers, options, (cursor) => cursor.key);
}

export function valueWalk(readers: Readers, options: WalkOptions): Walk<Data> {
  return new Walk(readers, options, (cursor) => cursor.value);
}

export class EnvelopeIterator<TDatabase, K, V> extends AbstractIterator<TDatabase, K, V> {
  readonly walk: Walk<Entry>;

  constructor(db: TDatabase, options: WalkOptions, walk: Walk<Entry>) {
    super(db, options as object);
    this.walk = walk;
  }
}

export class EnvelopeKeyIterator<TDatabase, K> extends AbstractKeyIterator<TDatabase, K> {
  readonly walk: Walk<Data>;

  constructor(db: TDatabase, options: WalkOptions, walk: Walk<Data>) {
    super(db, options as object);
    this.walk = walk;
  }
}

export class EnvelopeValueIterator<TDatabase, K, V> extends AbstractValueIterator<TDatabase, K, V> {
  readonly walk: Walk<Data>;

  constructor(db: TDatabase, options: WalkOptions, walk: Walk<Data>) {
    super(db, options as object);
    this.walk = walk;
  }
}

interface Walking {
  readonly walk: Walk<unknown>;
}

/** What `abstract-level` asks of each of them. */
const PRIVATE_METHODS = {
  _next(this: Walking): Promise<unknown> {
    return this.walk.next();
  },
  _nextv(this: Walking, size: number): Promise<unknown[]> {
    return this.walk.nextv(size);
  },
  _seek(this: Walking, target: Data): void {
    this.walk.seek(target);
  },
  async _close(this: Walking): Promise<void> {
    this.walk.close();
  },
};
for (const { prototype } of [EnvelopeIterator, EnvelopeKeyIterator, EnvelopeValueIterator]) {
  Object.assign(prototype, PRIVATE_METHODS);
}
