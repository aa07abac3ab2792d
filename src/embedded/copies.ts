/**
 * Copies of short byte strings, cut from larger arrays: an array of its own for each costs several times as much as the
 * copying (Node's `Buffer.from` does the same for the same reason).
 */

/** What a copy that is kept can keep from being collected, at most. */
const SLAB_BYTES = 16 * 1024;
/** Longer ones get an array of their own. */
const POOLED_BYTES_MAX = 2 * 1024;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/** The bytes that are returned belong to the caller; nobody else sees or changes them. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > POOLED_BYTES_MAX) return new Uint8Array(bytes);
  if (used + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  slab.set(bytes, used);
  const copy = slab.subarray(used, used + length);
  // Copies begin where words do.
  used += (length + 7) & ~7;
  return copy;
}

/** As `copyBytes`. */
export function copyBuffer(bytes: Uint8Array): Buffer {
  const { buffer, byteOffset, length } = copyBytes(bytes);
  return Buffer.from(buffer, byteOffset, length);
}
