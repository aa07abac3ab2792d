/** The ground of the picture: lanes, roles and terms, what lasts, the axis and the names. */
import { FONT, FONT_BOLD, FONT_SMALL, fitText, textInBar, widthOf } from './draw_text.js';
import { AXIS_HEIGHT, rectOf, sceneX, sceneY } from './geometry.js';
import { hatching, termColour } from './palette.js';
import { formatTick, niceStep, ticks } from './units.js';

/**
 * @typedef {import('./geometry.js').Scene} Scene
 * @typedef {import('./palette.js').Palette} Palette
 * @typedef {import('./items.js').SpanItem} SpanItem
 */

const TICK_DISTANCE = 110;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawGround(context, scene, palette) {
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, scene.width, scene.height);
  for (const box of scene.layout.boxes) {
    if (box === null) continue;
    const y = sceneY(scene, box.top);
    if (box.lane % 2 === 1) {
      context.fillStyle = palette.lane;
      context.fillRect(0, y, scene.width, box.height);
    }
    context.fillStyle = palette.line;
    context.fillRect(0, y + box.height - 1, scene.width, 1);
  }
  const step = tickStep(scene);
  context.fillStyle = palette.line;
  context.globalAlpha = 0.7;
  for (const us of ticks(scene.view.fromUs, scene.view.toUs, step)) {
    context.fillRect(Math.round(sceneX(scene, us)), AXIS_HEIGHT, 1, scene.height);
  }
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawSpans(context, scene, palette) {
  const visible = visibleSpans(scene);
  context.textBaseline = 'middle';
  context.font = FONT;
  for (const item of visible) if (item.className === 'role') drawRole(context, scene, palette, item);
  drawLifelines(context, scene, palette);
  drawSyncs(context, scene, palette, visible);
  const down = hatching(context, palette.isDark ? '#6b2532' : '#e7a3ad', 'rising');
  const paused = hatching(context, palette.isDark ? '#5b5322' : '#dccb7a', 'falling');
  for (const item of visible) {
    const { kind } = item.record;
    if (kind === 'down') drawVeil(context, scene, item, down, palette.bad, palette);
    else if (kind === 'starting') drawVeil(context, scene, item, 'transparent', palette.good, palette);
    else if (kind === 'paused') drawVeil(context, scene, item, paused, palette.warn, palette);
    else if (kind === 'phase') drawPhase(context, scene, palette, item);
    else if (item.className === 'fault') drawFault(context, scene, palette, item);
  }
}

/**
 * What role a node plays and in which term, over the arrows that cross its lane.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawRoleNames(context, scene, palette) {
  context.textBaseline = 'middle';
  for (const item of visibleSpans(scene)) {
    const rect = item.className === 'role' ? rectOf(scene, item) : null;
    if (rect === null) continue;
    const { kind, term } = item.record;
    const isLeader = kind === 'leader';
    context.fillStyle = isLeader ? '#ffffff' : palette.ink;
    context.font = isLeader ? FONT_BOLD : FONT;
    const room = Math.min(rect.x + rect.width, scene.width) - Math.max(rect.x, scene.gutter) - 7;
    const names = isLeader
      ? [`leader · term ${term}`, `term ${term}`, `${term}`]
      : [`${kind} · ${term}`, `${term}`];
    const name = names.find((text) => widthOf(context, text) <= room);
    if (name !== undefined) textInBar(context, name, rect, scene.gutter, scene.width);
  }
}

/**
 * Names of the lanes and the axis, over all that has been drawn.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawFrame(context, scene, palette) {
  context.textBaseline = 'middle';
  context.fillStyle = palette.gutter;
  context.fillRect(0, 0, scene.gutter, scene.height);
  for (const box of scene.layout.boxes) {
    if (box === null) continue;
    const lane = scene.record.lanes[box.lane];
    const y = sceneY(scene, box.top);
    context.fillStyle = palette.line;
    context.fillRect(0, y + box.height - 1, scene.gutter, 1);
    context.fillStyle = palette.ink;
    context.font = FONT_BOLD;
    context.fillText(lane.name, 10, y + Math.min(box.height / 2, 16));
  }
  context.fillStyle = palette.gutter;
  context.fillRect(0, 0, scene.width, AXIS_HEIGHT);
  context.fillStyle = palette.line;
  context.fillRect(0, AXIS_HEIGHT - 1, scene.width, 1);
  context.fillRect(scene.gutter - 1, 0, 1, scene.height);
  drawTicks(context, scene, palette);
  drawScrollbar(context, scene, palette);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
function drawTicks(context, scene, palette) {
  const step = tickStep(scene);
  context.font = FONT;
  context.fillStyle = palette.faint;
  for (const us of ticks(scene.view.fromUs, scene.view.toUs, step)) {
    const x = Math.round(sceneX(scene, us));
    if (x < scene.gutter || us < 0) continue;
    context.fillRect(x, AXIS_HEIGHT - 6, 1, 5);
    const text = formatTick(us, step);
    const width = widthOf(context, text);
    if (x + width + 6 < scene.width) context.fillText(text, x + 4, 11);
  }
}

/**
 * Shows that there are more lanes than fit.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
function drawScrollbar(context, scene, palette) {
  const room = scene.height - AXIS_HEIGHT;
  const { height } = scene.layout;
  if (height <= room) return;
  context.fillStyle = palette.faint;
  context.globalAlpha = 0.5;
  const top = AXIS_HEIGHT + (scene.scrollY / height) * room;
  context.fillRect(scene.width - 6, top + 2, 4, (room / height) * room - 4);
  context.globalAlpha = 1;
}

/** @param {Scene} scene */
function tickStep(scene) {
  const span = scene.view.toUs - scene.view.fromUs;
  return niceStep((span * TICK_DISTANCE) / Math.max(1, scene.width - scene.gutter));
}

/**
 * @param {Scene} scene
 * @returns {SpanItem[]}
 */
function visibleSpans(scene) {
  const { items, index } = scene.groups.span;
  /** @type {SpanItem[]} */
  const visible = [];
  index.query(scene.view.fromUs, scene.view.toUs, (at) => {
    const item = items[at];
    if (item.type === 'span' && scene.mask[item.id] === 1) visible.push(item);
  });
  return visible;
}

/**
 * The line of each node along which its messages come and go.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
function drawLifelines(context, scene, palette) {
  context.fillStyle = palette.faint;
  context.globalAlpha = 0.45;
  for (const box of scene.layout.boxes) {
    if (box === null || scene.record.lanes[box.lane].kind !== 'node') continue;
    context.fillRect(scene.gutter, Math.round(sceneY(scene, box.lifeline)), scene.width, 1);
  }
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {SpanItem} item
 */
function drawRole(context, scene, palette, item) {
  const rect = rectOf(scene, item);
  const box = scene.layout.boxes[item.lane];
  if (rect === null || box === null) return;
  const { kind, term } = item.record;
  if (kind === 'leader') {
    context.fillStyle = termColour(palette, term, 'wash');
    context.fillRect(rect.x, sceneY(scene, box.top), rect.width, box.height - 1);
  }
  context.fillStyle =
    kind === 'leader' ? termColour(palette, term, 'full') : termColour(palette, term, 'soft');
  context.fillRect(rect.x, rect.y, rect.width, rect.height);
  if (kind === 'candidate') {
    context.strokeStyle = termColour(palette, term, 'full');
    context.setLineDash([3, 2]);
    context.lineWidth = 1.5;
    context.strokeRect(rect.x + 0.75, rect.y + 0.75, Math.max(1, rect.width - 1.5), rect.height - 1.5);
    context.setLineDash([]);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {readonly SpanItem[]} spans
 */
function drawSyncs(context, scene, palette, spans) {
  context.fillStyle = palette.isDark ? '#4d6a7d' : '#9db8ca';
  /** @type {Map<number, number>} Where the last one ends, by its height. */
  const ends = new Map();
  for (const item of spans) {
    const rect = item.className === 'sync' ? rectOf(scene, item) : null;
    if (rect === null) continue;
    const end = rect.x + rect.width;
    // From afar thousands stand on the same pixels.
    if (end < (ends.get(rect.y) ?? Number.NEGATIVE_INFINITY) + 1) continue;
    ends.set(rect.y, end);
    context.fillRect(rect.x, rect.y, rect.width, rect.height);
  }
}

/**
 * Over the whole lane of a node.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {SpanItem} item
 * @param {string | CanvasPattern} fill
 * @param {string} edge
 * @param {Palette} palette
 */
function drawVeil(context, scene, item, fill, edge, palette) {
  const rect = rectOf(scene, item);
  if (rect === null) return;
  if (fill !== 'transparent') {
    context.globalAlpha = 0.75;
    context.fillStyle = palette.paper;
    context.fillRect(rect.x, rect.y, rect.width, rect.height);
    context.globalAlpha = 1;
    context.fillStyle = fill;
    context.fillRect(rect.x, rect.y, rect.width, rect.height);
  }
  context.strokeStyle = edge;
  context.lineWidth = 1;
  if (fill === 'transparent') context.setLineDash([2, 3]);
  context.strokeRect(rect.x + 0.5, rect.y + 0.5, Math.max(1, rect.width - 1), rect.height - 1);
  context.setLineDash([]);
  label(context, scene, palette, item.record.text, rect, edge);
}

/**
 * A label on paper of its own, to be read over a hatching.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {string} text
 * @param {{ x: number, y: number, width: number, height: number }} rect
 * @param {string} colour
 */
function label(context, scene, palette, text, rect, colour) {
  const from = Math.max(rect.x, scene.gutter) + 4;
  const to = Math.min(rect.x + rect.width, scene.width) - 4;
  context.font = FONT;
  const fitting = fitText(context, text, to - from - 6);
  if (fitting === '') return;
  const width = widthOf(context, fitting) + 8;
  context.fillStyle = palette.paper;
  context.fillRect(from, rect.y + 3, width, 15);
  context.fillStyle = colour;
  context.fillText(fitting, from + 4, rect.y + 11);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {SpanItem} item
 */
function drawPhase(context, scene, palette, item) {
  const rect = rectOf(scene, item);
  if (rect === null) return;
  context.fillStyle = palette.gutter;
  context.fillRect(rect.x, rect.y, rect.width, rect.height);
  context.fillStyle = palette.faint;
  context.fillRect(rect.x, rect.y, 2, rect.height);
  context.font = FONT;
  textInBar(context, item.record.text, { ...rect, x: rect.x + 2 }, scene.gutter, scene.width);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {SpanItem} item
 */
function drawFault(context, scene, palette, item) {
  const rect = rectOf(scene, item);
  if (rect === null) return;
  context.fillStyle = palette.warn;
  context.globalAlpha = palette.isDark ? 0.35 : 0.22;
  context.fillRect(rect.x, rect.y, rect.width, rect.height);
  context.globalAlpha = 1;
  context.fillRect(rect.x, rect.y, 2, rect.height);
  context.fillStyle = palette.ink;
  context.font = FONT_SMALL;
  textInBar(context, item.record.text, rect, scene.gutter, scene.width);
}
