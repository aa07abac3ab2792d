// @ts-check
/**
 * Where everything stands from top to bottom. A lane has a lifeline, at which messages begin and end; what lasts and
 * overlaps in a lane is stacked in rows.
 */

/**
 * @typedef {import('../record.ts').Lane} Lane
 * @typedef {import('./items.js').Item} Item
 * @typedef {{ lane: number, top: number, height: number, lifeline: number, rowsTop: number, rowHeight: number }} LaneBox
 * @typedef {{ boxes: (LaneBox | null)[], height: number, rows: Int16Array }} Layout
 */

/** Heights in CSS pixels. */
export const ROLE_TOP = 7;
export const ROLE_HEIGHT = 17;
const NODE_LIFELINE = 46;
const NODE_ROWS_TOP = 58;
const NODE_ROW_HEIGHT = 11;
const NODE_HEIGHT_MIN = 70;
const WORLD_ROWS_TOP = 26;
const WORLD_ROW_HEIGHT = 14;
const CLIENT_PADDING = 6;
const CLIENT_ROW_HEIGHT = 15;
const CLIENT_ROW_HEIGHT_MIN = 6;
const CLIENT_ROWS_HEIGHT_MAX = 90;
/** More rows than that overlap. */
const SYNC_ROWS_MAX = 3;
export const SYNC_HEIGHT = 4;

/**
 * @param {readonly Lane[]} lanes
 * @param {readonly Item[]} items
 * @param {ReadonlySet<number>} hidden
 * @returns {Layout} `rows`: of each item, its row within its lane.
 */
export function layOut(lanes, items, hidden) {
  const rows = new Int16Array(items.length);
  const counts = lanes.map((_lane, lane) => {
    const stacked = items.filter((item) => item.lane === lane && isStacked(item));
    const syncs = items.filter((item) => item.lane === lane && item.className === 'sync');
    for (const sync of syncs) rows[sync.id] = 0;
    stack(syncs, rows);
    for (const sync of syncs) rows[sync.id] %= SYNC_ROWS_MAX;
    return stack(stacked, rows);
  });
  let top = 0;
  const boxes = lanes.map((lane, at) => {
    if (hidden.has(at)) return null;
    const box = makeBox(lane, at, top, counts[at]);
    top += box.height;
    return box;
  });
  return { boxes, height: top, rows };
}

/**
 * Gives each item the lowest row that is free at its time.
 * @param {readonly Item[]} items By beginning.
 * @param {Int16Array} rows
 * @returns {number} How many rows there are.
 */
export function stack(items, rows) {
  /** @type {number[]} */
  const ends = [];
  for (const item of items) {
    let row = ends.findIndex((end) => end <= item.fromUs);
    if (row === -1) row = ends.length;
    ends[row] = item.toUs;
    rows[item.id] = row;
  }
  return ends.length;
}

/**
 * @param {Item} item
 */
function isStacked(item) {
  if (item.type === 'operation') return true;
  return item.type === 'span' && item.className === 'fault' && item.record.kind !== 'paused';
}

/**
 * @param {Lane} lane
 * @param {number} at
 * @param {number} top
 * @param {number} rows
 * @returns {LaneBox}
 */
function makeBox(lane, at, top, rows) {
  switch (lane.kind) {
    case 'world': {
      const height = WORLD_ROWS_TOP + rows * WORLD_ROW_HEIGHT + 16;
      return box(at, top, height, height - 9, WORLD_ROWS_TOP, WORLD_ROW_HEIGHT);
    }
    case 'node': {
      const height = NODE_HEIGHT_MIN + rows * NODE_ROW_HEIGHT + SYNC_ROWS_MAX * SYNC_HEIGHT;
      return box(at, top, height, NODE_LIFELINE, NODE_ROWS_TOP, NODE_ROW_HEIGHT);
    }
    case 'client': {
      const count = Math.max(1, rows);
      const fitting = Math.floor(CLIENT_ROWS_HEIGHT_MAX / count);
      const rowHeight = Math.max(CLIENT_ROW_HEIGHT_MIN, Math.min(CLIENT_ROW_HEIGHT, fitting));
      const height = 2 * CLIENT_PADDING + count * rowHeight;
      // Requests come from nodes above: they begin and end at the upper edge.
      return box(at, top, height, CLIENT_PADDING, CLIENT_PADDING, rowHeight);
    }
  }
}

/**
 * @param {number} lane
 * @param {number} top
 * @param {number} height
 * @param {number} lifeline From the top of the lane, as `rowsTop`.
 * @param {number} rowsTop
 * @param {number} rowHeight
 * @returns {LaneBox}
 */
function box(lane, top, height, lifeline, rowsTop, rowHeight) {
  return { lane, top, height, lifeline: top + lifeline, rowsTop: top + rowsTop, rowHeight };
}
