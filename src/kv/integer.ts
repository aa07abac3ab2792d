/** Integers of 64 bits, signed, as decimal text. */
import { fromUtf8 } from '../codec/bytes.ts';

export const INTEGER_MAX = 2n ** 63n - 1n;
export const INTEGER_MIN = -(2n ** 63n);
const DIGITS_MAX = 20;

/** As Redis takes them: no spaces, no plus, no leading zeros. Null when it is not one. */
export function parseInteger(bytes: Uint8Array): bigint | null {
  if (bytes.length === 0 || bytes.length > DIGITS_MAX) return null;
  const text = fromUtf8(bytes);
  if (!/^(0|-?[1-9]\d*)$/.test(text)) return null;
  const value = BigInt(text);
  return value > INTEGER_MAX || value < INTEGER_MIN ? null : value;
}
