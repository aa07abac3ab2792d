/**
 * All records of a table, in order. Works on checked copies of the blocks, so it may rest between turns. As long as it only
 * goes forwards all copies are in the same memory: what was handed out of a block is gone when the cursor has moved to the
 * next. Backwards each has its own: an iterator still hands out a value when it has sent its cursors on.
 */
import type { Index } from '../log/entry.ts';
import type { BlockReader, RecordChecks } from './block_reader.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import type { TableReader } from './table_reader.ts';
import type { ValuePlace } from './value_place.ts';

const EMPTY = new Uint8Array(0);

export class TableCursor implements TwoWayCursor {
  readonly #table: TableReader;
  readonly #checks: RecordChecks;
  #block = 0;
  /** Null when no block is open. */
  #reader: BlockReader | null = null;
  /** For copies, while it goes forwards; null: there was none yet. */
  #buffer: Uint8Array | null = null;
  #isForward = true;

  constructor(table: TableReader, checks: RecordChecks) {
    this.#table = table;
    this.#checks = checks;
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

  get crc(): number {
    return this.#reader?.crc ?? 0;
  }

  verify(): void {
    this.#reader?.verify();
  }

  placeValue(place: ValuePlace): void {
    this.#reader?.placeValue(place);
  }

  next(): void {
    if (this.#reader === null) return;
    this.#reader.next();
    if (!this.#reader.isValid && this.#block + 1 < this.#table.blocks)
      this.#openNext(this.#block + 1).seekToFirst();
  }

  seekToFirst(): void {
    if (this.#table.blocks > 0) this.#open(0).seekToFirst();
    else this.#reader = null;
  }

  seek(key: Uint8Array): void {
    const block = this.#table.blockFor(key);
    if (block < this.#table.blocks) this.#open(block).seek(key);
    else this.#reader = null;
  }

  seekToLast(): void {
    this.#isForward = false;
    this.#reader = null;
    if (this.#table.blocks === 0) return;
    this.#open(this.#table.blocks - 1).seekToLast();
    this.#toNewest();
  }

  /** Cheap when it stands on the key, or on an older version of it, already: as when going backwards key by key. */
  seekBelow(key: Uint8Array): void {
    this.#isForward = false;
    const reader = this.#reader;
    if (reader?.isAt(key)) reader.previous();
    else {
      const block = this.#table.blockFor(key);
      if (block === this.#table.blocks) {
        this.seekToLast();
        return;
      }
      this.#open(block).seekBelow(key);
    }
    this.#leaveEmptyBlock();
    // From an older version of the key its newer ones are met first.
    while (this.#reader?.isAt(key)) this.#previous();
    this.#toNewest();
  }

  /** With one version of each key it is there already. */
  #toNewest(): void {
    if (this.#table.properties.superseded === 0 || !this.isValid) return;
    const key = this.key.slice();
    while (this.#reader?.isAt(key)) this.#previous();
    if (!this.isValid) this.seekToFirst();
    else this.next();
  }

  #previous(): void {
    this.#reader?.previous();
    this.#leaveEmptyBlock();
  }

  /** When it has left a block at its beginning, to the end of the block before. */
  #leaveEmptyBlock(): void {
    if (this.#reader === null || this.#reader.isValid) return;
    if (this.#block === 0) this.#reader = null;
    else this.#open(this.#block - 1).seekToLast();
  }

  #openNext(block: number): BlockReader {
    if (!this.#isForward) return this.#open(block);
    const bytes = this.#table.bytesOf(block);
    // Some more: blocks differ by part of a record.
    if (this.#buffer === null || this.#buffer.length < bytes)
      this.#buffer = new Uint8Array(bytes + (bytes >>> 3));
    const reader = this.#table.copyBlock(block, this.#checks, this.#buffer);
    this.#block = block;
    this.#reader = reader;
    return reader;
  }

  #open(block: number): BlockReader {
    if (this.#reader !== null && this.#block === block) return this.#reader;
    const reader = this.#table.copyBlock(block, this.#checks, null);
    this.#block = block;
    this.#reader = reader;
    return reader;
  }
}
