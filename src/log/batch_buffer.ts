/**
 * Holds the end of the log in memory: the batch that is gathered for the next write, and behind it the bytes written
 * lately, so that entries are read from memory while followers and the state machine still need them.
 *
 * It is a list of blocks, each a copy of a contiguous piece of one segment. The batch is always contiguous at the end of
 * the last block, so that it goes to the file in one write; where a block gets too small for it, it moves to a larger
 * one. Bytes that were handed out are never changed: views of a block stay valid as long as someone holds them. A block
 * of which there never was a view is used again when it is dropped: a log that nobody reads allocates nothing.
 */
import { assert } from '../base/assert.ts';

const BLOCK_BYTES_MIN = 1024;
const BLOCK_BYTES_MAX = 256 * 1024;
/** Blocks that the cache is divided into: the share of it that is dropped at once. */
const BLOCKS_PER_CACHE = 16;
/** Larger blocks are not kept when they are dropped. */
const SPARE_BYTES_MAX = 4 * BLOCK_BYTES_MAX;

interface Block {
  readonly segment: number;
  /** Offset in the segment of the first byte. */
  readonly start: number;
  readonly bytes: Uint8Array;
  used: number;
  /** Somebody may hold a view of it. */
  isLent: boolean;
}

export class BatchBuffer {
  readonly #cacheBytes: number;
  readonly #blockBytes: number;
  /** Oldest first, which is the order of the log. */
  readonly #blocks: Block[] = [];
  #capacity = 0;
  /** Of a block that was dropped: any bytes. */
  #spare: Uint8Array | null = null;
  #last: Block;
  /** Where in the last block the batch starts. */
  #batchStart = 0;

  /** `cacheBytes` bounds what is kept beside the last block. */
  constructor(cacheBytes: number) {
    this.#cacheBytes = cacheBytes;
    this.#blockBytes = Math.min(
      BLOCK_BYTES_MAX,
      Math.max(BLOCK_BYTES_MIN, Math.ceil(cacheBytes / BLOCKS_PER_CACHE)),
    );
    this.#last = this.#addBlock(0, 0, 0);
  }

  /** Segment that the batch belongs to. */
  get segment(): number {
    return this.#last.segment;
  }

  /** Size of the batch in bytes. */
  get batchBytes(): number {
    return this.#last.used - this.#batchStart;
  }

  /** The memory that `reserve` gives places in; another one after each call of it. */
  get target(): Uint8Array {
    return this.#last.bytes;
  }

  /** Says where in the log the next batch will be. Only while the batch is empty. */
  begin(segment: number, offset: number): void {
    assert(this.batchBytes === 0, 'a batch begins where the one before has ended');
    const last = this.#last;
    if (last.segment !== segment || last.start + last.used !== offset) this.#addBlock(segment, offset, 0);
    this.#batchStart = this.#last.used;
  }

  /** Makes room for `bytes` zero bytes at the end of the batch; returns their place in `target`. */
  reserve(bytes: number): number {
    if (this.#last.used + bytes > this.#last.bytes.length) this.#moveBatch(bytes);
    const at = this.#last.used;
    this.#last.used += bytes;
    return at;
  }

  /** Offset in the segment of a place in `target`. */
  offsetOf(at: number): number {
    return this.#last.start + at;
  }

  /** The batch, which is empty from here on. The bytes are not to be changed. */
  takeBatch(): Uint8Array {
    const batch = this.#last.bytes.subarray(this.#batchStart, this.#last.used);
    this.#batchStart = this.#last.used;
    return batch;
  }

  /** The `bytes` bytes at a place of the log that was written through this buffer; null when they are not held any more. */
  find(segment: number, offset: number, bytes: number): Uint8Array | null {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low <= high) {
      const middle = (low + high + 1) >>> 1;
      const block = this.#blocks[middle];
      if (segment < block.segment || (segment === block.segment && offset < block.start)) high = middle - 1;
      else if (low === middle) {
        const at = offset - block.start;
        if (segment !== block.segment || at + bytes > block.used) return null;
        block.isLent = true;
        return block.bytes.subarray(at, at + bytes);
      } else low = middle;
    }
    return null;
  }

  /** Whether a record there may be held; where this is false, `find` finds nothing. */
  mayHold(segment: number, offset: number): boolean {
    const [{ used, segment: firstSegment, start }] = this.#blocks;
    return used > 0 && (segment > firstSegment || (segment === firstSegment && offset >= start));
  }

  #moveBatch(bytes: number): void {
    const from = this.#last;
    const batch = from.bytes.subarray(this.#batchStart, from.used);
    const needed = batch.length + bytes;
    // Doubled, so that a batch of many records is moved a few times only.
    const capacity = needed > this.#blockBytes ? Math.max(needed, 2 * batch.length) : this.#blockBytes;
    from.used = this.#batchStart;
    const to = this.#addBlock(from.segment, from.start + from.used, capacity);
    to.bytes.set(batch);
    to.used = batch.length;
    this.#batchStart = 0;
  }

  #addBlock(segment: number, start: number, capacity: number): Block {
    const bytes = this.#makeBytes(Math.max(capacity, this.#blockBytes));
    const block = { segment, start, bytes, used: 0, isLent: false };
    if (this.#blocks.length > 0 && this.#last.used === 0) {
      // Nothing in it: it would stand in the way of the search, as two blocks would start at one place.
      this.#blocks.pop();
      this.#drop(this.#last);
    }
    this.#blocks.push(block);
    this.#last = block;
    this.#capacity += bytes.length;
    while (this.#blocks.length > 1 && this.#capacity - bytes.length > this.#cacheBytes) {
      const dropped = this.#blocks.shift();
      if (dropped !== undefined) this.#drop(dropped);
    }
    return block;
  }

  #makeBytes(length: number): Uint8Array {
    const spare = this.#spare;
    this.#spare = null;
    // One that is too small is forgotten: soon there is one that is as large as batches are.
    return spare !== null && spare.length >= length ? spare.fill(0) : new Uint8Array(length);
  }

  #drop({ bytes, isLent }: Block): void {
    this.#capacity -= bytes.length;
    if (!isLent && bytes.length <= SPARE_BYTES_MAX) this.#spare = bytes;
  }
}
