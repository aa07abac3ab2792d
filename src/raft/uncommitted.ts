/** The sizes of a leader's proposals that are not committed yet, oldest first, and their sum. */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';

export class Uncommitted {
  /** Payload bytes of all entries behind `#committed`. */
  bytes = 0;
  #committed: Index;
  /** By index, from `#committed + 1`, behind the first `#gone` that have been committed meanwhile. */
  #sizes: number[] = [];
  #gone = 0;

  /** @param last The last index before this leadership: what is at or before it is not counted. */
  constructor(last: Index) {
    this.#committed = last;
  }

  add(index: Index, bytes: number): void {
    const next = this.#committed + this.#sizes.length - this.#gone + 1;
    assert(index === next, 'proposals are counted in order', { index, next });
    this.#sizes.push(bytes);
    this.bytes += bytes;
  }

  onCommit(index: Index): void {
    for (; this.#committed < index; this.#committed++) this.bytes -= this.#sizes[this.#gone++];
    if (this.#gone * 2 <= this.#sizes.length) return;
    this.#sizes = this.#sizes.slice(this.#gone);
    this.#gone = 0;
  }
}
