/** Comparison and text of byte strings. */

const encoder = new TextEncoder();
// A byte order mark is a character like any other: names that differ must stay different.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Orders byte strings as memcmp does, a prefix before what it starts. A plain loop beats native calls on keys. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i] - b[i];
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** As `compareBytes`, of byte strings that are known to have their first `share` bytes in common. */
export function compareBehind(a: Uint8Array, b: Uint8Array, share: number): number {
  const length = a.length < b.length ? a.length : b.length;
  for (let at = share; at < length; at++) {
    const difference = a[at] - b[at];
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** How many bytes two byte strings have in common, from the first on. */
export function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  return at;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Of short texts a loop makes bytes ten times as fast as a call of the encoder: 0.05 µs instead of 0.6 for 16 characters. */
const LOOP_CHARACTERS_MAX = 32;

export function utf8(text: string): Uint8Array {
  if (text.length > LOOP_CHARACTERS_MAX) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return encoder.encode(text);
    bytes[i] = unit;
  }
  return bytes;
}

/** Decodes UTF-8; malformed bytes become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Null when the bytes are not UTF-8. */
export function strictUtf8(bytes: Uint8Array): string | null {
  const text = decoder.decode(bytes);
  // What is malformed becomes U+FFFD, which may also have been there.
  return !text.includes('\ufffd') || equalBytes(utf8(text), bytes) ? text : null;
}

/** From this many bytes on a call copies faster than a loop; where it needs a view of the source, from the higher one. */
const CALL_BYTES_MIN = 32;
const CALL_WITH_VIEW_BYTES_MIN = 128;

/** Copies `source[start, end)` to `target` from `at` on, and returns the place behind it. They are not the same memory. */
export function copyRange(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length >= CALL_BYTES_MIN && length === source.length) target.set(source, at);
  else if (length >= CALL_WITH_VIEW_BYTES_MIN) target.set(source.subarray(start, end), at);
  else for (let n = 0; n < length; n++) target[at + n] = source[start + n];
  return at + length;
}

/** Up to so many bytes `copyWords` is faster than a view of the source and a call. */
export const WORDS_BYTES_MAX = 128;

/** Copies `source[start, end)` to `target` from `at` on, four bytes at a time. They are not the same memory. */
export function copyWords(target: DataView, at: number, source: DataView, start: number, end: number): void {
  let from = start;
  let to = at;
  for (const last = end - 4; from <= last; from += 4, to += 4) {
    target.setInt32(to, source.getInt32(from, true), true);
  }
  for (; from < end; from++, to++) target.setUint8(to, source.getUint8(from));
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
