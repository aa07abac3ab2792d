import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClientReply, ReplyReader } from '../../src/client/reply_reader.ts';
import { concatBytes, utf8 } from '../../src/codec/bytes.ts';
import type { Reply } from '../../src/protocol/reply.ts';
import { writeReply } from '../../src/protocol/reply_writer.ts';

const scalar: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({ type: fc.constant('simple' as const), text: fc.string({ maxLength: 5 }) }),
  fc.record({
    type: fc.constant('integer' as const),
    value: fc.oneof(fc.integer(), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
  }),
  fc.record({ type: fc.constant('bulk' as const), value: fc.option(fc.uint8Array({ maxLength: 9 })) }),
  fc.constant({ type: 'no-array' as const }),
);
const reply: fc.Arbitrary<Reply> = fc.letrec<{ any: Reply }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.record({ type: fc.constant('array' as const), items: fc.array(tie('any'), { maxLength: 4 }) }),
  ),
})).any;

function expected(sent: Reply): unknown {
  switch (sent.type) {
    case 'array':
      return { type: 'array', items: sent.items.map(expected) };
    case 'no-array':
      return { type: 'array', items: null };
    case 'integer': {
      const value = Number(sent.value);
      return Number.isSafeInteger(value)
        ? { type: 'integer', value }
        : { type: 'big-integer', value: sent.value };
    }
    default:
      return sent;
  }
}

describe('a reader of replies', () => {
  it('reads what a server writes, in whatever pieces it arrives', () => {
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 5 }), fc.integer({ min: 1, max: 7 }), (replies, piece) => {
        const bytes = concatBytes(replies.map(writeReply));
        const reader = new ReplyReader();
        const read: ClientReply[] = [];
        for (let at = 0; at < bytes.length; at += piece) {
          reader.push(bytes.slice(at, at + piece));
          for (let next = reader.next(); next !== null; next = reader.next()) read.push(next);
        }
        expect(read).toEqual(replies.map(expected));
      }),
    );
  });

  it('refuses what is no reply', () => {
    for (const text of ['?\r\n', '*x\r\n', '*-2\r\n', ':x\r\n', '$-5\r\n', '*1\r\n'.repeat(33)]) {
      const reader = new ReplyReader();
      reader.push(utf8(text));
      expect(() => reader.next()).toThrow();
    }
  });
});
