/** All records of a table, in order. Works on checked copies of the blocks, so it may rest between turns. */
import type { Index } from '../log/entry.ts';
import type { BlockReader } from './block_reader.ts';
import { type Cursor, RecordKind } from './record.ts';
import type { TableReader } from './table_reader.ts';

const EMPTY = new Uint8Array(0);

export class TableCursor implements Cursor {
  readonly #table: TableReader;
  #block = 0;
  /** Null when no block is open. */
  #reader: BlockReader | null = null;

  constructor(table: TableReader) {
    this.#table = table;
  }

  get isValid(): boolean {
    return this.#reader?.isValid ?? false;
  }

  get key(): Uint8Array {
    return this.#reader?.key ?? EMPTY;
  }

  get sequence(): Index {
    return this.#reader?.sequence ?? 0;
  }

  get kind(): RecordKind {
    return this.#reader?.kind ?? RecordKind.Put;
  }

  get value(): Uint8Array {
    return this.#reader?.value ?? EMPTY;
  }

  next(): void {
    if (this.#reader === null) return;
    this.#reader.next();
    if (!this.#reader.isValid && this.#block + 1 < this.#table.blocks)
      this.#open(this.#block + 1).seekToFirst();
  }

  seekToFirst(): void {
    this.#open(0).seekToFirst();
  }

  seek(key: Uint8Array): void {
    const block = this.#table.blockFor(key);
    if (block < this.#table.blocks) this.#open(block).seek(key);
    else this.#reader = null;
  }

  #open(block: number): BlockReader {
    const reader = this.#table.copyBlock(block);
    this.#block = block;
    this.#reader = reader;
    return reader;
  }
}
