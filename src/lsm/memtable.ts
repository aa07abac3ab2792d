/**
 * The newest writes, sorted: a skip list (W. Pugh, 1990) in an arena of bytes. No object per key: a node is a place in
 * the arena, on a SharedArrayBuffer so that another thread can read it once it is immutable.
 *
 * Node, in 32-bit words: key length | value length | sequence, low 32 bits | sequence, high bits | kind and height |
 * per level a link (word address of the next node, 0: none) and the clue to the next node's key (two words), then the
 * key's and the value's bytes, padded.
 *
 * A clue is eight bytes of a key, those behind the prefix that most keys have in common, as two numbers that order as they
 * do (see `#setClue`). Of two keys with different clues it tells the lower one, so most steps of a search need not touch the
 * next node at all: a visit of a node is a cache miss, and there are dozens in a search. Whatever the prefix, clues are
 * right; a bad one only makes more of them equal. It is chosen anew now and then as the list grows, and at the same time
 * the nodes of the express level, one in sixteen, are listed with their clues in arrays that stay in the cache: a search
 * begins with a binary search there, and not at the head of the list.
 *
 * Versions of a key are ordered from new to old. Nodes are never changed but for their links, so a cursor stays valid
 * while others are added; the arena may move when it grows, the addresses in it do not. Range tombstones are kept beside
 * the list.
 */
import { assert } from '../base/assert.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { type RangeTombstone, RangeTombstones } from './range_tombstones.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import type { ValuePlace } from './value_place.ts';

const HEIGHT_MAX = 12;
const NODE_WORDS = 5;
/** A link and its clue. */
const LINK_WORDS = 3;
const WORD_BYTES = 4;
/** The list's head: a node without a key, first in the arena. Address 0 stands for "none". */
const HEAD = 1;
const TWO_TO_32 = 0x1_0000_0000;
/**
 * Room beyond the capacity, as a part of it: the entry that reaches the capacity should fit without a larger arena, into
 * which everything would be copied. The system commits no memory for what is not touched.
 */
const HEADROOM = 0.25;
/** What a range tombstone counts beside its keys, in bytes: more than it takes, because many make reads slow. */
const RANGE_OVERHEAD_BYTES = 1024;
const LOOSE_RANGES_MAX = 64;
const EMPTY = new Uint8Array(0);
const CLUE_MIN = -0x8000_0000;
const CLUE_MAX = 0x7fff_ffff;
/** With so many nodes prefix and express list are made for the first time, and then whenever a quarter more have come. */
const FIRST_CHOICE = 64;
const EXPRESS_LEVEL = 2;
/** After so many steps on the express level a search begins anew at the head: many keys have come since it was listed. */
const EXPRESS_STEPS_MAX = 12;
/** Up to this many bytes a loop copies faster than a call. */
const LOOP_BYTES_MAX = 48;

/** A memtable to which nothing is added any more, as another thread can have it: its bytes are not copied. */
export interface SharedMemtable {
  readonly buffer: SharedArrayBuffer;
  readonly end: number;
  readonly height: number;
  readonly entries: number;
  readonly rangeTombstones: readonly RangeTombstone[];
}

export class Memtable {
  #buffer: SharedArrayBuffer;
  #bytes: Uint8Array;
  #words: Int32Array;
  /** First free word. */
  #end: number;
  #height = 1;
  /** State of the xorshift that draws tower heights: the same writes build the same list everywhere. */
  #draw = 0x9e3779b9;
  /** Per level, the last node before the place that was looked for. */
  readonly #path = new Int32Array(HEIGHT_MAX);
  /** What clues stand behind, and at how many nodes it is chosen next. */
  #prefix: Uint8Array = EMPTY;
  #nextChoice = FIRST_CHOICE;
  /** Nodes of the express level, in order, and their clues; those that came later are not among them. */
  #express = new Int32Array(0);
  #expressClues = new Int32Array(0);
  /** Per level the last node: keys often come in order. */
  readonly #tails = new Int32Array(HEIGHT_MAX).fill(HEAD);
  /** The clue that was made last. */
  #clueHigh = 0;
  #clueLow = 0;
  /**
   * How many bytes the key of the node found last has in common with the key that was looked for, at least; exact when they
   * are equal.
   */
  #shared = 0;
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
    const words = Math.ceil((capacityBytes * (1 + HEADROOM)) / WORD_BYTES);
    const buffer = new SharedArrayBuffer(words * WORD_BYTES + 1024);
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#end = HEAD + NODE_WORDS + LINK_WORDS * HEIGHT_MAX;
  }

  /** What another thread has shared; for reading only. */
  static of({ buffer, end, height, entries, rangeTombstones }: SharedMemtable): Memtable {
    const memtable = new Memtable(0);
    memtable.#buffer = buffer;
    memtable.#bytes = new Uint8Array(buffer);
    memtable.#words = new Int32Array(buffer);
    memtable.#end = end;
    memtable.#height = height;
    memtable.entries = entries;
    memtable.#rangeTombstones.push(...rangeTombstones);
    return memtable;
  }

  /** Nothing may be added from now on. */
  share(): SharedMemtable {
    return {
      buffer: this.#buffer,
      end: this.#end,
      height: this.#height,
      entries: this.entries,
      rangeTombstones: this.#rangeTombstones,
    };
  }

  get usedBytes(): number {
    return this.#end * WORD_BYTES + this.#rangeBytes;
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
    const height = this.#drawHeight();
    // It stands before every older version of the key: a reader finds the newest first.
    if (this.#isAboveAll(key)) this.#path.set(this.#tails);
    else this.#findPath(key, Math.min(height, this.#height));
    for (; this.#height < height; this.#height++) this.#path[this.#height] = HEAD;
    const words = this.#words;
    const node = this.#end;
    words[node] = key.length;
    words[node + 1] = value.length;
    words[node + 2] = sequence | 0;
    words[node + 3] = Math.floor(sequence / TWO_TO_32);
    words[node + 4] = kind | (height << 8);
    this.#setClue(key, 0, key.length);
    const clueHigh = this.#clueHigh;
    const clueLow = this.#clueLow;
    for (let level = 0; level < height; level++) {
      const own = node + NODE_WORDS + LINK_WORDS * level;
      const link = this.#path[level] + NODE_WORDS + LINK_WORDS * level;
      words[own] = words[link];
      words[own + 1] = words[link + 1];
      words[own + 2] = words[link + 2];
      words[link] = node;
      words[link + 1] = clueHigh;
      words[link + 2] = clueLow;
      if (words[own] === 0) this.#tails[level] = node;
    }
    const keyStart = (node + NODE_WORDS + LINK_WORDS * height) * WORD_BYTES;
    this.#put(key, keyStart);
    this.#put(value, keyStart + key.length);
    this.#end = Math.ceil((keyStart + key.length + value.length) / WORD_BYTES);
    if (this.isEmpty) this.firstIndex = sequence;
    this.lastIndex = sequence;
    this.entries++;
    if (this.entries >= this.#nextChoice) this.#chooseClues();
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
    let removed = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      let node = HEAD;
      for (let next = words[node + NODE_WORDS + LINK_WORDS * level]; next !== 0; ) {
        const link = node + NODE_WORDS + LINK_WORDS * level;
        const own = next + NODE_WORDS + LINK_WORDS * level;
        if (this.sequenceAt(next) === sequence) {
          words.copyWithin(link, own, own + LINK_WORDS);
          if (level === 0) removed++;
        } else node = next;
        next = words[own];
      }
      this.#tails[level] = node;
    }
    this.entries -= removed;
    this.#express = new Int32Array(0);
    this.#expressClues = new Int32Array(0);
    this.#nextChoice = Math.max(FIRST_CHOICE, this.entries + 1);
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
    const node = this.#findPath(key, 1);
    return node !== 0 && this.#shared === key.length && this.#words[node] === key.length ? node : 0;
  }

  /** Address of the newest version of the key that is not above `visible`; 0 when there is none. */
  findVisible(key: Uint8Array, visible: Index): number {
    let node = this.find(key);
    while (node !== 0 && this.sequenceAt(node) > visible) {
      node = this.after(node);
      if (node !== 0 && compareBytes(this.keyAt(node), key) !== 0) node = 0;
    }
    return node;
  }

  /** Address of the newest version of the last key that is below; 0 when there is none. */
  below(key: Uint8Array): number {
    this.#findPath(key, 1);
    const oldest = this.#path[0];
    return oldest === HEAD ? 0 : this.#findPath(this.keyAt(oldest), 1);
  }

  /** Address of the newest version of the last key; 0 when there is none. */
  last(): number {
    const words = this.#words;
    let node = HEAD;
    for (let level = this.#height - 1; level >= 0; level--) {
      const link = NODE_WORDS + LINK_WORDS * level;
      for (let next = words[node + link]; next !== 0; next = words[node + link]) node = next;
    }
    return node === HEAD ? 0 : this.#findPath(this.keyAt(node), 1);
  }

  /** Address of the first node whose key is not below; 0 when there is none. */
  seek(key: Uint8Array): number {
    return this.#findPath(key, 1);
  }

  /** Address behind a node; of the first node for 0. */
  after(node: number): number {
    return this.#words[(node === 0 ? HEAD : node) + NODE_WORDS];
  }

  keyAt(node: number): Uint8Array {
    const start = this.#keyStart(node);
    return this.#bytes.subarray(start, start + this.#words[node]);
  }

  valueAt(node: number): Uint8Array {
    const start = this.#keyStart(node) + this.#words[node];
    return this.#bytes.subarray(start, start + this.#words[node + 1]);
  }

  /** As `valueAt`, without a view. */
  placeValue(node: number, place: ValuePlace): void {
    const start = this.#keyStart(node) + this.#words[node];
    place.set(this.#bytes, start, start + this.#words[node + 1]);
  }

  sequenceAt(node: number): Index {
    return (this.#words[node + 2] >>> 0) + this.#words[node + 3] * TWO_TO_32;
  }

  kindAt(node: number): RecordKind {
    return (this.#words[node + 4] & 0xff) as RecordKind;
  }

  #keyStart(node: number): number {
    return (node + NODE_WORDS + LINK_WORDS * (this.#words[node + 4] >>> 8)) * WORD_BYTES;
  }

  /**
   * Fills the first `levels` of `#path` with the last nodes whose keys are below, and returns the first node whose key is
   * not (0: none).
   *
   * Whatever lies between two keys begins with the bytes that both share with the key looked for, so a comparison starts
   * behind those, as far as they were compared. And the node that ended one level is often met again on the next, where it
   * needs no comparison.
   */
  #findPath(key: Uint8Array, levels: number): number {
    const words = this.#words;
    const bytes = this.#bytes;
    const path = this.#path;
    const keyLength = key.length;
    this.#setClue(key, 0, keyLength);
    const clueHigh = this.#clueHigh;
    const clueLow = this.#clueLow;
    let node = HEAD;
    let level = this.#height - 1;
    let stepsLeft = Number.POSITIVE_INFINITY;
    if (levels <= EXPRESS_LEVEL + 1) {
      node = this.#expressBelow(clueHigh, clueLow);
      if (node !== HEAD) {
        level = EXPRESS_LEVEL;
        stepsLeft = EXPRESS_STEPS_MAX;
      }
    }
    /** The first node known not to be below; 0, which ends every level, while none is. */
    let bound = 0;
    let nodeShared = 0;
    let boundShared = 0;
    for (; level >= 0; level--) {
      for (;;) {
        const link = node + NODE_WORDS + LINK_WORDS * level;
        const next = words[link];
        if (next === bound) break;
        const nextHigh = words[link + 1];
        const nextLow = words[link + 2];
        if (nextHigh < clueHigh || (nextHigh === clueHigh && nextLow < clueLow)) {
          node = next;
          nodeShared = 0;
          if (--stepsLeft === 0) {
            node = HEAD;
            // Levels above the one where it was found need not hold it: they end with 0.
            bound = 0;
            boundShared = 0;
            level = this.#height - 1;
          }
          continue;
        }
        if (nextHigh > clueHigh || nextLow > clueLow) {
          bound = next;
          boundShared = 0;
          break;
        }
        const length = words[next];
        const start = (next + NODE_WORDS + LINK_WORDS * (words[next + 4] >>> 8)) * WORD_BYTES;
        const end = Math.min(length, keyLength);
        let at = Math.min(nodeShared, boundShared);
        while (at < end && bytes[start + at] === key[at]) at++;
        if (at < end ? bytes[start + at] < key[at] : length < keyLength) {
          node = next;
          nodeShared = at;
          if (--stepsLeft === 0) {
            node = HEAD;
            nodeShared = 0;
            bound = 0;
            boundShared = 0;
            level = this.#height - 1;
          }
        } else {
          bound = next;
          boundShared = at;
          break;
        }
      }
      path[level] = node;
    }
    this.#shared = boundShared;
    return bound;
  }

  #isAboveAll(key: Uint8Array): boolean {
    const tail = this.#tails[0];
    if (tail === HEAD) return true;
    const bytes = this.#bytes;
    const length = this.#words[tail];
    const start = this.#keyStart(tail);
    const end = Math.min(length, key.length);
    let at = 0;
    while (at < end && bytes[start + at] === key[at]) at++;
    return at < end ? bytes[start + at] < key[at] : length < key.length;
  }

  /**
   * Makes the clue to the key `bytes[start, end)`: below all others if the key is below those that begin with the prefix,
   * above all others if it is above them. So a lower key never has a higher clue.
   */
  #setClue(bytes: Uint8Array, start: number, end: number): void {
    const prefix = this.#prefix;
    const { length } = prefix;
    for (let at = 0; at < length; at++) {
      const difference = start + at < end ? bytes[start + at] - prefix[at] : -1;
      if (difference === 0) continue;
      this.#clueHigh = difference < 0 ? CLUE_MIN : CLUE_MAX;
      this.#clueLow = this.#clueHigh;
      return;
    }
    this.#clueHigh = clueWord(bytes, start + length, end);
    this.#clueLow = clueWord(bytes, start + length + WORD_BYTES, end);
  }

  /** The last node of the express list whose clue is lower; the head when there is none. */
  #expressBelow(clueHigh: number, clueLow: number): number {
    const clues = this.#expressClues;
    let low = 0;
    let high = this.#express.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = clues[2 * middle];
      if (other < clueHigh || (other === clueHigh && clues[2 * middle + 1] < clueLow)) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? HEAD : this.#express[low - 1];
  }

  #chooseClues(): void {
    this.#nextChoice = this.entries + Math.ceil(this.entries / 4);
    this.#choosePrefix();
    const words = this.#words;
    const link = NODE_WORDS + LINK_WORDS * EXPRESS_LEVEL;
    let count = 0;
    for (let node = words[HEAD + link]; node !== 0; node = words[node + link]) count++;
    this.#express = new Int32Array(count);
    this.#expressClues = new Int32Array(2 * count);
    let from = HEAD;
    for (let at = 0; at < count; at++) {
      this.#express[at] = words[from + link];
      this.#expressClues[2 * at] = words[from + link + 1];
      this.#expressClues[2 * at + 1] = words[from + link + 2];
      from = this.#express[at];
    }
  }

  /** What the first and the last key have in common, all have. Rewrites the clues if that is not the prefix already. */
  #choosePrefix(): void {
    const words = this.#words;
    const first = this.keyAt(this.after(0));
    const last = this.keyAt(this.last());
    let shared = 0;
    while (shared < first.length && shared < last.length && first[shared] === last[shared]) shared++;
    if (shared === this.#prefix.length) return;
    this.#prefix = first.slice(0, shared);
    let height = HEIGHT_MAX;
    for (let node = HEAD; node !== 0; node = words[node + NODE_WORDS]) {
      if (node !== HEAD) height = words[node + 4] >>> 8;
      for (let link = node + NODE_WORDS; height > 0; height--, link += LINK_WORDS) {
        const next = words[link];
        if (next === 0) continue;
        const start = this.#keyStart(next);
        this.#setClue(this.#bytes, start, start + words[next]);
        words[link + 1] = this.#clueHigh;
        words[link + 2] = this.#clueLow;
      }
    }
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

  /** One level more with a chance of a quarter. */
  #drawHeight(): number {
    let draw = this.#draw;
    draw ^= draw << 13;
    draw ^= draw >>> 17;
    draw ^= draw << 5;
    this.#draw = draw;
    let height = 1;
    for (let bits = draw >>> 8; height < HEIGHT_MAX && (bits & 3) === 0; bits >>>= 2) height++;
    return height;
  }

  /** A log entry is never torn apart between memtables: one that is larger than what is left makes the arena grow. */
  #reserve(payloadBytes: number): void {
    const needed = (this.#end + NODE_WORDS + LINK_WORDS * HEIGHT_MAX + 1) * WORD_BYTES + payloadBytes;
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

/** Four bytes as a signed number, which is what the arena holds, that orders as they do; zeros stand for what is missing. */
function clueWord(bytes: Uint8Array, from: number, end: number): number {
  let word = 0;
  for (let at = from; at < from + WORD_BYTES; at++) word = (word << 8) | (at < end ? bytes[at] : 0);
  return word ^ CLUE_MIN;
}

/**
 * The records that a memtable holds when the cursor is made, newest version of a key first. What is added later has
 * higher addresses and is passed over, a later write of the same log entry, too.
 */
export class MemtableCursor implements TwoWayCursor {
  readonly #memtable: Memtable;
  readonly #end: number;
  #node = 0;

  constructor(memtable: Memtable) {
    this.#memtable = memtable;
    this.#end = memtable.end;
  }

  get isValid(): boolean {
    return this.#node !== 0;
  }

  get key(): Uint8Array {
    return this.#memtable.keyAt(this.#node);
  }

  get sequence(): Index {
    return this.#memtable.sequenceAt(this.#node);
  }

  get kind(): RecordKind {
    return this.#memtable.kindAt(this.#node);
  }

  get value(): Uint8Array {
    return this.kind === RecordKind.Put ? this.#memtable.valueAt(this.#node) : EMPTY;
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
    this.#node = node;
  }

  /** As `#settle`, but a key of which all versions are later gives way to the key before it. */
  #settleBack(from: number): void {
    let newest = from;
    while (newest !== 0) {
      const key = this.#memtable.keyAt(newest);
      let node = newest;
      while (node >= this.#end) node = this.#memtable.after(node);
      if (node === newest || (node !== 0 && compareBytes(this.#memtable.keyAt(node), key) === 0)) {
        this.#node = node;
        return;
      }
      newest = this.#memtable.below(key);
    }
    this.#node = 0;
  }
}
