import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageLog } from '../../../sim/report/message_log.ts';
import { concatBytes, utf8 } from '../../../src/codec/bytes.ts';
import { EntryKind } from '../../../src/log/entry.ts';
import type { Message } from '../../../src/raft/message.ts';
import { MessageEncoder } from '../../../src/replica/message_codec.ts';
import { encodePeerFrame, PREAMBLE } from '../../../src/server/peer_protocol.ts';

const ROUTE = 'node1>node2';

function laneOf(host: string): number {
  return host === 'node1' ? 1 : host === 'node2' ? 2 : 3;
}

function frame(message: Message): Uint8Array {
  return encodePeerFrame({ kind: 'raft', group: 0, message: new MessageEncoder().encode(message) });
}

function heartbeat(round: number): Uint8Array {
  return frame({ type: 'heartbeat', term: 3, commitIndex: 7, round, sentAtMs: 0 });
}

function append(firstIndex: number, count: number): Uint8Array {
  const entries = Array.from({ length: count }, (_none, at) => ({
    index: firstIndex + at,
    term: 3,
    kind: EntryKind.Noop,
    payload: new Uint8Array(0),
  }));
  return frame({ type: 'append', term: 3, prevIndex: firstIndex - 1, prevTerm: 2, commitIndex: 1, entries });
}

describe('MessageLog', () => {
  it('follows a message from when it was sent until it arrived', () => {
    const log = new MessageLog(laneOf);
    const bytes = concatBytes([PREAMBLE, append(5, 3)]);
    log.onSend(100, 1, ROUTE, bytes);
    log.onArrive(350, 1, ROUTE, bytes.length, 'arrived');
    expect(log.finish(1000)).toEqual([
      {
        from: 1,
        to: 2,
        sentUs: 100,
        endUs: 350,
        fate: 'arrived',
        kind: 'append',
        isReply: false,
        term: 3,
        name: 'append 5-7',
        text: 'term 3, 5-7 [no-op; no-op; no-op] after 4 of term 2, commit 1',
        connection: 1,
      },
    ]);
  });

  it('finds the same messages however the stream is cut into pieces', () => {
    const bytes = concatBytes([PREAMBLE, heartbeat(1), append(2, 2), heartbeat(2), append(4, 1)]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 }), (drawn) => {
        const cuts = [...new Set([0, ...drawn, bytes.length])].sort((a, b) => a - b);
        const log = new MessageLog(laneOf);
        cuts.slice(1).forEach((end, at) => {
          log.onSend(at, 1, ROUTE, bytes.subarray(cuts[at], end));
        });
        for (let at = 1; at < cuts.length; at++) {
          log.onArrive(1000 + at, 1, ROUTE, cuts[at] - cuts[at - 1], 'arrived');
        }
        const names = log.finish(2000).map(({ name, fate }) => `${name} ${fate}`);
        expect(names).toEqual([
          'heartbeat arrived',
          'append 2-3 arrived',
          'heartbeat arrived',
          'append 4 arrived',
        ]);
      }),
    );
  });

  it('loses what was sent last and keeps what is still on its way', () => {
    const log = new MessageLog(laneOf);
    const first = concatBytes([PREAMBLE, heartbeat(1)]);
    const second = heartbeat(2);
    log.onSend(10, 1, ROUTE, first);
    log.onSend(20, 1, ROUTE, second);
    log.onSend(30, 1, ROUTE, heartbeat(3));
    log.onLost(40, 1, ROUTE, first.length + second.length);
    log.onArrive(50, 1, ROUTE, first.length, 'arrived');
    const fates = log.finish(60).map(({ fate, endUs }) => [fate, endUs]);
    expect(fates).toEqual([
      ['arrived', 50],
      ['flight', 60],
      ['lost', 40],
    ]);
  });

  it('calls bytes with a flipped bit damaged, and what follows them too', () => {
    const log = new MessageLog(laneOf);
    const bytes = concatBytes([PREAMBLE, heartbeat(1)]);
    bytes[bytes.length - 1] ^= 4;
    log.onSend(1, 1, ROUTE, bytes);
    log.onSend(2, 1, ROUTE, heartbeat(2));
    expect(log.finish(3).map(({ kind }) => kind)).toEqual(['damaged', 'damaged']);
  });

  it('keeps nothing of the bytes that it was lent', () => {
    const log = new MessageLog(laneOf);
    const bytes = concatBytes([PREAMBLE, heartbeat(1)]);
    const head = bytes.slice(0, 9);
    log.onSend(1, 1, ROUTE, head);
    head.fill(0xee);
    log.onSend(1, 1, ROUTE, bytes.slice(9));
    expect(log.finish(3).map(({ kind }) => kind)).toEqual(['heartbeat']);
  });

  it('shows what clients and nodes say as text, one message for what is sent at one time', () => {
    const log = new MessageLog(laneOf);
    log.onSend(1, 4, 'client1>node1', utf8('SET k '));
    log.onSend(1, 4, 'client1>node1', utf8('v\r\nGET k\r\n'));
    log.onSend(2, 4, 'client1>node1', utf8('GET k\r\n'));
    log.onSend(3, 4, 'node1>client1', utf8('+OK\r\n'));
    const said = log
      .finish(9)
      .map(({ name, isReply, text, from, to }) => ({ name, isReply, text, from, to }));
    expect(said).toEqual([
      { name: 'request', isReply: false, text: 'SET k v ⏎ GET k', from: 3, to: 1 },
      { name: 'request', isReply: false, text: 'GET k', from: 3, to: 1 },
      { name: 'answer', isReply: true, text: '+OK', from: 1, to: 3 },
    ]);
  });
});
