/**
 * How much the tests do. `npm test` keeps to a budget of a few minutes; `npm run test:long` runs more of
 * the same, for about half an hour on two idle cores: twenty times as many runs of each property and seeds of each trial,
 * every place instead of a sample.
 */
export const IS_LONG = process.env.ENVELOPEDB_LONG_TESTS === '1';

const FACTOR = 20;

/** Runs of a property, or seeds, of which so many fit the budget. */
export function runs(bounded: number): number {
  return IS_LONG ? bounded * FACTOR : bounded;
}

/** How long a test may take that needs no more than this within the budget. */
export function limitMs(bounded: number): number {
  return IS_LONG ? bounded * FACTOR : bounded;
}
