/**
 * What nodes say to each other over a peer connection: frames (see `codec/frame.ts`) of MessagePack arrays whose first
 * element is the kind. A connection carries one direction: the node that dialled speaks, the other only answers pings, or
 * says why it will never listen to it, or, when it stops, up to where it has listened.
 *
 * The dialling node opens with `PREAMBLE`, whose first byte no client dialect begins with, then a `hello`.
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { EnvelopeError } from '../base/errors.ts';
import { writeFrame } from '../codec/frame.ts';
import { ANSWER_BYTES_MAX } from '../kv/request.ts';
import type { NodeId } from '../raft/message.ts';
import type { LastRead } from './last_read.ts';

/** NUL, "EDB", then the version of the peer protocol. */
export const PREAMBLE: Uint8Array = new Uint8Array([0x00, 0x45, 0x44, 0x42, 0x03]);

export const FrameKind = {
  Hello: 0,
  Raft: 1,
  Request: 2,
  Response: 3,
  Ping: 4,
  Pong: 5,
  Snapshot: 6,
  Refused: 16,
  Goodbye: 17,
} as const;

/** Frames larger than this are refused: the largest value or answer, with room for what is around it. */
export function frameBytesMax(valueBytesMax: number): number {
  return Math.max(2 * valueBytesMax, ANSWER_BYTES_MAX) + 4 * 1024 * 1024;
}

export interface Hello {
  readonly kind: 'hello';
  /** A checksum over the members that the group was founded with: nodes of different groups must not talk. */
  readonly cluster: number;
  readonly from: NodeId;
  readonly to: NodeId;
  /** Where the sender is reached: the receiver may not know it yet. */
  readonly address: string;
  /** Of the sender's data directory. */
  readonly identity: number;
}

export type PeerFrame =
  | Hello
  | { readonly kind: 'raft'; readonly group: number; readonly message: readonly unknown[] }
  | {
      readonly kind: 'request';
      readonly group: number;
      readonly id: number;
      readonly request: readonly unknown[];
    }
  | {
      readonly kind: 'response';
      readonly group: number;
      readonly id: number;
      readonly result: readonly unknown[];
    }
  | { readonly kind: 'snapshot'; readonly group: number; readonly message: readonly unknown[] }
  /** In answer to a hello that is turned down for good. */
  | { readonly kind: 'refused'; readonly why: string }
  /** The last word of a node that stops, by each connection that it was spoken to by: it reads nothing more there. */
  | { readonly kind: 'goodbye'; readonly lastRead: LastRead }
  | { readonly kind: 'ping' }
  | { readonly kind: 'pong' };

const encoder = new Encoder();
const decoder = new Decoder();

export function encodePeerFrame(frame: PeerFrame): Uint8Array {
  return writeFrame(encoder.encodeSharedRef(fieldsOf(frame)));
}

/** @throws EnvelopeError `FORMAT` when the body is not a peer frame. */
export function decodePeerFrame(body: Uint8Array): PeerFrame {
  let fields: unknown;
  try {
    fields = decoder.decode(body);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(fields)) throw malformed('not an array');
  const [kind, a, b, c, d, e] = fields as unknown[];
  switch (kind) {
    case FrameKind.Hello:
      return {
        kind: 'hello',
        cluster: unsigned(a),
        from: unsigned(b),
        to: unsigned(c),
        address: text(d),
        identity: unsigned(e),
      };
    case FrameKind.Raft:
      return { kind: 'raft', group: unsigned(a), message: array(b) };
    case FrameKind.Request:
      return { kind: 'request', group: unsigned(a), id: unsigned(b), request: array(c) };
    case FrameKind.Response:
      return { kind: 'response', group: unsigned(a), id: unsigned(b), result: array(c) };
    case FrameKind.Snapshot:
      return { kind: 'snapshot', group: unsigned(a), message: array(b) };
    case FrameKind.Refused:
      return { kind: 'refused', why: text(a) };
    case FrameKind.Goodbye:
      return { kind: 'goodbye', lastRead: lastRead(array(a)) };
    case FrameKind.Ping:
      return { kind: 'ping' };
    case FrameKind.Pong:
      return { kind: 'pong' };
    default:
      throw malformed(`unknown kind ${String(kind)}`);
  }
}

function fieldsOf(frame: PeerFrame): unknown[] {
  switch (frame.kind) {
    case 'hello':
      return [FrameKind.Hello, frame.cluster, frame.from, frame.to, frame.address, frame.identity];
    case 'raft':
      return [FrameKind.Raft, frame.group, frame.message];
    case 'request':
      return [FrameKind.Request, frame.group, frame.id, frame.request];
    case 'response':
      return [FrameKind.Response, frame.group, frame.id, frame.result];
    case 'snapshot':
      return [FrameKind.Snapshot, frame.group, frame.message];
    case 'refused':
      return [FrameKind.Refused, frame.why];
    case 'goodbye':
      return [FrameKind.Goodbye, [...frame.lastRead].flat()];
    case 'ping':
      return [FrameKind.Ping];
    case 'pong':
      return [FrameKind.Pong];
  }
}

function unsigned(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw malformed('a field is not an unsigned integer');
  }
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed('a field is not a text');
  return value;
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed('a field is not an array');
  return value;
}

/** Groups and ids by turns. */
function lastRead(fields: readonly unknown[]): LastRead {
  if (fields.length % 2 !== 0) throw malformed('a group has no id');
  const last = new Map<number, number>();
  for (let at = 0; at < fields.length; at += 2) last.set(unsigned(fields[at]), unsigned(fields[at + 1]));
  if (2 * last.size !== fields.length) throw malformed('a group is named twice');
  return last;
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a peer frame is malformed: ${what}`);
}
