/**
 * Requests and results as plain arrays for MessagePack: `[type, ...fields]`, forwarded between nodes and, for writes
 * other than SET and DEL, in log entries.
 *
 * One table says which fields each type has, in order, and how each is written and checked: the compiler holds it
 * against the types.
 */
import { EnvelopeError } from '../base/errors.ts';
import { checkEdits } from './batch.ts';
import {
  type Condition,
  type ErrorCode,
  type Expiry,
  type ExpiryTime,
  type Guard,
  isOnceWrite,
  isPoint,
  type OnceWrite,
  type Point,
  type Request,
  type Result,
} from './request.ts';

interface Codec<T> {
  readonly encode: (value: T) => unknown;
  /** @throws EnvelopeError `FORMAT` */
  readonly decode: (raw: unknown) => T;
}

/** What a union of `{ type, ...fields }` is written as. */
type Table<Union extends { readonly type: string }> = {
  readonly [Type in Union['type']]: FieldCodecs<Extract<Union, { readonly type: Type }>>;
};
type FieldCodecs<Variant> = {
  // What a read is content with stays on the node that was asked: the leader may always promise more.
  readonly [Name in Exclude<keyof Variant, 'type' | 'terms'>]-?: Codec<Variant[Name]>;
};

const text: Codec<string> = { encode: same, decode: decodeText };
const bytes: Codec<Uint8Array> = { encode: same, decode: decodeBytes };
const bytesOrNull: Codec<Uint8Array | null> = {
  encode: same,
  decode: (raw) => (raw === null ? null : decodeBytes(raw)),
};
const edits: Codec<Uint8Array> = {
  encode: same,
  decode: (raw) => {
    const decoded = decodeBytes(raw);
    checkEdits(decoded);
    return decoded;
  },
};
const number: Codec<number> = { encode: same, decode: decodeNumber };
const numberOrNull: Codec<number | null> = {
  encode: same,
  decode: (raw) => (raw === null ? null : decodeNumber(raw)),
};
/** As decimal text: MessagePack's integers of 64 bits would come back as floating point. */
const bigInteger: Codec<bigint> = {
  encode: (value) => value.toString(),
  decode: (raw) => {
    if (typeof raw !== 'string' || !/^-?\d{1,20}$/.test(raw)) throw malformed('a field is not an integer');
    return BigInt(raw);
  },
};

const ofKey = { bucket: text, key: bytes };
const ofKeys = { bucket: text, keys: list(bytes) };

const EXPIRY_TIMES: Table<ExpiryTime> = { after: { ms: number }, at: { ms: number } };
const expiryTime = union<ExpiryTime>(EXPIRY_TIMES, 'expiry');
const expiry = union<Expiry>({ never: {}, keep: {}, ...EXPIRY_TIMES }, 'expiry');

const condition = union<Condition>(
  { always: {}, absent: {}, present: {}, value: { value: bytes }, revision: { revision: number } },
  'condition',
);

const guard = union<Guard>(
  {
    value: { ...ofKey, is: oneOf('=', '!='), value: bytes },
    revision: { ...ofKey, is: oneOf('=', '!=', '<', '>'), revision: number },
  },
  'guard',
);

const point: Codec<Point> = {
  encode: (value) => request.encode(value),
  decode: (raw) => {
    const decoded = request.decode(raw);
    if (!isPoint(decoded)) throw malformed(`'${decoded.type}' in a transaction`);
    return decoded;
  },
};

const onceWrite: Codec<OnceWrite> = {
  encode: (value) => request.encode(value),
  decode: (raw) => {
    const decoded = request.decode(raw);
    if (!isOnceWrite(decoded)) throw malformed(`'${decoded.type}' in a session`);
    return decoded;
  },
};

const request = union<Request>(
  {
    set: { ...ofKey, value: bytes },
    delete: ofKeys,
    'set-if': {
      ...ofKey,
      value: bytes,
      condition,
      expiry,
      answer: oneOf('status', 'flag', 'old', 'revision'),
    },
    'get-delete': ofKey,
    'get-expire': { ...ofKey, expiry },
    add: { ...ofKey, by: bigInteger },
    append: { ...ofKey, value: bytes },
    'set-many': { ...ofKeys, values: list(bytes), condition: oneOf('always', 'all-absent') },
    expire: {
      ...ofKey,
      expiry: expiryTime,
      when: oneOf('always', 'never-expires', 'expires', 'later', 'sooner'),
    },
    persist: ofKey,
    'json-set': { ...ofKey, path: text, json: text },
    'json-delete': { ...ofKey, path: text },
    'json-add': { ...ofKey, path: text, by: text },
    get: ofKey,
    'json-get': { ...ofKey, path: text },
    exists: ofKeys,
    'get-many': ofKeys,
    'get-revision': ofKey,
    revisions: ofKeys,
    length: ofKey,
    kind: ofKey,
    expiry: { ...ofKey, from: oneOf('now', 'epoch'), unit: oneOf('s', 'ms') },
    'list-buckets': {},
    count: { bucket: text },
    keys: { bucket: text, prefix: bytes },
    range: {
      bucket: text,
      from: bytes,
      to: bytesOrNull,
      prefix: bytes,
      limit: number,
      answer: oneOf('keys', 'entries'),
      order: oneOf('ascending', 'descending'),
    },
    feed: { bucket: text, since: numberOrNull, prefix: bytes, limit: number },
    transaction: { guards: list(guard), success: list(point), failure: list(point) },
    'drop-bucket': { bucket: text },
    'session-open': { idleMs: number },
    'session-close': { session: number },
    'session-write': { session: number, number, write: onceWrite },
    'delete-range': { bucket: text, from: bytes, to: bytesOrNull },
    batch: { edits },
    tick: {},
    'member-list': {},
    'member-add': { address: text, identity: number },
    'member-remove': { id: number },
    'member-promote': { id: number },
    'member-transfer': { id: number },
  },
  'request',
);

const CODES: Codec<ErrorCode> = oneOf(
  'invalid',
  'aborted',
  'unavailable',
  'overloaded',
  'unknown',
  'corruption',
  'internal',
);

const someResult: Codec<Result> = {
  encode: (value) => result.encode(value),
  decode: (raw) => result.decode(raw),
};

const result = union<Result>(
  {
    ok: {},
    value: { value: bytesOrNull },
    count: { count: number },
    integer: { value: bigInteger },
    word: { word: text },
    names: { names: list(text) },
    list: { items: list(someResult) },
    nothing: {},
    transaction: { branch: oneOf('success', 'failure'), results: list(someResult) },
    error: { code: CODES, message: text },
  },
  'result',
);

export function encodeRequest(value: Request): unknown[] {
  return request.encode(value);
}

/** @throws EnvelopeError `FORMAT` when the fields are not a request. */
export function decodeRequest(fields: readonly unknown[]): Request {
  return request.decode(fields);
}

export function encodeResult(value: Result): unknown[] {
  return result.encode(value);
}

/** @throws EnvelopeError `FORMAT` when the fields are not a result. */
export function decodeResult(fields: readonly unknown[]): Result {
  return result.decode(fields);
}

/** @param name What one of them is called in an error. */
function union<Union extends { readonly type: string }>(
  table: Table<Union>,
  name: string,
): { readonly encode: (value: Union) => unknown[]; readonly decode: (raw: unknown) => Union } {
  type Fields = readonly (readonly [string, Codec<unknown>])[];
  const fieldsOf = new Map<unknown, Fields>(
    Object.entries(table).map(([type, codecs]) => [type, Object.entries(codecs as object) as Fields]),
  );
  return {
    encode: (value) => {
      const array: unknown[] = [value.type];
      const record = value as Record<string, unknown>;
      for (const [field, codec] of fieldsOf.get(value.type) ?? []) array.push(codec.encode(record[field]));
      return array;
    },
    decode: (raw) => {
      const array = decodeList(raw);
      const fields = fieldsOf.get(array[0]);
      if (fields === undefined) throw malformed(`unknown ${name} ${String(array[0]).slice(0, 64)}`);
      const record: Record<string, unknown> = { type: array[0] };
      for (let at = 0; at < fields.length; at++) {
        const [field, codec] = fields[at];
        record[field] = codec.decode(array[at + 1]);
      }
      return record as unknown as Union;
    },
  };
}

function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    encode: (values) => values.map(item.encode),
    decode: (raw) => decodeList(raw).map(item.decode),
  };
}

function oneOf<T extends string>(...words: readonly T[]): Codec<T> {
  return {
    encode: same,
    decode: (raw) => {
      const word = words.find((known) => known === raw);
      if (word === undefined) throw malformed(`unknown word ${String(raw).slice(0, 64)}`);
      return word;
    },
  };
}

function same(value: unknown): unknown {
  return value;
}

function decodeText(raw: unknown): string {
  if (typeof raw !== 'string') throw malformed('a field is not a text');
  return raw;
}

function decodeBytes(raw: unknown): Uint8Array {
  if (!(raw instanceof Uint8Array)) throw malformed('a field is not a byte string');
  return raw;
}

function decodeNumber(raw: unknown): number {
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw)) throw malformed('a field is not a number');
  return raw;
}

function decodeList(raw: unknown): readonly unknown[] {
  if (!Array.isArray(raw)) throw malformed('a field is not a list');
  return raw;
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a message is malformed: ${what}`);
}
