/** All records of the tables of a run, in order: one table is open at a time. */
import type { Index } from '../log/entry.ts';
import type { RecordChecks } from './block_reader.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import { firstEndingBehind } from './table.ts';
import { TableCursor } from './table_cursor.ts';
import type { TableReader } from './table_reader.ts';
import type { ValuePlace } from './value_place.ts';

const EMPTY = new Uint8Array(0);

/** A table, as far as it takes to read it. */
export interface ReadableTable {
  readonly end: Uint8Array;
  /** May throw CorruptionError. */
  readonly reader: TableReader;
}

export class RunCursor implements TwoWayCursor {
  /** Ascending; they do not overlap. */
  readonly #tables: readonly ReadableTable[];
  readonly #checks: RecordChecks;
  #at = 0;
  /** Of the table at hand; null when none is. */
  #cursor: TableCursor | null = null;

  constructor(tables: readonly ReadableTable[], checks: RecordChecks) {
    this.#tables = tables;
    this.#checks = checks;
  }

  get isValid(): boolean {
    return this.#cursor?.isValid ?? false;
  }

  get key(): Uint8Array {
    return this.#cursor?.key ?? EMPTY;
  }

  get sequence(): Index {
    return this.#cursor?.sequence ?? 0;
  }

  get kind(): RecordKind {
    return this.#cursor?.kind ?? RecordKind.Put;
  }

  get value(): Uint8Array {
    return this.#cursor?.value ?? EMPTY;
  }

  get crc(): number {
    return this.#cursor?.crc ?? 0;
  }

  verify(): void {
    this.#cursor?.verify();
  }

  placeValue(place: ValuePlace): void {
    this.#cursor?.placeValue(place);
  }

  next(): void {
    this.#cursor?.next();
    this.#goOn();
  }

  seekToFirst(): void {
    this.#open(0)?.seekToFirst();
    this.#goOn();
  }

  seek(key: Uint8Array): void {
    this.#open(firstEndingBehind(this.#tables, key))?.seek(key);
    this.#goOn();
  }

  seekToLast(): void {
    this.#open(this.#tables.length - 1)?.seekToLast();
    this.#goBack();
  }

  seekBelow(key: Uint8Array): void {
    const at = Math.min(firstEndingBehind(this.#tables, key), this.#tables.length - 1);
    this.#open(at)?.seekBelow(key);
    this.#goBack();
  }

  /** From the end of a table, or one of range tombstones alone, to the next that holds something. */
  #goOn(): void {
    while (this.#cursor !== null && !this.#cursor.isValid) this.#open(this.#at + 1)?.seekToFirst();
  }

  #goBack(): void {
    while (this.#cursor !== null && !this.#cursor.isValid) this.#open(this.#at - 1)?.seekToLast();
  }

  #open(at: number): TableCursor | null {
    if (at === this.#at && this.#cursor !== null) return this.#cursor;
    const table = this.#tables[at];
    this.#at = at;
    this.#cursor = table === undefined ? null : new TableCursor(table.reader, this.#checks);
    return this.#cursor;
  }
}
