/**
 * User keys as store keys: `0x01`, the bucket's name in UTF-8, `0x00`, the key. Names hold no NUL, so the keys of a
 * bucket are one range and no key of one bucket is ever a key of another. First bytes other than 0x01 are reserved.
 */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import type { KeyRange } from './key_value_store.ts';

const USER_SPACE = 0x01;
const SEPARATOR = 0x00;

/** Encoded prefixes of the buckets seen last: the same few come over and over. */
const prefixes = new Map<string, Uint8Array>();
const PREFIXES_MAX = 256;

export function storeKey(bucket: string, key: Uint8Array): Uint8Array {
  const prefix = bucketPrefix(bucket);
  const whole = new Uint8Array(prefix.length + key.length);
  whole.set(prefix, 0);
  whole.set(key, prefix.length);
  return whole;
}

/** All keys of a bucket. */
export function bucketRange(bucket: string): Required<KeyRange> {
  const gte = bucketPrefix(bucket);
  return { gte, lt: behindBucket(gte) };
}

export const userRange: Required<KeyRange> = {
  gte: new Uint8Array([USER_SPACE]),
  lt: new Uint8Array([USER_SPACE + 1]),
};

/** The bucket that a store key belongs to, and the first possible key behind that bucket. */
export function bucketOf(key: Uint8Array): { bucket: string; end: Uint8Array } {
  const separator = key.indexOf(SEPARATOR, 1);
  const prefix = key.slice(0, separator + 1);
  return { bucket: fromUtf8(prefix.subarray(1, separator)), end: behindBucket(prefix) };
}

function bucketPrefix(bucket: string): Uint8Array {
  let prefix = prefixes.get(bucket);
  if (prefix === undefined) {
    const name = utf8(bucket);
    prefix = new Uint8Array(name.length + 2);
    prefix[0] = USER_SPACE;
    prefix.set(name, 1);
    prefix[name.length + 1] = SEPARATOR;
    if (prefixes.size >= PREFIXES_MAX) prefixes.clear();
    prefixes.set(bucket, prefix);
  }
  return prefix;
}

/** The prefix with its separator raised by one: above every key of the bucket, not above any of the next. */
function behindBucket(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice();
  end[end.length - 1] = SEPARATOR + 1;
  return end;
}
