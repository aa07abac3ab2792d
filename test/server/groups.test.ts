/** One process hosts two groups: one log, one connection to each peer, and nothing else in common. */
import { describe, expect, it } from 'vitest';
import { ServerRig, type TestClient } from './rig.ts';

const GROUPS = [1, 2] as const;
const TWO = { groups: GROUPS };

function replicaOf(rig: ServerRig, id: number, group: number) {
  const hosted = rig.machine(id).node?.groups.get(group);
  if (hosted === undefined) throw new Error(`node ${id} does not host group ${group}`);
  return hosted.replica;
}

function leaderOf(rig: ServerRig, group: number): number {
  for (let waited = 0; waited < 100; waited++) {
    const leads = rig.machines.find(({ node }) => node?.groups.get(group)?.replica.isLeader === true);
    if (leads !== undefined) return leads.id;
    rig.run(100);
  }
  throw new Error(`no leader of group ${group}`);
}

function settle(options: ConstructorParameters<typeof ServerRig>[1] = {}): ServerRig {
  const rig = new ServerRig(3, { ...TWO, ...options });
  for (const group of GROUPS) leaderOf(rig, group);
  rig.run(200);
  return rig;
}

function connect(rig: ServerRig, id: number, group: number): TestClient {
  const client = rig.connect(id);
  expect(client.ask(`GROUP ${group}\r\n`)).toBe('+OK\r\n');
  return client;
}

describe('two groups', () => {
  it('hold data of their own under the same keys, at every node', () => {
    const rig = settle();
    for (const { id } of rig.machines) {
      for (const group of GROUPS) {
        const client = connect(rig, id, group);
        expect(client.ask(`SET k ${group}${id}\r\nGET k\r\nDBSIZE\r\n`)).toBe(
          `+OK\r\n$2\r\n${group}${id}\r\n:1\r\n`,
        );
      }
      const client = rig.connect(id);
      expect(client.ask('GET k\r\nGROUP 2\r\nGET k\r\nGROUP 1\r\nGET k\r\n')).toBe(
        `$2\r\n1${id}\r\n+OK\r\n$2\r\n2${id}\r\n+OK\r\n$2\r\n1${id}\r\n`,
      );
      expect(client.ask('GROUP 3\r\nGROUP x\r\nWATCH k\r\nGROUP 2\r\nUNWATCH\r\nGROUP 2\r\n')).toBe(
        '-ERR this node does not host group 3\r\n' +
          "-ERR group 'x' is not a whole number from 1 to 4294967295\r\n" +
          '+OK\r\n-ERR GROUP between WATCH and EXEC: UNWATCH first\r\n+OK\r\n+OK\r\n',
      );
    }
  });

  it('are led by different nodes, and forward to them over the same connections', () => {
    const rig = settle();
    const first = leaderOf(rig, 1);
    const other = (first % 3) + 1;
    const operator = connect(rig, first, 2);
    expect(operator.ask(`MEMBER TRANSFER ${other}\r\n`, 1000)).toBe('+OK\r\n');
    operator.end();
    expect([leaderOf(rig, 1), leaderOf(rig, 2)]).toEqual([first, other]);
    for (const { id } of rig.machines) {
      for (const group of GROUPS) {
        const client = connect(rig, id, group);
        expect(client.ask(`INCR n\r\nREAD LEASE GET n\r\nREAD STALE MAXAGE 5 GET n\r\n`)).toMatch(
          new RegExp(`^:${id}\\r\\n(\\$1\\r\\n${id}\\r\\n){2}$`),
        );
        client.end();
      }
    }
    rig.run(1000);
    // Of clients there are none any more: each pair of nodes has one connection either way.
    expect(rig.network.size).toBe(6);
  });

  it('lose and regain leaders each for itself', () => {
    const rig = settle();
    const first = leaderOf(rig, 1);
    const other = (first % 3) + 1;
    connect(rig, first, 2).ask(`MEMBER TRANSFER ${other}\r\n`, 1000);
    const terms = replicaOf(rig, other, 2).raft.term;
    rig.crash(first);
    rig.run(3000);
    expect(leaderOf(rig, 1)).not.toBe(first);
    expect([leaderOf(rig, 2), replicaOf(rig, other, 2).raft.term]).toEqual([other, terms]);
  });

  it('find what each of them has acknowledged when power fails everywhere, over and over', () => {
    const rig = settle();
    for (let round = 1; round <= 4; round++) {
      const through = 1 + (round % 3);
      for (const group of GROUPS) {
        const client = connect(rig, through, group);
        for (let n = 0; n < 10; n++) expect(client.ask('INCR n\r\n', 100)).toMatch(/^:/);
        expect(client.ask(`SET round ${group}:${round}\r\nFLUSH\r\n`)).toBe('+OK\r\n+OK\r\n');
        expect(client.ask(`SET after ${group}:${round}\r\n`)).toBe('+OK\r\n');
      }
      for (const { id } of rig.machines) rig.crash(id);
      for (const { id } of rig.machines) rig.boot(id);
      for (const group of GROUPS) {
        leaderOf(rig, group);
        rig.run(500);
        const [count, text] = [String(10 * round), `${group}:${round}`];
        expect(connect(rig, through, group).ask('GET n\r\nGET round\r\nGET after\r\n')).toBe(
          `$2\r\n${count}\r\n$3\r\n${text}\r\n$3\r\n${text}\r\n`,
        );
      }
    }
    for (const { failure } of rig.machines) expect(failure).toBeNull();
  });

  it('write to one log, and keep all else apart', () => {
    const rig = settle();
    for (const group of GROUPS) {
      expect(connect(rig, leaderOf(rig, group), group).ask('SET k v\r\nFLUSH\r\n')).toBe('+OK\r\n+OK\r\n');
    }
    const { disk } = rig.machine(leaderOf(rig, 1));
    const directories = disk.files().map((path) => path.slice(0, path.lastIndexOf('/')));
    expect(new Set(directories)).toEqual(
      new Set(['/data', '/data/log', '/data/tables', '/data/group-2', '/data/group-2/tables']),
    );
  });

  it('share a log of bounded size although one of them writes nothing', () => {
    const rig = settle({
      log: { segmentBytes: 4096, cacheBytes: 4096 },
      snapshots: { logTailEntries: 1_000_000, logBytesMax: 40_000 },
    });
    expect(connect(rig, 1, 2).ask('SET quiet 1\r\n')).toBe('+OK\r\n');
    const busy = connect(rig, 1, 1);
    for (let n = 0; n < 80; n++) {
      expect(busy.ask(`SET k${n % 7} ${'x'.repeat(1500)}\r\n`.repeat(4), 60)).toBe('+OK\r\n'.repeat(4));
    }
    rig.run(1000);
    for (const { node } of rig.machines) expect(node?.groupLog.storedBytes).toBeLessThan(60_000);
    expect(connect(rig, 2, 2).ask('GET quiet\r\n')).toBe('$1\r\n1\r\n');
  });

  it('hand over both when a node stops in order', () => {
    const rig = settle();
    const leaving = leaderOf(rig, 1);
    connect(rig, leaving, 2).ask(`MEMBER TRANSFER ${leaving}\r\n`, 1000);
    expect(leaderOf(rig, 2)).toBe(leaving);
    let stopped = false;
    rig.machine(leaving).node?.stop((error) => {
      stopped = error === null;
    });
    rig.run(1500);
    expect(stopped).toBe(true);
    rig.machine(leaving).node = null;
    for (const group of GROUPS) {
      const leader = leaderOf(rig, group);
      expect(leader).not.toBe(leaving);
      expect(connect(rig, leader, group).ask('SET k v\r\n', 100)).toBe('+OK\r\n');
    }
  });
});
