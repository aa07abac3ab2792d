/**
 * The newest writes, sorted: nodes in an arena of bytes, in a list by their keys, and an index of them (see
 * `node_index.ts`). No object per key: a node is a place in the arena, on a SharedArrayBuffer so that another thread can
 * go through the list once it is immutable. The index stays with the thread that writes.
 *
 * Node, in 32-bit words: key length | value length | sequence, low 32 bits | sequence, high bits, and kind | word address of
 * the next node (0: none), then the key's and the value's bytes, padded.
 *
 * Versions of a key are ordered from new to old. Nodes are never changed but for their links, so a cursor stays valid
 * while others are added; the arena may move when it grows, the addresses in it do not. Range tombstones are kept beside
 * the list.
 */
import { assert } from '../base/assert.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { KeyClues } from './key_clues.ts';
import { NodeIndex, type NodeKeys } from './node_index.ts';
import { type RangeTombstone, RangeTombstones } from './range_tombstones.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import type { ValuePlace } from './value_place.ts';

const NODE_WORDS = 5;
const LINK = 4;
const WORD_BYTES = 4;
const WORD_SHIFT = 2;
/** The list's head: a node without a key, first in the arena. Address 0 stands for "none". */
const HEAD = 1;
const KIND_SHIFT = 24;
const HIGH_BITS_MASK = (1 << KIND_SHIFT) - 1;
/** What the index takes for a node, about: its leaves are not always full. */
const INDEX_BYTES = 16;
const TWO_TO_32 = 0x1_0000_0000;
/**
 * Room beyond the capacity, as a part of it: the entry that reaches the capacity should fit without a larger arena, into
 * which everything would be copied. The system commits no memory for what is not touched.
 */
const HEADROOM = 0.25;
/**
 * Arenas from a MiB on are made at least this large. What is smaller than 32 MiB, glibc may make of memory that was used
 * before, and clears it at once: milliseconds in one turn. What is larger comes from the system each time, which clears a
 * page when it is touched for the first time.
 */
const LAZY_BYTES = 33 * 1024 * 1024;
const LAZY_FROM_BYTES = 1024 * 1024;
/** What a range tombstone counts beside its keys, in bytes: more than it takes, because many make reads slow. */
const RANGE_OVERHEAD_BYTES = 1024;
const LOOSE_RANGES_MAX = 64;
const EMPTY = new Uint8Array(0);
/** With so many nodes clues are made to fit the keys for the first time, and then whenever a quarter more have come. */
const FIRST_CHOICE = 64;
/** Up to this many bytes a loop copies faster than a call. */
const LOOP_BYTES_MAX = 16;

/** A memtable to which nothing is added any more, as another thread can have it: its bytes are not copied. */
export interface SharedMemtable {
  readonly buffer: SharedArrayBuffer;
  readonly end: number;
  readonly entries: number;
  readonly rangeTombstones: readonly RangeTombstone[];
}

export class Memtable implements NodeKeys {
  #buffer: SharedArrayBuffer;
  #bytes: Uint8Array;
  #words: Int32Array;
  /** First free word. */
  #end: number;
  /** The last node of the list. */
  #tail = HEAD;
  readonly #index = new NodeIndex(this);
  /** False: another thread has it. */
  #hasIndex = true;
  readonly #clues = new KeyClues();
  /** Of the last key. */
  #tailClue = 0;
  /** At how many nodes clues are looked at next. */
  #nextChoice = FIRST_CHOICE;
  /** Iterators that are open over it. */
  #holds = 0;
  /** How large the arena was made. */
  readonly #firstBytes: number;
  /** In the order in which they came, and, of the first `#fragmented` of them, as a set. */
  readonly #rangeTombstones: RangeTombstone[] = [];
  #ranges: RangeTombstones | null = null;
  #fragmented = 0;
  #rangeBytes = 0;
  /** Lowest and highest log index that it holds something of; 0 while empty. */
  firstIndex: Index = 0;
  lastIndex: Index = 0;
  entries = 0;

  /** @param capacityBytes What it should hold; it grows when it must hold more. */
  constructor(capacityBytes: number) {
    this.#firstBytes = arenaBytes(capacityBytes);
    const buffer = new SharedArrayBuffer(this.#firstBytes);
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#end = HEAD + NODE_WORDS;
  }

  /** Empties it: nobody reads it any more, and nobody holds a view of it. */
  clear(): void {
    this.#end = HEAD + NODE_WORDS;
    this.#words[HEAD + LINK] = 0;
    this.#tail = HEAD;
    this.#index.clear();
    this.#nextChoice = FIRST_CHOICE;
    this.#rangeTombstones.length = 0;
    this.#ranges = null;
    this.#fragmented = 0;
    this.#rangeBytes = 0;
    this.firstIndex = 0;
    this.lastIndex = 0;
    this.entries = 0;
  }

  /** An iterator over it was made; to be followed by `release`. */
  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
  }

  /** Once it has been flushed, `clear` makes it as good as a new one: no iterator stands on it, and it has not grown. */
  get isReusable(): boolean {
    return this.#holds === 0 && this.#buffer.byteLength === this.#firstBytes;
  }

  /** What another thread has shared; to be read from its beginning to its end. */
  static of({ buffer, end, entries, rangeTombstones }: SharedMemtable): Memtable {
    const memtable = new Memtable(0);
    memtable.#buffer = buffer;
    memtable.#bytes = new Uint8Array(buffer);
    memtable.#words = new Int32Array(buffer);
    memtable.#end = end;
    memtable.#hasIndex = false;
    memtable.entries = entries;
    memtable.#rangeTombstones.push(...rangeTombstones);
    return memtable;
  }

  /** Nothing may be added from now on. */
  share(): SharedMemtable {
    return {
      buffer: this.#buffer,
      end: this.#end,
      entries: this.entries,
      rangeTombstones: this.#rangeTombstones,
    };
  }

  get usedBytes(): number {
    return this.#end * WORD_BYTES + this.entries * INDEX_BYTES + this.#rangeBytes;
  }

  get isEmpty(): boolean {
    return this.entries === 0 && this.#rangeTombstones.length === 0;
  }

  /** The range tombstones that it holds now, as a set that does not change; null when there is none. */
  get ranges(): RangeTombstones | null {
    if (this.#fragmented < this.#rangeTombstones.length) {
      this.#ranges = RangeTombstones.of(this.#rangeTombstones);
      this.#fragmented = this.#rangeTombstones.length;
    }
    return this.#ranges;
  }

  /** As `RangeTombstones.coverAt`. The newest are looked at one by one: making the set anew for each would cost more. */
  coverAt(key: Uint8Array, visible: Index): Index {
    const tombstones = this.#rangeTombstones;
    if (tombstones.length === 0) return 0;
    if (tombstones.length - this.#fragmented > LOOSE_RANGES_MAX)
      return this.ranges?.coverAt(key, visible) ?? 0;
    // From new to old: the first that covers the key counts.
    for (let at = tombstones.length - 1; at >= this.#fragmented; at--) {
      const { gte, lt, sequence } = tombstones[at];
      if (sequence <= visible && compareBytes(gte, key) <= 0 && compareBytes(lt, key) > 0) return sequence;
    }
    return this.#ranges?.coverAt(key, visible) ?? 0;
  }

  /** Address that the next node gets: above those of all that are there. */
  get end(): number {
    return this.#end;
  }

  /** `sequence` is at least that of any earlier call; a later write of one sequence replaces an earlier one of the key. */
  add(key: Uint8Array, sequence: Index, kind: RecordKind, value: Uint8Array): void {
    // The details are only made when they are needed: this is the hottest path of all.
    if (sequence < this.lastIndex) {
      assert(false, 'entries are applied in order', { sequence, last: this.lastIndex });
    }
    this.#reserve(key.length + value.length);
    const clue = this.#clues.of(key, 0, key.length);
    const index = this.#index;
    // It stands before every older version of the key: a reader finds the newest first.
    let before = this.#tail;
    if (this.#isAboveAll(clue, key)) index.locateEnd();
    else {
      index.locate(clue, key);
      before = index.before || HEAD;
    }
    const words = this.#words;
    const node = this.#end;
    words[node] = key.length;
    words[node + 1] = value.length;
    words[node + 2] = sequence | 0;
    words[node + 3] = Math.floor(sequence / TWO_TO_32) | (kind << KIND_SHIFT);
    words[node + LINK] = words[before + LINK];
    words[before + LINK] = node;
    const keyStart = (node + NODE_WORDS) * WORD_BYTES;
    this.#put(key, keyStart);
    this.#put(value, keyStart + key.length);
    this.#end = node + NODE_WORDS + ((key.length + value.length + WORD_BYTES - 1) >>> WORD_SHIFT);
    index.insert(clue, node);
    if (before === this.#tail) {
      this.#tail = node;
      this.#tailClue = clue;
    }
    if (this.isEmpty) this.firstIndex = sequence;
    this.lastIndex = sequence;
    this.entries++;
    if (this.entries >= this.#nextChoice) this.#fitClues();
  }

  /**
   * Deletes the keys `[gte, lt)`, which it copies. `sequence` as in `add`. What the same sequence has put there before gets
   * tombstones of its own, because a range tombstone hides only what is older.
   */
  addRange(gte: Uint8Array, lt: Uint8Array, sequence: Index): void {
    assert(compareBytes(gte, lt) < 0, 'a range tombstone covers something');
    const hidden: Uint8Array[] = [];
    if (sequence === this.lastIndex) {
      for (let node = this.seek(gte); node !== 0; node = this.after(node)) {
        const key = this.keyAt(node);
        if (compareBytes(key, lt) >= 0) break;
        if (this.sequenceAt(node) === sequence) hidden.push(key.slice());
      }
    }
    for (const key of hidden) this.add(key, sequence, RecordKind.Tombstone, EMPTY);
    if (this.isEmpty) this.firstIndex = sequence;
    this.lastIndex = sequence;
    this.#rangeTombstones.push({ gte: gte.slice(), lt: lt.slice(), sequence });
    this.#rangeBytes += RANGE_OVERHEAD_BYTES + gte.length + lt.length;
  }

  /**
   * Takes out all that the log entry `sequence`, the last that was added, has written. No cursor may have been made since
   * its first write. O(entries).
   */
  removeEntry(sequence: Index): void {
    if (this.lastIndex < sequence) return;
    const words = this.#words;
    this.#index.clear();
    this.#tail = HEAD;
    this.entries = 0;
    for (let node = words[HEAD + LINK]; node !== 0; node = words[node + LINK]) {
      if (this.sequenceAt(node) === sequence) continue;
      this.#tailClue = this.#clueAt(node);
      words[this.#tail + LINK] = node;
      this.#tail = node;
      this.#index.locateEnd();
      this.#index.insert(this.#tailClue, node);
      this.entries++;
    }
    words[this.#tail + LINK] = 0;
    for (let last = this.#rangeTombstones.pop(); last !== undefined; last = this.#rangeTombstones.pop()) {
      if (last.sequence !== sequence) {
        this.#rangeTombstones.push(last);
        break;
      }
      this.#rangeBytes -= RANGE_OVERHEAD_BYTES + last.gte.length + last.lt.length;
    }
    if (this.#fragmented > this.#rangeTombstones.length) {
      this.#ranges = null;
      this.#fragmented = 0;
    }
    this.lastIndex = this.isEmpty ? 0 : sequence - 1;
  }

  /** Address of the newest version of the key; 0 when there is none. */
  find(key: Uint8Array): number {
    const node = this.seek(key);
    return node !== 0 && this.#words[node] === key.length && this.compareKey(node, key) === 0 ? node : 0;
  }

  /** Address of the newest version of the key that is not above `visible`; 0 when there is none. */
  findVisible(key: Uint8Array, visible: Index): number {
    let node = this.find(key);
    while (node !== 0 && this.sequenceAt(node) > visible) {
      node = this.after(node);
      if (node !== 0 && this.compareKey(node, key) !== 0) node = 0;
    }
    return node;
  }

  /** Address of the newest version of the last key that is below; 0 when there is none. */
  below(key: Uint8Array): number {
    this.#locate(key);
    const oldest = this.#index.before;
    return oldest === 0 ? 0 : this.seek(this.keyAt(oldest));
  }

  /** Address of the newest version of the last key; 0 when there is none. */
  last(): number {
    return this.#tail === HEAD ? 0 : this.seek(this.keyAt(this.#tail));
  }

  /** Address of the first node whose key is not below; 0 when there is none. */
  seek(key: Uint8Array): number {
    this.#locate(key);
    return this.#index.behind;
  }

  /** Address behind a node; of the first node for 0. */
  after(node: number): number {
    return this.#words[(node === 0 ? HEAD : node) + LINK];
  }

  keyAt(node: number): Uint8Array {
    const start = (node + NODE_WORDS) * WORD_BYTES;
    return this.#bytes.subarray(start, start + this.#words[node]);
  }

  valueAt(node: number): Uint8Array {
    const start = (node + NODE_WORDS) * WORD_BYTES + this.#words[node];
    return this.#bytes.subarray(start, start + this.#words[node + 1]);
  }

  /** As `valueAt`, without a view. */
  placeValue(node: number, place: ValuePlace): void {
    const start = (node + NODE_WORDS) * WORD_BYTES + this.#words[node];
    place.set(this.#bytes, start, start + this.#words[node + 1]);
  }

  sequenceAt(node: number): Index {
    const low = this.#words[node + 2];
    const high = this.#words[node + 3] & HIGH_BITS_MASK;
    // Most are below 2^31, which needs no arithmetic of floating-point numbers.
    return high === 0 && low >= 0 ? low : (low >>> 0) + high * TWO_TO_32;
  }

  kindAt(node: number): RecordKind {
    return (this.#words[node + 3] >>> KIND_SHIFT) as RecordKind;
  }

  /** Orders the key of a node and this one; see `compareBytes`. */
  compareKey(node: number, key: Uint8Array): number {
    const bytes = this.#bytes;
    const length = this.#words[node];
    const start = (node + NODE_WORDS) * WORD_BYTES;
    const end = Math.min(length, key.length);
    for (let at = 0; at < end; at++) {
      const difference = bytes[start + at] - key[at];
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  #locate(key: Uint8Array): void {
    if (!this.#hasIndex) assert(false, 'what another thread has shared is read from its beginning on');
    this.#index.locate(this.#clues.of(key, 0, key.length), key);
  }

  #isAboveAll(clue: number, key: Uint8Array): boolean {
    if (this.#tail === HEAD || clue > this.#tailClue) return true;
    return clue === this.#tailClue && this.compareKey(this.#tail, key) < 0;
  }

  readonly #clueAt = (node: number): number => {
    const start = (node + NODE_WORDS) * WORD_BYTES;
    return this.#clues.of(this.#bytes, start, start + this.#words[node]);
  };

  /** What the first and the last key have in common, all have. */
  #fitClues(): void {
    this.#nextChoice = this.entries + Math.ceil(this.entries / 4);
    if (!this.#clues.adapt(this.keyAt(this.after(0)), this.keyAt(this.#tail))) return;
    this.#index.renew(this.#clueAt);
    this.#tailClue = this.#clueAt(this.#tail);
  }

  #put(source: Uint8Array, start: number): void {
    const { length } = source;
    if (length > LOOP_BYTES_MAX) {
      this.#bytes.set(source, start);
      return;
    }
    const bytes = this.#bytes;
    for (let at = 0; at < length; at++) bytes[start + at] = source[at];
  }

  /** A log entry is never torn apart between memtables: one that is larger than what is left makes the arena grow. */
  #reserve(payloadBytes: number): void {
    const needed = (this.#end + NODE_WORDS + 1) * WORD_BYTES + payloadBytes;
    if (needed <= this.#bytes.length) return;
    const capacity = Math.ceil(Math.max(needed, 1.5 * this.#bytes.length) / WORD_BYTES) * WORD_BYTES;
    const buffer = new SharedArrayBuffer(capacity);
    const bytes = new Uint8Array(buffer);
    bytes.set(this.#bytes.subarray(0, this.#end * WORD_BYTES));
    this.#buffer = buffer;
    this.#bytes = bytes;
    this.#words = new Int32Array(buffer);
  }
}

function arenaBytes(capacityBytes: number): number {
  const bytes = Math.ceil((capacityBytes * (1 + HEADROOM)) / WORD_BYTES) * WORD_BYTES + 1024;
  return bytes < LAZY_FROM_BYTES ? bytes : Math.max(bytes, LAZY_BYTES);
}

/**
 * The records that a memtable holds when the cursor is made, newest version of a key first. What is added later has
 * higher addresses and is passed over, a later write of the same log entry, too.
 */
export class MemtableCursor implements TwoWayCursor {
  readonly #memtable: Memtable;
  readonly #end: number;
  #node = 0;
  /** Of the node, once they were asked for. */
  #key: Uint8Array | null = null;
  #value: Uint8Array | null = null;

  constructor(memtable: Memtable) {
    this.#memtable = memtable;
    this.#end = memtable.end;
  }

  get isValid(): boolean {
    return this.#node !== 0;
  }

  get key(): Uint8Array {
    this.#key ??= this.#memtable.keyAt(this.#node);
    return this.#key;
  }

  get sequence(): Index {
    return this.#memtable.sequenceAt(this.#node);
  }

  get kind(): RecordKind {
    return this.#memtable.kindAt(this.#node);
  }

  get value(): Uint8Array {
    this.#value ??= this.kind === RecordKind.Put ? this.#memtable.valueAt(this.#node) : EMPTY;
    return this.#value;
  }

  placeValue(place: ValuePlace): void {
    this.#memtable.placeValue(this.#node, place);
  }

  next(): void {
    this.#settle(this.#memtable.after(this.#node));
  }

  seekToFirst(): void {
    this.#settle(this.#memtable.after(0));
  }

  seek(key: Uint8Array): void {
    this.#settle(this.#memtable.seek(key));
  }

  seekToLast(): void {
    this.#settleBack(this.#memtable.last());
  }

  seekBelow(key: Uint8Array): void {
    this.#settleBack(this.#memtable.below(key));
  }

  #settle(from: number): void {
    let node = from;
    while (node >= this.#end) node = this.#memtable.after(node);
    this.#stand(node);
  }

  /** As `#settle`, but a key of which all versions are later gives way to the key before it. */
  #settleBack(from: number): void {
    let newest = from;
    while (newest !== 0) {
      const key = this.#memtable.keyAt(newest);
      let node = newest;
      while (node >= this.#end) node = this.#memtable.after(node);
      if (node === newest || (node !== 0 && compareBytes(this.#memtable.keyAt(node), key) === 0)) {
        this.#stand(node);
        return;
      }
      newest = this.#memtable.below(key);
    }
    this.#stand(0);
  }

  #stand(node: number): void {
    this.#node = node;
    this.#key = null;
    this.#value = null;
  }
}
