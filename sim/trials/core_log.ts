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
  /** The first `count` of these. What stands behind them is of later contents, which share the array. */
  readonly entries: Entry[];
  readonly count: number;
}

export class CoreLog implements RaftLog {
  #live: Content = { base: { index: 0, term: 0 }, entries: [], count: 0 };
  #durable: Content = this.#live;
  durableIndex: Index = 0;
  readonly damage: LogDamage = NO_DAMAGE;

  get firstIndex(): Index {
    return this.#live.base.index + 1;
  }

  get lastIndex(): Index {
    return this.#live.base.index + this.#live.count;
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
    const { base, entries, count } = this.#live;
    const at = index - base.index - 1;
    if (!(at >= 0 && at < count)) {
      assert(false, 'the log holds what it is asked for', { index, base: base.index });
    }
    return entries[at];
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
    const { base, entries, count } = this.#live;
    const at = entry.index - base.index - 1;
    if (!(at >= 0 && at <= count)) assert(false, 'the log has no gaps', { index: entry.index });
    // Copied only where something else stands behind: an entry costs no copy of the log.
    const shared = at === entries.length ? entries : entries.slice(0, at);
    shared.push(entry);
    this.#live = { base, entries: shared, count: at + 1 };
    this.durableIndex = Math.min(this.durableIndex, entry.index - 1);
  }

  /** Durable at once, as the file of a snapshot is by then. */
  reset(index: Index, term: Term): void {
    this.#live = { base: { index, term }, entries: [], count: 0 };
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
    if (batch.base.index + batch.count < this.#live.base.index) return;
    this.#durable = shortened(batch, this.#live.base);
    const { entries, count } = this.#durable;
    const { entries: live, base } = this.#live;
    const end = Math.min(count, this.#live.count);
    // What is durable since an earlier write is in this one, too.
    let same = entries === live ? end : Math.max(0, this.durableIndex - base.index);
    while (same < end && entries[same] === live[same]) same++;
    this.durableIndex = Math.max(this.durableIndex, base.index + same);
    if (same === this.#live.count && count === this.#live.count) this.#live = this.#durable;
  }

  crash(): void {
    this.#live = this.#durable;
    this.durableIndex = this.lastIndex;
  }
}

function shortened(content: Content, base: Content['base']): Content {
  const { base: before, entries, count } = content;
  const left = entries.slice(Math.max(0, base.index - before.index), count);
  return { base, entries: left, count: left.length };
}
