/** Nodes that the group was founded with, told apart by their data directories. */
import { describe, expect, it } from 'vitest';
import { ServerRig } from './rig.ts';

function started(): { rig: ServerRig; leader: number; lost: number } {
  const rig = new ServerRig(3);
  const leader = rig.leader();
  rig.run(2000);
  expect(rig.connect(leader).ask('SET a 1\r\n')).toBe('+OK\r\n');
  return { rig, leader, lost: (leader % 3) + 1 };
}

function loseDisk(rig: ServerRig, id: number): void {
  rig.crash(id);
  rig.machine(id).disk.wipe();
}

describe('a founding node', () => {
  it('is known again after a restart, of it and of all', () => {
    const { rig, leader, lost } = started();
    rig.crash(lost);
    rig.boot(lost);
    rig.run(2000);
    expect(rig.machine(lost).failure).toBe(null);
    expect(rig.connect(lost).ask('GET a\r\n')).toBe('$1\r\n1\r\n');
    for (const id of [1, 2, 3]) rig.crash(id);
    for (const id of [1, 2, 3]) rig.boot(id);
    rig.run(3000);
    expect(rig.connect(leader).ask('GET a\r\n')).toBe('$1\r\n1\r\n');
  });

  it('hears its leader as soon as it is back, however long it was away', () => {
    const { rig, leader, lost } = started();
    for (let n = 0; n < 5; n++) {
      rig.crash(lost);
      rig.run(5000 + 300 * n);
      rig.boot(lost);
      // The others wait for up to two seconds before they dial it again.
      rig.run(150);
      expect(rig.machine(lost).node?.replica.raft.leader).toBe(leader);
    }
  });

  it('is refused with an error that says so when it has lost its data directory, and the others go on', () => {
    const { rig, leader, lost } = started();
    loseDisk(rig, lost);
    rig.boot(lost, 4711);
    rig.run(3000);
    const { failure, node } = rig.machine(lost);
    expect(failure?.message).toMatch(
      new RegExp(`the group refuses this node: node ${lost} has lost its data directory`),
    );
    expect(node?.isStopped).toBe(true);
    expect(rig.connect(leader).ask('SET a 2\r\n')).toBe('+OK\r\n');
  });

  it('is refused after the others have started anew, and never helps a candidate whose log is behind', () => {
    const { rig, leader, lost } = started();
    const behind = [1, 2, 3].find((id) => id !== leader && id !== lost) ?? 0;
    rig.crash(behind);
    expect(rig.connect(leader).ask('SET a acknowledged\r\n', 2000)).toBe('+OK\r\n');
    rig.crash(leader);
    loseDisk(rig, lost);
    rig.boot(lost, 4711);
    rig.boot(behind);
    rig.run(5000);
    // Together they would be a majority without what was acknowledged.
    expect(rig.machine(behind).node?.replica.isLeader).toBe(false);
    rig.boot(leader);
    rig.run(5000);
    expect(rig.connect(behind).ask('GET a\r\n')).toBe('$12\r\nacknowledged\r\n');
  });

  it('comes back under another number once it was removed', () => {
    const { rig, leader, lost } = started();
    loseDisk(rig, lost);
    expect(rig.connect(leader).ask(`MEMBER REMOVE ${lost}\r\n`, 3000)).toBe(`:${lost}\r\n`);
    expect(rig.connect(leader).ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    rig.run(3000);
    expect(rig.connect(4).ask('GET a\r\n')).toBe('$1\r\n1\r\n');
  });

  it('does not start on what is left of an identity that it has written down', () => {
    const { rig, leader, lost } = started();
    rig.crash(leader);
    const { disk } = rig.machine(leader);
    expect(disk.files()).toContain(`/data/identity-${lost}`);
    disk.flipByte(`/data/identity-${lost}`, 9);
    rig.boot(leader);
    rig.run(500);
    expect(rig.machine(leader).failure?.message).toContain(`/data/identity-${lost}`);
  });
});
