// @ts-check
/** Virtual times and their names; the ticks of the axis. Times are microseconds from the start of the run. */

/**
 * A point in time, to the microsecond: `12.345678 s`.
 * @param {number} us
 */
export function formatInstant(us) {
  return `${(us / 1e6).toFixed(6)} s`;
}

/**
 * How long something took, to three digits or so: `850 µs`, `1.25 ms`, `2.4 s`.
 * @param {number} us
 */
export function formatDuration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${Number((us / 1000).toPrecision(3))} ms`;
  return `${Number((us / 1e6).toPrecision(3))} s`;
}

/**
 * A tick's time, with as many decimals as tell it from the next.
 * @param {number} us
 * @param {number} stepUs
 */
export function formatTick(us, stepUs) {
  const decimals = Math.max(0, Math.ceil(6 - Math.log10(stepUs) - 1e-9));
  return `${(us / 1e6).toFixed(decimals)} s`;
}

/**
 * The smallest of 1, 2, 5, 10, 20 ... microseconds that is not below.
 * @param {number} leastUs
 */
export function niceStep(leastUs) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, leastUs)));
  for (const factor of [1, 2, 5]) if (factor * power >= leastUs) return factor * power;
  return 10 * power;
}

/**
 * Multiples of a step within a range.
 * @param {number} fromUs
 * @param {number} toUs
 * @param {number} stepUs
 */
export function ticks(fromUs, toUs, stepUs) {
  const found = [];
  for (let us = Math.ceil(fromUs / stepUs) * stepUs; us <= toUs; us += stepUs) found.push(us);
  return found;
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}
