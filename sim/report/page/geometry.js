// @ts-check
/** Where each item is drawn, and which item is at a point. Drawing and pointing share this, so that they agree. */
import { ROLE_HEIGHT, ROLE_TOP, SYNC_HEIGHT } from './layout.js';
import { timeOf, xOf } from './viewport.js';

/**
 * @typedef {import('./items.js').Item} Item
 * @typedef {import('./items.js').MessageItem} MessageItem
 * @typedef {import('./culling.js').IntervalIndex} IntervalIndex
 * @typedef {{ items: readonly Item[], index: IntervalIndex }} Group
 * @typedef {{ x: number, y: number, width: number, height: number }} Rect
 * @typedef {{ x1: number, y1: number, x2: number, y2: number }} Segment
 * @typedef {object} Scene What is to be drawn, and how it is looked at.
 * @property {import('../record.ts').RunRecord} record
 * @property {readonly Item[]} items
 * @property {Readonly<Record<Item['type'], Group>>} groups
 * @property {import('./layout.js').Layout} layout
 * @property {Uint8Array} mask
 * @property {import('./viewport.js').Viewport} view
 * @property {number} scrollY
 * @property {number} width Of the whole canvas, in CSS pixels, as `height`.
 * @property {number} height
 * @property {number} gutter Width of the names at the left.
 */

/** Height of the axis at the top. */
export const AXIS_HEIGHT = 26;
/** Operations are at least so wide, to be seen and hit. */
export const BAR_WIDTH_MIN = 3;
/** How near to a line or a mark the pointer must be, in pixels. */
const REACH = 6;

/**
 * @param {Scene} scene
 * @param {number} us
 */
export function sceneX(scene, us) {
  return scene.gutter + xOf(scene.view, us, scene.width - scene.gutter);
}

/**
 * @param {Scene} scene
 * @param {number} x
 */
export function sceneTime(scene, x) {
  return timeOf(scene.view, x - scene.gutter, scene.width - scene.gutter);
}

/**
 * @param {Scene} scene
 * @param {number} y Within the layout.
 */
export function sceneY(scene, y) {
  return AXIS_HEIGHT + y - scene.scrollY;
}

/**
 * From where to where a message goes. One that was lost ends half way; one that is still on its way, before that.
 * @param {Scene} scene
 * @param {MessageItem} item
 * @returns {Segment | null} Null: a lane is hidden.
 */
export function segmentOf(scene, item) {
  const from = scene.layout.boxes[item.lane];
  const to = scene.layout.boxes[item.toLane];
  if (from === null || to === null) return null;
  const { fate } = item.record;
  const share = fate === 'lost' ? 0.5 : fate === 'flight' ? 0.25 : 1;
  const y1 = sceneY(scene, from.lifeline);
  const y2 = sceneY(scene, to.lifeline);
  const x1 = sceneX(scene, item.fromUs);
  // What was on its way at the end of the run would else be a line through all of it.
  const x2 = fate === 'flight' ? x1 + 14 : sceneX(scene, item.toUs);
  return { x1, y1, x2, y2: y1 + share * (y2 - y1) };
}

/**
 * The rectangle of a span or an operation.
 * @param {Scene} scene
 * @param {Item} item
 * @returns {Rect | null} Null: its lane is hidden, or it has none.
 */
export function rectOf(scene, item) {
  const box = scene.layout.boxes[item.lane];
  if (box === null || item.type === 'message' || item.type === 'mark') return null;
  const x = sceneX(scene, item.fromUs);
  const width = Math.max(BAR_WIDTH_MIN, sceneX(scene, item.toUs) - x);
  const top = sceneY(scene, box.top);
  if (item.type === 'span') {
    switch (item.record.kind) {
      case 'follower':
      case 'candidate':
      case 'leader':
        return { x, y: top + ROLE_TOP, width, height: ROLE_HEIGHT };
      case 'down':
      case 'starting':
      case 'paused':
        return { x, y: top + ROLE_TOP, width, height: box.height - ROLE_TOP - 3 };
      case 'phase':
        return { x, y: top + 5, width, height: 16 };
      case 'sync': {
        const y = top + box.height - 4 - SYNC_HEIGHT * (scene.layout.rows[item.id] + 1);
        return { x, y, width, height: SYNC_HEIGHT - 1 };
      }
      default:
    }
  }
  const y = sceneY(scene, box.rowsTop) + scene.layout.rows[item.id] * box.rowHeight;
  return { x, y, width, height: box.rowHeight - 2 };
}

/**
 * The middle of a mark.
 * @param {Scene} scene
 * @param {Item} item
 * @returns {{ x: number, y: number } | null}
 */
export function pointOf(scene, item) {
  const box = scene.layout.boxes[item.lane];
  if (box === null || item.type !== 'mark') return null;
  const isWorld = scene.record.lanes[item.lane].kind === 'world';
  const offset = isWorld ? 0 : markOffset(item.record.kind);
  return { x: sceneX(scene, item.fromUs), y: sceneY(scene, box.lifeline) + offset };
}

/** @param {import('../record.ts').MarkKind} kind */
function markOffset(kind) {
  switch (kind) {
    case 'commit':
      return 7;
    case 'fault':
      return -12;
    case 'disk':
      return 14;
    case 'log':
      return -6;
    default:
      return 0;
  }
}

/**
 * The item at a point: marks before operations before messages before what lies under them.
 * @param {Scene} scene
 * @param {number} x
 * @param {number} y
 * @returns {Item | null}
 */
export function hit(scene, x, y) {
  if (x < scene.gutter || y < AXIS_HEIGHT) return null;
  return (
    nearest(scene, 'mark', x, (item) => distanceToPoint(pointOf(scene, item), x, y)) ??
    nearest(scene, 'operation', x, (item) => distanceInside(rectOf(scene, item), x, y)) ??
    nearest(scene, 'message', x, (item) =>
      item.type === 'message' ? distanceToSegment(segmentOf(scene, item), x, y) : Number.POSITIVE_INFINITY,
    ) ??
    nearest(scene, 'span', x, (item) => distanceInside(rectOf(scene, item), x, y))
  );
}

/**
 * @param {Scene} scene
 * @param {Item['type']} type
 * @param {number} x
 * @param {(item: Item) => number} distance
 * @returns {Item | null}
 */
function nearest(scene, type, x, distance) {
  /** @type {Item | null} */
  let best = null;
  let least = REACH;
  const { items, index } = scene.groups[type];
  const from = sceneTime(scene, x - REACH - BAR_WIDTH_MIN);
  const to = sceneTime(scene, x + REACH);
  index.query(from, to, (at) => {
    const item = items[at];
    if (scene.mask[item.id] === 0) return;
    const found = distance(item);
    if (found <= least) {
      least = found;
      best = item;
    }
  });
  return best;
}

/**
 * @param {{ x: number, y: number } | null} point
 * @param {number} x
 * @param {number} y
 */
function distanceToPoint(point, x, y) {
  return point === null ? Number.POSITIVE_INFINITY : Math.hypot(point.x - x, point.y - y);
}

/**
 * 0 inside; of several that hold the point, the narrowest is nearest.
 * @param {Rect | null} rect
 * @param {number} x
 * @param {number} y
 */
function distanceInside(rect, x, y) {
  if (rect === null || y < rect.y || y > rect.y + rect.height) return Number.POSITIVE_INFINITY;
  if (x < rect.x - 2 || x > rect.x + rect.width + 2) return Number.POSITIVE_INFINITY;
  return 1 - 1 / (1 + rect.width * rect.height);
}

/**
 * @param {Segment | null} segment
 * @param {number} x
 * @param {number} y
 */
export function distanceToSegment(segment, x, y) {
  if (segment === null) return Number.POSITIVE_INFINITY;
  const { x1, y1, x2, y2 } = segment;
  const dx = x2 - x1;
  const dy = y2 - y1;
  const length2 = dx * dx + dy * dy;
  const share = length2 === 0 ? 0 : Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length2));
  return Math.hypot(x1 + share * dx - x, y1 + share * dy - y);
}
