/**
 * Bloom filters (B. Bloom, 1970) with double hashing (Kirsch and Mitzenmacher, 2006): one hash of the key and a rotation
 * of it give all probes. A filter says "certainly not" or "maybe".
 */

/** Bits per key times ln 2 is best; the ratio is near enough. */
const PROBES_PER_BIT = 0.69;
const PROBES_MAX = 30;

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

/** The filter's bytes: bits, then the number of probes. Empty when `bitsPerKey` is 0. */
export function buildFilter(hashes: readonly number[], bitsPerKey: number): Uint8Array {
  if (bitsPerKey === 0) return new Uint8Array(0);
  const probes = Math.min(PROBES_MAX, Math.max(1, Math.round(bitsPerKey * PROBES_PER_BIT)));
  const bits = Math.ceil(Math.max(64, hashes.length * bitsPerKey) / 8) * 8;
  const filter = new Uint8Array(bits / 8 + 1);
  filter[filter.length - 1] = probes;
  for (const hash of hashes) {
    const step = rotate(hash);
    let probe = hash;
    for (let i = 0; i < probes; i++) {
      const bit = probe % bits;
      filter[bit >>> 3] |= 1 << (bit & 7);
      probe = (probe + step) >>> 0;
    }
  }
  return filter;
}

/** An empty filter knows nothing: everything may be there. */
export function mayContain(filter: Uint8Array, hash: number): boolean {
  if (filter.length === 0) return true;
  const bits = (filter.length - 1) * 8;
  const probes = filter[filter.length - 1];
  const step = rotate(hash);
  let probe = hash;
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
