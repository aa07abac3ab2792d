/** What happens on the ground: messages as arrows, operations as bars, marks. */
import { FONT, FONT_BOLD, FONT_SMALL, textInBar, widthOf } from './draw_text.js';
import { AXIS_HEIGHT, pointOf, rectOf, sceneX, sceneY, segmentOf } from './geometry.js';
import { outcomeText } from './items.js';
import { LabelRoom } from './labels.js';
import { termColour } from './palette.js';

/**
 * @typedef {import('./geometry.js').Scene} Scene
 * @typedef {import('./geometry.js').Segment} Segment
 * @typedef {import('./palette.js').Palette} Palette
 * @typedef {import('./items.js').Item} Item
 * @typedef {import('./items.js').MessageItem} MessageItem
 * @typedef {import('./items.js').MarkItem} MarkItem
 * @typedef {import('./items.js').OperationItem} OperationItem
 */

/** More messages than that in view are not all drawn: a picture of so many says nothing, and takes its time. */
export const MESSAGES_DRAWN_MAX = 4000;
const HEADS_MAX = 1500;
const LABELS_MAX = 120;
const LABEL_DX_MIN = 22;
const ARROW_TEXT_MAX = 26;

/**
 * @param {Scene} scene
 * @returns {{ drawn: MessageItem[], inView: number }}
 */
export function visibleMessages(scene) {
  const { items, index } = scene.groups.message;
  /** @type {MessageItem[]} */
  const visible = [];
  index.query(scene.view.fromUs, scene.view.toUs, (at) => {
    const item = items[at];
    if (item.type === 'message' && scene.mask[item.id] === 1) visible.push(item);
  });
  const stride = Math.ceil(visible.length / MESSAGES_DRAWN_MAX);
  const drawn =
    stride <= 1 ? visible : visible.filter((item) => item.id % stride === 0 || item.record.fate === 'lost');
  return { drawn, inView: visible.length };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {readonly MessageItem[]} messages
 */
export function drawMessages(context, scene, palette, messages) {
  const count = messages.length;
  const alpha = count > 3000 ? 0.3 : count > 1200 ? 0.45 : count > 300 ? 0.7 : 1;
  /** @type {Map<string, { colour: string, alpha: number, width: number, segments: Segment[] }>} */
  const buckets = new Map();
  for (const item of messages) {
    const segment = segmentOf(scene, item);
    if (segment === null) continue;
    const { kind, isReply } = item.record;
    const key = `${kind}${isReply}`;
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      const colour = palette.kinds[kind] ?? palette.faint;
      bucket = { colour, alpha: alpha * (isReply ? 0.6 : 1), width: isReply ? 1 : 1.5, segments: [] };
      buckets.set(key, bucket);
    }
    bucket.segments.push(segment);
  }
  for (const { colour, alpha: strength, width, segments } of buckets.values()) {
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.globalAlpha = strength;
    context.lineWidth = count > 1200 ? 1 : width;
    context.beginPath();
    for (const { x1, y1, x2, y2 } of segments) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    if (count <= HEADS_MAX) {
      context.beginPath();
      for (const segment of segments) addHead(context, segment);
      context.fill();
    }
  }
  context.globalAlpha = 1;
  for (const item of messages) drawFate(context, scene, palette, item);
  if (count > LABELS_MAX) return;
  const room = new LabelRoom();
  for (const item of messages) drawLabel(context, scene, palette, item, room);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Segment} segment
 */
function addHead(context, { x1, y1, x2, y2 }) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length < 12) return;
  const ux = (x2 - x1) / length;
  const uy = (y2 - y1) / length;
  context.moveTo(x2, y2);
  context.lineTo(x2 - 7 * ux + 3 * uy, y2 - 7 * uy - 3 * ux);
  context.lineTo(x2 - 7 * ux - 3 * uy, y2 - 7 * uy + 3 * ux);
  context.closePath();
}

/**
 * A cross where a message was lost, a ring where nobody took it.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {MessageItem} item
 */
function drawFate(context, scene, palette, item) {
  const { fate } = item.record;
  if (fate === 'arrived') return;
  const segment = segmentOf(scene, item);
  if (segment === null) return;
  const { x2, y2 } = segment;
  context.strokeStyle = fate === 'flight' ? palette.faint : palette.bad;
  context.lineWidth = 1.8;
  context.beginPath();
  if (fate === 'lost') {
    context.moveTo(x2 - 4, y2 - 4);
    context.lineTo(x2 + 4, y2 + 4);
    context.moveTo(x2 + 4, y2 - 4);
    context.lineTo(x2 - 4, y2 + 4);
  } else {
    context.arc(x2, y2, fate === 'unheard' ? 3.5 : 2, 0, 2 * Math.PI);
  }
  context.stroke();
}

/**
 * Its name, along the arrow.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {MessageItem} item
 * @param {LabelRoom} room Taken by the labels before it.
 */
function drawLabel(context, scene, palette, item, room) {
  const segment = segmentOf(scene, item);
  if (segment === null) return;
  const { x1, y1, x2, y2 } = segment;
  const { kind } = item.record;
  const text = arrowText(item.record);
  context.font = FONT_SMALL;
  const width = widthOf(context, text);
  // Steep ones stand close together: their words would cover each other.
  if (Math.hypot(x2 - x1, y2 - y1) < width + 26 || Math.abs(x2 - x1) < LABEL_DX_MIN) return;
  const [x, y, angle] = [(x1 + x2) / 2, (y1 + y2) / 2, Math.atan2(y2 - y1, x2 - x1)];
  if (!room.take({ x, y, angle, width })) return;
  context.save();
  context.translate(x, y);
  context.rotate(angle);
  context.textBaseline = 'middle';
  context.globalAlpha = 0.85;
  context.fillStyle = palette.paper;
  context.fillRect(-width / 2 - 3, -6.5, width + 6, 13);
  context.globalAlpha = 1;
  context.fillStyle = palette.kinds[kind] ?? palette.ink;
  context.fillText(text, -width / 2, 0.5);
  context.restore();
}

/**
 * What stands at an arrow: of Raft's messages the name and term, of what clients say the words.
 * @param {import('../record.ts').MessageRecord} message
 */
export function arrowText({ kind, name, term, text }) {
  if (kind === 'client') return text.length > ARROW_TEXT_MAX ? `${text.slice(0, ARROW_TEXT_MAX)}…` : text;
  return term > 0 ? `${name} · t${term}` : name;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawOperations(context, scene, palette) {
  const { items, index } = scene.groups.operation;
  context.textBaseline = 'middle';
  index.query(scene.view.fromUs, scene.view.toUs, (at) => {
    const item = items[at];
    if (item.type === 'operation' && scene.mask[item.id] === 1) drawOperation(context, scene, palette, item);
  });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {OperationItem} item
 */
function drawOperation(context, scene, palette, item) {
  const rect = rectOf(scene, item);
  if (rect === null) return;
  const { outcome, isWrite, isOffending, text } = item.record;
  const { operations } = palette;
  const isOpen = outcome === 'unknown';
  context.fillStyle =
    outcome === 'refused'
      ? operations.refused
      : isOpen
        ? operations.unknown
        : isWrite
          ? operations.write
          : operations.read;
  context.fillRect(rect.x, rect.y, rect.width, rect.height);
  if (isOpen) {
    // It may take effect at any later time.
    context.strokeStyle = operations.unknown;
    context.setLineDash([2, 3]);
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(rect.x + rect.width, rect.y + rect.height / 2);
    context.lineTo(rect.x + rect.width + 26, rect.y + rect.height / 2);
    context.stroke();
    context.setLineDash([]);
  }
  if (isOffending) {
    context.strokeStyle = palette.bad;
    context.lineWidth = 2;
    context.strokeRect(rect.x - 1, rect.y - 1, rect.width + 2, rect.height + 2);
  }
  if (rect.height < 9) return;
  context.fillStyle = palette.ink;
  context.font = isOffending ? FONT_BOLD : FONT;
  const answer = outcome === 'ok' && isWrite ? '' : ` → ${outcomeText(item.record)}`;
  textInBar(context, `${text}${answer}`, rect, scene.gutter, scene.width);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawMarks(context, scene, palette) {
  const { items, index } = scene.groups.mark;
  /** @type {Map<number, number>} Where the last number of a commit ends, by lane. */
  const written = new Map();
  /** @type {Map<number, number>} Where the last commit stands, by lane. */
  const drawn = new Map();
  context.font = FONT_SMALL;
  context.textBaseline = 'middle';
  index.query(scene.view.fromUs, scene.view.toUs, (at) => {
    const item = items[at];
    if (item.type !== 'mark' || scene.mask[item.id] === 0) return;
    const point = pointOf(scene, item);
    if (point === null) return;
    if (item.record.kind === 'commit') {
      // What stands on the pixel of another can't be told from it.
      if (point.x < (drawn.get(item.lane) ?? Number.NEGATIVE_INFINITY) + 1) return;
      drawn.set(item.lane, point.x);
      drawCommit(context, palette, item, point, written);
    } else drawMark(context, scene, palette, item, point);
  });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Palette} palette
 * @param {MarkItem} item
 * @param {{ x: number, y: number }} point
 * @param {Map<number, number>} written
 */
function drawCommit(context, palette, item, { x, y }, written) {
  context.fillStyle = palette.good;
  context.fillRect(x - 0.75, y - 6, 1.5, 9);
  if (x < (written.get(item.lane) ?? Number.NEGATIVE_INFINITY) + 6) return;
  const text = /\d+$/.exec(item.title)?.[0] ?? '';
  context.fillText(text, x + 3, y);
  written.set(item.lane, x + 3 + widthOf(context, text));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {MarkItem} item
 * @param {{ x: number, y: number }} point
 */
function drawMark(context, scene, palette, item, { x, y }) {
  context.lineWidth = 2;
  context.beginPath();
  switch (item.record.kind) {
    case 'crash':
      context.strokeStyle = palette.bad;
      context.moveTo(x - 5, y - 5);
      context.lineTo(x + 5, y + 5);
      context.moveTo(x + 5, y - 5);
      context.lineTo(x - 5, y + 5);
      context.stroke();
      return;
    case 'start':
      context.fillStyle = palette.good;
      context.moveTo(x - 3, y - 5);
      context.lineTo(x + 5, y);
      context.lineTo(x - 3, y + 5);
      context.fill();
      return;
    case 'elected':
      context.fillStyle = termColour(palette, termOf(item), 'full');
      star(context, x, y, 8);
      context.fill();
      context.strokeStyle = palette.paper;
      context.lineWidth = 1;
      context.stroke();
      return;
    case 'voted':
      context.fillStyle = palette.kinds.vote;
      context.moveTo(x, y - 5);
      context.lineTo(x + 4, y);
      context.lineTo(x, y + 5);
      context.lineTo(x - 4, y);
      context.fill();
      return;
    case 'fault':
      context.fillStyle = palette.warn;
      context.moveTo(x - 4, y - 5);
      context.lineTo(x + 4, y - 5);
      context.lineTo(x, y + 3);
      context.fill();
      return;
    case 'failure':
      context.strokeStyle = palette.bad;
      context.setLineDash([6, 4]);
      context.moveTo(x, AXIS_HEIGHT);
      context.lineTo(x, scene.height);
      context.stroke();
      context.setLineDash([]);
      return;
    case 'connection':
      context.strokeStyle = palette.faint;
      context.lineWidth = 1.2;
      context.arc(x, y, 3, 0, 2 * Math.PI);
      context.stroke();
      return;
    default:
      context.fillStyle =
        item.title.startsWith('warn') || item.title.startsWith('error') ? palette.bad : palette.faint;
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
}

/** @param {MarkItem} item Of an election. */
function termOf(item) {
  return Number(/\d+$/.exec(item.title)?.[0] ?? 0);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
function star(context, x, y, radius) {
  for (let point = 0; point < 10; point++) {
    const r = point % 2 === 0 ? radius : radius * 0.45;
    const angle = (point * Math.PI) / 5 - Math.PI / 2;
    context.lineTo(x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  context.closePath();
}

/**
 * Shows what is selected, or under the pointer, over everything else.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Item | null} item
 * @param {string} colour
 */
export function drawHighlight(context, scene, item, colour) {
  if (item === null) return;
  context.strokeStyle = colour;
  context.lineWidth = 2.5;
  if (item.type === 'message') {
    const segment = segmentOf(scene, item);
    if (segment === null) return;
    context.beginPath();
    context.moveTo(segment.x1, segment.y1);
    context.lineTo(segment.x2, segment.y2);
    context.stroke();
    context.fillStyle = colour;
    context.beginPath();
    addHead(context, segment);
    context.fill();
    return;
  }
  if (item.type === 'mark') {
    const point = pointOf(scene, item);
    if (point === null) return;
    context.beginPath();
    context.arc(point.x, point.y, 9, 0, 2 * Math.PI);
    context.stroke();
    return;
  }
  const rect = rectOf(scene, item);
  if (rect !== null) context.strokeRect(rect.x - 1.5, rect.y - 1.5, rect.width + 3, rect.height + 3);
}

/**
 * Outlines what else was done to the key of an operation: that is what its answer hangs on.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Item | null} selected
 * @param {string} colour
 */
export function drawSameKey(context, scene, selected, colour) {
  if (selected?.type !== 'operation') return;
  const { items, index } = scene.groups.operation;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.setLineDash([3, 2]);
  index.query(scene.view.fromUs, scene.view.toUs, (at) => {
    const item = items[at];
    if (item.type !== 'operation' || item === selected || scene.mask[item.id] === 0) return;
    // Those that contradict the check are framed already.
    if (item.record.isOffending) return;
    const rect = item.record.key === selected.record.key ? rectOf(scene, item) : null;
    if (rect !== null) context.strokeRect(rect.x - 0.5, rect.y - 0.5, rect.width + 1, rect.height + 1);
  });
  context.setLineDash([]);
}

/**
 * A thin line through all lanes at a time, and its name at the top.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Palette} palette
 * @param {number} us
 * @param {string} text
 */
export function drawCursor(context, scene, palette, us, text) {
  const x = Math.round(sceneX(scene, us));
  if (x < scene.gutter) return;
  context.fillStyle = palette.accent;
  context.globalAlpha = 0.5;
  context.fillRect(x, sceneY(scene, scene.scrollY), 1, scene.height);
  context.globalAlpha = 1;
  context.font = FONT;
  context.textBaseline = 'middle';
  const width = widthOf(context, text) + 10;
  const from = Math.min(x + 1, scene.width - width);
  context.fillRect(from, 2, width, AXIS_HEIGHT - 5);
  context.fillStyle = palette.paper;
  context.fillText(text, from + 5, AXIS_HEIGHT / 2);
}
