// @ts-check
/** Which items are shown: by class, by lane, by words. */
import { CLASSES } from './items.js';

/**
 * @typedef {import('./items.js').Item} Item
 * @typedef {{ classes: Set<string>, hiddenLanes: Set<number>, replies: 'shown' | 'hidden' }} Filter
 */

/** @returns {Filter} */
export function makeFilter() {
  const classes = new Set(CLASSES.filter(({ isOn }) => isOn).map(({ name }) => name));
  return { classes, hiddenLanes: new Set(), replies: 'shown' };
}

/**
 * Operations that contradict a check, and the failure itself, are always shown.
 * @param {Item} item
 * @param {Filter} filter
 */
export function passes(item, filter) {
  if (filter.hiddenLanes.has(item.lane) || filter.hiddenLanes.has(item.toLane)) return false;
  if (isFinding(item)) return true;
  if (item.type === 'message' && item.record.isReply && filter.replies === 'hidden') return false;
  return filter.classes.has(item.className);
}

/**
 * Part of what a failed check has found.
 * @param {Item} item
 */
export function isFinding(item) {
  if (item.type === 'operation') return item.record.isOffending;
  return item.type === 'mark' && item.record.kind === 'failure';
}

/**
 * A byte for each item: 1 where it is shown.
 * @param {readonly Item[]} items
 * @param {Filter} filter
 */
export function maskOf(items, filter) {
  const mask = new Uint8Array(items.length);
  for (const item of items) mask[item.id] = passes(item, filter) ? 1 : 0;
  return mask;
}

/**
 * Lines that hold every word of the query, in any case; words in quotation marks stand together.
 * @param {readonly { text: string, lower: string }[]} lines
 * @param {string} query
 * @returns {number[]} Their positions.
 */
export function search(lines, query) {
  /** @type {string[]} */
  const words = [];
  for (const [, phrase, word] of query.toLowerCase().matchAll(/"([^"]+)"|([^\s"]+)/g))
    words.push(phrase ?? word);
  /** @type {number[]} */
  const found = [];
  if (words.length === 0) return found;
  lines.forEach(({ lower }, at) => {
    if (words.every((word) => lower.includes(word))) found.push(at);
  });
  return found;
}
