/**
 * The newest writes, sorted: a skip list (W. Pugh, 1990) in an arena of bytes. No object per key: a node is a place in
 * the arena, on a SharedArrayBuffer so that another thread can read it once it is immutable.
 *
 * Node, in 32-bit words: key length | value length | sequence, low 32 bits | sequence, high bits | kind and height |
 * one link per level (word address of the next node, 0: none), then the key's and the value's bytes, padded.
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

const HEIGHT_MAX = 12;
const NODE_WORDS = 5;
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

export class Memtable {
  #bytes: Uint8Array;
  #words: Int32Array;
  /** First free word. */
  #end: number;
  #height = 1;
  /** State of the xorshift that draws tower heights: the same writes build the same list everywhere. */
  #draw = 0x9e3779b9;
  /** Per level, the last node before the place that was looked for. */
  readonly #path = new Int32Array(HEIGHT_MAX);
  /** How many bytes the key of the node found last has in common with the key that was looked for. */
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
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#end = HEAD + NODE_WORDS + HEIGHT_MAX;
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
    // It stands before every older version of the key: a reader finds the newest first.
    this.#findPath(key);
    const height = this.#drawHeight();
    for (; this.#height < height; this.#height++) this.#path[this.#height] = HEAD;
    const words = this.#words;
    const node = this.#end;
    words[node] = key.length;
    words[node + 1] = value.length;
    words[node + 2] = sequence | 0;
    words[node + 3] = Math.floor(sequence / TWO_TO_32);
    words[node + 4] = kind | (height << 8);
    for (let level = 0; level < height; level++) {
      const link = this.#path[level] + NODE_WORDS + level;
      words[node + NODE_WORDS + level] = words[link];
      words[link] = node;
    }
    const keyStart = (node + NODE_WORDS + height) * WORD_BYTES;
    this.#bytes.set(key, keyStart);
    this.#bytes.set(value, keyStart + key.length);
    this.#end = Math.ceil((keyStart + key.length + value.length) / WORD_BYTES);
    if (this.isEmpty) this.firstIndex = sequence;
    this.lastIndex = sequence;
    this.entries++;
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

  /** Address of the newest version of the key; 0 when there is none. */
  find(key: Uint8Array): number {
    const node = this.#findPath(key);
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
    this.#findPath(key);
    const oldest = this.#path[0];
    return oldest === HEAD ? 0 : this.#findPath(this.keyAt(oldest));
  }

  /** Address of the newest version of the last key; 0 when there is none. */
  last(): number {
    const words = this.#words;
    let node = HEAD;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (let next = words[node + NODE_WORDS + level]; next !== 0; next = words[node + NODE_WORDS + level]) {
        node = next;
      }
    }
    return node === HEAD ? 0 : this.#findPath(this.keyAt(node));
  }

  /** Address of the first node whose key is not below; 0 when there is none. */
  seek(key: Uint8Array): number {
    return this.#findPath(key);
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

  sequenceAt(node: number): Index {
    return (this.#words[node + 2] >>> 0) + this.#words[node + 3] * TWO_TO_32;
  }

  kindAt(node: number): RecordKind {
    return (this.#words[node + 4] & 0xff) as RecordKind;
  }

  #keyStart(node: number): number {
    return (node + NODE_WORDS + (this.#words[node + 4] >>> 8)) * WORD_BYTES;
  }

  /**
   * Fills `#path` with the last nodes whose keys are below, and returns the first node whose key is not (0: none).
   *
   * Whatever lies between two keys begins with the bytes that both share with the key looked for, so a comparison starts
   * behind those: keys of one bucket have long prefixes in common. And the node that ended one level is often met again
   * on the next, where it needs no comparison.
   */
  #findPath(key: Uint8Array): number {
    const words = this.#words;
    const bytes = this.#bytes;
    const path = this.#path;
    const keyLength = key.length;
    let node = HEAD;
    /** The first node known not to be below; 0, which ends every level, while none is. */
    let bound = 0;
    let nodeShared = 0;
    let boundShared = 0;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (;;) {
        const next = words[node + NODE_WORDS + level];
        if (next === bound) break;
        const length = words[next];
        const start = (next + NODE_WORDS + (words[next + 4] >>> 8)) * WORD_BYTES;
        const end = Math.min(length, keyLength);
        let at = Math.min(nodeShared, boundShared);
        while (at < end && bytes[start + at] === key[at]) at++;
        if (at < end ? bytes[start + at] < key[at] : length < keyLength) {
          node = next;
          nodeShared = at;
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
    const needed = (this.#end + NODE_WORDS + HEIGHT_MAX + 1) * WORD_BYTES + payloadBytes;
    if (needed <= this.#bytes.length) return;
    const capacity = Math.ceil(Math.max(needed, 1.5 * this.#bytes.length) / WORD_BYTES) * WORD_BYTES;
    const buffer = new SharedArrayBuffer(capacity);
    const bytes = new Uint8Array(buffer);
    bytes.set(this.#bytes.subarray(0, this.#end * WORD_BYTES));
    this.#bytes = bytes;
    this.#words = new Int32Array(buffer);
  }
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
