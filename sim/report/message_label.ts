/** What a message is and says, in words short enough for a picture. */
import { unreachable } from '../../src/base/assert.ts';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import { decodeRequest, decodeResult } from '../../src/kv/request_codec.ts';
import { decodeWrite } from '../../src/kv/write_codec.ts';
import { type Entry, EntryKind } from '../../src/log/entry.ts';
import type { Message } from '../../src/raft/message.ts';
import { decodeMessage } from '../../src/replica/message_codec.ts';
import { decodeSnapshotMessage, isAboutDigests } from '../../src/replica/snapshot_codec.ts';
import type { PeerFrame } from '../../src/server/peer_protocol.ts';
import type { MessageKind } from './record.ts';

export interface MessageLabel {
  readonly kind: MessageKind;
  readonly isReply: boolean;
  /** Of a Raft message; 0 for others. */
  readonly term: number;
  readonly name: string;
  readonly text: string;
}

const TEXT_LENGTH_MAX = 240;
const VALUE_LENGTH_MAX = 40;
/** Entries of one append that are described each. */
const ENTRIES_SHOWN_MAX = 4;

/** @throws EnvelopeError when what the frame holds is malformed. */
export function labelPeerFrame(frame: PeerFrame): MessageLabel {
  switch (frame.kind) {
    case 'hello':
      return { kind: 'control', isReply: false, term: 0, name: 'hello', text: `from node ${frame.from}` };
    case 'refused':
      return { kind: 'control', isReply: true, term: 0, name: 'refused', text: frame.why };
    case 'goodbye': {
      const read = [...frame.lastRead].map(([group, id]) => `#${id} of group ${group}`).join(', ');
      return {
        kind: 'control',
        isReply: true,
        term: 0,
        name: 'goodbye',
        text: `read last: ${read || 'none'}`,
      };
    }
    case 'ping':
      return { kind: 'control', isReply: false, term: 0, name: 'ping', text: '' };
    case 'pong':
      return { kind: 'control', isReply: true, term: 0, name: 'pong', text: '' };
    case 'raft':
      return labelRaftMessage(decodeMessage(frame.message));
    case 'snapshot': {
      const message = decodeSnapshotMessage(frame.message);
      if (message === null) {
        return { kind: 'control', isReply: false, term: 0, name: 'unknown', text: 'of a later version' };
      }
      if (isAboutDigests(message)) {
        const ends =
          message.type === 'state-digests' ? message.windows.map(({ index }) => index) : [message.index];
        const text = `windows that end at ${ends.join(', ')}`;
        return {
          kind: 'control',
          isReply: message.type === 'state-differs' || message.type === 'state-answer',
          term: 0,
          name: message.type,
          text,
        };
      }
      const isReply = message.type === 'chunk' || message.type === 'range-chunk';
      const text = isReply
        ? `chunk ${message.number} of the state at ${message.index}, ${message.records.length} bytes`
        : `chunk ${message.number} please`;
      return { kind: 'forward', isReply, term: 0, name: message.type, text };
    }
    case 'request': {
      const text = `#${frame.id} ${describeRequest(decodeRequest(frame.request))}`;
      return { kind: 'forward', isReply: false, term: 0, name: 'forward', text: shorten(text) };
    }
    case 'response': {
      const text = `#${frame.id} ${describeResult(decodeResult(frame.result))}`;
      return { kind: 'forward', isReply: true, term: 0, name: 'result', text: shorten(text) };
    }
    default:
      return unreachable(frame);
  }
}

export function labelRaftMessage(message: Message): MessageLabel {
  const { type, term } = message;
  switch (type) {
    case 'pre-vote':
    case 'vote': {
      const text = `term ${term}, its log ends at ${message.lastIndex} of term ${message.lastTerm}`;
      return { kind: 'vote', isReply: false, term, name: type, text };
    }
    case 'pre-vote-reply':
    case 'vote-reply': {
      const text = `term ${term}, ${message.granted ? 'granted' : 'refused'}`;
      return { kind: 'vote', isReply: true, term, name: type, text };
    }
    case 'append': {
      const { prevIndex, prevTerm, commitIndex, entries } = message;
      const text = `term ${term}, ${describeEntries(entries)} after ${prevIndex} of term ${prevTerm}, commit ${commitIndex}`;
      return {
        kind: 'append',
        isReply: false,
        term,
        name: `append ${rangeOf(entries)}`,
        text: shorten(text),
      };
    }
    case 'append-accepted':
      return {
        kind: 'append',
        isReply: true,
        term,
        name: `accepted ${message.matchIndex}`,
        text: `term ${term}, up to ${message.matchIndex}`,
      };
    case 'append-rejected': {
      const { rejectedIndex, hintIndex, hintTerm } = message;
      const text = `term ${term}, not at ${rejectedIndex}; try ${hintIndex} of term ${hintTerm}`;
      return { kind: 'append', isReply: true, term, name: 'rejected', text };
    }
    case 'heartbeat': {
      const text = `term ${term}, commit ${message.commitIndex}, round ${message.round}`;
      return { kind: 'heartbeat', isReply: false, term, name: type, text };
    }
    case 'heartbeat-reply':
      return {
        kind: 'heartbeat',
        isReply: true,
        term,
        name: type,
        text: `term ${term}, round ${message.round}`,
      };
    case 'timeout-now':
      return { kind: 'vote', isReply: false, term, name: type, text: `term ${term}, campaign at once` };
    case 'snapshot-offer': {
      const text = `term ${term}, fetch the state at ${message.index} of term ${message.snapshotTerm}`;
      return { kind: 'append', isReply: false, term, name: 'snapshot', text };
    }
    case 'mend-request': {
      const text = `term ${term}, give ${message.indices.join(' ')}`;
      return { kind: 'append', isReply: false, term, name: 'mend', text };
    }
    case 'mend-reply': {
      const given = message.entries.map(({ index }) => index).join(' ');
      const text = `term ${term}, gives ${given || 'none'}, never had ${message.absent.join(' ') || 'none'}`;
      return { kind: 'append', isReply: true, term, name: type, text };
    }
    case 'read-index': {
      const text = `term ${term}, read ${message.id} by ${message.basis}`;
      return { kind: 'heartbeat', isReply: false, term, name: type, text };
    }
    case 'read-index-reply': {
      const text = `term ${term}, read ${message.id} at ${message.index}`;
      return { kind: 'heartbeat', isReply: true, term, name: type, text };
    }
    default:
      return unreachable(type);
  }
}

/** @param text In whatever dialect the client speaks. */
export function labelClientBytes(text: string, kind: 'request' | 'answer'): MessageLabel {
  const oneLine = printable(text.replaceAll('\r\n', ' ⏎ ').replace(/ ⏎ $/, ''));
  return { kind: 'client', isReply: kind === 'answer', term: 0, name: kind, text: shorten(oneLine) };
}

function rangeOf(entries: readonly Entry[]): string {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return '(empty)';
  return first === last ? String(first.index) : `${first.index}-${last.index}`;
}

function describeEntries(entries: readonly Entry[]): string {
  if (entries.length === 0) return 'nothing';
  const shown = entries.slice(0, ENTRIES_SHOWN_MAX).map(describeEntry).join('; ');
  return `${rangeOf(entries)} [${shown}${entries.length > ENTRIES_SHOWN_MAX ? '; ...' : ''}]`;
}

function describeEntry({ kind, payload }: Entry): string {
  if (kind === EntryKind.Noop) return 'no-op';
  if (kind === EntryKind.Configuration) return 'configuration';
  try {
    return describeRequest(decodeWrite(payload).write);
  } catch {
    // The report may know less than the store: commands of a later version are still entries.
    return `${payload.length} bytes`;
  }
}

function describeRequest(request: Request): string {
  switch (request.type) {
    case 'set':
      return `set ${keyName(request.bucket, request.key)} ${word(request.value)}`;
    case 'delete':
      return `delete ${request.keys.map((key) => keyName(request.bucket, key)).join(' ')}`;
    case 'get':
      return `get ${keyName(request.bucket, request.key)}`;
    case 'json-get':
      return `get ${keyName(request.bucket, request.key)} ${request.path}`;
    case 'exists':
      return `exists ${request.keys.map((key) => keyName(request.bucket, key)).join(' ')}`;
    default:
      return request.type;
  }
}

function describeResult(result: Result): string {
  switch (result.type) {
    case 'value':
      return result.value === null ? 'none' : word(result.value);
    case 'count':
      return String(result.count);
    case 'error':
      return `${result.code}: ${result.message}`;
    default:
      return result.type;
  }
}

function keyName(bucket: string, key: Uint8Array): string {
  return `${bucket}/${word(key)}`;
}

function word(bytes: Uint8Array): string {
  const text = printable(fromUtf8(bytes.subarray(0, VALUE_LENGTH_MAX)));
  return bytes.length > VALUE_LENGTH_MAX ? `${text}... (${bytes.length} bytes)` : text;
}

function shorten(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}...` : text;
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '·');
}
