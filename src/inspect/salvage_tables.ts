/** What can be read of a store's tables, damaged ones included: all records in order, whatever levels they were in. */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import type { BlockReader } from '../lsm/block_reader.ts';
import type { TableEntry } from '../lsm/manifest.ts';
import type { RangeTombstone } from '../lsm/range_tombstones.ts';
import type { Cursor, RecordKind } from '../lsm/record.ts';
import { ANY_KEY, type KeySpan, type Loss } from './loss.ts';
import { type BlockPart, openParts, type TableParts } from './table_parts.ts';

const EMPTY = new Uint8Array(0);
const RECORDS_ARE_LOST =
  'what was written to these keys may be lost, and older values of them, deleted ones too, may have come back';
const RANGES_ARE_LOST = 'what it deleted by ranges may have come back';

export interface SurveyedTable {
  readonly number: number;
  readonly path: string;
  readonly sizeBytes: number;
  /** No record is below; null: it cannot be told. */
  readonly lowKey: Uint8Array | null;
  /** Of its records and range tombstones, as far as they can be read. */
  readonly minSequence: Index;
  readonly maxSequence: Index;
  readonly ranges: readonly RangeTombstone[];
  /** Of its parts beside data blocks: those tell when they are read. */
  readonly losses: readonly Loss[];
  /** All keys that it may be about. */
  readonly span: KeySpan;
}

/** @param entry What the manifest says of it; null: nothing. @throws DiskError */
export function surveyTable(
  disk: Disk,
  path: string,
  number: number,
  entry: TableEntry | null,
  compressions: readonly Compression[],
): SurveyedTable {
  const table = openParts(disk, path, number, compressions);
  try {
    const { properties, ranges } = table;
    const known = properties.ok ? properties.value : null;
    const span = entry === null ? ANY_KEY : { from: entry.low, to: entry.end };
    const { minSequence, maxSequence } = known ?? sequencesIn(table);
    const lowKey = entry?.low ?? (known !== null && known.records > 0 ? known.minKey : null);
    return {
      number,
      path,
      sizeBytes: table.sizeBytes,
      lowKey,
      minSequence,
      maxSequence,
      ranges: ranges.ok ? ranges.value : [],
      losses: lossesOf(table, span),
      span,
    };
  } finally {
    table.close();
  }
}

function lossesOf(table: TableParts, span: KeySpan): Loss[] {
  const { footer, properties, filter, index, ranges } = table;
  const lossOf = (damage: CorruptionError, effect: string, keys: KeySpan | null): Loss => {
    const what = damage.message.slice(damage.message.indexOf(': ') + 2);
    return { path: damage.path, offset: damage.offset, what, effect, keys };
  };
  if (!footer.ok) return [lossOf(footer.damage, RANGES_ARE_LOST, span)];
  const losses: Loss[] = [];
  for (const part of [properties, filter, index]) {
    if (!part.ok) losses.push(lossOf(part.damage, 'it was made again, nothing is lost', null));
  }
  if (!ranges.ok) {
    const hadNone = properties.ok && properties.value.rangeTombstones === 0;
    if (hadNone) losses.push(lossOf(ranges.damage, 'it held none, nothing is lost', null));
    else losses.push(lossOf(ranges.damage, RANGES_ARE_LOST, span));
  }
  return losses;
}

/** Of a table that has lost its properties. */
function sequencesIn(table: TableParts): { minSequence: Index; maxSequence: Index } {
  let minSequence = Number.MAX_SAFE_INTEGER;
  let maxSequence = 0;
  const take = (sequence: Index): void => {
    minSequence = Math.min(minSequence, sequence);
    maxSequence = Math.max(maxSequence, sequence);
  };
  if (table.ranges.ok) for (const { sequence } of table.ranges.value) take(sequence);
  for (const { records } of table.blocks()) {
    if (records === null) continue;
    for (records.seekToFirst(); records.isValid; records.next()) take(records.sequence);
  }
  return maxSequence === 0 ? { minSequence: 0, maxSequence: 0 } : { minSequence, maxSequence };
}

export interface SalvageOptions {
  readonly disk: Disk;
  /** Those that blocks can be read with. */
  readonly compressions: readonly Compression[];
  /** Records of these keys are left out. */
  readonly isUnwanted: (key: Uint8Array) => boolean;
  readonly onLoss: (loss: Loss) => void;
  /** Told the size of each block that has been read. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * All records of all tables: keys ascending, versions of a key by their sequence numbers, the newest first. A table is
 * opened when its first key is due, so that few are open at a time. O(log tables) comparisons a record.
 */
export class SalvageCursor implements Cursor {
  readonly #options: SalvageOptions;
  readonly #tables: readonly SurveyedTable[];
  /** Not opened yet: by their first key, the last one first. */
  #waiting: SurveyedTable[] = [];
  /** A binary heap, the first record on top. */
  readonly #heap: TableRecords[] = [];

  constructor(tables: readonly SurveyedTable[], options: SalvageOptions) {
    this.#tables = tables;
    this.#options = options;
  }

  get isValid(): boolean {
    return this.#heap.length > 0;
  }

  get key(): Uint8Array {
    return this.#heap[0]?.key ?? EMPTY;
  }

  get sequence(): Index {
    return this.#top().sequence;
  }

  get kind(): RecordKind {
    return this.#top().kind;
  }

  get value(): Uint8Array {
    return this.#top().value;
  }

  seekToFirst(): void {
    this.close();
    this.#waiting = [...this.#tables].sort((a, b) => compareBytes(b.lowKey ?? EMPTY, a.lowKey ?? EMPTY));
    this.#settle();
  }

  next(): void {
    this.#advance();
    this.#settle();
  }

  /** O(records): only who goes from the first to the last is expected. */
  seek(key: Uint8Array): void {
    for (this.seekToFirst(); this.isValid && compareBytes(this.key, key) < 0; ) this.next();
  }

  close(): void {
    for (const table of this.#heap) table.close();
    this.#heap.length = 0;
    this.#waiting = [];
  }

  /** To a record that is wanted, all tables that may hold one before it being open. */
  #settle(): void {
    for (;;) {
      this.#openDue();
      if (this.#heap.length === 0 || !this.#options.isUnwanted(this.key)) return;
      this.#advance();
    }
  }

  #openDue(): void {
    for (;;) {
      const table = this.#waiting.at(-1);
      if (table === undefined) return;
      if (this.#heap.length > 0 && compareBytes(table.lowKey ?? EMPTY, this.key) > 0) return;
      this.#waiting.pop();
      const records = new TableRecords(table, this.#options);
      if (records.isValid) this.#push(records);
      else records.close();
    }
  }

  #advance(): void {
    const top = this.#top();
    top.next();
    if (top.isValid) {
      this.#sink(0);
      return;
    }
    top.close();
    const last = this.#heap.pop();
    if (last !== undefined && last !== top) {
      this.#heap[0] = last;
      this.#sink(0);
    }
  }

  #push(records: TableRecords): void {
    const heap = this.#heap;
    let at = heap.push(records) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!isBefore(heap[at], heap[parent])) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(from: number): void {
    const heap = this.#heap;
    let at = from;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child], heap[first])) first = child;
      }
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a];
    this.#heap[a] = this.#heap[b];
    this.#heap[b] = held;
  }

  #top(): TableRecords {
    const [top] = this.#heap;
    if (top === undefined) throw new RangeError('the cursor is behind the last record');
    return top;
  }
}

function isBefore(a: TableRecords, b: TableRecords): boolean {
  const order = compareBytes(a.key, b.key);
  return order === 0 ? a.sequence > b.sequence : order < 0;
}

/** A damaged place whose last key is not known before what follows has been read. */
interface OpenLoss {
  readonly damage: CorruptionError;
  readonly from: Uint8Array | null;
}

/** The records of one table, from the first on; damaged blocks are told and passed over. */
class TableRecords {
  readonly #survey: SurveyedTable;
  readonly #options: SalvageOptions;
  readonly #table: TableParts;
  readonly #blocks: Iterator<BlockPart>;
  #records: BlockReader | null = null;
  /** The last key that is known of what has been read. */
  #lastKey: Uint8Array | null;
  #open: OpenLoss | null = null;

  constructor(survey: SurveyedTable, options: SalvageOptions) {
    this.#survey = survey;
    this.#options = options;
    this.#lastKey = survey.lowKey ?? survey.span.from;
    this.#table = openParts(options.disk, survey.path, survey.number, options.compressions);
    this.#blocks = this.#table.blocks();
    this.#nextBlock();
  }

  get isValid(): boolean {
    return this.#records !== null;
  }

  get key(): Uint8Array {
    return this.#records?.key ?? EMPTY;
  }

  get sequence(): Index {
    return this.#records?.sequence ?? 0;
  }

  get kind(): RecordKind {
    return (this.#records as BlockReader).kind;
  }

  get value(): Uint8Array {
    return this.#records?.value ?? EMPTY;
  }

  next(): void {
    const records = this.#records;
    if (records === null) return;
    this.#move(records, () => records.next());
    if (!records.isValid) this.#nextBlock();
  }

  close(): void {
    this.#table.close();
  }

  #nextBlock(): void {
    if (this.#records !== null) this.#lastKey = this.#records.key.slice();
    this.#records = null;
    for (;;) {
      const { done, value: block } = this.#blocks.next();
      if (done === true) {
        this.#tell(this.#survey.span.to);
        return;
      }
      this.#options.onBytes(block.length);
      if (block.damage !== null) {
        this.#open ??= { damage: block.damage, from: this.#lastKey };
        if (block.lastKey === null) continue;
        this.#tell(block.lastKey);
        this.#lastKey = block.lastKey;
        continue;
      }
      const { records } = block;
      if (records === null) continue;
      this.#move(records, () => records.seekToFirst());
      if (!records.isValid) continue;
      this.#tell(records.key.slice());
      this.#records = records;
      return;
    }
  }

  /** A record that is damaged in a block that is not ends the block. */
  #move(records: BlockReader, move: () => void): void {
    try {
      move();
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#open = { damage: error, from: this.#lastKey };
      records.isValid = false;
    }
  }

  #tell(to: Uint8Array | null): void {
    if (this.#open === null) return;
    const { damage, from } = this.#open;
    this.#open = null;
    const what = damage.message.slice(damage.message.indexOf(': ') + 2);
    const keys = { from, to };
    this.#options.onLoss({ path: damage.path, offset: damage.offset, what, effect: RECORDS_ARE_LOST, keys });
  }
}
