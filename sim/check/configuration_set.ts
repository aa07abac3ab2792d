/**
 * A set of configurations: short runs of 32-bit integers. Open addressing over one array that holds them all; members
 * are compared whole, so that two of equal hash are never taken for one.
 */
import { assert } from '../../src/base/assert.ts';

const SLOTS_START = 1024;
const WORDS_START = 8192;

export class ConfigurationSet {
  #size = 0;
  /** Position in `#words` of the member's length, plus one; 0: free. A power of two of slots. */
  #slots = new Int32Array(SLOTS_START);
  #hashes = new Int32Array(SLOTS_START);
  /** Members behind each other, each led by its length. */
  #words = new Int32Array(WORDS_START);
  #end = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds the first `length` words. False: they were a member already. */
  add(words: Int32Array, length: number): boolean {
    assert(length <= words.length, 'a configuration lies within its words');
    const hash = hashOf(words, length);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#hashes[slot] === hash && this.#isAt(this.#slots[slot] - 1, words, length)) return false;
    }
    this.#slots[slot] = this.#append(words, length) + 1;
    this.#hashes[slot] = hash;
    this.#size++;
    if (this.#size * 2 > this.#slots.length) this.#grow();
    return true;
  }

  #isAt(at: number, words: Int32Array, length: number): boolean {
    if (this.#words[at] !== length) return false;
    for (let word = 0; word < length; word++) if (this.#words[at + 1 + word] !== words[word]) return false;
    return true;
  }

  #append(words: Int32Array, length: number): number {
    const at = this.#end;
    if (at + 1 + length > this.#words.length) {
      const larger = new Int32Array(Math.max(this.#words.length * 2, at + 1 + length));
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[at] = length;
    for (let word = 0; word < length; word++) this.#words[at + 1 + word] = words[word];
    this.#end = at + 1 + length;
    return at;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const hashes = new Int32Array(slots.length);
    const mask = slots.length - 1;
    for (let from = 0; from < this.#slots.length; from++) {
      if (this.#slots[from] === 0) continue;
      let to = this.#hashes[from] & mask;
      while (slots[to] !== 0) to = (to + 1) & mask;
      slots[to] = this.#slots[from];
      hashes[to] = this.#hashes[from];
    }
    this.#slots = slots;
    this.#hashes = hashes;
  }
}

/** Word-wise multiply and rotate, with MurmurHash3's finish (A. Appleby, public domain). */
function hashOf(words: Int32Array, length: number): number {
  let hash = length;
  for (let at = 0; at < length; at++) {
    hash = Math.imul(hash ^ words[at], 0x9e3779b1);
    hash = (hash << 13) | (hash >>> 19);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
