/** Draws that differ from process to process. */
import { randomBytes } from 'node:crypto';
import type { Random } from '../random.ts';

const POOL_BYTES = 1024;
const TWO_TO_32 = 0x1_0000_0000;

export class NodeRandom implements Random {
  #pool = Buffer.alloc(0);
  #at = 0;

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > TWO_TO_32) {
      throw new RangeError(`a bound is an integer from 1 to 2^32, not ${bound}`);
    }
    // Draws above the last whole multiple of the bound would favour small results.
    const limit = TWO_TO_32 - (TWO_TO_32 % bound);
    for (;;) {
      const draw = this.#next();
      if (draw < limit) return draw % bound;
    }
  }

  #next(): number {
    if (this.#at + 4 > this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES);
      this.#at = 0;
    }
    const draw = this.#pool.readUInt32LE(this.#at);
    this.#at += 4;
    return draw;
  }
}
