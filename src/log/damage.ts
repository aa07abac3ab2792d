/**
 * What a group's log says about damage. The identity of a damaged entry, index and term, is as good as that of any other:
 * logs are compared by it. Its bytes can't be read until somebody else has given them.
 */
import type { Entry, Index, Term } from './entry.ts';

export interface LogDamage {
  /** The lowest damaged index; infinity: all can be read. */
  readonly firstDamaged: Index;
  readonly damagedCount: number;
  isDamaged(index: Index): boolean;
  /** The lowest damaged index at or above `index`; infinity: there is none. */
  damagedFrom(index: Index): Index;
  /** Of a damaged index: its entry may hold a configuration. */
  mayBeConfiguration(index: Index): boolean;
  /** Takes in a damaged entry, of the same index and term. It is damaged until that is durable. */
  mend(entry: Entry): void;
  /**
   * Drops the entries from `index` on, none of which is or will be committed. They may be there again after a crash, as
   * long as nothing has been appended in their place.
   */
  discard(index: Index): void;
  /**
   * Entries of terms up to this one may have been at the end of the log, may have been acknowledged, and nobody can name
   * them; 0: no such thing has ever happened.
   */
  readonly fenceTerm: Term;
  /** That still matters: the log holds no entry of a later term, which would vouch for all that was committed before. */
  readonly isFenced: boolean;
}

/** Of a log that takes no harm. */
export const NO_DAMAGE: LogDamage = {
  firstDamaged: Number.POSITIVE_INFINITY,
  damagedCount: 0,
  isDamaged: () => false,
  damagedFrom: () => Number.POSITIVE_INFINITY,
  mayBeConfiguration: () => false,
  mend: never,
  discard: never,
  fenceTerm: 0,
  isFenced: false,
};

function never(): never {
  throw new Error('this log takes no harm');
}
