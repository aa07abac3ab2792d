/**
 * User keys as store keys: `0x01`, the bucket's name in UTF-8, `0x00`, the key. Names hold no NUL, so the keys of a
 * bucket are one range and no key of one bucket is ever a key of another.
 *
 * `0x00` begins the state machine's own keys; the byte behind it says whose. Their numbers are of eight bytes, the most
 * significant first, so that they are in order:
 *
 * - `00 'a' session number`: the answer to a numbered write of a session;
 * - `00 'c'`: who belongs to the group, once that has changed;
 * - `00 'd' bucket`: a bucket was dropped and its remains are still being swept;
 * - `00 's' session`: a session;
 * - `00 't'`: the time of the state machine;
 * - `00 'x' time key`: the store key `key` expires then.
 */
import { copyRange, fromUtf8, utf8 } from '../codec/bytes.ts';
import type { KeyRange } from './key_value_store.ts';

const USER_SPACE = 0x01;
const SEPARATOR = 0x00;

/** Encoded prefixes of the buckets seen last: the same few come over and over. */
const prefixes = new Map<string, Uint8Array>();
const PREFIXES_MAX = 256;
let lastBucket: string | null = null;
let lastPrefix: Uint8Array = new Uint8Array(0);

export function storeKey(bucket: string, key: Uint8Array): Uint8Array {
  const prefix = bucketPrefix(bucket);
  const whole = new Uint8Array(prefix.length + key.length);
  whole.set(prefix, 0);
  whole.set(key, prefix.length);
  return whole;
}

let lent = new Uint8Array(0);

/** As `storeKey` of `bytes[start, end)`, in memory that the next call writes over: keys are often as long as the one before. */
export function lentStoreKey(bucket: string, bytes: Uint8Array, start: number, end: number): Uint8Array {
  const prefix = bucketPrefix(bucket);
  const length = prefix.length + end - start;
  if (lent.length !== length) lent = new Uint8Array(length);
  copyRange(lent, copyRange(lent, 0, prefix, 0, prefix.length), bytes, start, end);
  return lent;
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

export function isUserKey(key: Uint8Array): boolean {
  return key[0] === USER_SPACE;
}

/** The bucket and the key that a store key of the user space stands for. */
export function userKeyOf(name: Uint8Array): { readonly bucket: string; readonly key: Uint8Array } {
  const separator = name.indexOf(SEPARATOR, 1);
  const end = separator < 0 ? name.length : separator;
  return { bucket: fromUtf8(name.subarray(1, end)), key: name.subarray(end + 1) };
}

/** The bucket that a store key belongs to, and the first possible key behind that bucket. */
export function bucketOf(key: Uint8Array): { bucket: string; end: Uint8Array } {
  const separator = key.indexOf(SEPARATOR, 1);
  const prefix = key.slice(0, separator + 1);
  return { bucket: fromUtf8(prefix.subarray(1, separator)), end: behindBucket(prefix) };
}

/** In UTF-8. */
export function bucketName(bucket: string): Uint8Array {
  const prefix = bucketPrefix(bucket);
  return prefix.subarray(1, prefix.length - 1);
}

export function bucketPrefix(bucket: string): Uint8Array {
  if (bucket === lastBucket) return lastPrefix;
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
  lastBucket = bucket;
  lastPrefix = prefix;
  return prefix;
}

/** The prefix with its separator raised by one: above every key of the bucket, not above any of the next. */
function behindBucket(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice();
  end[end.length - 1] = SEPARATOR + 1;
  return end;
}

const SYSTEM_SPACE = 0x00;
const Owner = {
  Answer: 0x61,
  Configuration: 0x63,
  Drop: 0x64,
  Session: 0x73,
  Time: 0x74,
  Expiry: 0x78,
} as const;
const NUMBER_BYTES = 8;
const TWO_TO_32 = 2 ** 32;

export const timeKey: Uint8Array = new Uint8Array([SYSTEM_SPACE, Owner.Time]);
export const configurationKey: Uint8Array = new Uint8Array([SYSTEM_SPACE, Owner.Configuration]);
export const expiryRange: Required<KeyRange> = rangeOf(Owner.Expiry);
export const dropRange: Required<KeyRange> = rangeOf(Owner.Drop);

export function expiryKey(expiresAtMs: number, key: Uint8Array): Uint8Array {
  const whole = systemKey(Owner.Expiry, NUMBER_BYTES + key.length);
  writeNumber(whole, 2, expiresAtMs);
  whole.set(key, 2 + NUMBER_BYTES);
  return whole;
}

export function isExpiryKey(key: Uint8Array): boolean {
  return key[0] === SYSTEM_SPACE && key[1] === Owner.Expiry;
}

/** The parts of an `expiryKey`; the key is a view. */
export function parseExpiryKey(bytes: Uint8Array): { expiresAtMs: number; key: Uint8Array } {
  return { expiresAtMs: readNumber(bytes, 2), key: bytes.subarray(2 + NUMBER_BYTES) };
}

export function dropKey(bucket: string): Uint8Array {
  const name = utf8(bucket);
  const whole = systemKey(Owner.Drop, name.length);
  whole.set(name, 2);
  return whole;
}

export function bucketOfDropKey(bytes: Uint8Array): string {
  return fromUtf8(bytes.subarray(2));
}

export function sessionKey(session: number): Uint8Array {
  const whole = systemKey(Owner.Session, NUMBER_BYTES);
  writeNumber(whole, 2, session);
  return whole;
}

/** Null when it is not the key of a session. */
export function sessionOfKey(bytes: Uint8Array): number | null {
  return bytes[0] === SYSTEM_SPACE && bytes[1] === Owner.Session ? readNumber(bytes, 2) : null;
}

export function answerKey(session: number, number: number): Uint8Array {
  const whole = systemKey(Owner.Answer, 2 * NUMBER_BYTES);
  writeNumber(whole, 2, session);
  writeNumber(whole, 2 + NUMBER_BYTES, number);
  return whole;
}

function systemKey(owner: number, bytes: number): Uint8Array {
  const whole = new Uint8Array(2 + bytes);
  whole[0] = SYSTEM_SPACE;
  whole[1] = owner;
  return whole;
}

function rangeOf(owner: number): Required<KeyRange> {
  return { gte: systemKey(owner, 0), lt: systemKey(owner + 1, 0) };
}

function writeNumber(target: Uint8Array, offset: number, value: number): void {
  let high = Math.floor(value / TWO_TO_32);
  let low = value >>> 0;
  for (let at = 3; at >= 0; at--) {
    target[offset + at] = high & 0xff;
    target[offset + 4 + at] = low & 0xff;
    high >>>= 8;
    low >>>= 8;
  }
}

function readNumber(bytes: Uint8Array, offset: number): number {
  let value = 0;
  for (let at = 0; at < NUMBER_BYTES; at++) value = value * 256 + bytes[offset + at];
  return value;
}
