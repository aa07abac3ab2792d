/** A link and the acceptor at its other end, over a simulated network: what the one sends, and how far the other has read. */
import { describe, expect, it } from 'vitest';
import { SimClock } from '../../sim/clock.ts';
import { SimNetwork } from '../../sim/network.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { concatBytes } from '../../src/codec/bytes.ts';
import { FrameReader } from '../../src/codec/frame.ts';
import { silentLogger } from '../../src/io/logger.ts';
import type { Connection } from '../../src/io/network.ts';
import { PeerAcceptor } from '../../src/server/peer_acceptor.ts';
import { PeerLink } from '../../src/server/peer_link.ts';
import {
  decodePeerFrame,
  encodePeerFrame,
  type Hello,
  type PeerFrame,
  PREAMBLE,
} from '../../src/server/peer_protocol.ts';

const HELLO: Hello = { kind: 'hello', cluster: 1, from: 1, to: 2, address: 'node1:9000', identity: 1 };
const ADDRESS = { host: 'node2', port: 9000 };
const US_PER_MS = 1000;

function request(group: number, id: number): PeerFrame {
  return { kind: 'request', group, id, request: ['get', 'b', new Uint8Array(0)] };
}

/** Node 1 has dialled node 2. */
class Pair {
  readonly scheduler = new Scheduler();
  readonly network: SimNetwork;
  /** That of node 1. */
  readonly process: SimProcess;
  readonly link: PeerLink;
  /** Ids that node 2 was handed. */
  readonly read: number[] = [];
  /** What node 1 was told each time its link went down. */
  readonly downs: ([number, number][] | null)[] = [];
  readonly acceptors: PeerAcceptor[] = [];
  /** Whether the link took a request in the moment in which it went down. */
  tookWhenDown: boolean | null = null;

  constructor() {
    const { scheduler } = this;
    const random = new SimRandom('pair');
    this.network = new SimNetwork({ scheduler, random, trace: new Trace(), faults: {} });
    const [one, two] = ['node1', 'node2'].map((name) => new SimProcess(name, scheduler));
    this.process = one;
    const listener = this.network.attach(two, 'node2').listen(
      ADDRESS,
      (connection) => this.#accept(connection),
      (error) => {
        throw error;
      },
    );
    expect(listener.port).toBe(0);
    this.link = new PeerLink({
      self: 1,
      peer: 2,
      address: ADDRESS,
      hello: HELLO,
      network: this.network.attach(one, 'node1'),
      clock: new SimClock(scheduler, one, { offsetMs: 0, driftPpm: 0 }),
      random: random.fork('link'),
      logger: silentLogger,
      onRefused: () => {},
      onUp: () => {},
      onDown: (lastRead) => {
        this.downs.push(lastRead === null ? null : [...lastRead]);
        this.tookWhenDown = this.link.send(request(1, 1000));
      },
    });
    this.run(1);
    this.link.start();
    this.run(100);
    expect(this.link.isUp).toBe(true);
  }

  send(group: number, id: number): void {
    expect(this.link.send(request(group, id))).toBe(true);
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + ms * US_PER_MS);
  }

  #accept(connection: Connection): void {
    const acceptor = new PeerAcceptor(connection, {
      self: 2,
      refusalOf: () => null,
      onGreeted: () => {},
      frameBytesMax: 1024,
      logger: silentLogger,
      onFrame: (_from, frame) => {
        if (frame.kind === 'request') this.read.push(frame.id);
      },
      onClose: () => {},
    });
    connection.handler = acceptor;
    this.acceptors.push(acceptor);
  }
}

describe('a link whose peer stops', () => {
  it('is told, of each group, which request the peer has read last', () => {
    const pair = new Pair();
    pair.send(1, 10);
    pair.send(7, 3);
    pair.send(1, 11);
    pair.run(50);
    pair.acceptors[0].close();
    pair.run(50);
    expect(pair.read).toEqual([10, 3, 11]);
    expect(pair.downs).toEqual([
      [
        [1, 11],
        [7, 3],
      ],
    ]);
  });

  it('is told of nothing that was still on its way, which is never read', () => {
    const pair = new Pair();
    pair.send(1, 10);
    pair.run(50);
    pair.network.block('node1', 'node2');
    pair.send(1, 11);
    pair.send(2, 1);
    pair.run(5);
    pair.acceptors[0].close();
    pair.run(50);
    pair.network.unblock('node1', 'node2');
    pair.run(500);
    expect(pair.downs[0]).toEqual([[1, 10]]);
    expect(pair.read).toEqual([10]);
  });

  it('is told although its own process slept for longer than a peer may be silent', () => {
    const pair = new Pair();
    pair.send(1, 10);
    pair.run(50);
    pair.process.pause();
    // A ping is due before the goodbye comes.
    pair.run(2900);
    pair.acceptors[0].close();
    pair.run(200);
    pair.process.resume();
    pair.run(50);
    expect(pair.downs).toEqual([[[1, 10]]]);
  });

  it('takes nothing more for a connection that has ended so, and dials anew', () => {
    const pair = new Pair();
    pair.acceptors[0].close();
    pair.run(20);
    expect(pair.downs).toEqual([[]]);
    expect(pair.tookWhenDown).toBe(false);
    pair.run(500);
    expect(pair.link.isUp).toBe(true);
    pair.send(1, 12);
    pair.run(50);
    expect(pair.read).toEqual([12]);
  });

  it.each([
    ['waits to dial again', 10],
    ['dials somebody who does not answer', 5000],
  ])('dials at once when the peer has spoken to it, while it %s', (_what, downMs) => {
    const pair = new Pair();
    pair.network.block('node1', 'node2');
    pair.network.resetConnections('node1', 'node2');
    pair.run(downMs);
    pair.network.unblock('node1', 'node2');
    expect(pair.link.isUp).toBe(false);
    pair.link.hurry();
    pair.run(20);
    expect(pair.link.isUp).toBe(true);
    // Once it is up there is nothing to do.
    pair.link.hurry();
    pair.run(3000);
    expect(pair.acceptors.length).toBe(2);
    pair.link.close('at-once');
    pair.link.hurry();
    pair.run(500);
    expect(pair.acceptors.length).toBe(2);
  });

  it('is not hurried more than once a second', () => {
    const pair = new Pair();
    for (let n = 0; n < 100; n++) {
      pair.network.resetConnections('node1', 'node2');
      pair.run(10);
      pair.link.hurry();
      pair.run(10);
    }
    // Twice, and as often as it would have dialled without.
    expect(pair.acceptors.length).toBeLessThan(25);
  });

  it('is told nothing by a goodbye that does not arrive', () => {
    const pair = new Pair();
    pair.send(1, 10);
    pair.run(50);
    pair.network.block('node2', 'node1');
    pair.acceptors[0].close();
    pair.network.resetConnections('node1', 'node2');
    pair.network.unblock('node2', 'node1');
    pair.run(500);
    expect(pair.downs).toEqual([null]);
  });

  it('is told by each connection of that connection alone', () => {
    const pair = new Pair();
    pair.send(1, 10);
    pair.run(50);
    pair.network.resetConnections('node1', 'node2');
    pair.run(500);
    pair.acceptors[1].close();
    pair.run(50);
    expect(pair.downs).toEqual([null, []]);
  });
});

describe('an acceptor', () => {
  /** What it writes on a connection on which it gets these bytes; and whether it closes it in order or at once. */
  function told(...pieces: Uint8Array[]): { frames: PeerFrame[]; handed: number[]; end: string } {
    const reader = new FrameReader(1024);
    const handed: number[] = [];
    const ends: string[] = [];
    const connection: Connection = {
      remote: 'node1',
      handler: { onData: () => {}, onClose: () => {} },
      bufferedBytes: 0,
      write: (bytes) => {
        reader.push(bytes);
        return true;
      },
      pause: () => {},
      resume: () => {},
      close: () => ends.push('in order'),
      destroy: () => ends.push('at once'),
    };
    const acceptor = new PeerAcceptor(connection, {
      self: 2,
      refusalOf: () => null,
      onGreeted: () => {},
      frameBytesMax: 1024,
      logger: silentLogger,
      onFrame: (_from, frame) => {
        if (frame.kind === 'request') handed.push(frame.id);
      },
      onClose: () => {},
    });
    for (const piece of pieces) acceptor.onData(piece);
    acceptor.close();
    // The system may still have had these for it.
    acceptor.onData(encodePeerFrame(request(1, 2 ** 40)));
    const frames: PeerFrame[] = [];
    for (let body = reader.next(); body !== null; body = reader.next()) frames.push(decodePeerFrame(body));
    return { frames, handed, end: ends[0] };
  }

  const OPENING = concatBytes([PREAMBLE, encodePeerFrame(HELLO)]);

  it('says goodbye last, and reads nothing behind it', () => {
    const half = encodePeerFrame(request(1, 6));
    const { frames, handed, end } = told(
      OPENING,
      encodePeerFrame(request(1, 5)),
      encodePeerFrame({ kind: 'ping' }),
      half.subarray(0, half.length - 1),
    );
    expect(frames).toEqual([{ kind: 'pong' }, { kind: 'goodbye', lastRead: new Map([[1, 5]]) }]);
    expect(handed).toEqual([5]);
    expect(end).toBe('in order');
  });

  it('says that it has read nothing where it was not even greeted', () => {
    expect(told(PREAMBLE).frames).toEqual([{ kind: 'goodbye', lastRead: new Map() }]);
  });

  it('says nothing to who may be no peer', () => {
    expect(told(PREAMBLE.subarray(0, 4)).frames).toEqual([]);
    expect(told(new Uint8Array([0, 1, 2, 3, 4, 5])).frames).toEqual([]);
  });

  it('turns away a peer whose requests do not ascend, since it could not say what it has read of them', () => {
    for (const second of [4, 5]) {
      const { frames, handed, end } = told(
        OPENING,
        encodePeerFrame(request(1, 5)),
        encodePeerFrame(request(2, 1)),
        encodePeerFrame(request(1, second)),
      );
      expect(frames).toEqual([]);
      expect(handed).toEqual([5, 1]);
      expect(end).toBe('at once');
    }
  });
});

describe('the frame goodbye', () => {
  it('comes back as it was sent', () => {
    for (const lastRead of [
      new Map(),
      new Map([[1, 0]]),
      new Map([
        [1, 2 ** 52 + 17],
        [4_294_967_295, 5],
      ]),
    ]) {
      const reader = new FrameReader(1024);
      reader.push(encodePeerFrame({ kind: 'goodbye', lastRead }));
      expect(decodePeerFrame(reader.next() ?? new Uint8Array(0))).toEqual({ kind: 'goodbye', lastRead });
    }
  });

  it('is malformed when a group has no id, or two', () => {
    // MessagePack: [17, [1]] and [17, [1, 2, 1, 3]].
    expect(() => decodePeerFrame(new Uint8Array([0x92, 17, 0x91, 1]))).toThrow('a group has no id');
    expect(() => decodePeerFrame(new Uint8Array([0x92, 17, 0x94, 1, 2, 1, 3]))).toThrow(
      'a group is named twice',
    );
  });
});
