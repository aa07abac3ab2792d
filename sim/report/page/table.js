/**
 * The transcript as a table that knows only the rows in view: the list may have a hundred thousand. The page's height is
 * kept by an empty block of the height of all rows.
 */
import { element } from './dom.js';

export const ROW_HEIGHT = 21;
const ROWS_BEYOND = 6;
/** Browsers lose precision in elements far higher than that. */
const HEIGHT_MAX = 12_000_000;

/**
 * Which rows are in view, with some beyond.
 * @param {number} scrollTop
 * @param {number} height
 * @param {number} count
 */
export function rowWindow(scrollTop, height, count) {
  const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - ROWS_BEYOND);
  const last = Math.min(count, Math.ceil((scrollTop + height) / ROW_HEIGHT) + ROWS_BEYOND);
  return { first: Math.min(first, count), last };
}

/**
 * @typedef {import('./lines.js').Line & { lower: string }} TableLine
 */

export class Table {
  #scroller;
  #spacer;
  #body;
  /** @type {readonly TableLine[]} */
  #lines = [];
  #current = -1;
  /** @type {(line: TableLine) => void} */
  #onPick;
  #laneNames;

  /**
   * @param {HTMLElement} scroller
   * @param {readonly string[]} laneNames
   * @param {(line: TableLine) => void} onPick
   */
  constructor(scroller, laneNames, onPick) {
    this.#scroller = scroller;
    this.#laneNames = laneNames;
    this.#onPick = onPick;
    this.#body = element('div', { class: 'rows', role: 'presentation' });
    this.#spacer = element('div', { class: 'spacer' }, [this.#body]);
    scroller.append(this.#spacer);
    scroller.addEventListener('scroll', () => this.#fill());
    scroller.addEventListener('keydown', (event) => this.#onKey(event));
    this.#body.addEventListener('click', (event) => this.#onClick(event));
    new ResizeObserver(() => this.#fill()).observe(scroller);
  }

  get current() {
    return this.#current;
  }

  /** @param {readonly TableLine[]} lines */
  show(lines) {
    this.#lines = lines;
    this.#current = -1;
    this.#spacer.style.height = `${Math.min(HEIGHT_MAX, lines.length * ROW_HEIGHT)}px`;
    this.#fill();
  }

  /**
   * Marks a row, and brings it into view.
   * @param {number} at -1: none.
   */
  mark(at) {
    this.#current = at;
    this.#scroller.setAttribute('aria-activedescendant', `line-${at}`);
    if (at >= 0) {
      const { scrollTop, clientHeight } = this.#scroller;
      const top = at * ROW_HEIGHT;
      if (top < scrollTop || top + ROW_HEIGHT > scrollTop + clientHeight) {
        this.#scroller.scrollTop = Math.max(0, top - clientHeight / 2);
      }
    }
    this.#fill();
  }

  /** @param {number} at The row to be at the top. */
  scrollTo(at) {
    this.#scroller.scrollTop = at * ROW_HEIGHT;
  }

  #fill() {
    const { scrollTop, clientHeight } = this.#scroller;
    const { first, last } = rowWindow(scrollTop, clientHeight, this.#lines.length);
    this.#body.style.transform = `translateY(${first * ROW_HEIGHT}px)`;
    this.#body.replaceChildren(
      ...this.#lines.slice(first, last).map((line, at) => this.#row(line, first + at)),
    );
  }

  /**
   * @param {TableLine} line
   * @param {number} at
   */
  #row(line, at) {
    const { item } = line;
    const kind = item.type === 'message' ? item.record.kind : item.className;
    const isBad = item.type === 'operation' && item.record.isOffending;
    const row = element('div', {
      class: `row${isBad ? ' bad' : ''}`,
      role: 'option',
      id: `line-${at}`,
      'data-at': String(at),
      'aria-selected': String(at === this.#current),
    });
    row.append(
      element('span', { class: 'time' }, [`${(line.atUs / 1000).toFixed(3)}`]),
      element('span', { class: 'lane' }, [this.#laneNames[line.lane]]),
      element('span', { class: `kind kind-${kind}` }, [kind]),
      element('span', { class: 'text', title: line.text }, [line.text]),
    );
    return row;
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const row = event.target instanceof Element ? event.target.closest('.row') : null;
    if (row instanceof HTMLElement) this.#pick(Number(row.dataset.at));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / ROW_HEIGHT) - 1);
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    const step = steps[event.key];
    if (step === undefined || this.#lines.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const at = Math.max(0, Math.min(this.#lines.length - 1, this.#current + step));
    this.#pick(at);
  }

  /** @param {number} at */
  #pick(at) {
    const line = this.#lines[at];
    if (line === undefined) return;
    this.mark(at);
    this.#onPick(line);
  }
}
