// @ts-check
/** Where to begin to look: at what contradicts a check, if anything does. */
import { isFinding } from './filter.js';
import { viewAround, wholeRun } from './viewport.js';

/**
 * @typedef {import('../record.ts').RunRecord} RunRecord
 * @typedef {import('./items.js').Item} Item
 */

/** A failure that no operation shows is looked at with so much before it. */
const BEFORE_FAILURE_US = 400_000;
const FINDINGS_IN_VIEW = 4;

/**
 * What contradicts a check, if anything does; the end, when a run failed without; else the whole run.
 * @param {RunRecord} record
 * @param {readonly Item[]} items
 */
export function firstView(record, items) {
  const { endUs, check } = record.header;
  const last = lastFinding(items);
  if (last !== null) {
    // All of them could be too long a time for any to be read.
    const latest = items
      .filter((item) => item.type === 'operation' && isFinding(item) && item.record.outcome === 'ok')
      .sort((a, b) => a.toUs - b.toUs)
      .slice(-FINDINGS_IN_VIEW);
    return viewAround(Math.min(last.fromUs, ...latest.map(({ fromUs }) => fromUs)), last.toUs, endUs);
  }
  return check === null ? wholeRun(endUs) : viewAround(endUs - BEFORE_FAILURE_US, endUs, endUs);
}

/**
 * Of the operations that contradict a check the one that was answered last: without it there is no contradiction.
 * @param {readonly Item[]} items
 * @returns {Item | null}
 */
export function lastFinding(items) {
  /** @type {Item | null} */
  let last = null;
  for (const item of items) {
    if (item.type !== 'operation' || !isFinding(item) || item.record.outcome !== 'ok') continue;
    if (last === null || item.toUs > last.toUs) last = item;
  }
  return last;
}

/**
 * The position of the first line that is not before a time.
 * @param {readonly { atUs: number }[]} lines
 * @param {number} us
 */
export function firstLineAt(lines, us) {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (lines[middle].atUs < us) low = middle + 1;
    else high = middle;
  }
  return low;
}
