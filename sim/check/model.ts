/**
 * The model that answers are held against: what one copy of the store, doing one operation at a time, would say.
 *
 * A key holds a string or nothing. Every operation is a function of the store, so one that takes effect at a given point
 * has one answer and one outcome; what several machines do to it is left to the search (`search.ts`).
 *
 * The store that is served has not all of these operations; those that it lacks have their place here already.
 */
import { unreachable } from '../../src/base/assert.ts';

/** An operation on one key. */
export type KeyOp =
  | { readonly type: 'read'; readonly key: string }
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  /** Writes if the key holds `expected` (null: nothing); else it fails and changes nothing. */
  | { readonly type: 'cas'; readonly key: string; readonly expected: string | null; readonly value: string }
  /** Adds to the end; a key that holds nothing is as if it held the empty text. */
  | { readonly type: 'append'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'exists'; readonly key: string }
  /** Counts on from 0 if the key holds nothing; fails if it holds no whole number, or would leave +-(2^53 - 1). */
  | { readonly type: 'increment'; readonly key: string; readonly by: number }
  /** Writes, and answers what was there before. */
  | { readonly type: 'getset'; readonly key: string; readonly value: string }
  /** Writes if the key holds nothing (`absent`) or something (`present`); else it fails. */
  | {
      readonly type: 'set-if';
      readonly key: string;
      readonly value: string;
      readonly when: 'absent' | 'present';
    };

/** A condition of a transaction: the key holds `expected`, or nothing if that is null. */
export interface Guard {
  readonly key: string;
  readonly expected: string | null;
}

export type Op =
  | KeyOp
  | { readonly type: 'mget'; readonly keys: readonly string[] }
  /** The keys with `prefix` that are not below `from` and below `to`, in order of their code points. */
  | {
      readonly type: 'scan';
      readonly prefix: string;
      readonly from: string | null;
      readonly to: string | null;
      readonly limit: number | null;
    }
  /** All steps at one point, or none if a guard does not hold. A step that fails does not stop the others. */
  | { readonly type: 'transaction'; readonly guards: readonly Guard[]; readonly steps: readonly KeyOp[] };

/** Read, getset: the value, or null. Exists, delete: a boolean. Increment: the new number. Mget, scan, transaction: lists. */
export type Value =
  | string
  | null
  | boolean
  | number
  | readonly (string | null)[]
  | readonly (readonly [key: string, value: string])[]
  | readonly Result[];

export type Result =
  /** Without a value it says only that the operation took effect. */
  { readonly type: 'ok'; readonly value?: Value } | { readonly type: 'fail' } | { readonly type: 'unknown' };

/** One operation as it was seen from outside. */
export interface Call {
  /** Unique in its history. */
  readonly id: number;
  readonly process: number;
  /** Time of the call, of any unit. */
  readonly call: number;
  /** By when it had taken effect; null: it may take effect at any time after its call, or never. */
  readonly return: number | null;
  readonly op: Op;
  /** `unknown` together with a return: it has taken effect, and nobody knows its answer. */
  readonly result: Result;
}

/** What an operation is done to. */
export interface Store {
  get(key: string): string | null;
  /** Null: the key holds nothing any more. */
  set(key: string, value: string | null): void;
  /** Every key that may hold something, in order of code points. */
  keys(): Iterable<string>;
}

const OK: Result = { type: 'ok' };
const FAIL: Result = { type: 'fail' };

/** Does the operation, and says what its answer is. */
export function perform(op: Op, store: Store): Result {
  switch (op.type) {
    case 'read':
      return { type: 'ok', value: store.get(op.key) };
    case 'write':
      store.set(op.key, op.value);
      return OK;
    case 'cas':
      return writeIf(store.get(op.key) === op.expected ? 'holds' : 'fails', op, store);
    case 'append':
      store.set(op.key, (store.get(op.key) ?? '') + op.value);
      return OK;
    case 'delete': {
      const existed = store.get(op.key) !== null;
      if (existed) store.set(op.key, null);
      return { type: 'ok', value: existed };
    }
    case 'exists':
      return { type: 'ok', value: store.get(op.key) !== null };
    case 'increment':
      return increment(op.key, op.by, store);
    case 'getset': {
      const value = store.get(op.key);
      store.set(op.key, op.value);
      return { type: 'ok', value };
    }
    case 'set-if':
      return writeIf((store.get(op.key) === null) === (op.when === 'absent') ? 'holds' : 'fails', op, store);
    case 'mget':
      return { type: 'ok', value: op.keys.map((key) => store.get(key)) };
    case 'scan':
      return { type: 'ok', value: scan(op, store) };
    case 'transaction': {
      if (op.guards.some(({ key, expected }) => store.get(key) !== expected)) return FAIL;
      return { type: 'ok', value: op.steps.map((step) => perform(step, store)) };
    }
    default:
      return unreachable(op);
  }
}

function writeIf(
  condition: 'holds' | 'fails',
  { key, value }: { key: string; value: string },
  store: Store,
): Result {
  if (condition === 'fails') return FAIL;
  store.set(key, value);
  return OK;
}

/** Numbers as `increment` takes them; `01` and `-0` are none. */
const NUMBER = /^(0|-?[1-9]\d{0,15})$/;

function increment(key: string, by: number, store: Store): Result {
  const before = store.get(key) ?? '0';
  if (!NUMBER.test(before)) return FAIL;
  const value = Number(before) + by;
  if (!Number.isSafeInteger(Number(before)) || !Number.isSafeInteger(value)) return FAIL;
  store.set(key, String(value));
  return { type: 'ok', value };
}

type Scan = Extract<Op, { type: 'scan' }>;

function scan(op: Scan, store: Store): [string, string][] {
  const found: [string, string][] = [];
  for (const key of store.keys()) {
    if (op.limit !== null && found.length >= op.limit) break;
    const value = isInRange(op, key) ? store.get(key) : null;
    if (value !== null) found.push([key, value]);
  }
  return found;
}

export function isInRange({ prefix, from, to }: Scan, key: string): boolean {
  if (!key.startsWith(prefix)) return false;
  return (from === null || compareKeys(key, from) >= 0) && (to === null || compareKeys(key, to) < 0);
}

/** By code points, which is the order of the bytes in UTF-8; `<` on strings is not, beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    // Halves of a pair stand for a code point above all that need none.
    const leftIsHalf = left >= 0xd800 && left < 0xe000;
    const rightIsHalf = right >= 0xd800 && right < 0xe000;
    return leftIsHalf === rightIsHalf ? left - right : leftIsHalf ? 1 : -1;
  }
  return a.length - b.length;
}

/** Is what was recorded an answer that the model gives? An answer without a value leaves the value open. */
export function agrees(given: Result, recorded: Result): boolean {
  if (recorded.type === 'unknown') return true;
  if (given.type !== recorded.type) return false;
  if (given.type !== 'ok' || recorded.type !== 'ok' || recorded.value === undefined) return true;
  return isSameValue(given.value, recorded.value);
}

function isSameValue(given: unknown, recorded: unknown): boolean {
  if (Array.isArray(given) && Array.isArray(recorded)) {
    return given.length === recorded.length && given.every((one, at) => isSameValue(one, recorded[at]));
  }
  if (isResult(given) && isResult(recorded)) return agrees(given, recorded);
  return given === recorded;
}

function isResult(value: unknown): value is Result {
  return typeof value === 'object' && value !== null && 'type' in value;
}

/** Can it fail by its own rules? `fail` as the answer of any other says that it was refused, and had no effect. */
export function canFail({ type }: Op): boolean {
  return type === 'cas' || type === 'increment' || type === 'set-if' || type === 'transaction';
}

/** It changes nothing wherever this can be its answer. */
export function isObserver(op: Op, result: Result): boolean {
  if (isReading(op) || result.type === 'fail') return true;
  if (result.type !== 'ok') return false;
  if (op.type === 'delete') return result.value === false;
  if (op.type !== 'transaction') return false;
  const answers = Array.isArray(result.value) ? result.value : [];
  return op.steps.every((step, at) => {
    const answer: unknown = answers[at];
    return isObserver(step, isResult(answer) ? answer : OK);
  });
}

function isReading({ type }: Op): boolean {
  return type === 'read' || type === 'exists' || type === 'mget' || type === 'scan';
}

/** Keys that it names; a scan names none. */
export function keysOf(op: Op): readonly string[] {
  switch (op.type) {
    case 'mget':
      return op.keys;
    case 'scan':
      return [];
    case 'transaction':
      return [...op.guards.map(({ key }) => key), ...op.steps.map(({ key }) => key)];
    default:
      return [op.key];
  }
}

/** Keys that a scan's answer tells of. */
export function keysAnswered(op: Op, result: Result): readonly string[] {
  if (op.type !== 'scan' || result.type !== 'ok' || !Array.isArray(result.value)) return [];
  return result.value.map((entry: unknown) => (Array.isArray(entry) ? String(entry[0]) : ''));
}

/** Calls `visit` for each value that some key was expected to hold, or was seen to hold, exactly. */
export function eachObserved(op: Op, result: Result, visit: (key: string, value: string) => void): void {
  const value: unknown = result.type === 'ok' ? result.value : undefined;
  switch (op.type) {
    case 'read':
    case 'getset':
      if (typeof value === 'string') visit(op.key, value);
      return;
    case 'cas':
      if (op.expected !== null) visit(op.key, op.expected);
      return;
    case 'mget':
    case 'scan': {
      if (!Array.isArray(value)) return;
      for (const [at, one] of value.entries()) {
        const entry: unknown = one;
        if (op.type === 'mget' && typeof entry === 'string') visit(op.keys[at] ?? '', entry);
        else if (op.type === 'scan' && Array.isArray(entry)) visit(String(entry[0]), String(entry[1]));
      }
      return;
    }
    case 'transaction': {
      for (const { key, expected } of op.guards) if (expected !== null) visit(key, expected);
      for (const [at, step] of op.steps.entries()) {
        const answer: unknown = Array.isArray(value) ? value[at] : undefined;
        eachObserved(step, isResult(answer) ? answer : OK, visit);
      }
      return;
    }
    case 'increment':
    case 'write':
    case 'append':
    case 'delete':
    case 'exists':
    case 'set-if':
      return;
    default:
      unreachable(op);
  }
}
