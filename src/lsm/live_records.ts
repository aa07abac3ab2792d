/** The live keys of a store as a cursor of puts: what a raft snapshot carries. */
import type { Index } from '../log/entry.ts';
import { type Cursor, RecordKind } from './record.ts';
import type { StoreIterator } from './store_iterator.ts';

const FIRST_KEY = new Uint8Array(0);

export class LiveRecords implements Cursor {
  readonly #iterator: StoreIterator;
  readonly kind = RecordKind.Put;
  isValid = false;

  constructor(iterator: StoreIterator) {
    this.#iterator = iterator;
  }

  get key(): Uint8Array {
    return this.#iterator.key();
  }

  get sequence(): Index {
    return this.#iterator.sequence();
  }

  get value(): Uint8Array {
    return this.#iterator.value();
  }

  next(): void {
    this.isValid = this.#iterator.next();
  }

  seekToFirst(): void {
    this.seek(FIRST_KEY);
  }

  seek(key: Uint8Array): void {
    this.#iterator.seek(key);
    this.isValid = this.#iterator.next();
  }
}
