/**
 * The damaged entries of one group: those whose identity is known and whose bytes are not, ascending by index. They are
 * few, or they are many and found in order; so it is a sorted array.
 */
import type { EntryKind, Index } from './entry.ts';

export class Holes {
  readonly #indices: Index[] = [];
  /** What the entry's header says it is; null: the header is lost. */
  readonly #kinds: (EntryKind | null)[] = [];

  get count(): number {
    return this.#indices.length;
  }

  /** The lowest; infinity: there is none. */
  get first(): Index {
    return this.#indices.length === 0 ? Number.POSITIVE_INFINITY : this.#indices[0];
  }

  has(index: Index): boolean {
    return this.#indices[this.#rank(index)] === index;
  }

  /** The lowest at or above `index`; infinity: there is none. O(log n). */
  nextFrom(index: Index): Index {
    const at = this.#rank(index);
    return at === this.#indices.length ? Number.POSITIVE_INFINITY : this.#indices[at];
  }

  /** Undefined: the entry is not damaged. */
  kindOf(index: Index): EntryKind | null | undefined {
    const at = this.#rank(index);
    return this.#indices[at] === index ? this.#kinds[at] : undefined;
  }

  add(index: Index, kind: EntryKind | null): void {
    const at = this.#rank(index);
    if (this.#indices[at] === index) {
      this.#kinds[at] = kind;
      return;
    }
    this.#indices.splice(at, 0, index);
    this.#kinds.splice(at, 0, kind);
  }

  remove(index: Index): void {
    const at = this.#rank(index);
    if (this.#indices[at] !== index) return;
    this.#indices.splice(at, 1);
    this.#kinds.splice(at, 1);
  }

  /** Forgets those from `index` on: their entries are replaced. */
  dropFrom(index: Index): void {
    if (this.#indices.length === 0) return;
    const at = this.#rank(index);
    this.#indices.length = at;
    this.#kinds.length = at;
  }

  /** Forgets those up to `index`: nobody needs their entries. */
  dropTo(index: Index): void {
    if (this.#indices.length === 0) return;
    const at = this.#rank(index + 1);
    this.#indices.splice(0, at);
    this.#kinds.splice(0, at);
  }

  /** How many are below `index`. */
  #rank(index: Index): number {
    let low = 0;
    let high = this.#indices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#indices[middle] < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
