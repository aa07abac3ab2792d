/** Three nodes, one of which comes to hold something else: written into its tables past its state machine. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { LogFields, Logger } from '../../src/io/logger.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import { encodeStored, NEVER } from '../../src/kv/stored_value.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import { ServerRig } from './rig.ts';

const WINDOW = 4;

class Alarms implements Logger {
  readonly all: LogFields[] = [];

  log(level: string, event: string, fields: LogFields = {}): void {
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

function write(rig: ServerRig, entries: number): void {
  const client = rig.connect(rig.leader());
  for (let n = 0; n < entries; n++) {
    expect(client.ask('INCR counter\r\n', 100)).toMatch(/^:\d+\r\n$/);
  }
  rig.run(1000);
}

/** From now on the counter is another one on this node. */
function falsify(rig: ServerRig, id: number): void {
  const { store } = rig.machine(id).node ?? {};
  if (store === undefined) throw new Error('the node runs');
  store.put(storeKey('default', utf8('counter')), encodeStored(utf8('1000'), store.appliedIndex, NEVER));
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

  it('name both followers to the leader that is the odd one', () => {
    const { rig, leader, follower, third } = group();
    write(rig, 10);
    falsify(rig, leader);
    write(rig, WINDOW);
    const others = [follower, third].sort().join(' ');
    expect(info(rig, leader, 'diverged_with')).toBe(others);
    expect(info(rig, follower, 'diverged_with')).toBe(String(leader));
    expect(info(rig, third, 'diverged_with')).toBe(String(leader));
  });

  it('do not fill the log when every window differs', () => {
    const { rig, alarms, follower } = group();
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
    // It becomes durable with an entry that does not depend on it.
    expect(rig.connect(leader).ask('SET other 1\r\n')).toContain('+OK');
    expect(rig.connect(follower).ask('FLUSH\r\n')).toContain('+OK');
    rig.run(500);
    rig.crash(follower);
    rig.boot(follower);
    rig.run(2000);
    expect(alarms.all).toEqual([]);
    write(rig, 2 * WINDOW);
    expect(info(rig, follower, 'diverged_with')).toBe(String(rig.leader()));
    expect(alarms.all.length).toBeGreaterThan(1);
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
