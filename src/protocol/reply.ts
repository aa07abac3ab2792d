/** What a session answers, before a dialect turns it into bytes. */

export type Reply =
  | { readonly type: 'simple'; readonly text: string }
  /** `text` goes behind `-`, with its leading `ERR`. */
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'integer'; readonly value: number | bigint }
  /** Null: there is nothing. */
  | { readonly type: 'bulk'; readonly value: Uint8Array | null }
  | { readonly type: 'array'; readonly items: readonly Reply[] }
  /** In place of an array. */
  | { readonly type: 'no-array' };

export const OK: Reply = { type: 'simple', text: 'OK' };
export const QUEUED: Reply = { type: 'simple', text: 'QUEUED' };
export const NO_LIST: Reply = { type: 'no-array' };
export const PONG: Reply = { type: 'simple', text: 'PONG' };

export function errorReply(message: string): Reply {
  return { type: 'error', text: `ERR ${message}` };
}

export function bulkReply(value: Uint8Array | null): Reply {
  return { type: 'bulk', value };
}
