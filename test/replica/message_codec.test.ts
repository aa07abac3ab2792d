import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryKind } from '../../src/log/entry.ts';
import type { Message } from '../../src/raft/message.ts';
import { decodeMessage, MessageEncoder, MessageFormatError } from '../../src/replica/message_codec.ts';

const n = fc.maxSafeNat();
const entry = fc.record({
  term: fc.integer({ min: 1, max: 2 ** 40 }),
  kind: fc.constantFrom(EntryKind.Noop, EntryKind.Command, EntryKind.Configuration),
  payload: fc.uint8Array({ maxLength: 200 }),
});
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    type: fc.constant('pre-vote' as const),
    term: n,
    lastIndex: n,
    lastTerm: n,
  }),
  fc.record({
    type: fc.constant('vote' as const),
    term: n,
    lastIndex: n,
    lastTerm: n,
    transfer: fc.boolean(),
  }),
  fc.record({ type: fc.constant('timeout-now' as const), term: n }),
  fc.record({ type: fc.constant('snapshot-offer' as const), term: n, index: n, snapshotTerm: n }),
  fc.record({
    type: fc.constant('read-index' as const),
    term: n,
    id: n,
    basis: fc.constantFrom('round' as const, 'lease' as const),
  }),
  fc.record({ type: fc.constant('read-index-reply' as const), term: n, id: n, index: n }),
  fc.record({
    type: fc.constantFrom('pre-vote-reply' as const, 'vote-reply' as const),
    term: n,
    granted: fc.boolean(),
  }),
  fc
    .record({ term: n, identities: fc.array(fc.tuple(n, n), { maxLength: 20 }) })
    .map(({ term, identities }) => ({
      type: 'mend-request' as const,
      term,
      indices: identities.map(([index]) => index),
      terms: identities.map(([, entryTerm]) => entryTerm),
    })),
  fc
    .record({
      term: n,
      entries: fc.array(fc.tuple(n, entry), { maxLength: 20 }),
      absent: fc.array(n),
      cannotSay: fc.array(n),
      snapshotIndex: n,
      snapshotTerm: n,
    })
    .map(({ entries, ...fields }) => ({
      type: 'mend-reply' as const,
      ...fields,
      entries: entries.map(([index, fieldsOfEntry]) => ({ index, ...fieldsOfEntry })),
    })),
  fc.record({ type: fc.constant('append-accepted' as const), term: n, matchIndex: n }),
  fc.record({
    type: fc.constant('append-rejected' as const),
    term: n,
    rejectedIndex: n,
    hintIndex: n,
    hintTerm: n,
  }),
  fc.record({ type: fc.constant('heartbeat' as const), term: n, commitIndex: n, round: n, sentAtMs: n }),
  fc.record({ type: fc.constant('heartbeat-reply' as const), term: n, round: n, sentAtMs: fc.option(n) }),
  fc
    .record({
      term: n,
      prevIndex: fc.nat(),
      prevTerm: n,
      commitIndex: n,
      entries: fc.array(entry, { maxLength: 20 }),
    })
    .map(({ entries, ...fields }) => ({
      type: 'append' as const,
      ...fields,
      entries: entries.map((one, at) => ({
        ...one,
        payload: new Uint8Array(one.payload),
        index: fields.prevIndex + 1 + at,
      })),
    })),
);

describe('raft messages', () => {
  it('come out of their bytes as they went in', () => {
    const encoder = new MessageEncoder();
    fc.assert(
      fc.property(message, (sent) => {
        const received = decodeMessage(decode(encode(encoder.encode(sent))) as unknown[]);
        expect(received).toEqual(sent);
      }),
    );
  });

  it('that are malformed are refused, never half understood', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.uint8Array())), (fields) => {
        try {
          decodeMessage(fields);
        } catch (error) {
          expect(error).toBeInstanceOf(MessageFormatError);
        }
      }),
    );
  });
});
