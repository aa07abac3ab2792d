/**
 * The newest writes, sorted: a skip list (W. Pugh, 1990) in an arena of bytes. No object per key: a node is a place in
 * the arena, on a SharedArrayBuffer so that another thread can read it once it is immutable.
 *
 * Node, in 32-bit words: key length | value length | sequence, low 32 bits | sequence, high bits | kind and height |
 * one link per level (word address of the next node, 0: none), then the key's and the value's bytes, padded.
 *
 * Versions of a key are ordered from new to old. Nodes are never changed but for their links, so a cursor stays valid
 * while others are added; the arena may move when it grows, the addresses in it do not.
 */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';
import { type Cursor, RecordKind } from './record.ts';

const HEIGHT_MAX = 12;
const NODE_WORDS = 5;
const WORD_BYTES = 4;
/** The list's head: a node without a key, first in the arena. Address 0 stands for "none". */
const HEAD = 1;
const TWO_TO_32 = 0x1_0000_0000;
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
  /** Lowest and highest log index that it holds something of; 0 while empty. */
  firstIndex: Index = 0;
  lastIndex: Index = 0;
  entries = 0;

  constructor(capacityBytes: number) {
    const buffer = new SharedArrayBuffer(Math.ceil(capacityBytes / WORD_BYTES) * WORD_BYTES + 1024);
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#end = HEAD + NODE_WORDS + HEIGHT_MAX;
  }

  get usedBytes(): number {
    return this.#end * WORD_BYTES;
  }

  get isEmpty(): boolean {
    return this.entries === 0;
  }

  /** `sequence` is at least that of any earlier call; a later write of one sequence replaces an earlier one of the key. */
  add(key: Uint8Array, sequence: Index, kind: RecordKind, value: Uint8Array): void {
    assert(sequence >= this.lastIndex, 'entries are applied in order', { sequence, last: this.lastIndex });
    this.#reserve(key.length + value.length);
    // Of equal versions the later comes first: it stands where a reader finds it first.
    this.#findPath(key, sequence);
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
    if (this.entries === 0) this.firstIndex = sequence;
    this.lastIndex = sequence;
    this.entries++;
  }

  /** Address of the newest version of the key; 0 when there is none. */
  find(key: Uint8Array): number {
    const node = this.seek(key);
    return node !== 0 && this.#compareKey(node, key) === 0 ? node : 0;
  }

  /** Address of the first node whose key is not below; 0 when there is none. */
  seek(key: Uint8Array): number {
    const words = this.#words;
    let node = HEAD;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (;;) {
        const next = words[node + NODE_WORDS + level];
        if (next === 0 || this.#compareKey(next, key) >= 0) break;
        node = next;
      }
    }
    return words[node + NODE_WORDS];
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

  /** Fills `#path` for a node that is to stand before every version of the key that is not newer. */
  #findPath(key: Uint8Array, sequence: Index): void {
    const words = this.#words;
    let node = HEAD;
    for (let level = this.#height - 1; level >= 0; level--) {
      for (;;) {
        const next = words[node + NODE_WORDS + level];
        if (next === 0) break;
        const order = this.#compareKey(next, key);
        if (order > 0 || (order === 0 && this.sequenceAt(next) <= sequence)) break;
        node = next;
      }
      this.#path[level] = node;
    }
  }

  #compareKey(node: number, key: Uint8Array): number {
    const bytes = this.#bytes;
    const start = this.#keyStart(node);
    const length = this.#words[node];
    const shared = Math.min(length, key.length);
    for (let i = 0; i < shared; i++) {
      const difference = bytes[start + i] - key[i];
      if (difference !== 0) return difference;
    }
    return length - key.length;
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
    bytes.set(this.#bytes.subarray(0, this.usedBytes));
    this.#bytes = bytes;
    this.#words = new Int32Array(buffer);
  }
}

/** All records of a memtable up to a sequence number, newest version first. */
export class MemtableCursor implements Cursor {
  readonly #memtable: Memtable;
  readonly #sequenceMax: Index;
  #node = 0;

  constructor(memtable: Memtable, sequenceMax: Index = Number.MAX_SAFE_INTEGER) {
    this.#memtable = memtable;
    this.#sequenceMax = sequenceMax;
    this.#settle(memtable.after(0));
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

  seek(key: Uint8Array): void {
    this.#settle(this.#memtable.seek(key));
  }

  #settle(from: number): void {
    let node = from;
    while (node !== 0 && this.#memtable.sequenceAt(node) > this.#sequenceMax)
      node = this.#memtable.after(node);
    this.#node = node;
  }
}
