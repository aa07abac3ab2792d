/** The page: puts the record on the screen, and follows mouse, keys and buttons. */
import { groupItems } from './culling.js';
import { detailsOf } from './details.js';
import { byId, element, fitCanvas } from './dom.js';
import {
  drawCursor,
  drawHighlight,
  drawMarks,
  drawMessages,
  drawOperations,
  drawSameKey,
  visibleMessages,
} from './draw_events.js';
import { drawFrame, drawGround, drawRoleNames, drawSpans } from './draw_lanes.js';
import { makeFilter, maskOf, search } from './filter.js';
import { firstLineAt, firstView, lastFinding } from './findings.js';
import { AXIS_HEIGHT, hit, sceneTime } from './geometry.js';
import { followDrag } from './gestures.js';
import { fillHeader } from './header.js';
import { buildItems } from './items.js';
import { layOut } from './layout.js';
import { buildLines } from './lines.js';
import { drawOverview } from './overview.js';
import { currentPalette } from './palette.js';
import { makeSwitches } from './switches.js';
import { Table } from './table.js';
import { hideTip, showTip } from './tip.js';
import { clamp, formatDuration, formatInstant } from './units.js';
import { pan, reveal, viewAround, viewFromHash, viewToHash, wholeRun, zoom } from './viewport.js';

/**
 * @typedef {import('../record.ts').RunRecord} RunRecord
 * @typedef {import('./items.js').Item} Item
 * @typedef {import('./geometry.js').Scene} Scene
 * @typedef {import('./table.js').TableLine} TableLine
 */

const GUTTER = 84;
const KEY_ZOOM = 1.5;
/** Of the view, that an arrow key moves by. */
const KEY_PAN = 0.15;
/** The address follows the view after so long a rest, so that a place can be sent to somebody. */
const HASH_MS = 300;

export class App {
  /** @type {Scene} */
  #scene;
  #filter = makeFilter();
  #palette = currentPalette();
  #canvas = /** @type {HTMLCanvasElement} */ (byId('diagram'));
  #overlay = /** @type {HTMLCanvasElement} */ (byId('overlay'));
  #overview = /** @type {HTMLCanvasElement} */ (byId('overview'));
  #query = /** @type {HTMLInputElement} */ (byId('search'));
  #table;
  /** Every line of the transcript, and those that pass the filter. */
  /** @type {TableLine[]} */
  #lines;
  /** @type {TableLine[]} */
  #shown = [];
  /** Positions in `#shown` that match the query. */
  /** @type {number[]} */
  #found = [];
  /** @type {Item | null} */
  #selected = null;
  /** @type {Item | null} */
  #hovered = null;
  /** @type {{ x: number, y: number } | null} */
  #pointer = null;
  #isPlanned = false;
  /** The picture no longer shows the scene. */
  #isStale = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hashTimer;

  /** @param {RunRecord} record */
  constructor(record) {
    const items = buildItems(record);
    this.#lines = buildLines(items, record.lanes).map((line) => ({
      ...line,
      lower: `${record.lanes[line.lane].name} ${line.item.className} ${line.text}`.toLowerCase(),
    }));
    this.#scene = {
      record,
      items,
      groups: {
        message: groupItems(items, 'message'),
        span: groupItems(items, 'span'),
        mark: groupItems(items, 'mark'),
        operation: groupItems(items, 'operation'),
      },
      layout: layOut(record.lanes, items, this.#filter.hiddenLanes),
      mask: maskOf(items, this.#filter),
      view: viewFromHash(location.hash, record.header.endUs) ?? firstView(record, items),
      scrollY: 0,
      width: 0,
      height: 0,
      gutter: GUTTER,
    };
    const names = record.lanes.map(({ name }) => name);
    this.#table = new Table(byId('transcript'), names, (line) => this.#select(line.item, 'from table'));
    fillHeader(record.header);
    makeSwitches(this.#filter, record.lanes, () => this.#applyFilter());
    this.#listen();
    this.#applyFilter();
    this.#revealFinding();
    if (this.#selected === null) {
      const { fromUs } = this.#scene.view;
      requestAnimationFrame(() => this.#table.scrollTo(firstLineAt(this.#shown, fromUs)));
    }
  }

  // --- drawing

  /** @param {'all' | 'overlay'} what Has changed: with the pointer only what lies over the picture does. */
  #plan(what = 'all') {
    if (what === 'all') this.#isStale = true;
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    requestAnimationFrame(() => {
      this.#isPlanned = false;
      if (this.#isStale) this.#drawPicture();
      this.#isStale = false;
      this.#drawOverlay();
    });
  }

  #drawPicture() {
    const scene = this.#scene;
    const palette = this.#palette;
    const { context, width, height } = fitCanvas(this.#canvas);
    scene.width = width;
    scene.height = height;
    scene.scrollY = clamp(scene.scrollY, 0, Math.max(0, scene.layout.height + AXIS_HEIGHT - height));
    const { drawn, inView } = visibleMessages(scene);
    drawGround(context, scene, palette);
    drawSpans(context, scene, palette);
    drawMessages(context, scene, palette, drawn);
    drawRoleNames(context, scene, palette);
    drawOperations(context, scene, palette);
    drawMarks(context, scene, palette);
    drawFrame(context, scene, palette);
    const strip = fitCanvas(this.#overview);
    drawOverview(strip.context, scene, palette, strip.width, strip.height);
    const span = formatDuration(scene.view.toUs - scene.view.fromUs);
    const part = drawn.length < inView ? `, ${drawn.length} of them drawn` : '';
    byId('status').textContent = `${span} in view · ${inView.toLocaleString('en')} messages${part}`;
  }

  /** What is selected, what the pointer is at, and when. */
  #drawOverlay() {
    const scene = this.#scene;
    const palette = this.#palette;
    const { context, width, height } = fitCanvas(this.#overlay);
    context.clearRect(0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(scene.gutter, AXIS_HEIGHT, width, height);
    context.clip();
    drawSameKey(context, scene, this.#selected, palette.accent);
    drawHighlight(context, scene, this.#hovered, palette.faint);
    drawHighlight(context, scene, this.#selected, palette.accent);
    context.restore();
    if (this.#pointer === null) return;
    const us = sceneTime(scene, this.#pointer.x);
    drawCursor(context, scene, palette, us, formatInstant(us));
  }

  // --- what is shown

  #applyFilter() {
    const scene = this.#scene;
    scene.mask = maskOf(scene.items, this.#filter);
    scene.layout = layOut(scene.record.lanes, scene.items, this.#filter.hiddenLanes);
    this.#shown = this.#lines.filter(({ item }) => scene.mask[item.id] === 1);
    this.#table.show(this.#shown);
    if (this.#selected !== null) this.#table.mark(this.#lineOf(this.#selected));
    this.#search('stay');
    this.#plan();
  }

  /** @param {'move' | 'stay'} how */
  #search(how) {
    const query = this.#query.value;
    this.#found = search(this.#shown, query);
    byId('found').textContent = query.trim() === '' ? '' : `${this.#found.length.toLocaleString('en')} lines`;
    if (how === 'move') this.#nextFound('forward');
  }

  /** @param {'forward' | 'backward'} way */
  #nextFound(way) {
    const current = this.#place(way === 'forward' ? -1 : 0);
    const next =
      way === 'forward'
        ? (this.#found.find((at) => at > current) ?? this.#found[0])
        : (this.#found.findLast((at) => at < current) ?? this.#found.at(-1));
    if (next === undefined) return;
    this.#table.mark(next);
    this.#select(this.#shown[next].item, 'from table');
  }

  // --- selection

  /**
   * @param {Item | null} item
   * @param {'from table' | 'from picture'} origin
   */
  #select(item, origin) {
    this.#selected = item;
    const scene = this.#scene;
    const panel = byId('details');
    byId('legend').hidden = item !== null;
    if (item === null) {
      panel.replaceChildren();
    } else {
      const rows = detailsOf(item, scene.record.lanes);
      panel.replaceChildren(
        ...rows.map(([name, value]) =>
          element('div', {}, [element('dt', {}, [name]), element('dd', {}, [value])]),
        ),
      );
      if (origin === 'from table') {
        const view = reveal(scene.view, item.fromUs, scene.record.header.endUs);
        if (view !== scene.view) this.#plan();
        scene.view = view;
        this.#revealLane(item);
      } else {
        this.#table.mark(this.#lineOf(item));
      }
    }
    this.#plan('overlay');
  }

  /** @param {Item} item */
  #lineOf(item) {
    return this.#shown.findIndex((line) => line.item === item);
  }

  /** @param {Item} item */
  #revealLane(item) {
    const scene = this.#scene;
    const box = scene.layout.boxes[item.lane];
    if (box === null) return;
    const room = this.#canvas.clientHeight - AXIS_HEIGHT;
    const before = scene.scrollY;
    if (box.top < scene.scrollY) scene.scrollY = box.top;
    if (box.top + box.height > scene.scrollY + room) scene.scrollY = box.top + box.height - room;
    if (scene.scrollY !== before) this.#plan();
  }

  #revealFinding() {
    const finding = lastFinding(this.#scene.items);
    this.#select(finding, 'from picture');
    // Where everything stands is known only when the page is laid out.
    if (finding !== null) requestAnimationFrame(() => this.#revealLane(finding));
    byId('to-finding').hidden = this.#scene.record.header.check === null;
  }

  // --- moving about

  /** @param {import('./viewport.js').Viewport} view */
  #look(view) {
    this.#scene.view = view;
    this.#table.scrollTo(firstLineAt(this.#shown, view.fromUs));
    this.#plan();
    clearTimeout(this.#hashTimer);
    this.#hashTimer = setTimeout(() => history.replaceState(null, '', viewToHash(view)), HASH_MS);
  }

  /**
   * @param {number} factor
   * @param {number | null} x Stays where it is; null: the middle.
   */
  #zoom(factor, x) {
    const scene = this.#scene;
    const at = x === null ? (scene.view.fromUs + scene.view.toUs) / 2 : sceneTime(scene, x);
    this.#look(zoom(scene.view, factor, at, scene.record.header.endUs));
  }

  /** @param {number} share Of the view, forward in time. */
  #pan(share) {
    const { view, record } = this.#scene;
    this.#look(pan(view, share * (view.toUs - view.fromUs), record.header.endUs));
  }

  /** @param {number} pixels Down. */
  #scroll(pixels) {
    this.#scene.scrollY += pixels;
    this.#plan();
  }

  #listen() {
    byId('zoom-in').addEventListener('click', () => this.#zoom(1 / KEY_ZOOM, null));
    byId('zoom-out').addEventListener('click', () => this.#zoom(KEY_ZOOM, null));
    byId('pan-left').addEventListener('click', () => this.#pan(-2 * KEY_PAN));
    byId('pan-right').addEventListener('click', () => this.#pan(2 * KEY_PAN));
    byId('whole').addEventListener('click', () => this.#showAll());
    byId('to-finding').addEventListener('click', () => this.#showFinding());
    byId('to-selected').addEventListener('click', () => this.#showSelected());
    this.#query.addEventListener('input', () => this.#search('stay'));
    this.#query.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.#nextFound(event.shiftKey ? 'backward' : 'forward');
      if (event.key === 'Escape') this.#canvas.focus();
    });
    document.addEventListener('keydown', (event) => this.#onKey(event));
    this.#canvas.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
    this.#canvas.addEventListener('pointerdown', (event) => this.#onPointerDown(event));
    this.#canvas.addEventListener('pointermove', (event) => this.#onPointerMove(event));
    this.#canvas.addEventListener('pointerleave', () => this.#onPointerLeave());
    this.#canvas.addEventListener('dblclick', (event) => this.#zoom(1 / 3, event.offsetX));
    this.#overview.addEventListener('pointerdown', (event) => this.#onOverview(event));
    this.#overview.addEventListener('pointermove', (event) => {
      if (event.buttons === 1) this.#onOverview(event);
    });
    new ResizeObserver(() => this.#plan()).observe(this.#canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#palette = currentPalette();
      this.#plan();
    });
  }

  #showAll() {
    this.#look(wholeRun(this.#scene.record.header.endUs));
  }

  #showFinding() {
    this.#look(firstView(this.#scene.record, this.#scene.items));
    this.#revealFinding();
  }

  #showSelected() {
    const item = this.#selected;
    if (item === null) return;
    const air = Math.max(2000, item.toUs - item.fromUs);
    this.#look(viewAround(item.fromUs - air, item.toUs + air, this.#scene.record.header.endUs));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.target instanceof HTMLInputElement && event.target.type === 'search') return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => this.#pan(-KEY_PAN),
      ArrowRight: () => this.#pan(KEY_PAN),
      ArrowUp: () => this.#scroll(-40),
      ArrowDown: () => this.#scroll(40),
      '+': () => this.#zoom(1 / KEY_ZOOM, null),
      '=': () => this.#zoom(1 / KEY_ZOOM, null),
      '-': () => this.#zoom(KEY_ZOOM, null),
      0: () => this.#showAll(),
      f: () => this.#showFinding(),
      z: () => this.#showSelected(),
      n: () => this.#nextFound('forward'),
      N: () => this.#nextFound('backward'),
      j: () => this.#step(1),
      k: () => this.#step(-1),
      t: () => this.#toggle('bottom'),
      d: () => this.#toggle('side'),
      '/': () => this.#query.focus(),
      '?': () => byId('help').toggleAttribute('open'),
      Escape: () => this.#select(null, 'from picture'),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  /**
   * The line that is marked; where none is, the first in view.
   * @param {number} shift Added where none is.
   */
  #place(shift) {
    const { current } = this.#table;
    return current >= 0 ? current : firstLineAt(this.#shown, this.#scene.view.fromUs) + shift;
  }

  /** @param {number} by Lines of the transcript, forward. */
  #step(by) {
    const at = clamp(this.#place(by > 0 ? -1 : 0) + by, 0, this.#shown.length - 1);
    const line = this.#shown[at];
    if (line === undefined) return;
    this.#table.mark(at);
    this.#select(line.item, 'from table');
  }

  /** @param {string} id */
  #toggle(id) {
    byId(id).hidden = !byId(id).hidden;
    this.#plan();
  }

  /** @param {WheelEvent} event */
  #onWheel(event) {
    event.preventDefault();
    const scene = this.#scene;
    const pixels = event.deltaMode === 1 ? 16 : 1;
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.offsetX < GUTTER) this.#scroll(event.deltaY * pixels);
    else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.#pan((sideways * pixels) / scene.width);
    } else this.#zoom(1.0018 ** (event.deltaY * pixels), event.offsetX);
  }

  /** @param {PointerEvent} event */
  #onPointerDown(event) {
    const { view, scrollY, width, record } = this.#scene;
    followDrag(this.#canvas, event, {
      onMove: (dx, dy) => {
        const us = (-dx / (width - GUTTER)) * (view.toUs - view.fromUs);
        this.#scene.scrollY = scrollY - dy;
        this.#look(pan(view, us, record.header.endUs));
      },
      onClick: (up) => this.#select(hit(this.#scene, up.offsetX, up.offsetY), 'from picture'),
    });
  }

  /** @param {PointerEvent} event */
  #onPointerMove(event) {
    this.#pointer = { x: event.offsetX, y: event.offsetY };
    this.#hovered = event.buttons === 0 ? hit(this.#scene, event.offsetX, event.offsetY) : null;
    showTip(this.#hovered, this.#scene.record.lanes, event);
    this.#canvas.style.cursor = this.#hovered === null ? 'grab' : 'pointer';
    this.#plan('overlay');
  }

  #onPointerLeave() {
    this.#pointer = null;
    this.#hovered = null;
    hideTip();
    this.#plan('overlay');
  }

  /** @param {PointerEvent} event */
  #onOverview(event) {
    const { endUs } = this.#scene.record.header;
    const { view } = this.#scene;
    const width = this.#overview.clientWidth - GUTTER;
    const at = clamp((event.offsetX - GUTTER) / width, 0, 1) * endUs;
    this.#overview.setPointerCapture(event.pointerId);
    this.#look(pan(view, at - (view.fromUs + view.toUs) / 2, endUs));
  }
}
