// @ts-check
/** The part of the run that is in view: a range of time over a width of pixels. Plain functions from one to the next. */
import { clamp } from './units.js';

/**
 * @typedef {{ fromUs: number, toUs: number }} Viewport
 */

/** The shortest time that can fill the view. */
export const VIEW_US_MIN = 50;
/** Share of the run that may be seen beyond each of its ends. */
const MARGIN = 0.01;

/**
 * The view that holds a range, with some air around it.
 * @param {number} fromUs
 * @param {number} toUs
 * @param {number} endUs Of the run.
 * @returns {Viewport}
 */
export function viewAround(fromUs, toUs, endUs) {
  const air = Math.max(VIEW_US_MIN, 0.08 * (toUs - fromUs));
  return limit(fromUs - air, toUs + air, endUs);
}

/**
 * @param {number} endUs
 * @returns {Viewport}
 */
export function wholeRun(endUs) {
  return limit(0, endUs, endUs);
}

/**
 * The point of time `atUs` stays where it is on the screen.
 * @param {Viewport} view
 * @param {number} factor Below 1: nearer.
 * @param {number} atUs
 * @param {number} endUs
 * @returns {Viewport}
 */
export function zoom(view, factor, atUs, endUs) {
  const span = view.toUs - view.fromUs;
  const most = endUs * (1 + 2 * MARGIN);
  const wanted = clamp(span * factor, VIEW_US_MIN, Math.max(VIEW_US_MIN, most));
  const share = (atUs - view.fromUs) / span;
  const fromUs = atUs - share * wanted;
  return limit(fromUs, fromUs + wanted, endUs);
}

/**
 * @param {Viewport} view
 * @param {number} us Forward in time.
 * @param {number} endUs
 * @returns {Viewport}
 */
export function pan(view, us, endUs) {
  return limit(view.fromUs + us, view.toUs + us, endUs);
}

/**
 * @param {Viewport} view
 * @param {number} atUs
 * @param {number} endUs
 * @returns {Viewport} With `atUs` in the middle, unless it is well within already.
 */
export function reveal(view, atUs, endUs) {
  const span = view.toUs - view.fromUs;
  if (atUs > view.fromUs + 0.05 * span && atUs < view.toUs - 0.05 * span) return view;
  return limit(atUs - span / 2, atUs + span / 2, endUs);
}

/**
 * @param {Viewport} view
 * @param {number} us
 * @param {number} width Pixels.
 */
export function xOf(view, us, width) {
  return ((us - view.fromUs) / (view.toUs - view.fromUs)) * width;
}

/**
 * @param {Viewport} view
 * @param {number} x
 * @param {number} width
 */
export function timeOf(view, x, width) {
  return view.fromUs + (x / width) * (view.toUs - view.fromUs);
}

/**
 * A view as the end of an address: `#5.2-5.4`, in seconds.
 * @param {Viewport} view
 */
export function viewToHash(view) {
  return `#${(Math.max(0, view.fromUs) / 1e6).toFixed(6)}-${(view.toUs / 1e6).toFixed(6)}`;
}

/**
 * @param {string} hash
 * @param {number} endUs
 * @returns {Viewport | null} Null: it names none.
 */
export function viewFromHash(hash, endUs) {
  const found = /^#(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(hash);
  if (found === null) return null;
  const [fromUs, toUs] = [Number(found[1]) * 1e6, Number(found[2]) * 1e6];
  return fromUs < toUs ? limit(fromUs, toUs, endUs) : null;
}

/**
 * Moves a range into the run, keeping its length where that is possible.
 * @param {number} fromUs
 * @param {number} toUs
 * @param {number} endUs
 * @returns {Viewport}
 */
function limit(fromUs, toUs, endUs) {
  const low = -MARGIN * endUs;
  const high = Math.max(low + VIEW_US_MIN, endUs * (1 + MARGIN));
  const span = clamp(toUs - fromUs, VIEW_US_MIN, high - low);
  const from = clamp(fromUs, low, high - span);
  return { fromUs: from, toUs: from + span };
}
