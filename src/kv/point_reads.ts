/** Reads of named keys. Values are copied: what the store hands out is a view that ends with the turn. */
import { unreachable } from '../base/assert.ts';
import { strictUtf8 } from '../codec/bytes.ts';
import { jsonGet } from './json_path.ts';
import type { LiveKeys } from './live_keys.ts';
import {
  ANSWER_BYTES_MAX,
  errorResult,
  ITEM_BYTES,
  MET_BYTES_MAX,
  type PointRead,
  type Result,
} from './request.ts';
import { NEVER } from './stored_value.ts';

const NO_VALUE: Result = { type: 'value', value: null };
const NOTHING: Result = { type: 'nothing' };
/** A part of it could not be told as it is. */
const NOT_UTF8: Result = errorResult('invalid', 'invalid JSON: not UTF-8');
const MS_PER_SECOND = 1000;

/** @throws CorruptionError, DiskError when it cannot be told. */
export function readPoint(keys: LiveKeys, read: PointRead): Result {
  const { bucket } = read;
  switch (read.type) {
    case 'get': {
      const found = keys.find(bucket, read.key);
      return found === null ? NO_VALUE : { type: 'value', value: found.copy() };
    }
    case 'json-get': {
      const found = keys.find(bucket, read.key);
      if (found === null) return NO_VALUE;
      const document = strictUtf8(found.copy());
      return document === null ? NOT_UTF8 : jsonGet(document, read.path);
    }
    case 'exists': {
      const before = keys.touchedBytes;
      let count = 0;
      for (const key of read.keys) {
        if (keys.find(bucket, key) !== null) count++;
        if (keys.touchedBytes - before > MET_BYTES_MAX) return tooMuchMet();
      }
      return { type: 'count', count };
    }
    case 'get-many':
      return getMany(keys, bucket, read.keys);
    case 'get-revision': {
      const found = keys.find(bucket, read.key);
      if (found === null) return NOTHING;
      return {
        type: 'list',
        items: [
          { type: 'count', count: found.revision },
          { type: 'value', value: found.copy() },
        ],
      };
    }
    case 'revisions': {
      const before = keys.touchedBytes;
      const items: Result[] = [];
      for (const key of read.keys) {
        items.push({ type: 'count', count: keys.find(bucket, key)?.revision ?? 0 });
        if (keys.touchedBytes - before > MET_BYTES_MAX) return tooMuchMet();
      }
      return { type: 'list', items };
    }
    case 'length':
      return { type: 'count', count: keys.find(bucket, read.key)?.length ?? 0 };
    case 'kind':
      return { type: 'word', word: keys.find(bucket, read.key) === null ? 'none' : 'string' };
    case 'expiry':
      return { type: 'count', count: expiryOf(keys, read) };
    default:
      return unreachable(read);
  }
}

function getMany(keys: LiveKeys, bucket: string, names: readonly Uint8Array[]): Result {
  const items: Result[] = [];
  let bytes = 0;
  for (const key of names) {
    const found = keys.find(bucket, key);
    bytes += ITEM_BYTES + (found?.length ?? 0);
    if (bytes > ANSWER_BYTES_MAX) return answerTooLong();
    items.push(found === null ? NO_VALUE : { type: 'value', value: found.copy() });
  }
  return { type: 'list', items };
}

export function answerTooLong(): Result {
  return errorResult('invalid', `the answer is longer than ${ANSWER_BYTES_MAX} bytes (max answer bytes)`);
}

export function tooMuchMet(): Result {
  return errorResult('invalid', `the values have more than ${MET_BYTES_MAX} bytes together (max met bytes)`);
}

function expiryOf(keys: LiveKeys, read: Extract<PointRead, { type: 'expiry' }>): number {
  const found = keys.find(read.bucket, read.key);
  if (found === null) return -2;
  if (found.expiresAtMs === NEVER) return -1;
  // What is left is counted from the leader's time, which may be ahead of the state machine's.
  const nowMs = Math.max(keys.state.nowMs, Math.floor(keys.asOfMs));
  const ms = read.from === 'epoch' ? found.expiresAtMs : Math.max(0, found.expiresAtMs - nowMs);
  // Rounded as Redis does it: a key that was just given 10 s has 10 s.
  return read.unit === 'ms' ? ms : Math.floor((ms + MS_PER_SECOND / 2) / MS_PER_SECOND);
}
