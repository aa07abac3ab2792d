/** Requests and results as plain arrays for MessagePack, to be forwarded between nodes: `[type, ...fields]`. */
import { EnvelopeError } from '../base/errors.ts';
import type { ErrorCode, Request, Result } from './request.ts';

const CODES: readonly ErrorCode[] = [
  'invalid',
  'unavailable',
  'overloaded',
  'unknown',
  'corruption',
  'internal',
];

export function encodeRequest(request: Request): unknown[] {
  switch (request.type) {
    case 'set':
      return [request.type, request.bucket, request.key, request.value];
    case 'delete':
    case 'exists':
      return [request.type, request.bucket, request.keys];
    case 'get':
      return [request.type, request.bucket, request.key];
    case 'json-get':
      return [request.type, request.bucket, request.key, request.path];
    case 'list-buckets':
      return [request.type];
    case 'count':
      return [request.type, request.bucket];
  }
}

/** @throws EnvelopeError `FORMAT` when the fields are not a request. */
export function decodeRequest(fields: readonly unknown[]): Request {
  const [type] = fields;
  switch (type) {
    case 'set':
      return { type, bucket: text(fields, 1), key: bytes(fields[2]), value: bytes(fields[3]) };
    case 'delete':
    case 'exists':
      return { type, bucket: text(fields, 1), keys: list(fields, 2).map(bytes) };
    case 'get':
      return { type, bucket: text(fields, 1), key: bytes(fields[2]) };
    case 'json-get':
      return { type, bucket: text(fields, 1), key: bytes(fields[2]), path: text(fields, 3) };
    case 'list-buckets':
      return { type };
    case 'count':
      return { type, bucket: text(fields, 1) };
    default:
      throw malformed(`unknown request ${String(type)}`);
  }
}

export function encodeResult(result: Result): unknown[] {
  switch (result.type) {
    case 'ok':
      return [result.type];
    case 'value':
      return [result.type, result.value];
    case 'count':
      return [result.type, result.count];
    case 'names':
      return [result.type, result.names];
    case 'error':
      return [result.type, result.code, result.message];
  }
}

/** @throws EnvelopeError `FORMAT` when the fields are not a result. */
export function decodeResult(fields: readonly unknown[]): Result {
  const [type, first] = fields;
  switch (type) {
    case 'ok':
      return { type };
    case 'value':
      return { type, value: first === null ? null : bytes(first) };
    case 'count':
      if (typeof first !== 'number' || !Number.isSafeInteger(first))
        throw malformed('a count is not a number');
      return { type, count: first };
    case 'names':
      return { type, names: list(fields, 1).map((_name, at) => text(list(fields, 1), at)) };
    case 'error': {
      const code = CODES.find((known) => known === first);
      if (code === undefined) throw malformed(`unknown error ${String(first)}`);
      return { type, code, message: text(fields, 2) };
    }
    default:
      throw malformed(`unknown result ${String(type)}`);
  }
}

function text(fields: readonly unknown[], at: number): string {
  const value = fields[at];
  if (typeof value !== 'string') throw malformed(`field ${at} is not a text`);
  return value;
}

function list(fields: readonly unknown[], at: number): readonly unknown[] {
  const value = fields[at];
  if (!Array.isArray(value)) throw malformed(`field ${at} is not a list`);
  return value;
}

function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed('a field is not a byte string');
  return value;
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a forwarded message is malformed: ${what}`);
}
