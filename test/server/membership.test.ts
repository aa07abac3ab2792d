/** Groups that change, over simulated seams: what `MEMBER` answers, and what becomes of the nodes. */
import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/io/logger.ts';
import { ServerRig } from './rig.ts';

/** Answers of the text dialect, whose lines end in CR LF. */
function bulk(...lines: string[]): string {
  const text = lines.map((line) => `${line}\r\n`).join('');
  return `$${text.length}\r\n${text}\r\n`;
}

function started(nodes: number): { rig: ServerRig; leader: number; other: number } {
  const rig = new ServerRig(nodes, {
    snapshots: { logTailEntries: 4, chunkBytes: 512, bytesPerSecondMax: 1e9 },
  });
  const leader = rig.leader();
  rig.run(500);
  return { rig, leader, other: (leader % nodes) + 1 };
}

function voters(rig: ServerRig, id: number): string {
  return String(rig.machine(id).node?.status().voters);
}

describe('MEMBER', () => {
  it('lists the members, whichever node is asked', () => {
    const { rig, leader } = started(3);
    const lines = [1, 2, 3].map((id) => `${id} node${id}:9000 voter${id === leader ? ' leader' : ''}`);
    for (const id of [1, 2, 3]) expect(rig.connect(id).ask('MEMBER LIST\r\n')).toBe(bulk(...lines));
  });

  it('adds a node, which gets all that was written and then votes', () => {
    const { rig, other } = started(3);
    const client = rig.connect(other);
    expect(client.ask('SET a 1\r\n')).toBe('+OK\r\n');
    expect(client.ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    rig.run(2000);
    expect(client.ask('SET b 2\r\n')).toBe('+OK\r\n');
    for (const id of [1, 2, 3, 4]) expect(voters(rig, id)).toBe('1 2 3 4');
    expect(rig.connect(4).ask('GET a\r\n')).toBe('$1\r\n1\r\n');
    expect(rig.connect(4).ask('GET b\r\n')).toBe('$1\r\n2\r\n');
  });

  it('adds a node whose log begins behind a snapshot', () => {
    const { rig, leader } = started(3);
    const client = rig.connect(leader);
    for (let n = 0; n < 40; n++) client.send(`SET k${n} ${n}\r\n`);
    rig.run(500);
    expect(client.ask('FLUSH\r\n')).toContain('+OK');
    for (let n = 0; n < 40; n++) client.send(`SET l${n} ${n}\r\n`);
    rig.run(500);
    expect(rig.machine(leader).node?.groupLog.firstIndex).toBeGreaterThan(1);
    client.take();
    expect(client.ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    rig.run(3000);
    expect(voters(rig, 4)).toBe('1 2 3 4');
    expect(rig.connect(4).ask('GET k39\r\n')).toBe('$2\r\n39\r\n');
    rig.crash(4);
    rig.boot(4, 77);
    rig.run(2000);
    expect(voters(rig, 4)).toBe('1 2 3 4');
    expect(rig.connect(4).ask('GET l39\r\n')).toBe('$2\r\n39\r\n');
  });

  it('removes a node, also the leader itself, and goes on', () => {
    const { rig, leader, other } = started(3);
    const client = rig.connect(other);
    expect(client.ask(`MEMBER REMOVE ${leader}\r\n`)).toBe(`:${leader}\r\n`);
    rig.run(2000);
    const rest = [1, 2, 3].filter((id) => id !== leader);
    expect(rest).toContain(rig.leader());
    for (const id of rest) expect(voters(rig, id)).toBe(rest.join(' '));
    expect(client.ask('SET a 1\r\n')).toBe('+OK\r\n');
    expect(client.ask(`MEMBER REMOVE ${leader}\r\n`)).toBe(`:${leader}\r\n`);
  });

  it('has left, and says so when it is started once more', () => {
    const warnings: string[] = [];
    const logger: Logger = {
      log: (_level, event, fields) => {
        if (event === 'node-not-a-member') warnings.push(`${fields?.node}`);
      },
    };
    const rig = new ServerRig(3, { logger });
    const gone = (rig.leader() % 3) + 1;
    rig.run(500);
    const client = rig.connect(rig.leader());
    expect(client.ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    rig.run(2000);
    expect(client.ask(`MEMBER REMOVE ${gone}\r\n`)).toBe(`:${gone}\r\n`);
    rig.run(500);
    expect(warnings).toEqual([]);
    for (const id of [1, 2, 3, 4]) rig.kill(id);
    for (const id of [1, 2, 3, 4]) rig.boot(id, id === 4 ? 77 : id);
    rig.run(2000);
    expect(warnings).toEqual([`${gone}`]);
  });

  it('keeps a change through a crash of all nodes', () => {
    const { rig, leader } = started(3);
    const gone = (leader % 3) + 1;
    const rest = [1, 2, 3].filter((id) => id !== gone);
    expect(rig.connect(leader).ask(`MEMBER REMOVE ${gone}\r\n`)).toBe(`:${gone}\r\n`);
    for (const id of [1, 2, 3]) rig.crash(id);
    for (const id of [1, 2, 3]) rig.boot(id);
    rig.run(4000);
    expect(rest).toContain(rig.leader());
    for (const id of rest) expect(voters(rig, id)).toBe(rest.join(' '));
  });

  it('refuses a node that has lost its disk under its old number', () => {
    const { rig, leader } = started(3);
    const client = rig.connect(leader);
    expect(client.ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(78);
    rig.run(2000);
    expect(client.ask('MEMBER LIST\r\n')).toContain('4 node4:9000 learner');
    // Its own directory is let in.
    rig.crash(4);
    rig.boot(4, 77);
    rig.run(2000);
    expect(client.ask('MEMBER LIST\r\n')).toContain('4 node4:9000 voter');
    expect(client.ask('MEMBER ADD node4:9000 78\r\n')).toBe(
      '-ERR node4:9000 is node 4 already, with another data directory: remove node 4 first\r\n',
    );
  });

  it('hands leadership to the voter that is named', () => {
    const { rig, leader, other } = started(3);
    expect(rig.connect(leader).ask(`MEMBER TRANSFER ${other}\r\n`)).toBe('+OK\r\n');
    rig.run(1000);
    expect(rig.leader()).toBe(other);
    expect(rig.connect(leader).ask('MEMBER TRANSFER 9\r\n')).toBe(
      '-ERR node 9 is not a voter of this group: it cannot lead\r\n',
    );
  });

  it('says what is wrong with what it is asked', () => {
    const { rig, leader } = started(3);
    const client = rig.connect(leader);
    const answers: readonly (readonly [string, string])[] = [
      ['MEMBER', "wrong number of arguments for 'MEMBER'"],
      ['MEMBER FROB', "unknown subcommand 'FROB'"],
      ['MEMBER LIST 1', "wrong number of arguments for 'MEMBER LIST'"],
      ['MEMBER ADD', "wrong number of arguments for 'MEMBER ADD'"],
      ['MEMBER ADD node4', "'node4' is not host:port, with a port from 1 to 65535"],
      ['MEMBER ADD node4:65536', "'node4:65536' is not host:port, with a port from 1 to 65535"],
      ['MEMBER ADD node4:1 x', "identity 'x' is not a whole number"],
      ['MEMBER REMOVE x', "'x' is not the number of a node"],
      ['MEMBER REMOVE 9', 'there is no node 9'],
      ['MEMBER PROMOTE 9', 'there is no node 9'],
    ];
    for (const [command, message] of answers) {
      expect(client.ask(`${command}\r\n`, 50)).toBe(`-ERR ${message}\r\n`);
    }
  });

  it('refuses to remove a node whose absence would leave no majority that answers', () => {
    const { rig, leader } = started(3);
    const [away = 0, here = 0] = [1, 2, 3].filter((id) => id !== leader);
    rig.crash(away);
    rig.run(1500);
    expect(rig.connect(leader).ask(`MEMBER REMOVE ${here}\r\n`)).toBe(
      `-ERR no majority would answer: nothing is heard of node ${away}\r\n`,
    );
    expect(rig.connect(leader).ask(`MEMBER REMOVE ${away}\r\n`)).toBe(`:${away}\r\n`);
  });
});
