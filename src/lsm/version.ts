/**
 * The tables at one moment, newest first. Never changed; reference-counted, because whoever iterates still needs the
 * tables that a merge has replaced.
 */
import { assert } from '../base/assert.ts';
import type { TableReader } from './table_reader.ts';

/** A table and how many versions hold it. When none does any more it is closed, and its file is removed if it is obsolete. */
export class Table {
  readonly reader: TableReader;
  readonly #onUnused: (table: Table) => void;
  #holders = 0;

  constructor(reader: TableReader, onUnused: (table: Table) => void) {
    this.reader = reader;
    this.#onUnused = onUnused;
  }

  get number(): number {
    return this.reader.number;
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    assert(this.#holders > 0, 'a table is released as often as it was held', { table: this.number });
    this.#holders--;
    if (this.#holders === 0) this.#onUnused(this);
  }
}

export class Version {
  /** From new to old. */
  readonly tables: readonly Table[];
  #holders = 1;

  /** Held once by its maker. */
  constructor(tables: readonly Table[]) {
    this.tables = tables;
    for (const table of tables) table.hold();
  }

  hold(): this {
    assert(this.#holders > 0, 'a released version is not held again');
    this.#holders++;
    return this;
  }

  release(): void {
    this.#holders--;
    assert(this.#holders >= 0, 'a version is released as often as it was held');
    if (this.#holders === 0) for (const table of this.tables) table.release();
  }
}
