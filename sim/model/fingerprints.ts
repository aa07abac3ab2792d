/**
 * The global states that were seen, as fingerprints of 64 bits: an open-addressing table of pairs of 32-bit words that
 * doubles as it fills. Two different states have the same fingerprint with probability 2^-64: among ten million states
 * the chance that any one was taken for another is about 3 in a million.
 *
 * A fingerprint does not depend on how the nodes are numbered: of all numberings the least counts.
 */
import type { Letter } from './local_states.ts';
import type { GlobalState, Model } from './model.ts';

export class Fingerprints {
  /** Pairs; 0, 0 is free. */
  #table = new Uint32Array(2 << 16);
  /** What was noted with each. */
  #values = new Int32Array(1 << 16);
  #mask = (1 << 16) - 1;
  size = 0;

  /** What was noted for the fingerprint, or -1. */
  get(high: number, low: number): number {
    const slot = this.#find(high, low);
    return this.#isFree(slot) ? -1 : this.#values[slot];
  }

  /** Returns whether it is new; notes `value`, 0 or more, in either case. */
  put(high: number, low: number, value: number): boolean {
    const slot = this.#find(high, low);
    const isNew = this.#isFree(slot);
    this.#values[slot] = value;
    if (!isNew) return false;
    this.#table[2 * slot] = high;
    this.#table[2 * slot + 1] = low;
    this.size++;
    if (this.size > (this.#mask + 1) * 0.6) this.#grow();
    return true;
  }

  #isFree(slot: number): boolean {
    return this.#table[2 * slot] === 0 && this.#table[2 * slot + 1] === 0;
  }

  #find(high: number, low: number): number {
    const table = this.#table;
    let slot = low & this.#mask;
    // Ends: two slots of five are free.
    while (table[2 * slot] !== high || table[2 * slot + 1] !== low) {
      if (table[2 * slot] === 0 && table[2 * slot + 1] === 0) return slot;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #grow(): void {
    const [table, values] = [this.#table, this.#values];
    this.#mask = 2 * this.#mask + 1;
    this.#table = new Uint32Array(2 * (this.#mask + 1));
    this.#values = new Int32Array(this.#mask + 1);
    for (let old = 0; old < values.length; old++) {
      const [high, low] = [table[2 * old], table[2 * old + 1]];
      if (high === 0 && low === 0) continue;
      const slot = this.#find(high, low);
      this.#table[2 * slot] = high;
      this.#table[2 * slot + 1] = low;
      this.#values[slot] = values[old];
    }
  }
}

/** Computes fingerprints; the last one stands in `high` and `low`. */
export class Fingerprinter {
  readonly #model: Model;
  high = 0;
  low = 0;
  #nextHigh = 0;
  #nextLow = 0;

  constructor(model: Model) {
    this.#model = model;
  }

  take(state: GlobalState): void {
    const { permutations } = this.#model.locals;
    this.#compute(state, 0);
    this.high = this.#nextHigh;
    this.low = this.#nextLow;
    for (let which = 1; which < permutations.length; which++) {
      this.#compute(state, which);
      if (this.#nextHigh > this.high || (this.#nextHigh === this.high && this.#nextLow >= this.low)) continue;
      this.high = this.#nextHigh;
      this.low = this.#nextLow;
    }
    // 0, 0 stands for a free slot.
    if (this.high === 0 && this.low === 0) this.low = 1;
  }

  #compute(state: GlobalState, which: number): void {
    const { locals, properties } = this.#model;
    let high = Math.imul(state.spent + 1, 0x9e3779b1);
    let low = Math.imul(state.spent + 7, 0x85ebca77);
    const memory = which === 0 ? state.memory : properties.permute(state.memory, which);
    high = mix(high, memory.id);
    low = mix(low, memory.id ^ 0x5bd1e995);
    // A sum of mixed words: nodes and letters count in any order. A node's state knows its number.
    for (const node of state.nodes) {
      const local = which === 0 ? node : locals.permute(node, which);
      high = (high + mix(0x27d4eb2f, local.id)) | 0;
      low = (low + mix(0x165667b1, local.id)) | 0;
    }
    for (const letter of state.letters) {
      const permuted: Letter = which === 0 ? letter : locals.permuteLetter(letter, which);
      high = (high + mix(0x2545f491, permuted.id)) | 0;
      low = (low + mix(0x3c6ef372, permuted.id)) | 0;
    }
    this.#nextHigh = high >>> 0;
    this.#nextLow = low >>> 0;
  }
}

/** The finaliser of MurmurHash3 (A. Appleby) over two words. */
function mix(seed: number, value: number): number {
  let hash = Math.imul(value + 0x7f4a7c15, 0xcc9e2d51) ^ seed;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
