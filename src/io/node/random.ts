/** Draws from the system's randomness, which differ from process to process: nobody may know an election's timer. */
import { randomFillSync } from 'node:crypto';
import type { Random } from '../random.ts';

/** Draws taken from the system at once: a call to it costs as much as hundreds of them. */
const POOL_DRAWS = 256;
const TWO_TO_32 = 2 ** 32;

export class NodeRandom implements Random {
  readonly #pool = new Uint32Array(POOL_DRAWS);
  #used = POOL_DRAWS;

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > TWO_TO_32) {
      throw new RangeError(`a bound is an integer from 1 to 2^32, not ${bound}`);
    }
    // Draws above the last whole multiple of the bound would favour small results. At least half of all lie below it.
    const limit = TWO_TO_32 - (TWO_TO_32 % bound);
    for (;;) {
      const draw = this.#next();
      if (draw < limit) return draw % bound;
    }
  }

  #next(): number {
    if (this.#used === POOL_DRAWS) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    return this.#pool[this.#used++];
  }
}
