/**
 * Unsigned LEB128: seven bits a byte, least significant first, the top bit says that more follow. Values up to
 * 2^53 - 1 (8 bytes).
 */
import { assert } from '../base/assert.ts';

export const VARINT_BYTES_MAX = 8;

/** Bytes that `value` takes; 0 <= value <= 2^53 - 1. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes `value` at `offset` and returns the offset behind it. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  // What most are; and no details are made where they are not needed.
  if (value >= 0 && value < 0x80 && Number.isInteger(value)) {
    target[at] = value;
    return at + 1;
  }
  if (!(Number.isSafeInteger(value) && value >= 0))
    assert(false, 'a varint is a safe unsigned integer', { value });
  let rest = value;
  while (rest > 0x7fffffff) {
    // The lowest bits of any safe integer; a remainder of what does not fit into 32 bits is slow.
    target[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/**
 * Reads varints one after another from untrusted bytes without allocating: `read` returns the value, or -1 when
 * the bytes end early, the varint is longer than eight bytes or its value is above 2^53 - 1.
 */
export class VarintReader {
  offset: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.offset = offset;
    this.#end = end;
  }

  read(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX && this.offset < this.#end; i++) {
      const byte = this.#bytes[this.offset++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : -1;
      scale *= 128;
    }
    return -1;
  }
}
