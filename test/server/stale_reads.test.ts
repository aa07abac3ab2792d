import { describe, expect, it } from 'vitest';
import { ServerRig, type TestClient } from './rig.ts';

const HELD_BACK = /^-ERR too stale: /;

/** A group of three, with the node that leads and one that follows. */
function settle(): { rig: ServerRig; leader: number; follower: number } {
  const rig = new ServerRig(3);
  const leader = rig.leader();
  rig.run(200);
  return { rig, leader, follower: (leader % 3) + 1 };
}

/** The revision and the value of `READ STALE ... REV GET`. */
function revisionOf(reply: string): number {
  const revision = /^\*2\r\n:(\d+)\r\n/.exec(reply)?.[1];
  if (revision === undefined) throw new Error(`no revision in ${JSON.stringify(reply)}`);
  return Number(revision);
}

/** Clients still reach both sides. */
function separate(rig: ServerRig, side: readonly number[], other: readonly number[]): void {
  for (const a of side) {
    for (const b of other) {
      rig.network.block(`node${a}`, `node${b}`);
      rig.network.block(`node${b}`, `node${a}`);
    }
  }
}

function isolate(rig: ServerRig, id: number): void {
  separate(
    rig,
    [id],
    rig.machines.map((machine) => machine.id).filter((other) => other !== id),
  );
}

describe('reads by choice', () => {
  it('answers each consistency on each node as the table says', () => {
    const { rig } = settle();
    for (const { id } of rig.machines) {
      const client = rig.connect(id);
      const lines: readonly (readonly [string, string])[] = [
        ['SET k v', '+OK\r\n'],
        ['READ LINEARIZABLE GET k', '$1\r\nv\r\n'],
        ['READ LEASE GET k', '$1\r\nv\r\n'],
        ['READ STALE GET k', '$1\r\nv\r\n'],
        ['read stale maxage 100 DBSIZE', ':1\r\n'],
        ['READ STALE RANGE - +', '*2\r\n$-1\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n'],
        ['CONSISTENCY', '$12\r\nLINEARIZABLE\r\n'],
        ['CONSISTENCY STALE MAXAGE 250', '+OK\r\n'],
        ['CONSISTENCY', '$16\r\nSTALE MAXAGE 250\r\n'],
        ['GET k', '$1\r\nv\r\n'],
        ['READ LINEARIZABLE GET k', '$1\r\nv\r\n'],
        ['CONSISTENCY LEASE', '+OK\r\n'],
        ['MGET k none', '*2\r\n$1\r\nv\r\n$-1\r\n'],
        ['CONSISTENCY LINEARIZABLE', '+OK\r\n'],
        ['READ STALE SET k w', "-ERR READ is for reads, and 'set' is none\r\n"],
        ['READ STALE PING', "-ERR READ is for reads, and 'ping' is none\r\n"],
        ['READ STALE WATCH k', "-ERR READ is for reads, and 'watch' is none\r\n"],
        ['READ STALE READ LEASE GET k', "-ERR READ is for reads, and 'read' is none\r\n"],
        ['READ SOON GET k', "-ERR 'SOON' in 'READ' is not LINEARIZABLE, LEASE or STALE\r\n"],
        [
          'READ STALE MAXAGE 0 GET k',
          "-ERR MAXAGE '0' in 'READ' is not a number of milliseconds from 1 on\r\n",
        ],
        ['READ STALE MINREV x GET k', "-ERR MINREV 'x' in 'READ' is not a whole number from 0 on\r\n"],
        ['READ LEASE MAXAGE 1 GET k', "-ERR unknown command 'MAXAGE'\r\n"],
        ['CONSISTENCY STALE GET', "-ERR syntax error in 'CONSISTENCY' at 'GET'\r\n"],
      ];
      for (const [line, reply] of lines) expect([line, client.ask(`${line}\r\n`)]).toEqual([line, reply]);
    }
  });

  it('tells the revision that a stale read was answered at, in the form of each command', () => {
    const { rig, follower } = settle();
    const client = rig.connect(follower);
    const written = Number(/^:(\d+)/.exec(client.ask('SETX k REV VALUE v\r\n'))?.[1]);
    expect(client.ask(`READ STALE MINREV ${written} REV GET k\r\n`)).toMatch(
      new RegExp(`^\\*2\\r\\n:${written}\\r\\n\\$1\\r\\nv\\r\\n$`),
    );
    expect(client.ask('CONSISTENCY STALE REV\r\nSCAN 0\r\nFEED $\r\n')).toBe(
      `+OK\r\n*2\r\n:${written}\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n*2\r\n:${written}\r\n*0\r\n`,
    );
  });
});

describe('a stale read', () => {
  it('is answered at once on a node that is cut off, until its age is used up, and then refused', () => {
    const { rig, leader, follower } = settle();
    const client = rig.connect(follower);
    expect(client.ask('SET k 1\r\nREAD STALE MAXAGE 5000 GET k\r\n')).toBe('+OK\r\n$1\r\n1\r\n');
    isolate(rig, follower);
    rig.connect(leader).ask('SET k 2\r\n');
    rig.run(2000);
    expect(client.ask('READ STALE MAXAGE 5000 GET k\r\n', 10)).toBe('$1\r\n1\r\n');
    expect(client.ask('READ STALE MAXAGE 1000 GET k\r\n', 1000)).toMatch(HELD_BACK);
    rig.run(2500);
    expect(client.ask('READ STALE MAXAGE 5000 GET k\r\n', 1000)).toMatch(HELD_BACK);
    rig.network.healAll();
    rig.run(3000);
    expect(client.ask('READ STALE MAXAGE 5000 GET k\r\n')).toBe('$1\r\n2\r\n');
  });

  it('is refused by a deposed leader behind a partition, which still hears its follower', () => {
    const rig = new ServerRig(5);
    const leader = rig.leader();
    rig.run(200);
    const others = rig.machines.map(({ id }) => id).filter((id) => id !== leader);
    const companion = others[0] ?? 0;
    const clients = [leader, companion].map((id) => rig.connect(id));
    for (const client of clients) client.ask('SET k 1\r\nREAD STALE GET k\r\n');
    separate(rig, [leader, companion], others.slice(1));
    rig.run(1500);
    const majority = rig.connect(others[1] ?? 0);
    expect(majority.ask('SET k 2\r\n', 3000)).toBe('+OK\r\n');
    for (const client of clients) {
      expect(client.ask('READ STALE MAXAGE 1000 GET k\r\n', 1000)).toMatch(HELD_BACK);
      expect(client.ask('READ STALE MAXAGE 60000 GET k\r\n')).toBe('$1\r\n1\r\n');
    }
  });

  it('waits for the revision that its client has seen elsewhere, and is refused when that does not come', () => {
    const { rig, leader, follower } = settle();
    const far = rig.connect(follower);
    far.ask('READ STALE GET k\r\n');
    const near = rig.connect(leader);
    isolate(rig, follower);
    near.ask('SET k 1\r\n');
    const seen = revisionOf(near.ask('READ STALE REV GET k\r\n'));
    far.send(`READ STALE MINREV ${seen} GET k\r\n`);
    rig.run(100);
    expect(far.take()).toBe('');
    rig.network.healAll();
    rig.run(400);
    expect(far.take()).toBe('$1\r\n1\r\n');
    expect(far.ask('READ STALE MINREV 1000000 GET k\r\n', 1000)).toMatch(
      /^-ERR too stale: revision 1000000 /,
    );
  });

  it('needs a proof of the life that the node is in', () => {
    const { rig, follower } = settle();
    rig.connect(follower).ask('SET k 1\r\nREAD STALE GET k\r\n');
    isolate(rig, follower);
    rig.crash(follower);
    rig.boot(follower);
    rig.run(500);
    expect(rig.connect(follower).ask('READ STALE MAXAGE 600000 GET k\r\n', 1000)).toBe(
      '-ERR too stale: what this node has applied was not confirmed since it started, and 600000 ms are allowed (MAXAGE)\r\n',
    );
  });

  it('never goes back on a connection, whatever the terms of the reads in a pipeline', () => {
    const { rig, leader, follower } = settle();
    const writer = rig.connect(leader);
    const reader: TestClient = rig.connect(follower);
    const reads = ['READ STALE MAXAGE 1 GET n', 'READ STALE GET n', 'GET n', 'READ STALE MAXAGE 40 GET n'];
    for (let n = 1; n <= 60; n++) {
      writer.send(`SET n ${n}\r\n`);
      for (let i = 0; i < 4; i++) reader.send(`${reads[(n + i * (n % 3)) % reads.length]}\r\n`);
      rig.run(7);
    }
    rig.run(1000);
    const seen = [...reader.take().matchAll(/\$\d+\r\n(\d+)\r\n/g)].map(([, value]) => Number(value));
    expect(seen.length).toBeGreaterThan(200);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('waits for no proof where reads are frequent', () => {
    const { rig, follower } = settle();
    const client = rig.connect(follower);
    client.ask('SET k 1\r\nREAD STALE MAXAGE 4000 GET k\r\n');
    for (let i = 0; i < 100; i++) {
      rig.run(100);
      expect(client.ask('READ STALE MAXAGE 4000 GET k\r\n', 1)).toBe('$1\r\n1\r\n');
    }
  });
});
