/** Three nodes, one of which comes to hold something else: written into its tables past its state machine. */
import { describe, expect, it } from 'vitest';
import { compareReplicas } from '../../sim/replica_equality.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { writeFrame } from '../../src/codec/frame.ts';
import type { LogFields, Logger } from '../../src/io/logger.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import { decodeStored, encodeStored, NEVER } from '../../src/kv/stored_value.ts';
import type { SnapshotLimits } from '../../src/replica/snapshots.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import { ServerRig } from './rig.ts';

const WINDOW = 4;

class Alarms implements Logger {
  readonly all: LogFields[] = [];
  readonly events: string[] = [];

  log(level: string, event: string, fields: LogFields = {}): void {
    if (event.startsWith('state-')) this.events.push(`${event} ${fields.node}`);
    if (event !== 'state-diverged') return;
    expect(level).toBe('error');
    this.all.push(fields);
  }
}

interface Group {
  readonly rig: ServerRig;
  readonly alarms: Alarms;
  readonly leader: number;
  readonly follower: number;
  readonly third: number;
}

function group(options: Partial<NodeOptions> = {}): Group {
  const alarms = new Alarms();
  const rig = new ServerRig(3, { digestWindowEntries: WINDOW, logger: alarms, ...options });
  const leader = rig.leader();
  const follower = (leader % 3) + 1;
  return { rig, alarms, leader, follower, third: 6 - leader - follower };
}

/** Two nodes, of which no majority agrees on anything that they do not agree on both. */
function pair(): Omit<Group, 'third'> {
  const alarms = new Alarms();
  const rig = new ServerRig(2, { digestWindowEntries: WINDOW, logger: alarms });
  const leader = rig.leader();
  return { rig, alarms, leader, follower: 3 - leader };
}

function write(rig: ServerRig, entries: number): void {
  const client = rig.connect(rig.leader());
  for (let n = 0; n < entries; n++) {
    expect(client.ask('INCR counter\r\n', 100)).toMatch(/^:\d+\r\n$/);
  }
  rig.run(1000);
}

/** From now on the counter is another one on this node. */
function falsify(rig: ServerRig, id: number, value = '1000'): void {
  const { store } = rig.machine(id).node ?? {};
  if (store === undefined) throw new Error('the node runs');
  store.put(storeKey('default', utf8('counter')), encodeStored(utf8(value), store.appliedIndex, NEVER));
}

/** What was falsified becomes durable with an entry that does not depend on it. */
function makeDurable(rig: ServerRig, leader: number, id: number): void {
  expect(rig.connect(leader).ask('SET other 1\r\n')).toContain('+OK');
  expect(rig.connect(id).ask('FLUSH\r\n')).toContain('+OK');
  rig.run(500);
}

/** As the node holds it, asked of nobody else. */
function counterOn(rig: ServerRig, id: number): string {
  const stored = rig.machine(id).node?.store.get(storeKey('default', utf8('counter')));
  return stored === null || stored === undefined ? 'none' : fromUtf8(decodeStored(stored).value);
}

function expectSame({ rig }: Pick<Group, 'rig'>): void {
  expect(compareReplicas(rig.machines)).toBeNull();
  for (const { id } of rig.machines) {
    expect(info(rig, id, 'odd_one_out')).toBe('none');
    expect(rig.machine(id).disk.files()).not.toContain('/data/odd');
  }
}

/** Up to the moment at which the node knows that it is the odd one. */
function writeUntilOdd(rig: ServerRig, id: number): void {
  const client = rig.connect(rig.leader());
  for (let n = 0; n < 2 * WINDOW; n++) {
    client.send('INCR counter\r\n');
    for (let ms = 0; ms < 100; ms++) {
      if (info(rig, id, 'odd_one_out') === 'rebuilding') return;
      rig.run(1);
    }
  }
  throw new Error(`node ${id} does not know that it is the odd one`);
}

interface Lagging {
  readonly rig: ServerRig;
  readonly id: number;
  readonly leader: number;
  readonly source: number;
  readonly others: readonly number[];
}

/** Five nodes, one of which is down and has tables that are older than the logs of the others reach back. */
function lagging(limits: Partial<SnapshotLimits> = {}): Lagging {
  const rig = new ServerRig(5, {
    store: { memtableBytes: 4096, blockBytes: 256 },
    log: { segmentBytes: 4096 },
    snapshots: { logTailEntries: 10, chunkBytes: 500, bytesPerSecondMax: 10_000, ...limits },
  });
  const leader = rig.leader();
  const [id, source, ...others] = rig.machines.map((machine) => machine.id).filter((one) => one !== leader);
  if (id === undefined || source === undefined) throw new Error('five nodes');
  const client = rig.connect(leader);
  const fill = (): void => {
    for (let n = 0; n < 60; n++) {
      // The time that keys expire by is what a start reads.
      expect(client.ask(`SETEX key${n} 100000 ${'x'.repeat(100)}${n}\r\n`, 20)).toBe('+OK\r\n');
    }
    rig.run(500);
  };
  // The configuration becomes a part of the data.
  expect(client.ask('MEMBER ADD node6:9000 77\r\n')).toBe(':6\r\n');
  fill();
  rig.kill(id);
  fill();
  return { rig, id, leader, source, others };
}

/** As a node that has found itself to be odd has left it. */
function writeOdd(rig: ServerRig, id: number, sources: readonly number[]): void {
  const { disk, process } = rig.machine(id);
  const file = disk.attach(process).create('/data/odd');
  file.append(writeFrame(Uint8Array.of(sources.length, ...sources)));
  file.close();
}

function info(rig: ServerRig, id: number, name: string): string {
  return String(rig.machine(id).node?.status()[name]);
}

function expectSilence({ rig, alarms }: Group): void {
  expect(alarms.all).toEqual([]);
  for (const { id } of rig.machines) {
    expect(info(rig, id, 'diverged_index')).toBe('0');
    expect(info(rig, id, 'diverged_with')).toBe('none');
  }
}

describe('replicas that compare what they apply', () => {
  it('say nothing as long as it is the same, through restarts and changes of the leader', () => {
    const cluster = group();
    const { rig, leader, follower } = cluster;
    write(rig, 20);
    const last = Number(info(rig, leader, 'applied_index'));
    expect(Number(info(rig, follower, 'compared_index'))).toBe(last - (last % WINDOW));
    rig.crash(follower);
    rig.boot(follower);
    rig.run(1000);
    write(rig, 10);
    rig.crash(leader);
    rig.run(2000);
    write(rig, 10);
    rig.boot(leader);
    rig.run(1000);
    write(rig, 10);
    expect(Number(info(rig, leader, 'compared_index'))).toBeGreaterThan(last);
    expectSilence(cluster);
  });

  it('raise the alarm on the leader and on the follower that differs, and nowhere else', () => {
    const { rig, alarms, leader, follower, third } = group();
    write(rig, 10);
    falsify(rig, follower);
    const before = Number(info(rig, follower, 'applied_index'));
    write(rig, WINDOW);
    // The window that the first entry after it belongs to.
    const index = before - (before % WINDOW) + WINDOW;
    const [one, other] = alarms.all;
    expect(one).toMatchObject({ node: follower, with: leader, index, entries: WINDOW, windows: 1 });
    expect(other).toMatchObject({ node: leader, with: follower, index, entries: WINDOW, windows: 1 });
    expect(one?.digest).toBe(other?.other_digest);
    expect(one?.other_digest).toBe(other?.digest);
    expect(one?.digest).not.toBe(one?.other_digest);
    expect(Number(info(rig, follower, 'diverged_index'))).toBeGreaterThanOrEqual(index);
    expect(info(rig, follower, 'diverged_with')).toBe(String(leader));
    expect(info(rig, leader, 'diverged_with')).toBe(String(follower));
    expect(info(rig, third, 'diverged_with')).toBe('none');
    expect(info(rig, third, 'diverged_index')).toBe('0');
  });

  it('do not fill the log when every window differs', () => {
    const { rig, alarms, follower } = pair();
    write(rig, 10);
    falsify(rig, follower);
    write(rig, 20 * WINDOW);
    const counts = alarms.all.filter(({ node }) => node === follower).map(({ windows }) => windows);
    expect(counts).toEqual([1, 2, 4, 8, 16]);
    expect(info(rig, follower, 'diverged_index')).toBe(info(rig, follower, 'compared_index'));
  });

  it('find a difference that was there before a restart', () => {
    const { rig, alarms, leader, follower } = group();
    write(rig, 10);
    falsify(rig, follower);
    makeDurable(rig, leader, follower);
    rig.crash(follower);
    rig.boot(follower);
    rig.run(2000);
    expect(alarms.all).toEqual([]);
    write(rig, 2 * WINDOW);
    expect(info(rig, follower, 'diverged_with')).toBe(String(rig.leader()));
    expect(alarms.all.length).toBeGreaterThan(1);
    expect(counterOn(rig, follower)).toBe(String(10 + 2 * WINDOW));
  });

  it('do not compare windows of different sizes', () => {
    const cluster = group();
    const { rig, follower } = cluster;
    // It starts anew with another size: the options of a rig are those of all its nodes.
    rig.kill(follower);
    rig.bootWith(follower, { digestWindowEntries: 2 * WINDOW });
    rig.run(1000);
    const compared = info(rig, follower, 'compared_index');
    write(rig, 40);
    expect(info(rig, follower, 'compared_index')).toBe(compared);
    expectSilence(cluster);
  });

  it('begin when a group of one grows', () => {
    const alarms = new Alarms();
    const rig = new ServerRig(1, { digestWindowEntries: WINDOW, logger: alarms });
    rig.leader();
    write(rig, 10);
    expect(rig.connect(1).ask('MEMBER ADD node2:9000 77\r\n')).toBe(':2\r\n');
    rig.join(77);
    rig.run(3000);
    write(rig, 20);
    expect(Number(info(rig, 2, 'compared_index'))).toBeGreaterThan(10);
    falsify(rig, 2);
    write(rig, 2 * WINDOW);
    expect(info(rig, 1, 'diverged_with')).toBe('2');
    expect(info(rig, 2, 'diverged_with')).toBe('1');
  });
});

describe('the odd one out', () => {
  it('rebuilds its state from the others, and serves again', () => {
    const cluster = group();
    const { rig, alarms, leader, follower, third } = cluster;
    write(rig, 10);
    falsify(rig, follower);
    write(rig, WINDOW);
    expect(alarms.events).toContain(`state-odd-one-out ${follower}`);
    expect(alarms.events).toContain(`state-rebuilt ${follower}`);
    expect(alarms.events.filter((event) => /odd|rebuilt/.test(event))).toHaveLength(2);
    expect(info(rig, follower, 'rebuilt')).toBe('1');
    for (const id of [leader, follower, third]) expect(counterOn(rig, id)).toBe(String(10 + WINDOW));
    write(rig, 3 * WINDOW);
    expect(rig.connect(follower).ask('GET counter\r\n')).toBe(`$2\r\n${10 + 4 * WINDOW}\r\n`);
    expectSame(cluster);
    expect(info(rig, leader, 'rebuilt')).toBe('0');
    expect(info(rig, third, 'rebuilt')).toBe('0');
  });

  it('shows nothing of its state from the moment on, votes, and stores entries', () => {
    const { rig, leader, follower, third } = group();
    write(rig, 10);
    falsify(rig, follower);
    writeUntilOdd(rig, follower);
    const applied = info(rig, follower, 'applied_index');
    // Nobody is left of whom it could fetch anything.
    rig.kill(leader);
    rig.kill(third);
    expect(rig.connect(follower).ask('READ STALE MAXAGE 60000 GET counter\r\n')).toMatch(
      /differs from what a majority of the nodes holds/,
    );
    rig.boot(third);
    rig.run(3000);
    // A leader needs its vote, and a commit needs its copy.
    expect(rig.leader()).toBe(third);
    expect(rig.connect(third).ask('SET other 2\r\n', 2000)).toBe('+OK\r\n');
    expect(Number(info(rig, follower, 'durable_index'))).toBeGreaterThan(Number(applied));
  });

  it('hands leadership over before it rebuilds', () => {
    const cluster = group();
    const { rig, alarms, leader, follower, third } = cluster;
    write(rig, 10);
    falsify(rig, leader);
    const client = rig.connect(leader);
    for (let n = 0; n < WINDOW; n++) client.ask('INCR counter\r\n', 50);
    rig.run(3000);
    expect(alarms.events.filter((event) => event.startsWith('state-odd'))).toEqual([
      `state-odd-one-out ${leader}`,
    ]);
    expect([follower, third]).toContain(rig.leader());
    expect(info(rig, leader, 'diverged_with')).toBe([follower, third].sort().join(' '));
    expect(info(rig, leader, 'rebuilt')).toBe('1');
    write(rig, 2 * WINDOW);
    expectSame(cluster);
  });

  it('hands over to one that agrees, and not to another that is odd', () => {
    const { rig, id } = lagging({ bytesPerSecondMax: 100 });
    rig.boot(id);
    rig.run(3000);
    // Of those who hold the same the first is asked.
    for (const odd of [1, 2]) {
      rig.kill(odd);
      writeOdd(rig, odd, [3, 4, 5]);
      rig.boot(odd);
      rig.run(3000);
    }
    expect(rig.connect(rig.leader()).ask('MEMBER TRANSFER 1\r\n')).toBe('+OK\r\n');
    for (let n = 0; n < 10; n++) {
      rig.run(500);
      expect([3, 4, 5]).toContain(rig.leader());
    }
    expect(rig.connect(3).ask('SET more two\r\n', 1000)).toBe('+OK\r\n');
    for (const odd of [1, 2]) expect(info(rig, odd, 'odd_one_out')).toBe('rebuilding');
  });

  it('goes on rebuilding when it was started anew', () => {
    const cluster = group();
    const { rig, alarms, leader, follower, third } = cluster;
    write(rig, 10);
    falsify(rig, follower);
    makeDurable(rig, leader, follower);
    writeUntilOdd(rig, follower);
    rig.kill(leader);
    rig.kill(third);
    rig.run(1000);
    expect(rig.machine(follower).disk.files()).toContain('/data/odd');
    rig.crash(follower);
    rig.boot(follower);
    rig.run(500);
    expect(info(rig, follower, 'odd_one_out')).toBe('rebuilding');
    expect(rig.connect(follower).ask('READ STALE MAXAGE 60000 GET counter\r\n')).toMatch(/differs from/);
    rig.boot(leader);
    rig.boot(third);
    rig.run(4000);
    expect(alarms.events).toContain(`state-rebuild-resumed ${follower}`);
    expect(alarms.events).toContain(`state-rebuilt ${follower}`);
    write(rig, WINDOW);
    expectSame(cluster);
  });

  it('waits for no snapshot of a leader that is no more', () => {
    const { rig, id, leader, others, source } = lagging();
    writeOdd(rig, id, [leader, source]);
    rig.boot(id);
    // Something comes, and less than all of it.
    for (let ms = 0; ms < 500 && !rig.machine(id).disk.files().includes('/data/snapshot'); ms++) rig.run(1);
    rig.run(100);
    expect(info(rig, id, 'odd_one_out')).toBe('rebuilding');
    rig.kill(leader);
    rig.kill(source);
    rig.run(3000);
    const next = rig.leader();
    expect(others).toContain(next);
    rig.boot(source);
    rig.run(20_000);
    expect(info(rig, id, 'odd_one_out')).toBe('none');
    expect(info(rig, id, 'rebuilt')).toBe('1');
  });

  it('asks nobody but those that agree, also when it can read nothing of its own', () => {
    const { rig, id, leader, source } = lagging();
    writeOdd(rig, id, [source]);
    const { disk } = rig.machine(id);
    for (const path of disk.files()) {
      if (path.includes('/table-')) for (let at = 0; at < disk.sizeOf(path); at += 8) disk.flipByte(path, at);
    }
    rig.kill(source);
    rig.boot(id);
    rig.run(10_000);
    expect(rig.leader()).toBe(leader);
    expect(info(rig, id, 'damaged_tables')).not.toBe('0');
    expect(info(rig, id, 'odd_one_out')).toBe('rebuilding');
    expect(info(rig, id, 'rebuilt')).toBe('0');
    rig.boot(source);
    rig.run(10_000);
    expect(info(rig, id, 'odd_one_out')).toBe('none');
  });

  it('is nobody where no majority agrees', () => {
    const { rig, alarms, leader, follower, third } = group();
    write(rig, 10);
    falsify(rig, follower, '1000');
    falsify(rig, third, '2000');
    write(rig, 4 * WINDOW);
    expect(alarms.all.length).toBeGreaterThan(1);
    expect(alarms.events.filter((event) => /odd|rebuil/.test(event))).toEqual([]);
    expect(alarms.events).toContain(`state-undecided ${leader}`);
    for (const id of [leader, follower, third]) expect(info(rig, id, 'rebuilt')).toBe('0');
  });

  it('is nobody of two', () => {
    const { rig, alarms, leader, follower } = pair();
    write(rig, 10);
    falsify(rig, follower);
    write(rig, 4 * WINDOW);
    expect(alarms.events.filter((event) => /odd|rebuil/.test(event))).toEqual([]);
    expect(alarms.events).toContain(`state-undecided ${leader}`);
    expect(info(rig, follower, 'rebuilt')).toBe('0');
  });

  it('waits longer each time, and in the end shows nothing until it is replaced', () => {
    const { rig, alarms, follower } = group();
    write(rig, 10);
    const phases: string[] = [];
    for (let round = 0; round < 4; round++) {
      write(rig, 1);
      falsify(rig, follower);
      write(rig, 2 * WINDOW);
      phases.push(info(rig, follower, 'odd_one_out'));
      rig.run(130_000);
    }
    expect(phases).toEqual(['none', 'waiting', 'waiting', 'given-up']);
    expect(info(rig, follower, 'rebuilt')).toBe('3');
    expect(alarms.events).toContain(`state-rebuild-given-up ${follower}`);
    expect(rig.connect(follower).ask('READ STALE MAXAGE 60000 GET counter\r\n')).toMatch(/differs from/);
    // The others go on with it.
    write(rig, WINDOW);
    // Nor is it forgotten by a start: that is one more chance.
    rig.kill(follower);
    rig.boot(follower);
    rig.run(100);
    expect(alarms.events).toContain(`state-rebuild-resumed ${follower}`);
    rig.run(5000);
    expect(info(rig, follower, 'odd_one_out')).toBe('none');
    expect(rig.connect(follower).ask('READ STALE MAXAGE 60000 GET counter\r\n')).toMatch(/^\$\d/);
  });
});
