/** Room for labels that lie along arrows: one that would cover another is left out, as neither could be read. */

/** Pixels between the middle lines of two labels that can both be read. */
const APART = 13;
/** Between the points of a middle line that are compared. */
const STEP = 6;

/** @typedef {{ x: number, y: number, angle: number, width: number }} Label Its middle, direction in radians, and length. */

export class LabelRoom {
  /** @type {{ x: number, y: number, reach: number, points: { x: number, y: number }[] }[]} */
  #taken = [];

  /**
   * Takes the room for a label, if no label has it. O(labels taken).
   * @param {Label} label
   * @returns {boolean} False: it would cover one that was taken before.
   */
  take({ x, y, angle, width }) {
    const points = [];
    for (let along = -width / 2; along <= width / 2; along += STEP) {
      points.push({ x: x + along * Math.cos(angle), y: y + along * Math.sin(angle) });
    }
    const reach = width / 2 + APART;
    const isCovered = this.#taken.some(
      (other) =>
        Math.hypot(x - other.x, y - other.y) < reach + other.reach &&
        points.some((a) => other.points.some((b) => Math.hypot(a.x - b.x, a.y - b.y) < APART)),
    );
    if (!isCovered) this.#taken.push({ x, y, reach, points });
    return !isCovered;
  }
}
