/**
 * Writes of named keys. Each decides first and writes then, so one that answers with an error has written nothing.
 * Deterministic: they see the store, the entry and its time, and nothing else.
 */
import { unreachable } from '../base/assert.ts';
import { concatBytes, equalBytes, strictUtf8, utf8 } from '../codec/bytes.ts';
import { INTEGER_MAX, INTEGER_MIN, parseInteger } from './integer.ts';
import { type Edit, jsonAdd, jsonDelete, jsonSet } from './json_edit.ts';
import type { LiveKeys } from './live_keys.ts';
import {
  type Condition,
  type Expiry,
  errorResult,
  type PointWrite,
  type Result,
  TIME_MS_MAX,
  VALUE_BYTES_MAX,
} from './request.ts';
import { NEVER, type StoredValue } from './stored_value.ts';

const OK: Result = { type: 'ok' };
const NO_VALUE: Result = { type: 'value', value: null };
const ZERO: Result = { type: 'count', count: 0 };
const ONE: Result = { type: 'count', count: 1 };
const EMPTY = new Uint8Array(0);

type Of<Type extends PointWrite['type']> = Extract<PointWrite, { readonly type: Type }>;

/** @throws CorruptionError, DiskError when it meets damage: a replica that cannot tell must not go on. */
export function writePoint(keys: LiveKeys, write: PointWrite): Result {
  switch (write.type) {
    case 'set':
      keys.put(write.bucket, write.key, write.value, NEVER);
      return OK;
    case 'delete':
      return remove(keys, write);
    case 'set-if':
      return setIf(keys, write);
    case 'get-delete': {
      const found = keys.find(write.bucket, write.key);
      if (found === null) return NO_VALUE;
      const value = found.copy();
      keys.delete(write.bucket, write.key);
      return { type: 'value', value };
    }
    case 'get-expire':
      return getExpire(keys, write);
    case 'add':
      return add(keys, write);
    case 'append': {
      const found = keys.find(write.bucket, write.key);
      const value = concatBytes([found?.value ?? EMPTY, write.value]);
      if (value.length > VALUE_BYTES_MAX) return valueTooLong(value.length);
      keys.put(write.bucket, write.key, value, found?.expiresAtMs ?? NEVER);
      return { type: 'count', count: value.length };
    }
    case 'set-many': {
      const { bucket } = write;
      if (write.condition === 'all-absent') {
        for (const key of write.keys) if (keys.find(bucket, key) !== null) return ZERO;
      }
      for (const [at, key] of write.keys.entries()) keys.put(bucket, key, write.values[at], NEVER);
      return write.condition === 'all-absent' ? ONE : OK;
    }
    case 'expire':
      return expire(keys, write);
    case 'persist': {
      const found = keys.find(write.bucket, write.key);
      if (found === null || found.expiresAtMs === NEVER) return ZERO;
      keys.put(write.bucket, write.key, found.value, NEVER);
      return ONE;
    }
    case 'json-set':
      return edit(keys, write, jsonSet(documentOf(keys, write), write.path, write.json), OK);
    case 'json-delete': {
      const document = documentOf(keys, write);
      if (document.type === 'absent') return ZERO;
      const done = jsonDelete(document, write.path);
      return done === null ? ZERO : edit(keys, write, done, ONE);
    }
    case 'json-add': {
      const document = documentOf(keys, write);
      if (document.type === 'absent') return NO_VALUE;
      return edit(keys, write, jsonAdd(document, write.path, write.by), null);
    }
    default:
      return unreachable(write);
  }
}

/** The point in time at which the key expires from now on. */
function resolve(expiry: Expiry, nowMs: number, before: StoredValue | null): number {
  switch (expiry.type) {
    case 'never':
      return NEVER;
    case 'keep':
      return before?.expiresAtMs ?? NEVER;
    case 'after':
      return clampTime(nowMs + expiry.ms);
    case 'at':
      return clampTime(expiry.ms);
  }
}

/** A point in time as it is stored: 0 would say never. */
function clampTime(ms: number): number {
  return Math.max(1, Math.min(ms, TIME_MS_MAX));
}

function holds(condition: Condition, found: StoredValue | null): boolean {
  switch (condition.type) {
    case 'always':
      return true;
    case 'absent':
      return found === null;
    case 'present':
      return found !== null;
    case 'value':
      return found !== null && equalBytes(found.value, condition.value);
    case 'revision':
      return (found?.revision ?? 0) === condition.revision;
  }
}

function setIf(keys: LiveKeys, write: Of<'set-if'>): Result {
  const found = keys.find(write.bucket, write.key);
  const isMet = holds(write.condition, found);
  const old = write.answer === 'old' ? (found?.copy() ?? null) : null;
  if (isMet) {
    keys.put(write.bucket, write.key, write.value, resolve(write.expiry, keys.state.nowMs, found));
  }
  switch (write.answer) {
    case 'status':
      return isMet ? OK : NO_VALUE;
    case 'flag':
      return isMet ? ONE : ZERO;
    case 'old':
      return { type: 'value', value: old };
    case 'revision':
      return isMet ? { type: 'count', count: keys.revision } : NO_VALUE;
  }
}

/**
 * Counts what was there; a key named twice is there once. Deletes the others too: whoever does not want the count
 * (`StateMachine.apply`) must leave the same bytes.
 */
function remove(keys: LiveKeys, write: Of<'delete'>): Result {
  let count = 0;
  for (const key of write.keys) {
    if (keys.find(write.bucket, key) !== null) count++;
    keys.delete(write.bucket, key);
  }
  return { type: 'count', count };
}

function getExpire(keys: LiveKeys, write: Of<'get-expire'>): Result {
  const found = keys.find(write.bucket, write.key);
  if (found === null) return NO_VALUE;
  const value = found.copy();
  const expiresAtMs = resolve(write.expiry, keys.state.nowMs, found);
  if (expiresAtMs !== found.expiresAtMs) keys.put(write.bucket, write.key, value, expiresAtMs);
  return { type: 'value', value };
}

function add(keys: LiveKeys, write: Of<'add'>): Result {
  const found = keys.find(write.bucket, write.key);
  const before = found === null ? 0n : parseInteger(found.value);
  if (before === null) return errorResult('invalid', 'value is not an integer or out of range');
  const sum = before + write.by;
  if (sum > INTEGER_MAX || sum < INTEGER_MIN) {
    return errorResult('invalid', 'increment or decrement would overflow');
  }
  keys.put(write.bucket, write.key, utf8(sum.toString()), found?.expiresAtMs ?? NEVER);
  return { type: 'integer', value: sum };
}

function expire(keys: LiveKeys, write: Of<'expire'>): Result {
  const found = keys.find(write.bucket, write.key);
  if (found === null) return ZERO;
  const expiresAtMs = resolve(write.expiry, keys.state.nowMs, found);
  // A key that never expires counts as one that does so at the end of time.
  const before = found.expiresAtMs === NEVER ? Number.POSITIVE_INFINITY : found.expiresAtMs;
  const mayChange =
    write.when === 'always' ||
    (write.when === 'never-expires' && found.expiresAtMs === NEVER) ||
    (write.when === 'expires' && found.expiresAtMs !== NEVER) ||
    (write.when === 'later' && expiresAtMs > before) ||
    (write.when === 'sooner' && expiresAtMs < before);
  if (!mayChange) return ZERO;
  keys.put(write.bucket, write.key, found.copy(), expiresAtMs);
  return ONE;
}

function documentOf(keys: LiveKeys, write: Of<'json-set' | 'json-delete' | 'json-add'>): Edit {
  const found = keys.find(write.bucket, write.key);
  if (found === null) return { type: 'absent' };
  const text = strictUtf8(found.copy());
  // Malformed UTF-8 would come back changed.
  return text === null ? { type: 'error', message: 'invalid JSON: not UTF-8' } : { type: 'document', text };
}

/** @param answer Null: the value that the edit names. */
function edit(
  keys: LiveKeys,
  write: Of<'json-set' | 'json-delete' | 'json-add'>,
  done: Edit,
  answer: Result | null,
): Result {
  if (done.type === 'error') return errorResult('invalid', done.message);
  if (done.type === 'absent') return NO_VALUE;
  const value = utf8(done.text);
  if (value.length > VALUE_BYTES_MAX) return valueTooLong(value.length);
  const found = keys.find(write.bucket, write.key);
  keys.put(write.bucket, write.key, value, found?.expiresAtMs ?? NEVER);
  return answer ?? { type: 'value', value: utf8(done.part ?? '') };
}

function valueTooLong(bytes: number): Result {
  return errorResult(
    'invalid',
    `value would be ${bytes} bytes, the limit is ${VALUE_BYTES_MAX} (max value bytes)`,
  );
}
