/** A leader stops in order while requests are on their way to it that it will never read. */
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Connection } from '../../src/io/network.ts';
import { errorResult, type Request, type Result } from '../../src/kv/request.ts';
import { DEFAULT_LIMITS } from '../../src/protocol/command.ts';
import type { Lane } from '../../src/server/router.ts';
import { Session, type SessionOptions } from '../../src/server/session.ts';
import { ServerRig, type TestClient } from './rig.ts';

const GROUPS = [1, 2] as const;
/** Handing over, draining and closing; less than a request waits for a leader. */
const STOP_MS = 1500;

interface Stopping {
  readonly rig: ServerRig;
  readonly leader: number;
  readonly follower: number;
}

function settle(groups: readonly number[] = [1]): Stopping {
  const rig = new ServerRig(3, { groups });
  const leader = rig.leader();
  rig.run(500);
  return { rig, leader, follower: (leader % 3) + 1 };
}

/** From now on nothing that the follower sends arrives at the leader; the way back is free. */
function holdUp({ rig, leader, follower }: Stopping): void {
  rig.network.block(`node${follower}`, `node${leader}`);
}

function stop({ rig, leader }: Stopping): void {
  const machine = rig.machine(leader);
  machine.process.run(() => machine.node?.stop((error) => expect(error).toBeNull()));
}

/** The process of a node that has stopped ends, and a new one finds what was sent to the old one nowhere. */
function restart({ rig, leader, follower }: Stopping): void {
  rig.kill(leader);
  rig.network.unblock(`node${follower}`, `node${leader}`);
  rig.boot(leader);
}

function inGroup(rig: ServerRig, id: number, group: number): TestClient {
  const client = rig.connect(id);
  expect(client.ask(`GROUP ${group}\r\n`)).toBe('+OK\r\n');
  return client;
}

describe('a leader that stops in order', () => {
  it('has writes that it did not read carried out by the next leader, once and in their order', () => {
    const stopping = settle();
    const { rig, leader, follower } = stopping;
    const client = rig.connect(follower);
    expect(client.ask('APPEND k a\r\n')).toBe(':1\r\n');
    holdUp(stopping);
    client.send('APPEND k b\r\nAPPEND k c\r\nAPPEND k d\r\n');
    rig.run(50);
    stop(stopping);
    rig.run(STOP_MS);
    expect(rig.leader()).not.toBe(leader);
    expect(client.take()).toBe(':2\r\n:3\r\n:4\r\n');
    restart(stopping);
    rig.run(2000);
    expect(rig.connect(leader).ask('GET k\r\n')).toBe('$4\r\nabcd\r\n');
  });

  it('says it of each group', () => {
    const stopping = settle(GROUPS);
    const { rig, leader, follower } = stopping;
    const operator = inGroup(rig, follower, 2);
    operator.ask(`MEMBER TRANSFER ${leader}\r\n`, 1000);
    const clients = GROUPS.map((group) => inGroup(rig, follower, group));
    expect(clients[0].ask('APPEND k a\r\n')).toBe(':1\r\n');
    holdUp(stopping);
    for (const client of clients) client.send('APPEND k b\r\n');
    rig.run(50);
    stop(stopping);
    rig.run(STOP_MS);
    expect(clients.map((client) => client.take())).toEqual([':2\r\n', ':1\r\n']);
  });

  it('leaves open what it may have read when its goodbye is lost', () => {
    const stopping = settle();
    const { rig, leader, follower } = stopping;
    const client = rig.connect(follower);
    expect(client.ask('APPEND k a\r\n')).toBe(':1\r\n');
    holdUp(stopping);
    client.send('APPEND k b\r\n');
    rig.run(50);
    rig.network.resetConnections(`node${follower}`, `node${leader}`);
    stop(stopping);
    rig.run(STOP_MS);
    expect(client.take()).toMatch(/^-ERR unknown outcome: the leader was lost before it answered/);
  });

  it('leaves open what it may have read when it crashes', () => {
    const stopping = settle();
    const { rig, leader, follower } = stopping;
    const client = rig.connect(follower);
    holdUp(stopping);
    client.send('APPEND k b\r\n');
    rig.run(50);
    rig.crash(leader);
    rig.network.resetConnections(`node${follower}`, `node${leader}`);
    rig.run(STOP_MS);
    expect(client.take()).toMatch(/^-ERR unknown outcome: the leader was lost before it answered/);
  });
});

describe('clients of a node that stops in order', () => {
  /** Stops a follower; how long that takes, in milliseconds. */
  function stopping(): {
    rig: ServerRig;
    follower: number;
    client: TestClient;
    stop: () => { tookMs: number | null };
  } {
    const { rig, follower } = settle();
    const client = rig.connect(follower);
    expect(client.ask('SET k 1\r\n', 100)).toBe('+OK\r\n');
    const stop = (): { tookMs: number | null } => {
      const progress: { tookMs: number | null } = { tookMs: null };
      const machine = rig.machine(follower);
      const beganMs = rig.scheduler.nowUs / 1000;
      machine.process.run(() =>
        machine.node?.stop(() => {
          progress.tookMs = rig.scheduler.nowUs / 1000 - beganMs;
        }),
      );
      return progress;
    };
    return { rig, follower, client, stop };
  }

  it('are told so when they ask again, also some time later', () => {
    const { rig, client, stop } = stopping();
    const progress = stop();
    rig.run(400);
    expect(progress.tookMs).toBeNull();
    expect(client.isClosed).toBe(false);
    expect(client.ask('SET k 2\r\n', 50)).toBe('-ERR the node is stopping\r\n');
    rig.run(100);
    expect(client.isClosed).toBe(true);
    expect(progress.tookMs).toBeLessThan(700);
  });

  it('are not waited for when they have been silent before, nor for long in any case', () => {
    const silent = stopping();
    silent.rig.run(2000);
    const quick = silent.stop();
    silent.rig.run(200);
    expect(quick.tookMs).toBeLessThan(150);
    const busy = stopping();
    const slow = busy.stop();
    busy.rig.run(1500);
    expect(slow.tookMs).toBeGreaterThan(900);
    expect(slow.tookMs).toBeLessThan(1200);
  });

  it('are told so as well when they have connected and not asked yet', () => {
    const { rig, follower, client, stop } = stopping();
    client.end();
    const newcomer = rig.connect(follower);
    rig.run(10);
    const progress = stop();
    rig.run(300);
    expect(progress.tookMs).toBeNull();
    expect(newcomer.ask('SET k 2\r\n', 50)).toBe('-ERR the node is stopping\r\n');
    rig.run(100);
    expect(progress.tookMs).toBeLessThan(600);
  });

  it('are told so when the answer that they have waited for came late', () => {
    const { rig, follower, client, stop } = stopping();
    const leader = rig.leader();
    rig.network.block(`node${leader}`, `node${follower}`);
    client.send('SET k 2\r\n');
    rig.run(700);
    const progress = stop();
    rig.run(100);
    rig.network.unblock(`node${leader}`, `node${follower}`);
    rig.run(100);
    expect(client.take()).toBe('+OK\r\n');
    rig.run(300);
    expect(client.ask('SET k 3\r\n', 50)).toBe('-ERR the node is stopping\r\n');
    rig.run(100);
    expect(progress.tookMs).toBeLessThan(1000);
  });

  it('are answered before their connections end, also when the node has given up what they asked', () => {
    const { rig, follower, client, stop } = stopping();
    for (const other of rig.machines) {
      if (other.id === follower) continue;
      rig.network.block(`node${other.id}`, `node${follower}`);
      rig.network.block(`node${follower}`, `node${other.id}`);
      rig.network.resetConnections(`node${follower}`, `node${other.id}`);
    }
    rig.run(2000);
    client.send('SET k 2\r\nGET k\r\nSET k 3\r\n');
    rig.run(50);
    const progress = stop();
    rig.run(1500);
    expect(progress.tookMs).toBeLessThan(1200);
    expect(client.take()).toBe('-ERR the node is stopping\r\n'.repeat(3));
    expect(client.isClosed).toBe(true);
  });

  it('are told so, or not let in, whenever they come', () => {
    const { rig, client, follower, stop } = stopping();
    client.end();
    rig.run(50);
    const progress = stop();
    const newcomers: TestClient[] = [];
    // Each asks ten milliseconds after it has connected.
    while (progress.tookMs === null && newcomers.length < 3000) {
      newcomers.push(rig.connect(follower));
      newcomers.at(-20)?.send('SET k 2\r\n');
      rig.run(0.5);
    }
    for (const newcomer of newcomers.slice(-19)) newcomer.send('SET k 2\r\n');
    rig.run(100);
    const admitted = newcomers.filter(({ isOpened }) => isOpened);
    expect(admitted.length).toBeGreaterThan(100);
    expect(new Set(admitted.map((newcomer) => newcomer.take()))).toEqual(
      new Set(['-ERR the node is stopping\r\n']),
    );
    expect(newcomers.every(({ isClosed }) => isClosed)).toBe(true);
  });

  it('are not waited for when they have gone', () => {
    const { rig, client, stop } = stopping();
    client.end();
    rig.run(50);
    const progress = stop();
    rig.run(200);
    expect(progress.tookMs).toBeLessThan(150);
  });
});

describe('a session that leaves', () => {
  it('answers what waits for the store of its node to be done, and what came behind that', () => {
    const merges: ((error: Error | null) => void)[] = [];
    let later: (() => void)[] = [];
    let written = '';
    let closed = 0;
    const refuse = (_request: Request, _lane: Lane, done: (result: Result) => void): void =>
      done(errorResult('unavailable', 'the node is stopping'));
    const connection = {
      bufferedBytes: 0,
      write: (bytes: Uint8Array) => {
        written += fromUtf8(bytes);
        return true;
      },
      pause: () => {},
      resume: () => {},
      close: () => closed++,
    };
    const store = { merge: (done: (error: Error | null) => void) => merges.push(done) };
    const session = new Session(
      connection as unknown as Connection,
      {
        dialect: 'text',
        limits: DEFAULT_LIMITS,
        clock: { monotonicMs: () => 0, later: (task: () => void) => later.push(task) },
        group: { group: 1, router: { target: 1, route: refuse }, store },
        onFailure: (error: Error) => {
          throw error;
        },
      } as unknown as SessionOptions,
    );
    session.onData(utf8('PING\nMERGE\nSET k 1\nMERGE\nPING\n'));
    expect(merges).toHaveLength(1);
    session.leave();
    const unknown = '-ERR unknown outcome: the node stops before this is done\r\n';
    const answers = `+PONG\r\n${unknown}${'-ERR the node is stopping\r\n'.repeat(2)}+PONG\r\n`;
    expect(written).toBe(answers);
    expect(closed).toBe(1);
    // The other one is not begun any more.
    expect(merges).toHaveLength(1);
    merges[0](null);
    for (const task of later) task();
    later = [];
    session.onData(utf8('PING\n'));
    expect(closed).toBe(1);
    expect(written).toBe(answers);
  });
});
