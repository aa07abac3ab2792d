/** What a router does with requests on their way to a peer that goes. */
import { describe, expect, it } from 'vitest';
import { SimClock } from '../../sim/clock.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { errorResult, type Request, type Result } from '../../src/kv/request.ts';
import { encodeResult } from '../../src/kv/request_codec.ts';
import { NONE_READ } from '../../src/server/last_read.ts';
import type { PeerFrame } from '../../src/server/peer_protocol.ts';
import { Lane, type RoutedReplica, Router } from '../../src/server/router.ts';

const READ: Request = { type: 'get', bucket: 'b', key: utf8('k') };
const STOPPING = errorResult('unavailable', 'the node is stopping');
const US_PER_MS = 1000;

function write(n: number): Request {
  return { type: 'append', bucket: 'b', key: utf8('k'), value: utf8(`${n}`) };
}

/** Node 1's router; nodes 2 and 3 lead by turns. What is sent is collected, and answered by hand. */
class Bench {
  readonly scheduler = new Scheduler();
  readonly router: Router;
  /** As they came: the answers to the requests that were asked, by the number of the request. */
  readonly answers: [number, string][] = [];
  leader: number | null = 2;
  /** Reads that are to be answered by node 1 itself; null: it does not read for itself. */
  here: ((result: Result) => void)[] | null = null;
  /** What node 1 says of its next reads at once; null, as of those beyond: they are answered by hand. */
  readonly atOnce: (Result | null)[] = [];
  readonly unreachable = new Set<number>();
  #sent: { to: number; id: number }[] = [];
  #asked = 0;

  constructor() {
    const process = new SimProcess('node1', this.scheduler);
    const never = (): never => {
      throw new Error('node 1 does not lead');
    };
    const bench = this;
    const replica: RoutedReplica = {
      get leader() {
        return bench.leader;
      },
      get isLeader() {
        return bench.leader === 1;
      },
      isAlone: false,
      get servesReads() {
        return bench.here !== null;
      },
      propose: never,
      read: (_request, done) => bench.#readHere(done),
      administer: never,
    };
    this.router = new Router({
      group: 1,
      replica,
      clock: new SimClock(this.scheduler, process, { offsetMs: 0, driftPpm: 0 }),
      random: new SimRandom('router'),
      timeouts: { noLeaderMs: 3000, answerMs: 10_000 },
      waitingMax: 100,
      send: (to, frame) => this.#send(to, frame),
    });
  }

  ask(request: Request, lane: Lane): void {
    const number = ++this.#asked;
    this.router.route(request, lane, (result) => {
      const text = result.type === 'error' ? result.code : result.type;
      this.answers.push([number, text]);
    });
  }

  /** Ids of the requests that were sent there since this was last asked. */
  takeSent(to: number): number[] {
    const ids = this.#sent.filter((one) => one.to === to).map(({ id }) => id);
    this.#sent = this.#sent.filter((one) => one.to !== to);
    return ids;
  }

  /** The connection to a node ends, and is not made anew. */
  lose(peer: number, lastRead: number | null): void {
    this.unreachable.add(peer);
    this.router.onPeerDown(peer, lastRead);
  }

  answer(from: number, id: number, result: Result = { type: 'count', count: 1 }): void {
    this.router.onResponse(from, id, encodeResult(result));
  }

  move(leader: number): void {
    this.leader = leader;
    this.router.onLeaderChange();
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + ms * US_PER_MS);
  }

  #readHere(done: (result: Result) => void): void {
    if (this.here === null) throw new Error('node 1 does not read for itself');
    const result = this.atOnce.shift() ?? null;
    if (result === null) this.here.push(done);
    else done(result);
  }

  #send(to: number, frame: PeerFrame): boolean {
    if (this.unreachable.has(to) || frame.kind !== 'request') return false;
    this.#sent.push({ to, id: frame.id });
    return true;
  }
}

describe('a router whose peer says goodbye', () => {
  it('hands what the peer has not read to the next leader, and waits for the answer to the rest', () => {
    const bench = new Bench();
    for (const n of [1, 2, 3, 4]) bench.ask(write(n), new Lane());
    const ids = bench.takeSent(2);
    bench.lose(2, ids[1]);
    bench.move(3);
    expect(bench.takeSent(3)).toHaveLength(2);
    bench.answer(2, ids[1]);
    bench.answer(2, ids[0]);
    expect(bench.answers).toEqual([
      [2, 'count'],
      [1, 'count'],
    ]);
  });

  it('hands on everything when the peer has read nothing', () => {
    const bench = new Bench();
    for (const n of [1, 2]) bench.ask(write(n), new Lane());
    bench.lose(2, NONE_READ);
    bench.move(3);
    for (const id of bench.takeSent(3)) bench.answer(3, id);
    expect(bench.answers).toEqual([
      [1, 'count'],
      [2, 'count'],
    ]);
  });

  it('sends nothing anew that the peer has read, and waits longer for what it certainly answers', () => {
    const bench = new Bench();
    for (const n of [1, 2]) bench.ask(write(n), new Lane());
    const ids = bench.takeSent(2);
    bench.lose(2, ids[1]);
    bench.move(3);
    bench.run(1900);
    expect(bench.answers).toEqual([]);
    bench.answer(2, ids[0]);
    bench.run(200);
    expect(bench.answers).toEqual([
      [1, 'count'],
      [2, 'unknown'],
    ]);
    expect(bench.takeSent(3)).toEqual([]);
  });

  it('keeps the order of a lane: what was not read goes on only behind the answers to what was', () => {
    const bench = new Bench();
    const lane = new Lane();
    for (const n of [1, 2, 3]) bench.ask(write(n), lane);
    const ids = bench.takeSent(2);
    bench.lose(2, ids[0]);
    bench.move(3);
    bench.run(500);
    expect(bench.takeSent(3)).toEqual([]);
    bench.answer(2, ids[0]);
    bench.run(100);
    expect(bench.takeSent(3)).toHaveLength(2);
  });

  it('keeps the order of a lane: what was read and refused goes on before what was not read', () => {
    const bench = new Bench();
    const lane = new Lane();
    for (const n of [1, 2]) bench.ask(write(n), lane);
    const ids = bench.takeSent(2);
    bench.lose(2, ids[0]);
    bench.move(3);
    bench.answer(2, ids[0], STOPPING);
    bench.run(100);
    for (const id of bench.takeSent(3)) bench.answer(3, id);
    expect(bench.answers).toEqual([
      [1, 'count'],
      [2, 'count'],
    ]);
  });

  it('gives the next leader all the time that is left, whatever was waited for at the end of a connection', () => {
    for (const isTold of [true, false]) {
      const bench = new Bench();
      bench.ask(write(1), new Lane());
      const [id] = bench.takeSent(2);
      bench.lose(2, isTold ? id : null);
      bench.run(100);
      bench.answer(2, id, STOPPING);
      bench.move(3);
      const [again] = bench.takeSent(3);
      bench.run(8000);
      expect(bench.answers).toEqual([]);
      bench.answer(3, again);
      expect(bench.answers).toEqual([[1, 'count']]);
    }
  });

  it('takes no notice of an answer to what it has taken back', () => {
    const bench = new Bench();
    bench.ask(write(1), new Lane());
    const [id] = bench.takeSent(2);
    bench.lose(2, NONE_READ);
    bench.answer(2, id);
    expect(bench.answers).toEqual([]);
    bench.move(3);
    expect(bench.takeSent(3)).toHaveLength(1);
  });

  it('asks reads anew, read or not', () => {
    const bench = new Bench();
    for (let n = 0; n < 2; n++) bench.ask(READ, new Lane());
    const [first] = bench.takeSent(2);
    bench.lose(2, first);
    bench.move(3);
    expect(bench.takeSent(3)).toHaveLength(2);
  });

  it('says that there is no leader when no other one comes, since nothing was executed', () => {
    const bench = new Bench();
    bench.ask(write(1), new Lane());
    bench.lose(2, NONE_READ);
    bench.run(3100);
    expect(bench.answers).toEqual([[1, 'unavailable']]);
  });

  it('leaves alone what was sent by an earlier connection, whatever is said on a later one', () => {
    const bench = new Bench();
    bench.ask(write(1), new Lane());
    bench.lose(2, null);
    bench.unreachable.clear();
    bench.router.onPeerDown(2, NONE_READ);
    bench.move(3);
    bench.run(300);
    expect(bench.answers).toEqual([[1, 'unknown']]);
    expect(bench.takeSent(3)).toEqual([]);
  });

  it('leaves alone what is on its way to another peer', () => {
    const bench = new Bench();
    bench.ask(write(1), new Lane());
    bench.lose(3, NONE_READ);
    bench.answer(2, bench.takeSent(2)[0]);
    expect(bench.answers).toEqual([[1, 'count']]);
  });
});

describe('reads of one lane', () => {
  function asked(count: number): { bench: Bench; ids: number[] } {
    const bench = new Bench();
    const lane = new Lane();
    for (let n = 0; n < count; n++) bench.ask(READ, lane);
    return { bench, ids: bench.takeSent(2) };
  }

  it('are read again when they were answered before an earlier one, which may have been answered as of later', () => {
    const { bench, ids } = asked(3);
    bench.answer(2, ids[1]);
    bench.answer(2, ids[2]);
    expect(bench.answers).toEqual([]);
    expect(bench.takeSent(2)).toEqual([]);
    bench.answer(2, ids[0]);
    expect(bench.answers).toEqual([[1, 'count']]);
    // At once: nobody is waited for.
    const again = bench.takeSent(2);
    expect(again).toHaveLength(2);
    for (const id of again) bench.answer(2, id);
    expect(bench.answers.slice(1)).toEqual([
      [2, 'count'],
      [3, 'count'],
    ]);
  });

  it('are read again behind one that came back, on whatever node', () => {
    const { bench, ids } = asked(2);
    bench.answer(2, ids[0], STOPPING);
    bench.answer(2, ids[1]);
    expect(bench.answers).toEqual([]);
    bench.move(3);
    for (const id of bench.takeSent(3)) bench.answer(3, id);
    expect(bench.answers).toEqual([
      [1, 'count'],
      [2, 'count'],
    ]);
  });

  it('are not held up by reads of other lanes', () => {
    const bench = new Bench();
    for (let n = 0; n < 2; n++) bench.ask(READ, new Lane());
    const ids = bench.takeSent(2);
    bench.answer(2, ids[1]);
    expect(bench.answers).toEqual([[2, 'count']]);
  });

  it('are read with those that wait to be read again, if they come meanwhile', () => {
    const bench = new Bench();
    const lane = new Lane();
    for (let n = 0; n < 2; n++) bench.ask(READ, lane);
    const ids = bench.takeSent(2);
    bench.answer(2, ids[1]);
    for (let n = 0; n < 2; n++) bench.ask(READ, lane);
    expect(bench.takeSent(2)).toEqual([]);
    bench.answer(2, ids[0]);
    const again = bench.takeSent(2);
    expect(again).toHaveLength(3);
    for (const id of again) bench.answer(2, id);
    expect(bench.answers.map(([number]) => number)).toEqual([1, 2, 3, 4]);
  });

  it('go to the leader together, and at once, when one of them cannot be answered here', () => {
    const bench = new Bench();
    bench.here = [];
    const lane = new Lane();
    for (let n = 0; n < 4; n++) bench.ask(READ, lane);
    const [first, second, third, fourth] = bench.here.splice(0);
    third({ type: 'count', count: 1 });
    first({ type: 'count', count: 1 });
    fourth({ type: 'count', count: 1 });
    second(STOPPING);
    const ids = bench.takeSent(2);
    expect(ids).toHaveLength(3);
    bench.ask(READ, lane);
    expect(bench.here).toEqual([]);
    for (const id of [...ids, ...bench.takeSent(2)]) bench.answer(2, id);
    expect(bench.answers).toEqual([1, 2, 3, 4, 5].map((number) => [number, 'count']));
    // The next one may well be answered here.
    bench.ask(READ, lane);
    expect(bench.here).toHaveLength(1);
  });

  it('are not sent to and fro when the leader cannot answer either', () => {
    const bench = new Bench();
    bench.here = [];
    const lane = new Lane();
    bench.ask(READ, lane);
    bench.here.splice(0)[0](STOPPING);
    bench.answer(2, bench.takeSent(2)[0], STOPPING);
    expect(bench.here).toEqual([]);
    bench.run(60);
    expect(bench.here).toHaveLength(1);
  });

  it('are answered once each when one behind them is given up with what it was told before', () => {
    const bench = new Bench();
    const damaged = errorResult('corruption', 'a table is damaged');
    bench.here = [];
    bench.leader = 1;
    const lane = new Lane();
    for (let n = 0; n < 4; n++) bench.ask(READ, lane);
    for (const [at, done] of bench.here.splice(0).entries()) done(at < 3 ? STOPPING : damaged);
    bench.run(100);
    const [first, ...others] = bench.here.splice(0);
    for (const done of others) done({ type: 'count', count: 1 });
    bench.run(3000);
    bench.atOnce.push(null, STOPPING);
    first(STOPPING);
    for (const done of bench.here.splice(0)) done({ type: 'count', count: 1 });
    bench.run(20_000);
    expect(bench.answers.map(([number]) => number).toSorted()).toEqual([1, 2, 3, 4]);
  });

  it('keep their order behind one that is given up with the damage that it met', () => {
    const bench = new Bench();
    const lane = new Lane();
    bench.here = [];
    bench.leader = 1;
    for (let n = 0; n < 4; n++) bench.ask(READ, lane);
    const [first, ...others] = bench.here.splice(0);
    bench.run(3001);
    for (const done of others.slice(0, 2)) done({ type: 'count', count: 1 });
    others[2](errorResult('corruption', 'a table is damaged'));
    first({ type: 'count', count: 1 });
    expect(bench.answers).toEqual([
      [1, 'count'],
      [4, 'corruption'],
    ]);
    const [second, third] = bench.here.splice(0);
    third({ type: 'count', count: 2 });
    second({ type: 'count', count: 3 });
    bench.here.splice(0)[0]({ type: 'count', count: 3 });
    expect(bench.answers.slice(2)).toEqual([
      [2, 'count'],
      [3, 'count'],
    ]);
  });

  it('are answered in time wherever they are read', () => {
    const bench = new Bench();
    bench.here = [];
    const lane = new Lane();
    for (let n = 0; n < 3; n++) bench.ask(READ, lane);
    const [first, ...others] = bench.here.splice(0);
    for (const done of others) done({ type: 'count', count: 1 });
    bench.run(10_000);
    first(STOPPING);
    expect(bench.here).toEqual([]);
    expect(bench.answers.map(([, text]) => text)).toEqual(['unavailable', 'unavailable', 'unavailable']);
  });

  it('are given up together when the first of them is not answered in time', () => {
    const { bench, ids } = asked(2);
    bench.answer(2, ids[1]);
    bench.run(10_100);
    expect(bench.answers).toEqual([
      [1, 'unavailable'],
      [2, 'unavailable'],
    ]);
  });
});

describe('a router that stops', () => {
  it('says that the node stops, whatever becomes of what is under way here', () => {
    const bench = new Bench();
    bench.here = [];
    bench.leader = 1;
    const told: Result[] = [];
    for (let n = 0; n < 2; n++) bench.router.route(READ, new Lane(), (result) => told.push(result));
    const [first, second] = bench.here.splice(0);
    bench.router.stop();
    first(errorResult('unavailable', 'this node does not lead'));
    second({ type: 'count', count: 1 });
    expect(told).toEqual([STOPPING, { type: 'count', count: 1 }]);
  });

  it('refuses what came back and waits behind what is open, since it was not executed', () => {
    const bench = new Bench();
    const lane = new Lane();
    for (const n of [1, 2]) bench.ask(write(n), lane);
    bench.answer(2, bench.takeSent(2)[1], STOPPING);
    bench.router.stop();
    expect(bench.answers).toEqual([
      [1, 'unknown'],
      [2, 'unavailable'],
    ]);
  });
});

describe('a router whose peer goes without a word', () => {
  it('leaves open what it has sent there, a moment later', () => {
    const bench = new Bench();
    for (const n of [1, 2]) bench.ask(write(n), new Lane());
    const ids = bench.takeSent(2);
    bench.lose(2, null);
    bench.move(3);
    bench.run(150);
    bench.answer(2, ids[1]);
    bench.run(150);
    expect(bench.answers).toEqual([
      [2, 'count'],
      [1, 'unknown'],
    ]);
    expect(bench.takeSent(3)).toEqual([]);
  });
});
