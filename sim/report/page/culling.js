// @ts-check
/**
 * Which of many items overlap a range of time. Items are in order of their beginning; of each block of them the latest
 * end is known, so that blocks which end before the range are passed over as one: a query costs the blocks before the
 * range plus what it finds.
 */

const BLOCK = 64;

export class IntervalIndex {
  /** @type {readonly { fromUs: number, toUs: number }[]} */
  #items;
  /** Latest end in each block. */
  #ends;

  /** @param {readonly { fromUs: number, toUs: number }[]} items By `fromUs`. */
  constructor(items) {
    this.#items = items;
    this.#ends = new Float64Array(Math.ceil(items.length / BLOCK)).fill(Number.NEGATIVE_INFINITY);
    items.forEach(({ toUs }, at) => {
      const block = Math.floor(at / BLOCK);
      if (toUs > this.#ends[block]) this.#ends[block] = toUs;
    });
  }

  /**
   * Calls `take` with the position of each item that overlaps the range, ends included, in order.
   * @param {number} fromUs
   * @param {number} toUs
   * @param {(at: number) => void} take
   */
  query(fromUs, toUs, take) {
    const items = this.#items;
    for (let block = 0; block < this.#ends.length; block++) {
      const start = block * BLOCK;
      if (items[start].fromUs > toUs) return;
      if (this.#ends[block] < fromUs) continue;
      const end = Math.min(items.length, start + BLOCK);
      for (let at = start; at < end; at++) {
        const item = items[at];
        if (item.fromUs > toUs) return;
        if (item.toUs >= fromUs) take(at);
      }
    }
  }
}

/**
 * The items of one type with their index.
 * @param {readonly import('./items.js').Item[]} items
 * @param {import('./items.js').Item['type']} type
 */
export function groupItems(items, type) {
  const own = items.filter((item) => item.type === type);
  return { items: own, index: new IntervalIndex(own) };
}
