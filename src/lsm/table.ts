/**
 * A table of the store: what the manifest says of it, its reader, and who needs it. One whose file is damaged beyond
 * reading still has its place: whoever needs its keys gets the error.
 */
import { assert } from '../base/assert.ts';
import type { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { TableReader } from './table_reader.ts';

/** Everything in a table is about keys `[low, end)`. */
export interface Borders {
  readonly low: Uint8Array;
  readonly end: Uint8Array;
}

export interface TableIdentity extends Borders {
  readonly number: number;
  readonly path: string;
}

/** Held by versions. When none does any more it is closed, and its file is removed if it is obsolete. */
export class Table {
  readonly number: number;
  readonly path: string;
  readonly low: Uint8Array;
  readonly end: Uint8Array;
  readonly #reader: TableReader | null;
  #damage: CorruptionError | null;
  readonly #onUnused: (table: Table) => void;
  #holders = 0;

  /** @param opened The reader, or why there is none. */
  constructor(
    identity: TableIdentity,
    opened: TableReader | CorruptionError,
    onUnused: (table: Table) => void,
  ) {
    this.number = identity.number;
    this.path = identity.path;
    this.low = identity.low;
    this.end = identity.end;
    this.#reader = opened instanceof Error ? null : opened;
    this.#damage = opened instanceof Error ? opened : null;
    this.#onUnused = onUnused;
  }

  /** @throws CorruptionError when the table could not be opened. */
  get reader(): TableReader {
    if (this.#reader === null) throw this.#damage;
    return this.#reader;
  }

  /** For what only describes it; null when it could not be opened. */
  get readerOrNull(): TableReader | null {
    return this.#reader;
  }

  /** The damage that is known of it: compaction leaves it alone. */
  get damage(): CorruptionError | null {
    return this.#damage;
  }

  /** The first error counts. */
  quarantine(damage: CorruptionError): void {
    this.#damage ??= damage;
  }

  get sizeBytes(): number {
    return this.#reader?.sizeBytes ?? 0;
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    assert(this.#holders > 0, 'a table is released as often as it was held', { table: this.number });
    this.#holders--;
    if (this.#holders === 0) this.#onUnused(this);
  }

  closeReader(): void {
    this.#reader?.close();
  }
}

/** Everything in it is about keys `[low, end)`. */
export function isWithin(table: Borders, low: Uint8Array, end: Uint8Array): boolean {
  return compareBytes(table.low, low) >= 0 && compareBytes(table.end, end) <= 0;
}

/**
 * Of tables in order that do not overlap, the place of the first that ends behind the key; their number when there is
 * none.
 */
export function firstEndingBehind(tables: readonly Pick<Borders, 'end'>[], key: Uint8Array): number {
  let low = 0;
  let high = tables.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(tables[middle].end, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
