/** What the state machine needs of a store. `Store` of the lsm layer satisfies it. */
import type { Index } from '../log/entry.ts';

export interface KeyValueStore {
  readonly appliedIndex: Index;
  /** The writes that follow belong to this log entry. */
  beginEntry(index: Index): void;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
  /** Deletes the keys `[gte, lt)`, however many there are, by one record. */
  deleteRange(gte: Uint8Array, lt: Uint8Array): void;
  /** A view, valid until control returns to the event loop; null when there is no such key. */
  get(key: Uint8Array): Uint8Array | null;
  has(key: Uint8Array): boolean;
  /** @param range With `reverse` from its end downwards. */
  iterator(range?: KeyRange & { readonly reverse?: boolean }): KeyValueIterator;
}

export interface KeyRange {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
}

export interface KeyValueIterator {
  next(): boolean;
  key(): Uint8Array;
  value(): Uint8Array;
  /** The next `next` goes to the first key that is not below. */
  seek(key: Uint8Array): void;
  close(): void;
}
