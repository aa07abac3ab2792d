/**
 * The nodes of a memtable in the order of their keys: a B+ tree of two levels, in typed arrays. A leaf holds the clues to up
 * to `LEAF_NODES` keys (see `key_clues.ts`) and their nodes; the directory holds the leaves in order. A search looks at clues
 * alone, which lie close together, and only where they are equal at the keys of nodes, each of which is a miss of the
 * processor's cache.
 *
 * A leaf that is full is cut in two; where a node comes behind all others a new one is begun, so that keys which come in
 * order leave full leaves behind. O(log n) for a search; an insertion moves half a leaf, and, where a leaf is cut, half of
 * the directory.
 */

const LEAF_NODES = 128;
/** Room grows from here on: many memtables hold a few keys. */
const FIRST_NODES = 16;

/** What keys nodes have. */
export interface NodeKeys {
  /** Negative: the key of the node is below; 0: it is this one. */
  compareKey(node: number, key: Uint8Array): number;
}

export class NodeIndex {
  readonly #keys: NodeKeys;
  /** Leaf n has the places from `n * LEAF_NODES` on. */
  #clues = new Float64Array(FIRST_NODES);
  #nodes = new Int32Array(FIRST_NODES);
  /** How many of its places a leaf uses. */
  #counts = new Int32Array(1);
  /** The directory: leaves in order, and the clue to the first key of each. */
  #leaves = new Int32Array(1);
  #firstClues = new Float64Array(1);
  #leafCount = 1;
  /** Where `locate` has led to: a place in the directory, and one in that leaf, perhaps behind its last node. */
  #at = 0;
  #slot = 0;

  constructor(keys: NodeKeys) {
    this.#keys = keys;
  }

  clear(): void {
    this.#counts[0] = 0;
    this.#leaves[0] = 0;
    this.#leafCount = 1;
    this.#at = 0;
    this.#slot = 0;
  }

  /** Goes in front of the first node whose key is not below this one, of which `clue` is the clue. */
  locate(clue: number, key: Uint8Array): void {
    const clues = this.#clues;
    const nodes = this.#nodes;
    const leaves = this.#leaves;
    const firstClues = this.#firstClues;
    // The last leaf that begins with a key below.
    let low = 0;
    let high = this.#leafCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const other = firstClues[middle];
      const isBelow =
        other < clue ||
        (other === clue && this.#keys.compareKey(nodes[leaves[middle] * LEAF_NODES], key) < 0);
      if (isBelow) low = middle;
      else high = middle - 1;
    }
    const leaf = leaves[low];
    const start = leaf * LEAF_NODES;
    let from = start;
    let to = start + this.#counts[leaf];
    while (from < to) {
      const middle = (from + to) >>> 1;
      const other = clues[middle];
      if (other < clue || (other === clue && this.#keys.compareKey(nodes[middle], key) < 0))
        from = middle + 1;
      else to = middle;
    }
    this.#at = low;
    this.#slot = from - start;
  }

  /** Goes behind the last node. */
  locateEnd(): void {
    this.#at = this.#leafCount - 1;
    this.#slot = this.#counts[this.#leaves[this.#at]];
  }

  /** The node in front of the place; 0: there is none. */
  get before(): number {
    // In front of the first place of a leaf there is no place but in the first leaf.
    return this.#slot === 0 ? 0 : this.#nodes[this.#leaves[this.#at] * LEAF_NODES + this.#slot - 1];
  }

  /** The node behind the place; 0: there is none. */
  get behind(): number {
    const leaf = this.#leaves[this.#at];
    if (this.#slot < this.#counts[leaf]) return this.#nodes[leaf * LEAF_NODES + this.#slot];
    return this.#at + 1 < this.#leafCount ? this.#nodes[this.#leaves[this.#at + 1] * LEAF_NODES] : 0;
  }

  /** Puts a node to the place; where that is afterwards is not said. */
  insert(clue: number, node: number): void {
    if (this.#counts[this.#leaves[this.#at]] === LEAF_NODES) this.#makeRoom();
    const leaf = this.#leaves[this.#at];
    const count = this.#counts[leaf];
    const start = leaf * LEAF_NODES;
    if (start + count === this.#nodes.length) this.#growNodes();
    const place = start + this.#slot;
    const clues = this.#clues;
    const nodes = this.#nodes;
    // A loop over both: two calls of `copyWithin` cost several times as much as what they move.
    for (let at = start + count; at > place; at--) {
      clues[at] = clues[at - 1];
      nodes[at] = nodes[at - 1];
    }
    clues[place] = clue;
    nodes[place] = node;
    this.#counts[leaf] = count + 1;
    if (this.#slot === 0) this.#firstClues[this.#at] = clue;
  }

  /** Gives every node a new clue; keys are in order by the new ones, too. */
  renew(clueOf: (node: number) => number): void {
    for (let at = 0; at < this.#leafCount; at++) {
      const start = this.#leaves[at] * LEAF_NODES;
      const end = start + this.#counts[this.#leaves[at]];
      for (let place = start; place < end; place++) this.#clues[place] = clueOf(this.#nodes[place]);
      this.#firstClues[at] = this.#clues[start];
    }
  }

  /** The leaf of the place is full: the place is in another one afterwards, or there is room. */
  #makeRoom(): void {
    const isBehindAll = this.#at === this.#leafCount - 1 && this.#slot === LEAF_NODES;
    const leaf = this.#leaves[this.#at];
    const added = this.#leafCount;
    const start = added * LEAF_NODES;
    if (added === this.#leaves.length) this.#growDirectory();
    while (start + LEAF_NODES > this.#nodes.length) this.#growNodes();
    const kept = isBehindAll ? LEAF_NODES : LEAF_NODES / 2;
    const from = leaf * LEAF_NODES;
    this.#clues.copyWithin(start, from + kept, from + LEAF_NODES);
    this.#nodes.copyWithin(start, from + kept, from + LEAF_NODES);
    this.#counts[leaf] = kept;
    this.#counts[added] = LEAF_NODES - kept;
    const next = this.#at + 1;
    this.#leaves.copyWithin(next + 1, next, this.#leafCount);
    this.#firstClues.copyWithin(next + 1, next, this.#leafCount);
    this.#leaves[next] = added;
    this.#firstClues[next] = this.#clues[start];
    this.#leafCount++;
    if (this.#slot > kept || isBehindAll) {
      this.#at = next;
      this.#slot -= kept;
    }
  }

  #growNodes(): void {
    const clues = new Float64Array(2 * this.#clues.length);
    const nodes = new Int32Array(clues.length);
    clues.set(this.#clues);
    nodes.set(this.#nodes);
    this.#clues = clues;
    this.#nodes = nodes;
  }

  #growDirectory(): void {
    const leaves = new Int32Array(2 * this.#leaves.length);
    const firstClues = new Float64Array(leaves.length);
    const counts = new Int32Array(leaves.length);
    leaves.set(this.#leaves);
    firstClues.set(this.#firstClues);
    counts.set(this.#counts);
    this.#leaves = leaves;
    this.#firstClues = firstClues;
    this.#counts = counts;
  }
}
