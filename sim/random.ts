/**
 * The randomness of a simulated world: integers drawn from streams that a text seed names.
 *
 * A stream is Alea (J. Baagøe), as packaged by `seedrandom`: multiply-with-carry on doubles, the same on every platform.
 * `fork` names a child stream by label; what it yields depends on the labels alone and not on how much has been drawn
 * elsewhere, so that a change in one part of the world does not reshuffle the others.
 */
import seedrandom from 'seedrandom';
import { assert } from '../src/base/assert.ts';
import type { Random } from '../src/io/random.ts';

const TWO_TO_32 = 0x1_0000_0000;

export class SimRandom implements Random {
  readonly seed: string;
  /** A multiple of 2^-32, 0 <= n < 1. */
  readonly #next: () => number;

  constructor(seed: string) {
    this.seed = seed;
    this.#next = seedrandom.alea(seed);
  }

  below(bound: number): number {
    // The details of an assertion are made before it is called: too dear for each draw.
    if (!Number.isInteger(bound) || bound < 1 || bound > TWO_TO_32) {
      assert(false, 'a bound is from 1 to 2^32', { bound });
    }
    // The values above the last whole multiple of the bound would favour small results: they are drawn again.
    const limit = TWO_TO_32 - (TWO_TO_32 % bound);
    for (;;) {
      const draw = this.#next() * TWO_TO_32;
      if (draw < limit) return draw % bound;
    }
  }

  /** True in `permille` of a thousand cases; draws nothing when the outcome is certain. */
  chance(permille: number): boolean {
    return this.#chanceOf(permille, 1000);
  }

  chancePerMillion(perMillion: number): boolean {
    return this.#chanceOf(perMillion, 1_000_000);
  }

  /** An integer, low <= n <= high. */
  between(low: number, high: number): number {
    // An empty range would give a bound below 1, which is refused there.
    return low === high ? low : low + this.below(high - low + 1);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** The stream called `label` below this one. */
  fork(label: string): SimRandom {
    return new SimRandom(`${this.seed}/${label}`);
  }

  #chanceOf(share: number, whole: number): boolean {
    if (share <= 0) return false;
    return share >= whole || this.below(whole) < share;
  }
}
