/**
 * What a group can still know when bytes of the log are lost that nobody can name: any number of records may have stood
 * there, of any group, entries that went on with its log as well as such that replaced a part of it.
 *
 * The group's first entry (j, t) behind the gap decides. What stood at the lower indices when it was written follows
 * from how Raft makes logs: entries of one index and term are the same entry, and so is all before them; terms never
 * fall along a log; a leader only ever appends. The record also carries a mark of the term p of the entry before it.
 * - Where the entry (j - 1, p) stands before the gap, or any entry (i, p), all up to it is certain: who wrote (j - 1, p)
 *   held (i, p). Everything between the two is of term p as well, and is a hole, whatever stood there before.
 * - Without a mark (versions before there were any, or terms too far apart), t serves as p does.
 * - Where the group's log begins at j, there is nothing to be known before it.
 * - Otherwise the term changed inside the gap: some entry behind what is left is of an unknown term, or none is. Or the
 *   group has no entry behind the gap at all. Then its log is open: it is taken to end before the gap, where it once
 *   did end, and what follows in the log is not believed. The node has forgotten what it may have acknowledged, and its
 *   replica fences it off until it cannot matter any more (docs/consensus.md, "Damage").
 */
import type { Index, Term } from './entry.ts';
import type { GroupState, Place } from './group_state.ts';
import { termOfMark } from './record.ts';

export interface Behind {
  readonly index: Index;
  readonly term: Term;
  /** The mark of the term of the entry before. */
  readonly termBefore: number;
}

export class Gaps {
  /** Gaps met so far. */
  count = 0;
  /** How many there were when the group's log was last known for certain. */
  readonly #seen = new Map<GroupState, number>();

  onGap(): void {
    this.count++;
  }

  /** The group appears for the first time: before a gap it may have had entries. */
  onFirst(state: GroupState): void {
    this.#seen.set(state, 0);
  }

  isCertain(state: GroupState): boolean {
    return this.#seen.get(state) === this.count;
  }

  onCertain(state: GroupState): void {
    this.#seen.set(state, this.count);
  }

  /** The log has ended. */
  onEnd(state: GroupState): void {
    if (!this.isCertain(state)) state.isOpen = true;
  }

  /**
   * Brings the group's log up to the entry before `behind`, its first one behind a gap, if that can be known.
   * @param place Of that entry: holes of which no record is left are booked there.
   */
  resolve(state: GroupState, behind: Behind, place: Place): boolean {
    if (state.isOpen) return false;
    const { index, term } = behind;
    const base = state.firstIndex - 1;
    if (index <= base) return false;
    const lower = state.termAt(base);
    const common = termOfMark(behind.termBefore, lower, term) ?? term;
    let kept = Math.min(state.lastIndex, index - 1);
    while (kept > base && state.termAt(kept) > common) kept--;
    // What the log begins behind is committed, nothing replaces it: an entry right behind it needs no proof.
    const isBehindBase = kept === base && index === base + 1;
    if (state.termAt(kept) !== common && !isBehindBase) return this.#open(state);
    for (let at = kept + 1; at < index; at++) {
      state.appendDamaged(at, common, { ...place, payloadBytes: 0 }, null);
    }
    this.onCertain(state);
    return true;
  }

  /**
   * A fence was written behind the entry at `index`, of `term`; what is left of the log may be less by now, or something
   * else. Brings it to that entry, if it holds it.
   */
  resolveFence(state: GroupState, index: Index, term: Term): boolean {
    const base = state.firstIndex - 1;
    if (index < base || index > state.lastIndex) return false;
    if (index > base && state.termAt(index) !== term) return false;
    if (index < state.lastIndex) state.truncate(index + 1);
    this.onCertain(state);
    return true;
  }

  #open(state: GroupState): false {
    state.isOpen = true;
    return false;
  }
}
