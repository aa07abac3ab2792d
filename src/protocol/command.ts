import type { Administration, Guard, LongRead, Point, ReadTerms } from '../kv/request.ts';

/** As the client says it: which bucket is meant, its connection knows. */
export type Unbound<Variant> = Variant extends { readonly bucket: string }
  ? Omit<Variant, 'bucket'>
  : Variant;

/**
 * What the parsers of all dialects produce: one discriminated union, so that a session does not care how a command
 * was spelt. Byte strings are views of what the network delivered (or copies, where a command came in pieces); they
 * are the receiver's to keep.
 */
export type ClientCommand =
  | { readonly verb: 'set'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly verb: 'get'; readonly key: Uint8Array }
  | { readonly verb: 'json-get'; readonly key: Uint8Array; readonly path: string }
  | { readonly verb: 'delete'; readonly keys: readonly Uint8Array[] }
  | { readonly verb: 'exists'; readonly keys: readonly Uint8Array[] }
  | { readonly verb: 'use'; readonly bucket: string }
  /** Any other read or write of named keys. */
  | { readonly verb: 'point'; readonly point: Unbound<Point> }
  | { readonly verb: 'keys'; readonly read: Unbound<Extract<LongRead, { type: 'keys' }>> }
  /** Answered with the key to go on at. */
  | { readonly verb: 'range'; readonly read: Unbound<Extract<LongRead, { type: 'range' }>> }
  /** Answered with Redis' cursor. `remembered`: not from `read.from` on, but from what the node knows under this number. */
  | {
      readonly verb: 'scan';
      readonly remembered: bigint | null;
      readonly read: Unbound<Extract<LongRead, { type: 'range' }>>;
    }
  /** Up to `waitMs` are waited for a change. */
  | {
      readonly verb: 'feed';
      readonly read: Unbound<Extract<LongRead, { type: 'feed' }>>;
      readonly waitMs: number;
    }
  /** From now on this connection addresses that group. */
  | { readonly verb: 'group'; readonly group: number }
  /** Null: the bucket in use. */
  | { readonly verb: 'drop-bucket'; readonly bucket: string | null }
  /** From now on what this connection reads keeps to these terms; null: asks for the terms in force. */
  | { readonly verb: 'consistency'; readonly terms: ReadTerms | null }
  /** A read that keeps to terms of its own. */
  | { readonly verb: 'read'; readonly terms: ReadTerms; readonly command: ClientCommand }
  | { readonly verb: 'multi' }
  | { readonly verb: 'exec' }
  | { readonly verb: 'discard' }
  | { readonly verb: 'watch'; readonly keys: readonly Uint8Array[] }
  | { readonly verb: 'unwatch' }
  | {
      readonly verb: 'transaction';
      readonly guards: readonly Unbound<Guard>[];
      readonly success: readonly Unbound<Point>[];
      readonly failure: readonly Unbound<Point>[];
    }
  | { readonly verb: 'session-open'; readonly idleMs: number }
  | { readonly verb: 'session-close'; readonly session: number }
  /** A write that is carried out once under its number. */
  | {
      readonly verb: 'once';
      readonly session: number;
      readonly number: number;
      readonly command: ClientCommand;
    }
  | { readonly verb: 'member'; readonly request: Administration }
  | { readonly verb: 'list-buckets' }
  | { readonly verb: 'count' }
  | { readonly verb: 'merge' }
  | { readonly verb: 'flush' }
  | { readonly verb: 'ping'; readonly message: Uint8Array | null }
  | { readonly verb: 'echo'; readonly message: Uint8Array }
  | { readonly verb: 'info'; readonly section: string | null }
  | { readonly verb: 'config-get'; readonly patterns: readonly string[] }
  /** Redis' COMMAND and its subcommands: clients ask it when they connect. */
  | { readonly verb: 'command'; readonly subcommand: string | null }
  | { readonly verb: 'quit' }
  /**
   * What could not be understood. `message` is the line of the error reply without its `-ERR `. After a `fatal` one
   * the stream has lost its framing: the session answers and closes. `unwatched`: it is a WATCH, or may be one.
   */
  | {
      readonly verb: 'invalid';
      readonly message: string;
      readonly fatal: boolean;
      readonly unwatched?: true;
    };

export interface ProtocolLimits {
  /** Longest key in bytes. */
  readonly keyBytes: number;
  /** Longest value in bytes. */
  readonly valueBytes: number;
  /** Longest line of the text dialect in bytes, its end not counted. */
  readonly lineBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_LIMITS: ProtocolLimits = {
  keyBytes: 64 * KIB,
  valueBytes: 16 * MIB,
  lineBytes: 16 * MIB + 64 * KIB,
};
