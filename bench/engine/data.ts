/** What the bench of engines writes and reads: the same keys and values, in the same order, for every store. */
export const KEY_BYTES = 16;
export const VALUE_BYTES = 100;
export const VALUES_BYTES = 1024 * 1024;
const TEN_THOUSAND = 10_000;

/** Whole numbers from 0 to `below`, excluded. */
export type Draw = (below: number) => number;

/** Xorshift of 32 bits (Marsaglia, 2003): even enough for a bench, and the same for every store. */
export function drawFrom(seed: number): Draw {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

export function permutation(count: number, draw: Draw): Uint32Array {
  const order = new Uint32Array(count);
  for (let n = 0; n < count; n++) {
    const other = draw(n + 1);
    order[n] = order[other] ?? 0;
    order[other] = n;
  }
  return order;
}

/** Four decimal digits of every number below 10,000: a key that was made digit by digit took as long as half a read. */
const DIGITS = makeDigits();

function makeDigits(): Uint8Array {
  const digits = new Uint8Array(4 * TEN_THOUSAND);
  for (let number = 0; number < TEN_THOUSAND; number++) {
    digits.set(Buffer.from(String(number).padStart(4, '0')), 4 * number);
  }
  return digits;
}

/** Sixteen decimal digits of a whole number below 2 ** 31. */
export function writeKey(target: Buffer, key: number): void {
  let rest = key;
  for (let at = KEY_BYTES - 4; at >= 0; at -= 4) {
    const others = (rest / TEN_THOUSAND) | 0;
    const from = 4 * (rest - others * TEN_THOUSAND);
    target[at] = DIGITS[from];
    target[at + 1] = DIGITS[from + 1];
    target[at + 2] = DIGITS[from + 2];
    target[at + 3] = DIGITS[from + 3];
    rest = others;
  }
}

export function makeKey(key: number): Buffer {
  const bytes = Buffer.alloc(KEY_BYTES);
  writeKey(bytes, key);
  return bytes;
}

/** Half of each value can be compressed away, as in `db_bench`. */
export const values = makeValues();

function makeValues(): Buffer {
  const bytes = Buffer.alloc(VALUES_BYTES);
  const draw = drawFrom(301);
  for (let at = 0; at < VALUES_BYTES; at += VALUE_BYTES) {
    const half = Buffer.from(Array.from({ length: VALUE_BYTES / 2 }, () => 0x20 + draw(95)));
    half.copy(bytes, at);
    half.copy(bytes, at + VALUE_BYTES / 2);
  }
  return bytes;
}

export function valueFor(key: number): Buffer {
  const at = (key * VALUE_BYTES) % (VALUES_BYTES - VALUE_BYTES);
  return values.subarray(at, at + VALUE_BYTES);
}
