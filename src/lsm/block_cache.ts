/**
 * Blocks that point reads have used, checked and copied, within a budget of bytes: for disks whose files cannot be mapped,
 * where each look at a block is otherwise a read. What is thrown out is chosen by the clock algorithm (Corbató, 1968): the
 * hand goes round, passes by once what was used since its last visit, and takes the first that was not.
 *
 * A block of a table never changes, so nothing in here is ever out of date; those of tables that are gone age away.
 */
import { assert } from '../base/assert.ts';

/** More blocks than a table can have: table and block together make a key. */
const BLOCKS_MAX = 2 ** 24;

interface Slot {
  readonly key: number;
  readonly bytes: Uint8Array;
  wasUsed: boolean;
}

export class BlockCache {
  readonly #budgetBytes: number;
  readonly #slots: Slot[] = [];
  readonly #byKey = new Map<number, Slot>();
  #hand = 0;
  #bytes = 0;
  hits = 0;
  misses = 0;

  /** @param budgetBytes Above 0. A block that is larger is not kept. */
  constructor(budgetBytes: number) {
    assert(budgetBytes > 0, 'a cache has room', { budgetBytes });
    this.#budgetBytes = budgetBytes;
  }

  /** What it holds, in bytes of blocks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Null when it does not hold the block. */
  get(table: number, block: number): Uint8Array | null {
    const slot = this.#byKey.get(keyOf(table, block));
    if (slot === undefined) {
      this.misses++;
      return null;
    }
    this.hits++;
    slot.wasUsed = true;
    return slot.bytes;
  }

  /** Keeps the bytes, which nobody may change. The cache does not hold the block yet. */
  add(table: number, block: number, bytes: Uint8Array): void {
    if (bytes.length > this.#budgetBytes) return;
    while (this.#bytes + bytes.length > this.#budgetBytes) this.#throwOut();
    const slot = { key: keyOf(table, block), bytes, wasUsed: false };
    assert(!this.#byKey.has(slot.key), 'a block is kept once', { table, block });
    this.#byKey.set(slot.key, slot);
    // Right behind the hand, which gets there last.
    const slots = this.#slots;
    const at = Math.min(this.#hand, slots.length);
    slots.push(slots[at] ?? slot);
    slots[at] = slot;
    this.#hand = at + 1;
    this.#bytes += bytes.length;
  }

  #throwOut(): void {
    const slots = this.#slots;
    for (;;) {
      if (this.#hand >= slots.length) this.#hand = 0;
      const slot = slots[this.#hand];
      if (!slot.wasUsed) break;
      slot.wasUsed = false;
      this.#hand++;
    }
    const [gone] = slots.splice(this.#hand, 1, slots[slots.length - 1]);
    slots.pop();
    this.#byKey.delete(gone.key);
    this.#bytes -= gone.bytes.length;
  }
}

function keyOf(table: number, block: number): number {
  return table * BLOCKS_MAX + block;
}
