/**
 * Bloom filters (B. Bloom, 1970) with double hashing (Kirsch and Mitzenmacher, 2006): one hash of the key and a rotation
 * of it give all probes. A filter says "certainly not" or "maybe".
 */

/** Bits per key times ln 2 is best; the ratio is near enough. */
const PROBES_PER_BIT = 0.69;
const PROBES_MAX = 30;
/** Hashes are kept in pieces of this many, and that many go into the filter in one step: about a millisecond. */
const PIECE_HASHES = 16 * 1024;
/** The first piece grows up to that: many tables are small. */
const PIECE_HASHES_MIN = 256;

/** 32-bit hash of a key: FNV-1a with a final mix. */
export function hashKey(key: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i], 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Gathers hashes; the filter is made when their number, from which its size follows, is known. Four bytes a key, and no
 * step is long.
 */
export class FilterBuilder {
  readonly #bitsPerKey: number;
  readonly #full: Uint32Array[] = [];
  #piece = new Uint32Array(PIECE_HASHES_MIN);
  #used = 0;

  /** @param bitsPerKey 0: an empty filter. */
  constructor(bitsPerKey: number) {
    this.#bitsPerKey = bitsPerKey;
  }

  add(hash: number): void {
    if (this.#used === this.#piece.length) this.#makeRoom();
    this.#piece[this.#used++] = hash;
  }

  #makeRoom(): void {
    if (this.#used === PIECE_HASHES) {
      this.#full.push(this.#piece);
      this.#piece = new Uint32Array(PIECE_HASHES);
      this.#used = 0;
      return;
    }
    const larger = new Uint32Array(2 * this.#piece.length);
    larger.set(this.#piece);
    this.#piece = larger;
  }

  /** In steps. The filter's bytes: bits, then the number of probes; nothing at all when it is to be empty. */
  *build(): Generator<void, Uint8Array> {
    if (this.#bitsPerKey === 0) return new Uint8Array(0);
    const hashes = this.#full.length * PIECE_HASHES + this.#used;
    const bits = Math.ceil(Math.max(64, hashes * this.#bitsPerKey) / 8) * 8;
    const probes = Math.min(PROBES_MAX, Math.max(1, Math.round(this.#bitsPerKey * PROBES_PER_BIT)));
    const filter = new Uint8Array(bits / 8 + 1);
    filter[filter.length - 1] = probes;
    for (const piece of this.#full) {
      addAll(filter, piece);
      yield;
    }
    addAll(filter, this.#piece.subarray(0, this.#used));
    return filter;
  }
}

function addAll(filter: Uint8Array, hashes: Uint32Array): void {
  // See `mayContain`.
  const bits = ((filter.length - 1) * 8) >>> 0;
  const probes = filter[filter.length - 1];
  for (let i = 0; i < hashes.length; i++) {
    let probe = hashes[i];
    const step = rotate(probe);
    for (let n = 0; n < probes; n++) {
      const bit = probe % bits;
      filter[bit >>> 3] |= 1 << (bit & 7);
      probe = (probe + step) >>> 0;
    }
  }
}

/** An empty filter knows nothing: everything may be there. */
export function mayContain(filter: Uint8Array, hash: number): boolean {
  if (filter.length === 0) return true;
  // With both known to be of 32 bits the remainder is an instruction, and else a call.
  const bits = ((filter.length - 1) * 8) >>> 0;
  const probes = filter[filter.length - 1];
  const step = rotate(hash);
  let probe = hash >>> 0;
  for (let i = 0; i < probes; i++) {
    const bit = probe % bits;
    if ((filter[bit >>> 3] & (1 << (bit & 7))) === 0) return false;
    probe = (probe + step) >>> 0;
  }
  return true;
}

function rotate(hash: number): number {
  return ((hash >>> 17) | (hash << 15)) >>> 0;
}
