// @ts-check
/**
 * The transcript: one line for each thing that happens, in order of time. What lasts has a line at its beginning and one
 * at its end, so that cause and effect stand in their order.
 */
import { outcomeText } from './items.js';
import { formatDuration } from './units.js';

/**
 * @typedef {import('./items.js').Item} Item
 * @typedef {import('../record.ts').Lane} Lane
 * @typedef {{ item: Item, atUs: number, lane: number, text: string }} Line
 */

/** Spans whose end is told by what comes next. */
const ENDLESS = new Set(['follower', 'candidate', 'leader', 'down', 'starting', 'phase']);

/**
 * @param {readonly Item[]} items
 * @param {readonly Lane[]} lanes
 * @returns {Line[]}
 */
export function buildLines(items, lanes) {
  /** @type {Line[]} */
  const lines = [];
  for (const item of items) {
    lines.push({ item, atUs: item.fromUs, lane: item.lane, text: beginning(item, lanes) });
    const end = ending(item, lanes);
    if (end !== null) lines.push({ item, atUs: item.toUs, lane: item.toLane, text: end });
  }
  // Stable: at equal times beginnings stay in the order of the items.
  return lines.sort((a, b) => a.atUs - b.atUs);
}

/**
 * @param {Line} line
 * @param {readonly Lane[]} lanes
 */
export function formatLine(line, lanes) {
  return `${(line.atUs / 1000).toFixed(3).padStart(11)} ms  ${lanes[line.lane].name.padEnd(9)}  ${line.text}`;
}

/**
 * @param {Item} item
 * @param {readonly Lane[]} lanes
 */
function beginning(item, lanes) {
  switch (item.type) {
    case 'message':
      return `${item.record.name} → ${lanes[item.toLane].name}${colon(item.record.text)}`;
    case 'operation': {
      const { node, text } = item.record;
      return `asks ${node === null ? 'nobody' : lanes[node].name}: ${text}`;
    }
    default:
      return item.record.text;
  }
}

/**
 * @param {Item} item
 * @param {readonly Lane[]} lanes
 */
function ending(item, lanes) {
  const after = formatDuration(item.toUs - item.fromUs);
  switch (item.type) {
    case 'message': {
      const { name, fate, from } = item.record;
      const what = `${name} ← ${lanes[from].name}`;
      if (fate === 'arrived') return `${what} after ${after}`;
      if (fate === 'unheard') return `${what} after ${after}, but nobody listens any more`;
      return fate === 'lost' ? `${what}: lost` : null;
    }
    case 'operation': {
      const { text, outcome, isOffending } = item.record;
      const verb = outcome === 'ok' ? 'is told' : 'ends';
      return `${verb}: ${outcomeText(item.record)} (${text}, ${after})${isOffending ? '  <== contradicts' : ''}`;
    }
    case 'span':
      return ENDLESS.has(item.record.kind) ? null : `ends after ${after}: ${item.record.text}`;
    case 'mark':
      return null;
  }
}

/** @param {string} text */
function colon(text) {
  return text === '' ? '' : `: ${text}`;
}
