/**
 * Raft messages as plain arrays for MessagePack: `[type, term, ...fields]`, entries of an append packed into one byte
 * string so that their number costs nothing in the general encoder. See docs/formats.md, "Peer frames".
 */

import { unreachable } from '../base/assert.ts';
import { EnvelopeError } from '../base/errors.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import { type Entry, EntryKind, type Index } from '../log/entry.ts';
import type { Message } from '../raft/message.ts';

const Type = {
  PreVote: 1,
  PreVoteReply: 2,
  Vote: 3,
  VoteReply: 4,
  Append: 5,
  AppendAccepted: 6,
  AppendRejected: 7,
  Heartbeat: 8,
  HeartbeatReply: 9,
  TimeoutNow: 10,
  ReadIndex: 11,
  ReadIndexReply: 12,
  SnapshotOffer: 13,
  MendRequest: 14,
  MendReply: 15,
} as const;

export class MessageFormatError extends EnvelopeError {
  constructor(what: string) {
    super('FORMAT', `a raft message is malformed: ${what}`);
  }
}

/** Keeps the last packed entries: a leader sends the same array to all of its followers. */
export class MessageEncoder {
  #entries: readonly Entry[] | null = null;
  #packed: Uint8Array = new Uint8Array(0);

  encode(message: Message): unknown[] {
    switch (message.type) {
      case 'pre-vote':
        return [Type.PreVote, message.term, message.lastIndex, message.lastTerm];
      case 'pre-vote-reply':
        return [Type.PreVoteReply, message.term, message.granted];
      case 'vote':
        return [Type.Vote, message.term, message.lastIndex, message.lastTerm, message.transfer];
      case 'vote-reply':
        return [Type.VoteReply, message.term, message.granted];
      case 'append': {
        const { term, prevIndex, prevTerm, commitIndex } = message;
        return [Type.Append, term, prevIndex, prevTerm, commitIndex, this.#pack(message.entries)];
      }
      case 'append-accepted':
        return [Type.AppendAccepted, message.term, message.matchIndex];
      case 'append-rejected':
        return [
          Type.AppendRejected,
          message.term,
          message.rejectedIndex,
          message.hintIndex,
          message.hintTerm,
        ];
      case 'heartbeat':
        return [Type.Heartbeat, message.term, message.commitIndex, message.round, message.sentAtMs];
      case 'heartbeat-reply':
        return [Type.HeartbeatReply, message.term, message.round, message.sentAtMs];
      case 'snapshot-offer':
        return [Type.SnapshotOffer, message.term, message.index, message.snapshotTerm];
      case 'mend-request':
        return [Type.MendRequest, message.term, message.indices, message.terms];
      case 'mend-reply': {
        const { term, entries, absent, cannotSay, snapshotIndex, snapshotTerm } = message;
        const indices = entries.map(({ index }) => index);
        const packed = packEntries(entries);
        return [Type.MendReply, term, indices, packed, absent, cannotSay, snapshotIndex, snapshotTerm];
      }
      case 'timeout-now':
        return [Type.TimeoutNow, message.term];
      case 'read-index':
        return [Type.ReadIndex, message.term, message.id, message.basis === 'lease'];
      case 'read-index-reply':
        return [Type.ReadIndexReply, message.term, message.id, message.index];
      default:
        return unreachable(message);
    }
  }

  #pack(entries: readonly Entry[]): Uint8Array {
    if (entries === this.#entries) return this.#packed;
    this.#entries = entries;
    this.#packed = packEntries(entries);
    return this.#packed;
  }
}

/**
 * Payloads of entries are views of the bytes that were decoded.
 * @throws MessageFormatError when the array is not a message.
 */
export function decodeMessage(fields: readonly unknown[]): Message {
  const term = integer(fields, 1);
  switch (fields[0]) {
    case Type.PreVote:
      return { type: 'pre-vote', term, lastIndex: integer(fields, 2), lastTerm: integer(fields, 3) };
    case Type.PreVoteReply:
      return { type: 'pre-vote-reply', term, granted: flag(fields, 2) };
    case Type.Vote:
      return {
        type: 'vote',
        term,
        lastIndex: integer(fields, 2),
        lastTerm: integer(fields, 3),
        transfer: flag(fields, 4),
      };
    case Type.VoteReply:
      return { type: 'vote-reply', term, granted: flag(fields, 2) };
    case Type.Append: {
      const prevIndex = integer(fields, 2);
      return {
        type: 'append',
        term,
        prevIndex,
        prevTerm: integer(fields, 3),
        commitIndex: integer(fields, 4),
        entries: unpackEntries(bytes(fields, 5), prevIndex + 1),
      };
    }
    case Type.AppendAccepted:
      return { type: 'append-accepted', term, matchIndex: integer(fields, 2) };
    case Type.AppendRejected:
      return {
        type: 'append-rejected',
        term,
        rejectedIndex: integer(fields, 2),
        hintIndex: integer(fields, 3),
        hintTerm: integer(fields, 4),
      };
    case Type.Heartbeat:
      return {
        type: 'heartbeat',
        term,
        commitIndex: integer(fields, 2),
        round: integer(fields, 3),
        sentAtMs: integer(fields, 4),
      };
    case Type.HeartbeatReply:
      return {
        type: 'heartbeat-reply',
        term,
        round: integer(fields, 2),
        sentAtMs: fields[3] === null ? null : integer(fields, 3),
      };
    case Type.SnapshotOffer:
      return { type: 'snapshot-offer', term, index: integer(fields, 2), snapshotTerm: integer(fields, 3) };
    case Type.MendRequest: {
      const indices = integers(fields, 2);
      const terms = integers(fields, 3);
      if (terms.length !== indices.length) throw new MessageFormatError('not a term for each index');
      return { type: 'mend-request', term, indices, terms };
    }
    case Type.MendReply: {
      const indices = integers(fields, 2);
      const entries = unpackEntries(bytes(fields, 3), 0);
      if (entries.length !== indices.length) throw new MessageFormatError('not an index for each entry');
      return {
        type: 'mend-reply',
        term,
        entries: entries.map((entry, at) => ({ ...entry, index: indices[at] ?? 0 })),
        absent: integers(fields, 4),
        cannotSay: integers(fields, 5),
        snapshotIndex: integer(fields, 6),
        snapshotTerm: integer(fields, 7),
      };
    }
    case Type.TimeoutNow:
      return { type: 'timeout-now', term };
    case Type.ReadIndex:
      return { type: 'read-index', term, id: integer(fields, 2), basis: flag(fields, 3) ? 'lease' : 'round' };
    case Type.ReadIndexReply:
      return { type: 'read-index-reply', term, id: integer(fields, 2), index: integer(fields, 3) };
    default:
      throw new MessageFormatError(`unknown type ${String(fields[0])}`);
  }
}

function packEntries(entries: readonly Entry[]): Uint8Array {
  let size = VARINT_BYTES_MAX;
  for (const entry of entries) size += 2 * VARINT_BYTES_MAX + 1 + entry.payload.length;
  const packed = new Uint8Array(size);
  let at = writeVarint(packed, 0, entries.length);
  for (const { term, kind, payload } of entries) {
    at = writeVarint(packed, at, term);
    packed[at++] = kind;
    at = writeVarint(packed, at, payload.length);
    packed.set(payload, at);
    at += payload.length;
  }
  return packed.subarray(0, at);
}

function unpackEntries(packed: Uint8Array, firstIndex: Index): Entry[] {
  const reader = new VarintReader(packed);
  const count = reader.read();
  if (count < 0 || count > packed.length) throw new MessageFormatError(`${count} entries`);
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    const term = reader.read();
    const kind = packed[reader.offset++];
    const length = reader.read();
    const end = reader.offset + length;
    if (term < 1 || length < 0 || end > packed.length) throw new MessageFormatError('an entry is cut short');
    if (!isEntryKind(kind)) throw new MessageFormatError(`unknown kind of entry ${kind}`);
    entries.push({ index: firstIndex + i, term, kind, payload: packed.subarray(reader.offset, end) });
    reader.offset = end;
  }
  if (reader.offset !== packed.length) throw new MessageFormatError('bytes behind the last entry');
  return entries;
}

function isEntryKind(kind: number | undefined): kind is EntryKind {
  return kind === EntryKind.Noop || kind === EntryKind.Command || kind === EntryKind.Configuration;
}

function integer(fields: readonly unknown[], at: number): number {
  const value = fields[at];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MessageFormatError(`field ${at} is not an unsigned integer`);
  }
  return value;
}

function integers(fields: readonly unknown[], at: number): number[] {
  const values = fields[at];
  if (!Array.isArray(values)) throw new MessageFormatError(`field ${at} is not a list`);
  return values.map((_value, place) => integer(values as unknown[], place));
}

function flag(fields: readonly unknown[], at: number): boolean {
  const value = fields[at];
  if (typeof value !== 'boolean') throw new MessageFormatError(`field ${at} is not a boolean`);
  return value;
}

function bytes(fields: readonly unknown[], at: number): Uint8Array {
  const value = fields[at];
  if (!(value instanceof Uint8Array)) throw new MessageFormatError(`field ${at} is not a byte string`);
  return value;
}
