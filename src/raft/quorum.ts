/** Majorities. */

export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The largest value that a majority has reached: the median of the sorted values, the lower one of an even count.
 * Sorts `values` in place. O(n log n) in the handful of voters.
 */
export function quorumValue(values: number[]): number {
  values.sort(ascending);
  return values[values.length - majorityOf(values.length)];
}

function ascending(a: number, b: number): number {
  return a - b;
}
