/**
 * The randomness seam. Draws decide timers and choices, never secrets.
 *
 * Promise: draws are uniform; from the same seed the same draws follow, on every platform.
 */
export interface Random {
  /** An integer, 0 <= n < bound; 1 <= bound <= 2^32. */
  below(bound: number): number;
}
