/** What the panel at the side says about an item. */
import { outcomeText } from './items.js';
import { formatDuration, formatInstant } from './units.js';

/**
 * @typedef {import('./items.js').Item} Item
 * @typedef {import('../record.ts').Lane} Lane
 */

/** @type {Readonly<Record<string, string>>} */
const FATES = {
  arrived: 'arrived',
  unheard: 'arrived, but nobody listened any more',
  lost: 'lost',
  flight: 'on its way, or held up, when the run ended',
};

/**
 * Rows of a name and a value.
 * @param {Item} item
 * @param {readonly Lane[]} lanes
 * @returns {[string, string][]}
 */
export function detailsOf(item, lanes) {
  const lane = lanes[item.lane].name;
  switch (item.type) {
    case 'message': {
      const { name, text, fate, term, connection } = item.record;
      /** @type {[string, string][]} */
      const rows = [
        ['message', name],
        ['from', lane],
        ['to', lanes[item.toLane].name],
        ['sent', formatInstant(item.fromUs)],
        [fate === 'arrived' ? 'arrived' : 'ended', formatInstant(item.toUs)],
        ['on its way', formatDuration(item.toUs - item.fromUs)],
      ];
      if (fate !== 'arrived') rows.push(['fate', FATES[fate]]);
      if (term > 0) rows.push(['term', String(term)]);
      if (text !== '') rows.push(['says', text]);
      rows.push(['connection', `#${connection}`]);
      return rows;
    }
    case 'operation': {
      const { node, text, outcome, isOffending } = item.record;
      /** @type {[string, string][]} */
      const rows = [
        ['operation', text],
        ['client', lane],
        ['asked', node === null ? 'nobody' : lanes[node].name],
        ['invoked', formatInstant(item.fromUs)],
        [outcome === 'ok' ? 'answered' : 'ended', formatInstant(item.toUs)],
        ['took', formatDuration(item.toUs - item.fromUs)],
        ['answer', outcomeText(item.record)],
      ];
      if (isOffending) rows.push(['check', 'part of the smallest history that contradicts itself']);
      return rows;
    }
    case 'span':
      return [
        [item.record.kind, item.record.text],
        ['where', lane],
        ['from', formatInstant(item.fromUs)],
        ['to', formatInstant(item.toUs)],
        ['for', formatDuration(item.toUs - item.fromUs)],
      ];
    case 'mark':
      return [
        [item.record.kind, item.record.text],
        ['where', lane],
        ['at', formatInstant(item.fromUs)],
      ];
  }
}
