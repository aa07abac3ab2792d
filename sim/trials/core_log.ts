/**
 * A log in memory for consensus cores on trial: what is appended becomes durable batch by batch, and a crash brings back
 * what was durable last, also a suffix whose replacement was not.
 */
import { assert } from '../../src/base/assert.ts';
import { type LogDamage, NO_DAMAGE } from '../../src/log/damage.ts';
import type { Entry, Index, Term } from '../../src/log/entry.ts';
import type { RaftLog } from '../../src/raft/raft_log.ts';

interface Content {
  /** Index and term of what stands before the first entry. */
  readonly base: { readonly index: Index; readonly term: Term };
  readonly entries: readonly Entry[];
}

const EMPTY: Content = { base: { index: 0, term: 0 }, entries: [] };

export class CoreLog implements RaftLog {
  #live: Content = EMPTY;
  #durable: Content = EMPTY;
  durableIndex: Index = 0;
  readonly damage: LogDamage = NO_DAMAGE;

  get firstIndex(): Index {
    return this.#live.base.index + 1;
  }

  get lastIndex(): Index {
    return this.#live.base.index + this.#live.entries.length;
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  /** Something is not durable yet. */
  get isDirty(): boolean {
    return this.#live !== this.#durable;
  }

  termAt(index: Index): Term {
    const { base } = this.#live;
    return index === base.index ? base.term : this.entry(index).term;
  }

  entry(index: Index): Entry {
    const { base, entries } = this.#live;
    const entry = entries[index - base.index - 1];
    assert(entry !== undefined, 'the log holds what it is asked for', { index, base: base.index });
    return entry;
  }

  entries(from: Index, toExclusive: Index, maxBytes: number): Entry[] {
    const found: Entry[] = [];
    let bytes = 0;
    for (let index = from; index < toExclusive; index++) {
      const entry = this.entry(index);
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  append(entry: Entry): void {
    const { base, entries } = this.#live;
    const at = entry.index - base.index - 1;
    assert(at >= 0 && at <= entries.length, 'the log has no gaps', { index: entry.index });
    this.#live = { base, entries: [...entries.slice(0, at), entry] };
    this.durableIndex = Math.min(this.durableIndex, entry.index - 1);
  }

  /** Durable at once, as the file of a snapshot is by then. */
  reset(index: Index, term: Term): void {
    this.#live = { base: { index, term }, entries: [] };
    this.#durable = this.#live;
    this.durableIndex = index;
  }

  /** Everything up to `index` is dropped, as far as it is durable. */
  compact(index: Index): void {
    const end = Math.min(index, this.durableIndex);
    if (end < this.firstIndex) return;
    const base = { index: end, term: this.termAt(end) };
    this.#durable = shortened(this.#durable, base);
    this.#live = shortened(this.#live, base);
  }

  /** What becomes durable when the write that begins now has ended. */
  begin(): Content {
    return this.#live;
  }

  end(batch: Content): void {
    // What a snapshot has replaced meanwhile is of no use any more.
    if (batch.base.index + batch.entries.length < this.#live.base.index) return;
    this.#durable = shortened(batch, this.#live.base);
    let index = this.#live.base.index;
    const { entries } = this.#durable;
    while (index < this.lastIndex && entries[index - this.#live.base.index] === this.entry(index + 1))
      index++;
    this.durableIndex = Math.max(this.durableIndex, index);
    if (index === this.lastIndex && entries.length === this.#live.entries.length) this.#live = this.#durable;
  }

  crash(): void {
    this.#live = this.#durable;
    this.durableIndex = this.lastIndex;
  }
}

function shortened({ base: before, entries }: Content, base: Content['base']): Content {
  return { base, entries: entries.slice(Math.max(0, base.index - before.index)) };
}
