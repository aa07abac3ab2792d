/**
 * A log in memory that crashes as the real one does. It is a sequence of records, of which a first part is durable. A
 * record at or below the last index supersedes the suffix from there on; so a crash that loses such a record brings
 * back what it had superseded.
 */
import { assert } from '../../src/base/assert.ts';
import { type LogDamage, NO_DAMAGE } from '../../src/log/damage.ts';
import type { Entry, Index, Term } from '../../src/log/entry.ts';
import type { RaftLog } from '../../src/raft/raft_log.ts';

export class ModelLog implements RaftLog {
  durableIndex: Index;
  /** What the durable records say. */
  #durable: readonly Entry[];
  /** Records behind them, oldest first. */
  #pending: Entry[] = [];
  /** What all records say. */
  #entries: Entry[];

  constructor(durable: readonly Entry[] = []) {
    this.#durable = durable;
    this.#entries = [...durable];
    this.durableIndex = durable.length;
  }

  /** The model knows no snapshots. */
  readonly firstIndex: Index = 1;

  /** Nor damage. */
  readonly damage: LogDamage = NO_DAMAGE;

  reset(): never {
    throw new Error('the model knows no snapshots');
  }

  get lastIndex(): Index {
    return this.#entries.length;
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  get durable(): readonly Entry[] {
    return this.#durable;
  }

  get pending(): readonly Entry[] {
    return this.#pending;
  }

  get all(): readonly Entry[] {
    return this.#entries;
  }

  termAt(index: Index): Term {
    assert(index >= 0 && index <= this.lastIndex, 'the index is in the log', { index });
    return index === 0 ? 0 : this.#entries[index - 1].term;
  }

  entries(from: Index, toExclusive: Index): Entry[] {
    assert(from >= 1 && from <= toExclusive && toExclusive <= this.lastIndex + 1, 'the range is in the log');
    return this.#entries.slice(from - 1, toExclusive - 1);
  }

  append(entry: Entry): void {
    assert(entry.index >= 1 && entry.index <= this.lastIndex + 1, 'a log has no gaps', {
      index: entry.index,
    });
    this.durableIndex = Math.min(this.durableIndex, entry.index - 1);
    this.#pending.push(entry);
    supersede(this.#entries, entry);
  }

  /** The first `records` of the pending records become durable. */
  sync(records: number): void {
    assert(records >= 1 && records <= this.#pending.length, 'what is synced was pending', { records });
    const durable = [...this.#durable];
    for (const record of this.#pending.splice(0, records)) supersede(durable, record);
    this.#durable = durable;
    this.durableIndex = durable.length;
    for (const { index } of this.#pending) this.durableIndex = Math.min(this.durableIndex, index - 1);
  }

  /** The log that is found after a crash which kept the first `kept` of the pending records. */
  afterCrash(kept: number): ModelLog {
    const entries = [...this.#durable];
    for (const record of this.#pending.slice(0, kept)) supersede(entries, record);
    return new ModelLog(entries);
  }
}

function supersede(entries: Entry[], record: Entry): void {
  entries.length = record.index - 1;
  entries.push(record);
}
