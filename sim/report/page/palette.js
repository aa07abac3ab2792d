/** Colours, for paper that is light or dark. Kinds keep their hue in both. */

/**
 * @typedef {object} Palette
 * @property {boolean} isDark
 * @property {string} paper
 * @property {string} lane Every other lane.
 * @property {string} gutter
 * @property {string} ink
 * @property {string} faint
 * @property {string} line
 * @property {string} accent
 * @property {string} bad
 * @property {string} good
 * @property {string} warn
 * @property {Record<string, string>} kinds Of messages.
 * @property {Record<string, string>} operations
 */

/** @type {Palette} */
const LIGHT = {
  isDark: false,
  paper: '#ffffff',
  lane: '#f7f8fa',
  gutter: '#f1f3f6',
  ink: '#1b2430',
  faint: '#5b6776',
  line: '#dde2e8',
  accent: '#0b62d6',
  bad: '#c8102e',
  good: '#14804a',
  warn: '#b45309',
  kinds: {
    vote: '#7c3aed',
    append: '#1d6fe0',
    heartbeat: '#8a97a8',
    forward: '#0f8a83',
    client: '#a06a12',
    control: '#b9c1cb',
    damaged: '#c8102e',
  },
  operations: { write: '#f2b04a', read: '#8fc3ef', refused: '#c9d0d8', unknown: '#e3c7f2' },
};

/** @type {Palette} */
const DARK = {
  isDark: true,
  paper: '#10151c',
  lane: '#151b24',
  gutter: '#19212c',
  ink: '#e6ebf2',
  faint: '#94a1b2',
  line: '#2a3442',
  accent: '#6cb0ff',
  bad: '#ff5c72',
  good: '#42c98a',
  warn: '#f0a04b',
  kinds: {
    vote: '#b794ff',
    append: '#5ea6ff',
    heartbeat: '#6c7a8c',
    forward: '#3cc4b8',
    client: '#d6a24a',
    control: '#4a5666',
    damaged: '#ff5c72',
  },
  operations: { write: '#a8701a', read: '#2b679d', refused: '#444f5d', unknown: '#6d4a85' },
};

/** @returns {Palette} */
export function currentPalette() {
  return matchMedia('(prefers-color-scheme: dark)').matches ? DARK : LIGHT;
}

/**
 * Terms that follow each other are far apart in hue.
 * @param {Palette} palette
 * @param {number} term
 * @param {'full' | 'soft' | 'wash'} strength
 */
export function termColour(palette, term, strength) {
  const hue = Math.round((term * 137.508 + 190) % 360);
  if (palette.isDark) {
    const lightness = { full: 42, soft: 24, wash: 16 }[strength];
    return `hsl(${hue} ${strength === 'full' ? 55 : 35}% ${lightness}%)`;
  }
  const lightness = { full: 42, soft: 91, wash: 96 }[strength];
  return `hsl(${hue} ${strength === 'full' ? 60 : 55}% ${lightness}%)`;
}

/**
 * A hatching, as a fill.
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {'rising' | 'falling'} way
 */
export function hatching(context, colour, way) {
  const size = 8;
  const tile = document.createElement('canvas');
  const ratio = window.devicePixelRatio || 1;
  tile.width = size * ratio;
  tile.height = size * ratio;
  const pen = tile.getContext('2d');
  if (pen === null) return colour;
  pen.scale(ratio, ratio);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.6;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    if (way === 'rising') {
      pen.moveTo(shift - 2, size + 2);
      pen.lineTo(shift + size + 2, -2);
    } else {
      pen.moveTo(shift - 2, -2);
      pen.lineTo(shift + size + 2, size + 2);
    }
  }
  pen.stroke();
  const pattern = context.createPattern(tile, 'repeat');
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern ?? colour;
}
