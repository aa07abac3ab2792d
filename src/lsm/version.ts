/**
 * The tables at one moment: runs, newest first. Never changed; reference-counted, because whoever iterates still needs the
 * tables that a compaction has replaced.
 *
 * A run is a list of tables in order of keys that do not overlap: of a key each run holds one place. Level 0 holds any
 * number of runs, a higher number of the run being newer; each deeper level is one run and older than all above it. What a
 * run holds of a key is newer than what the runs behind it hold.
 */
import { assert } from '../base/assert.ts';
import { compareBehind, compareBytes, sharedBytes } from '../codec/bytes.ts';
import { firstEndingBehind, type Table } from './table.ts';

export class Run {
  readonly level: number;
  /** In level 0 its age: a higher one is newer. */
  readonly number: number;
  /** Ascending; never empty. */
  readonly tables: readonly Table[];
  readonly sizeBytes: number;
  /** Bytes that all borders begin with, so all keys within do. */
  readonly #share: number;

  constructor(level: number, number: number, tables: readonly Table[]) {
    assert(tables.length > 0, 'a run holds tables', { level, number });
    this.level = level;
    this.number = number;
    this.tables = tables;
    let bytes = 0;
    for (let at = 0; at < tables.length; at++) {
      bytes += tables[at].sizeBytes;
      if (at > 0 && compareBytes(tables[at - 1].end, tables[at].low) > 0) {
        assert(false, 'tables of a run do not overlap', { level, table: tables[at].number });
      }
    }
    this.sizeBytes = bytes;
    this.#share = sharedBytes(tables[0].low, tables[tables.length - 1].end);
  }

  /** The only table that can hold something of the key. */
  tableFor(key: Uint8Array): Table | null {
    const { tables } = this;
    // The filter says no faster than two comparisons would.
    if (tables.length === 1 && tables[0].damage === null) return tables[0];
    const share = this.#share;
    if (sharedBytes(tables[0].low, key) < share) return null;
    let low = 0;
    let high = tables.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBehind(tables[middle].end, key, share) <= 0) low = middle + 1;
      else high = middle;
    }
    return low < tables.length && compareBehind(tables[low].low, key, share) <= 0 ? tables[low] : null;
  }

  /** Tables that may hold something within `[low, end)`; null: no such border. */
  overlapping(low: Uint8Array | null, end: Uint8Array | null): Table[] {
    const found: Table[] = [];
    for (let at = low === null ? 0 : firstEndingBehind(this.tables, low); at < this.tables.length; at++) {
      const table = this.tables[at];
      if (end !== null && compareBytes(table.low, end) >= 0) break;
      found.push(table);
    }
    return found;
  }
}

/** A table and where it stands. */
export interface Placed {
  readonly level: number;
  readonly run: number;
  readonly table: Table;
}

export class Version {
  /** From new to old. */
  readonly runs: readonly Run[];
  #holders = 1;

  /** Held once by its maker. */
  constructor(runs: readonly Run[]) {
    this.runs = runs;
    for (const run of runs) for (const table of run.tables) table.hold();
  }

  /** In any order. */
  static of(placed: readonly Placed[]): Version {
    const groups = new Map<string, Placed[]>();
    for (const one of placed) {
      const name = one.level === 0 ? `0 ${one.run}` : `${one.level}`;
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [one]);
      else group.push(one);
    }
    const runs = [...groups.values()].map((group) => {
      const tables = group.map(({ table }) => table).sort((a, b) => compareBytes(a.low, b.low));
      return new Run(group[0].level, group[0].run, tables);
    });
    return new Version(runs.sort((a, b) => a.level - b.level || b.number - a.number));
  }

  /** All tables with their places. */
  placed(): Placed[] {
    return this.runs.flatMap(({ level, number, tables }) =>
      tables.map((table) => ({ level, run: number, table })),
    );
  }

  /** Tables that are known to be damaged; only with quarantine. */
  get quarantined(): readonly Table[] {
    return this.placed()
      .map(({ table }) => table)
      .filter(({ damage }) => damage !== null);
  }

  hold(): this {
    assert(this.#holders > 0, 'a released version is not held again');
    this.#holders++;
    return this;
  }

  release(): void {
    this.#holders--;
    assert(this.#holders >= 0, 'a version is released as often as it was held');
    if (this.#holders > 0) return;
    for (const run of this.runs) for (const table of run.tables) table.release();
  }
}
