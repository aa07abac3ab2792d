/** The live keys of a store as a cursor of puts: what a raft snapshot carries, and what mends a range. */
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

/** Records of a cursor of puts as if one log entry had written them all. */
export class RecordsAt implements Cursor {
  readonly #records: Cursor;
  readonly kind = RecordKind.Put;
  readonly sequence: Index;

  constructor(records: Cursor, sequence: Index) {
    this.#records = records;
    this.sequence = sequence;
  }

  get isValid(): boolean {
    return this.#records.isValid;
  }

  get key(): Uint8Array {
    return this.#records.key;
  }

  get value(): Uint8Array {
    return this.#records.value;
  }

  next(): void {
    this.#records.next();
  }

  seekToFirst(): void {
    this.#records.seekToFirst();
  }

  seek(key: Uint8Array): void {
    this.#records.seek(key);
  }
}
