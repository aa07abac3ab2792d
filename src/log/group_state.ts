/**
 * Where the entries of one group are: term, place and payload size by index, in pages of typed arrays, so that an entry
 * costs twenty bytes and no object. Shared by the log, which moves durability on, and the group's `GroupLog`.
 */
import { assert } from '../base/assert.ts';
import type { EntryKind, GroupId, Index, Term } from './entry.ts';
import { Holes } from './holes.ts';

/** Pages are made as a whole, and many a log is short: 20 KiB. */
const PAGE_ENTRIES = 1024;
const PAGE_MASK = PAGE_ENTRIES - 1;

/** Of an entry. Not by a shift: an index may be above 2^32. */
function pageOf(index: Index): number {
  return Math.floor((index - 1) / PAGE_ENTRIES);
}

interface Page {
  readonly terms: Float64Array;
  readonly segments: Uint32Array;
  /** In units of eight bytes. */
  readonly offsets: Uint32Array;
  readonly payloadBytes: Uint32Array;
}

/** Where a record is. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly payloadBytes: number;
}

export class GroupState {
  readonly group: GroupId;
  /** Entries whose identity is known and whose bytes are damaged. */
  readonly holes = new Holes();
  /** Those whose second record waits to be durable. */
  readonly mending = new Set<Index>();
  /** Where entries that were damaged stand a second time. The pages keep their first places: those ascend with the index. */
  readonly #mended = new Map<Index, Place>();
  /**
   * Recovery has met bytes that it can't name and, of this group, nothing behind them: entries may be missing at its end,
   * also such as replaced what is left. Ends with a fence or a reset.
   */
  isOpen = false;
  /** See `isFenced`; 0: there never was a fence. */
  fenceTerm: Term = 0;
  /** Where the fence stands. */
  fenceSegment = 0;
  /** Lowest index held; the entries below were compacted, or a snapshot stands for them. */
  firstIndex: Index = 1;
  /** Of the entry at `firstIndex - 1`; 0 when that is 0. */
  #baseTerm: Term = 0;
  /** The segments before this one hold nothing that is needed of what is at or before `firstIndex - 1`. 0: no entries. */
  baseSegment = 0;
  lastIndex: Index = 0;
  lastTerm: Term = 0;
  /** Never above `lastIndex`; falls when a suffix is replaced. */
  durableIndex: Index = 0;
  /** What `durableIndex` becomes when the sync in flight completes; falls with a replaced suffix as well. */
  writtenIndex: Index = 0;
  /** Number of the batch with the last reset; 0: that is durable, or there was none since the log was opened. */
  resetBatch = 0;
  /** Among the groups of the batch that is being gathered. */
  isInBatch = false;
  #pages: Page[] = [];
  /** Number of the first of them. */
  #firstPage = 0;

  constructor(group: GroupId) {
    this.group = group;
  }

  /** Why an entry with this index and term can't come next, for people; null when it can. */
  objection(index: Index, term: Term): string | null {
    if (!Number.isSafeInteger(index) || index < this.firstIndex || index > this.lastIndex + 1) {
      return `index ${index} of group ${this.group} does not continue a log of the indices ${this.firstIndex} to ${this.lastIndex}`;
    }
    const before = this.termAt(index - 1);
    if (!Number.isSafeInteger(term) || term < before) {
      return `term ${term} of index ${index} of group ${this.group} follows the later term ${before}`;
    }
    return null;
  }

  /** Takes note of an entry that `objection` does not object to; drops the suffix from its index on. */
  append(index: Index, term: Term, segment: number, offset: number, payloadBytes: number): void {
    if (this.baseSegment === 0) this.baseSegment = segment;
    if (this.durableIndex >= index) this.durableIndex = index - 1;
    if (this.writtenIndex >= index) this.writtenIndex = index - 1;
    this.#forgetFrom(index);
    const page = this.#pageFor(index);
    const slot = (index - 1) & PAGE_MASK;
    page.terms[slot] = term;
    page.segments[slot] = segment;
    page.offsets[slot] = offset / 8;
    page.payloadBytes[slot] = payloadBytes;
    this.lastIndex = index;
    this.lastTerm = term;
  }

  /** Everything up to `index`, whose entry was of `term`, is void; `segment` is where that is written. */
  reset(index: Index, term: Term, segment: number): void {
    this.#forgetFrom(0);
    this.isOpen = false;
    this.firstIndex = index + 1;
    this.#baseTerm = term;
    this.baseSegment = segment;
    this.lastIndex = index;
    this.lastTerm = term;
    this.durableIndex = index;
    this.writtenIndex = index;
    this.#pages = [];
    this.#firstPage = pageOf(index + 1);
  }

  /** Forgets the entries up to `index`, one of them. */
  compact(index: Index): void {
    this.#baseTerm = this.termAt(index);
    this.baseSegment = this.segmentAt(index);
    this.firstIndex = index + 1;
    this.holes.dropTo(index);
    for (const mended of this.#mended.keys()) if (mended <= index) this.#mended.delete(mended);
    // The page of the next entry stays, or is made.
    const unused = Math.min(pageOf(index + 1) - this.#firstPage, this.#pages.length);
    this.#pages.splice(0, unused);
    this.#firstPage += unused;
  }

  /** Takes note of a damaged entry at the end. `kind`: null when that is lost as well. */
  appendDamaged(index: Index, term: Term, place: Place, kind: EntryKind | null): void {
    this.append(index, term, place.segment, place.offset, place.payloadBytes);
    this.holes.add(index, kind);
  }

  /** A damaged entry stands, intact, at another place. Nothing happens when it has been replaced meanwhile. */
  mend(index: Index, term: Term, place: Place): boolean {
    if (!this.holes.has(index) || this.termAt(index) !== term) return false;
    this.holes.remove(index);
    this.#mended.set(index, place);
    this.#page(index).payloadBytes[(index - 1) & PAGE_MASK] = place.payloadBytes;
    return true;
  }

  /** Drops the entries from `index` on, of which none is committed. */
  truncate(index: Index): void {
    assert(index >= this.firstIndex && index <= this.lastIndex, 'what is dropped is in the log', { index });
    this.#forgetFrom(index);
    this.lastTerm = this.termAt(index - 1);
    this.lastIndex = index - 1;
    this.durableIndex = Math.min(this.durableIndex, this.lastIndex);
    this.writtenIndex = Math.min(this.writtenIndex, this.lastIndex);
  }

  /** From here on, until an entry of a later term is held, what is there may lack entries that once were acknowledged. */
  fence(term: Term, segment: number): void {
    this.isOpen = false;
    this.fenceTerm = Math.max(this.fenceTerm, term);
    this.fenceSegment = segment;
  }

  /** Entries of terms up to `fenceTerm` may have been here, were perhaps acknowledged, and are not known any more. */
  get isFenced(): boolean {
    return this.fenceTerm > 0 && this.lastTerm <= this.fenceTerm;
  }

  /** Every entry up to it can be read and survives a crash. */
  get readableIndex(): Index {
    return Math.min(this.durableIndex, this.holes.first - 1);
  }

  /** Where the record to read is instead of the first one; null: that one is to be read. */
  mendedAt(index: Index): Place | null {
    return this.#mended.size === 0 ? null : (this.#mended.get(index) ?? null);
  }

  #forgetFrom(index: Index): void {
    this.holes.dropFrom(index);
    if (this.#mended.size === 0) return;
    for (const mended of this.#mended.keys()) if (mended >= index) this.#mended.delete(mended);
  }

  /** From `firstIndex - 1`; 0 for index 0. */
  termAt(index: Index): Term {
    if (!(index >= this.firstIndex - 1 && index <= this.lastIndex)) {
      const { group, lastIndex } = this;
      assert(false, 'the index is in the log', { group, index, lastIndex });
    }
    return index < this.firstIndex ? this.#baseTerm : this.#page(index).terms[(index - 1) & PAGE_MASK];
  }

  segmentAt(index: Index): number {
    return this.#page(index).segments[(index - 1) & PAGE_MASK];
  }

  /** Where the last entry is, or what stands for it. Needed as long as there is none behind it. */
  get lastSegment(): number {
    return this.lastIndex < this.firstIndex ? this.baseSegment : this.segmentAt(this.lastIndex);
  }

  /** Of the entry that is the first in that segment or behind it; `lastIndex` if there is none. */
  firstIndexIn(segment: number): Index {
    let low = this.firstIndex;
    let high = Math.max(low, this.lastIndex);
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (this.segmentAt(middle) >= segment) high = middle;
      else low = middle + 1;
    }
    return Math.min(low, this.lastIndex);
  }

  /** Offset of the record in its segment, in bytes. */
  offsetAt(index: Index): number {
    return this.#page(index).offsets[(index - 1) & PAGE_MASK] * 8;
  }

  payloadBytesAt(index: Index): number {
    return this.#page(index).payloadBytes[(index - 1) & PAGE_MASK];
  }

  #page(index: Index): Page {
    assert(index >= this.firstIndex && index <= this.lastIndex, 'the index is in the log', {
      group: this.group,
      index,
      lastIndex: this.lastIndex,
    });
    return this.#pages[pageOf(index) - this.#firstPage];
  }

  #pageFor(index: Index): Page {
    const number = pageOf(index) - this.#firstPage;
    if (number === this.#pages.length) {
      this.#pages.push({
        terms: new Float64Array(PAGE_ENTRIES),
        segments: new Uint32Array(PAGE_ENTRIES),
        offsets: new Uint32Array(PAGE_ENTRIES),
        payloadBytes: new Uint32Array(PAGE_ENTRIES),
      });
    }
    return this.#pages[number];
  }
}
