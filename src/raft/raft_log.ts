/** What the consensus core needs of a log. `GroupLog` of the log layer satisfies it. */
import type { LogDamage } from '../log/damage.ts';
import type { Entry, Index, Term } from '../log/entry.ts';

export interface RaftLog {
  /** The lowest index that is held; what is below was compacted, or came with a snapshot, and is committed. */
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  /** Every entry up to it can be read and survives a crash. Falls when a suffix is replaced. */
  readonly durableIndex: Index;
  /** From `firstIndex - 1`; 0 for index 0. */
  termAt(index: Index): Term;
  /**
   * Entries from `from` up to, not including, `toExclusive`; at least one, then no more than `maxBytes` of payload. They
   * end before one that is damaged, and may be none then; `damage` knows of one that turns out to be from then on.
   */
  entries(from: Index, toExclusive: Index, maxBytes: number): Entry[];
  /** Buffers the entry; one at or below `lastIndex` replaces the suffix from there on. */
  append(entry: Entry): void;
  /** Drops all entries: a snapshot stands for everything up to `index`, whose entry was of `term`. */
  reset(index: Index, term: Term): void;
  /** What of it can't be read, or is not known any more. */
  readonly damage: LogDamage;
}
