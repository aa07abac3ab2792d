/**
 * Clues to keys: numbers that order as the keys do, but that different keys may have the same. They are made of the eight
 * bytes behind a prefix that most of the keys have in common; what is below all keys with that prefix has the lowest clue,
 * what is above them the highest. So a lower key never has a higher clue, whatever the prefix; one that does not fit only
 * makes more of them equal.
 *
 * The bytes are taken, without their last two bits, for those of a floating-point number: of two that are not negative the
 * one whose bits are higher is the higher one. So one comparison does.
 */

/** Of the eight bytes two bits are left out, by which no clue is infinite or none at all (NaN), and all are below 2. */
const BITS_LEFT_OUT = 2;
const CLUE_BYTES = 8;
const BELOW_ALL = -1;
const ABOVE_ALL = 2;
const words = new Int32Array(2);
const number = new Float64Array(words.buffer);
const HIGH_WORD = new Uint8Array(new Uint16Array([1]).buffer)[0];
const LOW_WORD = 1 - HIGH_WORD;

export class KeyClues {
  #prefix: Uint8Array = new Uint8Array(0);

  /** Makes the longest prefix that both keys have theirs. False: it was that already. */
  adapt(first: Uint8Array, last: Uint8Array): boolean {
    const length = Math.min(first.length, last.length);
    let shared = 0;
    while (shared < length && first[shared] === last[shared]) shared++;
    const prefix = this.#prefix;
    let isSame = shared === prefix.length;
    for (let at = 0; isSame && at < shared; at++) isSame = first[at] === prefix[at];
    if (!isSame) this.#prefix = first.slice(0, shared);
    return !isSame;
  }

  /** Of the key `bytes[start, end)`. */
  of(bytes: Uint8Array, start: number, end: number): number {
    const prefix = this.#prefix;
    const { length } = prefix;
    for (let n = 0; n < length; n++) {
      const difference = start + n < end ? bytes[start + n] - prefix[n] : -1;
      if (difference !== 0) return difference < 0 ? BELOW_ALL : ABOVE_ALL;
    }
    const at = start + length;
    let high: number;
    let low: number;
    if (at + CLUE_BYTES <= end) {
      high = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      low = (bytes[at + 4] << 24) | (bytes[at + 5] << 16) | (bytes[at + 6] << 8) | bytes[at + 7];
    } else {
      high = word(bytes, at, end);
      low = word(bytes, at + CLUE_BYTES / 2, end);
    }
    words[HIGH_WORD] = high >>> BITS_LEFT_OUT;
    words[LOW_WORD] = (high << (32 - BITS_LEFT_OUT)) | (low >>> BITS_LEFT_OUT);
    return number[0];
  }
}

/** Zeros stand for what is missing. */
function word(bytes: Uint8Array, from: number, end: number): number {
  let result = 0;
  for (let at = from; at < from + CLUE_BYTES / 2; at++) result = (result << 8) | (at < end ? bytes[at] : 0);
  return result;
}
