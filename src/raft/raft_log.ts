/** What the consensus core needs of a log. `GroupLog` of the log layer satisfies it. */
import type { Entry, Index, Term } from '../log/entry.ts';

export interface RaftLog {
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  /** Every entry up to it survives a crash. Falls when a suffix is replaced. */
  readonly durableIndex: Index;
  /** 0 for index 0. */
  termAt(index: Index): Term;
  /** Entries from `from` up to, not including, `toExclusive`; at least one, then no more than `maxBytes` of payload. */
  entries(from: Index, toExclusive: Index, maxBytes: number): Entry[];
  /** Buffers the entry; one at or below `lastIndex` replaces the suffix from there on. */
  append(entry: Entry): void;
}
