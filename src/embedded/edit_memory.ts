/**
 * Memory that edits of batches are gathered in. What one batch gives back the next one uses: arrays made anew for each are
 * outside of V8's heap, and enough of them make it collect all garbage, many times a second.
 */

const KEPT_MAX = 16;
/** Larger ones are rare, and too much to keep. */
const KEPT_BYTES_MAX = 256 * 1024;

const kept: Uint8Array[] = [];

/** Memory of `bytesMin` bytes or more, whatever is in it; nobody else uses it. */
export function lendBytes(bytesMin: number): Uint8Array {
  const found = kept.pop();
  // What is too small is forgotten: soon all that is kept is as large as batches are.
  return found !== undefined && found.length >= bytesMin ? found : new Uint8Array(bytesMin);
}

/** @param bytes A view of all that was lent, or of a part of it; nobody may use that any more. */
export function giveBackBytes({ buffer }: Uint8Array): void {
  if (kept.length < KEPT_MAX && buffer.byteLength <= KEPT_BYTES_MAX) kept.push(new Uint8Array(buffer));
}
