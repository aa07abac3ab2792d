/** Messages in words, for transcripts. Places in a log are written `index/term`. */
import { type Entry, EntryKind } from '../../src/log/entry.ts';
import { type Configuration, decodeConfiguration } from '../../src/raft/configuration.ts';
import type { Message } from '../../src/raft/message.ts';

export function messageText(message: Message): string {
  const head = `${message.type} term ${message.term}`;
  switch (message.type) {
    case 'vote':
      return `${head} log to ${message.lastIndex}/${message.lastTerm}${message.transfer ? ' for a transfer' : ''}`;
    case 'pre-vote':
      return `${head} log to ${message.lastIndex}/${message.lastTerm}`;
    case 'pre-vote-reply':
    case 'vote-reply':
      return `${head} ${message.granted ? 'granted' : 'refused'}`;
    case 'append': {
      const entries = message.entries.map(entryText).join(' ');
      return `${head} after ${message.prevIndex}/${message.prevTerm} commit ${message.commitIndex}: ${entries || 'nothing'}`;
    }
    case 'append-accepted':
      return `${head} match ${message.matchIndex}`;
    case 'append-rejected':
      return `${head} at ${message.rejectedIndex} hint ${message.hintIndex}/${message.hintTerm}`;
    case 'heartbeat':
      return `${head} commit ${message.commitIndex} round ${message.round} at ${message.sentAtMs} ms`;
    case 'heartbeat-reply':
      return `${head} round ${message.round}`;
    case 'snapshot-offer':
      return `${head} of ${message.index}/${message.snapshotTerm}`;
    case 'timeout-now':
      return head;
    case 'mend-request':
      return `${head} of ${message.indices.map((index, at) => `${index}/${message.terms[at]}`).join(' ')}`;
    case 'mend-reply': {
      const given = message.entries.map(entryText).join(' ') || 'nothing';
      return `${head} ${given} absent ${message.absent.join(' ') || 'none'}`;
    }
    case 'read-index':
      return `${head} number ${message.id} by ${message.basis}`;
    case 'read-index-reply':
      return `${head} number ${message.id} index ${message.index}`;
  }
}

export function entryText({ index, term, kind, payload }: Entry): string {
  return `${index}/${term}:${payloadText(kind, payload)}`;
}

export function payloadText(kind: EntryKind, payload: Uint8Array): string {
  if (kind === EntryKind.Noop) return 'noop';
  if (kind === EntryKind.Configuration) return `[${configurationText(decodeConfiguration(payload))}]`;
  return new TextDecoder().decode(payload);
}

/** The voters, `from` which voters if it is joint, and who learns. */
export function configurationText({ voters, outgoing, learners }: Configuration): string {
  let text = voters.join(' ') || 'nobody';
  if (outgoing.length > 0) text += ` from ${outgoing.join(' ')}`;
  if (learners.length > 0) text += ` learning ${learners.join(' ')}`;
  return text;
}
