/** Text that fits where it is put. */

const ELLIPSIS = '…';
/** Below that width nothing can be read. */
const TEXT_WIDTH_MIN = 14;
const CACHE_MAX = 20_000;

export const FONT = '11px system-ui, sans-serif';
export const FONT_SMALL = '10px system-ui, sans-serif';
export const FONT_BOLD = '600 11.5px system-ui, sans-serif';

/** @type {Map<string, number>} */
const widths = new Map();

/**
 * @param {CanvasRenderingContext2D} context With its font set.
 * @param {string} text
 */
export function widthOf(context, text) {
  const key = `${context.font}|${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    width = context.measureText(text).width;
    if (widths.size >= CACHE_MAX) widths.clear();
    widths.set(key, width);
  }
  return width;
}

/**
 * The text, or its beginning; empty when nothing fits.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width
 */
export function fitText(context, text, width) {
  if (width < TEXT_WIDTH_MIN) return '';
  const whole = widthOf(context, text);
  if (whole <= width) return text;
  const length = Math.floor((text.length * (width - 8)) / whole);
  return length < 2 ? '' : `${text.slice(0, length)}${ELLIPSIS}`;
}

/**
 * Writes a text into a bar so that it is seen while any part of the bar is: it starts at the left edge of what is in view.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {{ x: number, y: number, width: number, height: number }} rect
 * @param {number} left Edge of the view.
 * @param {number} right
 */
export function textInBar(context, text, rect, left, right) {
  const from = Math.max(rect.x, left) + 4;
  const to = Math.min(rect.x + rect.width, right) - 3;
  const fitting = fitText(context, text, to - from);
  if (fitting !== '') context.fillText(fitting, from, rect.y + rect.height / 2 + 0.5);
}
