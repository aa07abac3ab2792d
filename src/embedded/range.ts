/** Ranges of keys as a caller says them, and as the bytes of keys that they stand for. */
import { EnvelopeError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Encoding } from './encoding.ts';

/** Bounds of keys. Of `gt`, `gte` and `prefix` the highest counts, of `lt`, `lte` and `prefix` the lowest. */
export interface Bounds<K> {
  readonly gt?: K;
  readonly gte?: K;
  readonly lt?: K;
  readonly lte?: K;
  /** Keys whose bytes begin with those of this one. */
  readonly prefix?: K;
}

export interface Range<K> extends Bounds<K> {
  /** At most so many: a whole number from 0 on, or Infinity. */
  readonly limit?: number;
  /** From the highest key to the lowest. */
  readonly reverse?: boolean;
}

/** The keys `[from, to)` of a bucket, as bytes; null: to its end. Empty when `to` is not above `from`. */
export interface KeySpan {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

const NO_BYTES = new Uint8Array(0);

export function spanOf<K>({ gt, gte, lt, lte, prefix }: Bounds<K>, keys: Encoding<K>): KeySpan {
  let from: Uint8Array = NO_BYTES;
  let to: Uint8Array | null = null;
  if (prefix !== undefined) {
    from = keys.encode(prefix);
    to = behindPrefix(from);
  }
  if (gte !== undefined) from = higher(from, keys.encode(gte));
  if (gt !== undefined) from = higher(from, behind(keys.encode(gt)));
  if (lt !== undefined) to = lower(to, keys.encode(lt));
  if (lte !== undefined) to = lower(to, behind(keys.encode(lte)));
  return { from, to };
}

/** With bytes of its own, for who goes on over many turns. */
export function ownSpan({ from, to }: KeySpan): KeySpan {
  return { from: new Uint8Array(from), to: to === null ? null : new Uint8Array(to) };
}

export function isEmpty({ from, to }: KeySpan): boolean {
  return to !== null && compareBytes(from, to) >= 0;
}

/** @throws EnvelopeError `INVALID` */
export function limitOf({ limit = Number.POSITIVE_INFINITY }: Range<unknown>): number {
  if (limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && limit >= 0)) return limit;
  throw new EnvelopeError('INVALID', `limit is ${limit}: it is a whole number from 0 on, or Infinity`);
}

/** The first of all possible keys above this one. */
export function behind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The first of all possible keys above those that begin with the prefix; null: there is none. */
function behindPrefix(prefix: Uint8Array): Uint8Array | null {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return null;
  const next = new Uint8Array(prefix.subarray(0, length));
  next[length - 1]++;
  return next;
}

function higher(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) >= 0 ? a : b;
}

function lower(a: Uint8Array | null, b: Uint8Array): Uint8Array {
  return a !== null && compareBytes(a, b) <= 0 ? a : b;
}
