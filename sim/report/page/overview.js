/** The whole run in a strip: who led, what was broken, how much was said; and the part that is in view, to be dragged. */
import { isFinding } from './filter.js';
import { termColour } from './palette.js';
import { clamp } from './units.js';

/**
 * @typedef {import('./geometry.js').Scene} Scene
 * @typedef {import('./palette.js').Palette} Palette
 */

const TRAFFIC_HEIGHT = 16;
const PADDING = 5;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {number} width
 * @param {number} height
 */
export function drawOverview(context, scene, palette, width, height) {
  const { endUs } = scene.record.header;
  const x = (/** @type {number} */ us) => scene.gutter + (us / endUs) * (width - scene.gutter);
  context.fillStyle = palette.gutter;
  context.fillRect(0, 0, width, height);
  drawTraffic(context, scene, palette, width, height);
  const nodes = scene.record.lanes.filter(({ kind }) => kind === 'node').length;
  const rowHeight = (height - TRAFFIC_HEIGHT - 2 * PADDING) / Math.max(1, nodes);
  const bar = Math.max(1, rowHeight - 1);
  for (const { record } of scene.groups.span.items.filter((item) => item.type === 'span')) {
    const y = PADDING + (record.lane - 1) * rowHeight;
    const from = x(record.fromUs);
    const span = Math.max(1, x(record.toUs) - from);
    if (record.kind === 'leader') {
      context.fillStyle = termColour(palette, record.term, 'full');
      context.fillRect(from, y, span, bar);
    } else if (record.kind === 'follower' || record.kind === 'candidate') {
      context.fillStyle = termColour(palette, record.term, 'soft');
      context.fillRect(from, y, span, bar);
    } else if (record.kind === 'down') {
      context.fillStyle = palette.bad;
      context.globalAlpha = 0.55;
      context.fillRect(from, y + bar / 2 - 1, span, 2);
      context.globalAlpha = 1;
    } else if (record.kind === 'partition') {
      context.fillStyle = palette.warn;
      context.fillRect(from, 1, span, 2);
    }
  }
  for (const item of scene.items) {
    if (!isFinding(item)) continue;
    context.fillStyle = palette.bad;
    context.fillRect(x(item.fromUs) - 1, 0, Math.max(2, x(item.toUs) - x(item.fromUs)), 4);
    context.fillRect(x(item.fromUs) - 0.5, 0, 1, height);
  }
  const from = clamp(x(scene.view.fromUs), scene.gutter, width);
  const to = clamp(x(scene.view.toUs), scene.gutter, width);
  context.fillStyle = palette.paper;
  context.globalAlpha = 0.55;
  context.fillRect(scene.gutter, 0, from - scene.gutter, height);
  context.fillRect(to, 0, width - to, height);
  context.globalAlpha = 1;
  context.strokeStyle = palette.accent;
  context.lineWidth = 1.5;
  context.strokeRect(from + 0.5, 0.75, Math.max(3, to - from - 1), height - 1.5);
  context.fillStyle = palette.ink;
  context.font = '600 11.5px system-ui, sans-serif';
  context.textBaseline = 'middle';
  context.fillText('whole run', 10, height / 2);
}

/**
 * How many messages were sent, over time.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {number} width
 * @param {number} height
 */
function drawTraffic(context, scene, palette, width, height) {
  const columns = Math.max(1, Math.floor((width - scene.gutter) / 3));
  const counts = histogram(scene.groups.message.items, scene.record.header.endUs, columns);
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  context.fillStyle = palette.faint;
  context.globalAlpha = 0.5;
  counts.forEach((count, at) => {
    const barHeight = (count / most) * TRAFFIC_HEIGHT;
    context.fillRect(scene.gutter + at * 3, height - 1 - barHeight, 2, barHeight);
  });
  context.globalAlpha = 1;
}

/**
 * @param {readonly { fromUs: number }[]} items
 * @param {number} endUs
 * @param {number} columns
 */
export function histogram(items, endUs, columns) {
  const counts = new Array(columns).fill(0);
  for (const { fromUs } of items) {
    counts[clamp(Math.floor((fromUs / Math.max(1, endUs)) * columns), 0, columns - 1)]++;
  }
  return counts;
}
