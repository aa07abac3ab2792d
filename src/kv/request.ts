/**
 * What a client may ask of the state machine, and what it answers: the words that sessions, routers and nodes
 * exchange, free of any dialect. `Write`s travel through the Raft log, `Read`s run behind a read barrier.
 */

/** Bucket names are 1 to 255 bytes of UTF-8 without NUL, space and control characters. */
export const DEFAULT_BUCKET = 'default';
export const BUCKET_BYTES_MAX = 255;

export type Write =
  | { readonly type: 'set'; readonly bucket: string; readonly key: Uint8Array; readonly value: Uint8Array }
  /** Deletes keys; the result counts those that were there. */
  | { readonly type: 'delete'; readonly bucket: string; readonly keys: readonly Uint8Array[] };

export type Read =
  | { readonly type: 'get'; readonly bucket: string; readonly key: Uint8Array }
  | { readonly type: 'json-get'; readonly bucket: string; readonly key: Uint8Array; readonly path: string }
  /** Counts the given keys that exist; one named twice counts twice, as in Redis. */
  | { readonly type: 'exists'; readonly bucket: string; readonly keys: readonly Uint8Array[] }
  | { readonly type: 'list-buckets' }
  /** Counts the keys of a bucket. */
  | { readonly type: 'count'; readonly bucket: string };

export type Request = Write | Read;

export type Result =
  | { readonly type: 'ok' }
  /** `null`: no such key. The bytes are the receiver's. */
  | { readonly type: 'value'; readonly value: Uint8Array | null }
  | { readonly type: 'count'; readonly count: number }
  | { readonly type: 'names'; readonly names: readonly string[] }
  | { readonly type: 'error'; readonly code: ErrorCode; readonly message: string };

/**
 * - `invalid`: the request can never succeed as it is (no such field, not JSON);
 * - `unavailable`: not executed, and it is safe to try again (no leader);
 * - `overloaded`: not executed, too much is waiting already;
 * - `unknown`: a write whose outcome cannot be told: it may take effect, now or later, or never;
 * - `corruption`: bytes on a disk are damaged; the message names file and offset;
 * - `internal`: a defect or a failed disk.
 */
export type ErrorCode = 'invalid' | 'unavailable' | 'overloaded' | 'unknown' | 'corruption' | 'internal';

export function isWrite(request: Request): request is Write {
  return request.type === 'set' || request.type === 'delete';
}

export function errorResult(code: ErrorCode, message: string): Result {
  return { type: 'error', code, message };
}
