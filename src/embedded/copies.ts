/**
 * Copies of short byte strings, cut from larger arrays: an array of its own for each costs several times as much as the
 * copying (Node's `Buffer.from` does the same for the same reason).
 */

/** What a copy that is kept can keep from being collected, at most. */
const SLAB_BYTES = 16 * 1024;
/** Longer ones get an array of their own. */
const POOLED_BYTES_MAX = 2 * 1024;
/** Up to here an array of its own is made within the heap, which costs less than cutting it from another one. */
const HEAP_BYTES_MAX = 64;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/** The bytes that are returned belong to the caller; nobody else sees or changes them. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.length > POOLED_BYTES_MAX) return new Uint8Array(bytes);
  const at = place(bytes, 0, bytes.length);
  return new Uint8Array(slab.buffer, at, bytes.length);
}

/** As `copyBytes` of `bytes.subarray(start, end)`, 0 <= start <= end <= bytes.length, of memory of the store: not a `Buffer`. */
export function copyRange(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  if (length <= HEAP_BYTES_MAX || length > POOLED_BYTES_MAX) return bytes.slice(start, end);
  const at = place(bytes, start, end);
  return new Uint8Array(slab.buffer, at, length);
}

/** As `copyBytes`. */
export function copyBuffer(bytes: Uint8Array): Buffer {
  const { buffer, byteOffset, length } = copyBytes(bytes);
  return Buffer.from(buffer, byteOffset, length);
}

/** As `copyRange`. */
export function copyBufferRange(bytes: Uint8Array, start: number, end: number): Buffer {
  const length = end - start;
  if (length > POOLED_BYTES_MAX) return Buffer.from(bytes.slice(start, end).buffer);
  const at = place(bytes, start, end);
  return Buffer.from(slab.buffer, at, length);
}

/** Copies into the slab; where to. */
function place(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (used + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const at = used;
  slab.set(bytes.subarray(start, end), at);
  // Copies begin where words do.
  used += (length + 7) & ~7;
  return at;
}
