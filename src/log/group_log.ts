/**
 * One group's view of the shared log: entries by index, appended at the end or over a suffix that a new leader
 * contradicts. The log is append-only: an entry at or below the last index is a new record that supersedes what the
 * older records say from that index on.
 */
import { assert } from '../base/assert.ts';
import type { LogDamage } from './damage.ts';
import { type Entry, EntryKind, type Index, type Term } from './entry.ts';
import type { GroupState } from './group_state.ts';

/** What a group needs of the log that it shares with others. */
export interface EntryStorage {
  /** Buffers a record for the entry and takes note of it in `state`. */
  append(state: GroupState, entry: Entry): void;
  /** Buffers a record that voids all entries of the group, and takes note of it in `state`. */
  reset(state: GroupState, index: Index, term: Term): void;
  /** Buffers a second record for a damaged entry; takes note of it in `state` when that is durable. */
  mend(state: GroupState, entry: Entry): void;
  /** Buffers a record that says that entries of terms up to `term` may be missing, and takes note of it in `state`. */
  fence(state: GroupState, term: Term): void;
  /** `state` needs less than before: segments may have become useless. */
  compacted(): void;
  /** Bytes of all segments, of whatever group. */
  bytes(): number;
  /** The first segment that, with those behind it, has at most so many bytes; the last one at the latest. */
  firstSegmentWithin(bytes: number): number;
  /** Reads an entry that `state` knows. The payload never changes. */
  read(state: GroupState, index: Index): Entry;
  /** As `GroupLog.entries`, of which it has the arguments checked: `state` says so where damage was met. */
  readEntries(state: GroupState, from: Index, toExclusive: Index, maxBytes: number): Entry[];
}

export class GroupLog implements LogDamage {
  readonly #state: GroupState;
  readonly #storage: EntryStorage;

  /**
   * Called, from the completion of a sync, whenever `durableIndex` has advanced or a reset is durable. It may append and
   * flush; an exception that it throws goes to the disk's caller.
   */
  onDurable: (durableIndex: Index) => void = ignore;

  constructor(state: GroupState, storage: EntryStorage) {
    this.#state = state;
    this.#storage = storage;
  }

  /** The lowest index that is held: what is below was compacted, or a snapshot stands for it. */
  get firstIndex(): Index {
    return this.#state.firstIndex;
  }

  /** 0 when the log is empty. */
  get lastIndex(): Index {
    return this.#state.lastIndex;
  }

  /** 0 when the log is empty. */
  get lastTerm(): Term {
    return this.#state.lastTerm;
  }

  /** Every entry up to it can be read and survives a crash. Falls when a suffix is replaced. */
  get durableIndex(): Index {
    return this.#state.readableIndex;
  }

  /** What of it can't be read, or is not known any more. */
  get damage(): LogDamage {
    return this;
  }

  get firstDamaged(): Index {
    return this.#state.holes.first;
  }

  get damagedCount(): number {
    return this.#state.holes.count;
  }

  isDamaged(index: Index): boolean {
    return this.#state.holes.has(index);
  }

  damagedFrom(index: Index): Index {
    return this.#state.holes.nextFrom(index);
  }

  mayBeConfiguration(index: Index): boolean {
    const kind = this.#state.holes.kindOf(index);
    return kind === null || kind === EntryKind.Configuration;
  }

  get fenceTerm(): Term {
    return this.#state.fenceTerm;
  }

  get isFenced(): boolean {
    return this.#state.isFenced;
  }

  /** Goes to the disk with the next `flush` of the log; the entry is damaged until that is durable. */
  mend(entry: Entry): void {
    this.#storage.mend(this.#state, entry);
  }

  discard(index: Index): void {
    this.#state.truncate(index);
  }

  /** Entries at the end may be lost without a name: call `fence`, before anything else is done with the log. */
  get isOpen(): boolean {
    return this.#state.isOpen;
  }

  /**
   * Says so in the log, with the next `flush`. `term` is at least that of any entry which this node has acknowledged;
   * 0: it never has.
   */
  fence(term: Term): void {
    this.#storage.fence(this.#state, term);
  }

  /** What the log takes of the disk, with that of the groups which share it. */
  get storedBytes(): number {
    return this.#storage.bytes();
  }

  /** When it is compacted up to here, the log needs at most so many bytes for this group, or one segment. */
  indexWithin(bytes: number): Index {
    return this.#state.firstIndexIn(this.#storage.firstSegmentWithin(bytes));
  }

  /** Compacting alone cannot bring the log within so many bytes: this group's last entry is too far back. */
  isBehind(bytes: number): boolean {
    return this.#state.lastSegment < this.#storage.firstSegmentWithin(bytes);
  }

  /** The term of the entry at `index`, 0 for index 0; `firstIndex - 1 <= index <= lastIndex`. */
  termAt(index: Index): Term {
    return this.#state.termAt(index);
  }

  /**
   * The entry at `index`, `firstIndex <= index <= lastIndex`. Its payload is the caller's to keep, not to write to.
   * @throws CorruptionError when its bytes are not what was written; DiskError when they can't be read.
   */
  entry(index: Index): Entry {
    return this.#storage.read(this.#state, index);
  }

  /**
   * The entries from `from` up to, not including, `toExclusive` (at most `lastIndex + 1`): the first, then as many as
   * keep the sum of their payloads within `maxBytes`. Where damage is named, they end before the first whose bytes turn out
   * not to be what was written, which is damaged from then on as if a start had found it: none, when that is `from`.
   * @throws CorruptionError on damage that is not to be named; DiskError when the disk can't read.
   */
  entries(from: Index, toExclusive: Index, maxBytes: number): Entry[] {
    const state = this.#state;
    assert(
      from >= state.firstIndex && from <= toExclusive && toExclusive <= state.lastIndex + 1,
      'the range is in the log',
      { group: state.group, from, toExclusive, lastIndex: state.lastIndex },
    );
    return this.#storage.readEntries(state, from, toExclusive, maxBytes);
  }

  /**
   * Buffers the entry, of which a copy is taken, for the next `flush` of the log. Its index is between `firstIndex` and
   * `lastIndex + 1`; one at or below `lastIndex` replaces the suffix from there on. Terms never fall along the log.
   */
  append(entry: Entry): void {
    this.#storage.append(this.#state, entry);
  }

  /**
   * Forgets the entries up to `index`, which are durable and nobody needs any more. Segments that hold no other are removed
   * in the background; entries that are still there at the next start may be seen again.
   */
  compact(index: Index): void {
    const state = this.#state;
    if (index < state.firstIndex) return;
    assert(index <= state.durableIndex, 'only what is durable is compacted', {
      index,
      durable: state.durableIndex,
    });
    const readable = state.readableIndex;
    state.compact(index);
    this.#storage.compacted();
    // What stood in the way is gone.
    if (state.readableIndex > readable) this.onDurable(state.readableIndex);
  }

  /**
   * Voids all entries: a snapshot, durable elsewhere, stands for everything up to `index`, whose entry was of `term`. Goes
   * to the disk with the next `flush` of the log; whoever installs the snapshot does it again if that is lost.
   * `durableIndex` is `index` at once.
   */
  reset(index: Index, term: Term): void {
    this.#storage.reset(this.#state, index, term);
  }

  /** Nobody has to do the last `reset` again after a crash. */
  get isResetDurable(): boolean {
    return this.#state.resetBatch === 0;
  }
}

function ignore(): void {}
