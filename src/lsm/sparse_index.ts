/**
 * A table's index as it is kept in memory: where each block ends, and its last key, its anchor. What all keys of the table
 * begin with is kept once; of each anchor there is the rest, and the first four bytes of that as a number, in an array of
 * their own, through which most of a search goes.
 *
 * For keys of one length that differ in six bytes that is 14 bytes for a block.
 */
import { sharedBytes } from '../codec/bytes.ts';
import type { VarintReader } from '../codec/varint.ts';

const WORD_BYTES = 4;
const TWO_TO_32 = 0x1_0000_0000;

export class SparseIndex {
  readonly blocks: number;
  /** Bytes that all keys of the table begin with. */
  readonly share: number;
  readonly #prefix: Uint8Array;
  /** Of each anchor what follows those bytes; where it begins, or, when all are of one length, that length alone. */
  #rests: Uint8Array;
  #restStarts: Uint32Array | null;
  #restBytes = 0;
  #restsEnd = 0;
  /** The first four bytes of each rest (`wordAt`). */
  readonly #words: Uint32Array;
  /** Where in the file each block ends. */
  readonly #ends: Uint32Array | Float64Array;

  /**
   * Of anchors that are to be added.
   * @param minKey, maxKey First and last key of the table: what they share all keys do.
   * @param anchorBytes All anchors take no more, with two bytes for each beside the key.
   * @param dataBytes All blocks together.
   */
  constructor(
    blocks: number,
    minKey: Uint8Array,
    maxKey: Uint8Array,
    { anchorBytes, dataBytes }: { readonly anchorBytes: number; readonly dataBytes: number },
  ) {
    this.blocks = blocks;
    this.share = sharedBytes(minKey, maxKey);
    this.#prefix = maxKey.slice(0, this.share);
    this.#rests = new Uint8Array(Math.max(0, anchorBytes - blocks * (this.share + 2)));
    this.#restStarts = new Uint32Array(blocks + 1);
    this.#words = new Uint32Array(blocks);
    this.#ends = dataBytes < TWO_TO_32 ? new Uint32Array(blocks) : new Float64Array(blocks);
  }

  get bytes(): number {
    const starts = this.#restStarts?.byteLength ?? 0;
    return this.share + this.#rests.length + starts + this.#words.byteLength + this.#ends.byteLength;
  }

  /** Adds the anchors `[from, to)`, which follow those added last; false when the bytes are none. */
  add(from: number, to: number, bytes: Uint8Array, reader: VarintReader): boolean {
    const starts = this.#restStarts;
    if (starts === null) return false;
    const rests = this.#rests;
    const { share } = this;
    let at = this.#restsEnd;
    let blocksEnd = this.startOf(from);
    for (let block = from; block < to; block++) {
      const keyLength = reader.read();
      const keyStart = reader.offset;
      if (keyLength < share || this.#orderOfPrefix(bytes, keyStart) !== 0) return false;
      const keyEnd = keyStart + keyLength;
      if (keyEnd > bytes.length || at + keyLength - share > rests.length) return false;
      starts[block] = at;
      for (let from = keyStart + share; from < keyEnd; from++) rests[at++] = bytes[from];
      this.#words[block] = wordAt(rests, starts[block], at);
      reader.offset = keyEnd;
      const blockLength = reader.read();
      if (blockLength < 0) return false;
      blocksEnd += blockLength;
      if (blocksEnd >= TWO_TO_32 && this.#ends instanceof Uint32Array) return false;
      this.#ends[block] = blocksEnd;
    }
    starts[to] = at;
    this.#restsEnd = at;
    return true;
  }

  /** All are there. */
  finish(): void {
    this.#rests = this.#rests.slice(0, this.#restsEnd);
    const starts = this.#restStarts;
    if (starts === null || this.blocks === 0) return;
    this.#restBytes = starts[1];
    for (let block = 1; block < this.blocks; block++) {
      if (starts[block + 1] - starts[block] !== this.#restBytes) return;
    }
    this.#restStarts = null;
  }

  /** Where in the file the block begins; for the number of blocks, where they all end. */
  startOf(block: number): number {
    return block === 0 ? 0 : this.#ends[block - 1];
  }

  /** 0: the key begins as all keys of the table. Below 0, above 0: it is below all of them, or above. */
  orderOfPrefix(key: Uint8Array): number {
    const prefix = this.#prefix;
    const shared = Math.min(prefix.length, key.length);
    for (let at = 0; at < shared; at++) {
      const difference = key[at] - prefix[at];
      if (difference !== 0) return difference;
    }
    return key.length < prefix.length ? -1 : 0;
  }

  #orderOfPrefix(bytes: Uint8Array, start: number): number {
    const prefix = this.#prefix;
    for (let at = 0; at < prefix.length; at++) {
      const difference = bytes[start + at] - prefix[at];
      if (difference !== 0) return difference;
    }
    return 0;
  }

  /** The first block whose anchor is not below the key; `blocks` when there is none. */
  blockFor(key: Uint8Array): number {
    const order = this.orderOfPrefix(key);
    if (order === 0) return this.search(key);
    return order < 0 ? 0 : this.blocks;
  }

  /** As `blockFor`, of a key that begins as all do. */
  search(key: Uint8Array): number {
    // Only anchors with the same number are compared byte by byte.
    const word = wordAt(key, this.share, key.length);
    const words = this.#words;
    let low = 0;
    let high = words.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = words[middle];
      if (other < word || (other === word && this.compareAnchor(middle, key) < 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Order of a block's anchor against a key that begins as all do. */
  compareAnchor(block: number, key: Uint8Array): number {
    const rests = this.#rests;
    const { share } = this;
    const start = this.#restStart(block);
    const length = this.#restStart(block + 1) - start;
    const keyLength = key.length - share;
    const shared = length < keyLength ? length : keyLength;
    for (let at = 0; at < shared; at++) {
      const difference = rests[start + at] - key[share + at];
      if (difference !== 0) return difference;
    }
    return length - keyLength;
  }

  /**
   * So many bytes a key of this block, that `search` has named for it, has in common with all keys of the block: as many as
   * with the anchors on both sides of it.
   */
  known(block: number, key: Uint8Array): number {
    const behind = this.#sharedWithAnchor(block, key);
    if (block === 0) return this.share;
    const before = this.#sharedWithAnchor(block - 1, key);
    return this.share + (before < behind ? before : behind);
  }

  #sharedWithAnchor(block: number, key: Uint8Array): number {
    const rests = this.#rests;
    const { share } = this;
    const start = this.#restStart(block);
    const length = this.#restStart(block + 1) - start;
    const keyLength = key.length - share;
    const compared = length < keyLength ? length : keyLength;
    let at = 0;
    while (at < compared && rests[start + at] === key[share + at]) at++;
    return at;
  }

  /** A copy of the block's last key. */
  anchor(block: number): Uint8Array {
    const start = this.#restStart(block);
    const end = this.#restStart(block + 1);
    const key = new Uint8Array(this.share + end - start);
    key.set(this.#prefix);
    key.set(this.#rests.subarray(start, end), this.share);
    return key;
  }

  #restStart(block: number): number {
    return this.#restStarts === null ? block * this.#restBytes : this.#restStarts[block];
  }
}

/** Four bytes as a number that orders as they do; zeros stand for what lies behind `end`. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + WORD_BYTES <= end) {
    return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
  }
  let word = 0;
  for (let i = at; i < at + WORD_BYTES; i++) word = (word << 8) | (i < end ? bytes[i] : 0);
  return word >>> 0;
}
