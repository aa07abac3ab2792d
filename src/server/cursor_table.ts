/**
 * Cursors for clients that keep them in 64 bits. A SCAN goes on at a key; one of more than seven bytes does not fit, so
 * the node remembers it under a number. The oldest are forgotten when there are too many. A number is of use only at the
 * node that gave it out, and only in this life of it: they begin at a place that each life draws anew.
 */
import type { Random } from '../io/random.ts';
import { REMEMBERED_CURSORS } from '../protocol/scan_commands.ts';

const KEY_BYTES_MAX = 16 * 1024 * 1024;
const CURSORS_MAX = 10_000;
/** Of a key that is remembered, beside its bytes. */
const OVERHEAD_BYTES = 100;

export class CursorTable {
  readonly #random: Random;
  /** Oldest first. */
  readonly #keys = new Map<bigint, Uint8Array>();
  #bytes = 0;
  #next: bigint | null = null;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The number to ask with. */
  remember(key: Uint8Array): bigint {
    this.#next ??= REMEMBERED_CURSORS + BigInt(this.#random.below(2 ** 30)) * 2n ** 24n;
    const cursor = this.#next++;
    this.#keys.set(cursor, key);
    this.#bytes += key.length + OVERHEAD_BYTES;
    for (const [oldest, forgotten] of this.#keys) {
      if (this.#bytes <= KEY_BYTES_MAX && this.#keys.size <= CURSORS_MAX) break;
      this.#keys.delete(oldest);
      this.#bytes -= forgotten.length + OVERHEAD_BYTES;
    }
    return cursor;
  }

  /** Null: it was forgotten, or never given out here. */
  find(cursor: bigint): Uint8Array | null {
    return this.#keys.get(cursor) ?? null;
  }
}
