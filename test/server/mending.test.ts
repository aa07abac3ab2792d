/** Nodes with damaged tables, over simulated seams: what they answer meanwhile, and how they are mended. */
import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/io/logger.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import { ServerRig, type TestClient } from './rig.ts';

const KEYS = 60;
const OPTIONS: Partial<NodeOptions> = {
  store: { memtableBytes: 2048, blockBytes: 128, tableBytes: 1024, levelBytes: 4096, mergeAtTables: 3 },
};

function nameOf(n: number): string {
  return `key${String(n).padStart(2, '0')}`;
}

interface Cluster {
  readonly rig: ServerRig;
  readonly leader: number;
  readonly follower: number;
}

/** Three nodes that hold the same, most of it in tables. */
function filled(options: Partial<NodeOptions> = {}): Cluster {
  const rig = new ServerRig(3, { ...OPTIONS, ...options });
  const leader = rig.leader();
  const client = rig.connect(leader);
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < KEYS; n++) client.send(`SET ${nameOf(n)} ${round}.${n}.${'x'.repeat(30)}\r\n`);
    rig.run(300);
  }
  client.send('SET counter 1\r\n');
  rig.run(300);
  expect(client.ask('FLUSH\r\n')).toContain('+OK');
  rig.run(500);
  return { rig, leader, follower: (leader % 3) + 1 };
}

/** Breaks data of every table. */
function breakTables(rig: ServerRig, id: number): number {
  const { disk } = rig.machine(id);
  let broken = 0;
  for (const path of disk.files()) {
    if (!path.includes('/table-')) continue;
    for (let at = 8; at < disk.sizeOf(path) / 2; at += 100) disk.flipByte(path, at);
    broken++;
  }
  return broken;
}

function value(n: number): string {
  return `2.${n}.${'x'.repeat(30)}`;
}

function expectAll(client: TestClient): void {
  for (let n = 0; n < KEYS; n++) {
    const expected = value(n);
    expect(client.ask(`GET ${nameOf(n)}\r\n`, 400)).toBe(`$${expected.length}\r\n${expected}\r\n`);
  }
}

function info(rig: ServerRig, id: number, name: string): string {
  return String(rig.machine(id).node?.status()[name]);
}

describe('a node with damaged tables', () => {
  it('answers all reads by way of others, and is mended', () => {
    const { rig, follower } = filled();
    expect(breakTables(rig, follower)).toBeGreaterThan(3);
    expectAll(rig.connect(follower));
    rig.run(20_000);
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    expect(Number(info(rig, follower, 'mended_tables'))).toBeGreaterThan(0);
    // By its own tables alone.
    const client = rig.connect(follower);
    for (let n = 0; n < KEYS; n++) {
      expect(client.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(value(n));
    }
  });

  it('finds damage that nobody reads, when it scrubs', () => {
    const { rig, follower } = filled({ store: { ...OPTIONS.store, scrubBytesPerSecond: 100_000 } });
    breakTables(rig, follower);
    rig.run(30_000);
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    expect(Number(info(rig, follower, 'mended_tables'))).toBeGreaterThan(0);
    expect(rig.machine(follower).failure).toBe(null);
  });

  it('hands over when it leads, and is mended', () => {
    const { rig, leader } = filled();
    breakTables(rig, leader);
    expectAll(rig.connect(leader));
    rig.run(20_000);
    expect(rig.leader()).not.toBe(leader);
    expect(rig.machine(leader).failure).toBe(null);
    expect(info(rig, leader, 'damaged_tables')).toBe('0');
  });

  it('applies nothing that depends on damaged keys, and takes over a whole state instead', () => {
    const { rig, leader, follower } = filled();
    breakTables(rig, follower);
    const client = rig.connect(leader);
    for (let n = 0; n < KEYS; n++) client.send(`APPEND ${nameOf(n)} !\r\n`);
    client.send('INCR counter\r\n');
    rig.run(1000);
    client.take();
    rig.run(20_000);
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'rebuilt')).toBe('1');
    expect(info(rig, follower, 'applied_index')).toBe(info(rig, leader, 'applied_index'));
    const reader = rig.connect(follower);
    expect(reader.ask('READ STALE MAXAGE 100000 GET counter\r\n')).toBe('$1\r\n2\r\n');
    for (let n = 0; n < KEYS; n++) {
      expect(reader.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(`${value(n)}!`);
    }
  });

  it('fetches the whole state once more when what it has installed cannot be read', () => {
    let isArmed = true;
    let strike = (_id: number): void => {};
    const logger: Logger = {
      log: (_level, event, fields) => {
        if (event !== 'snapshot-installed' || !isArmed) return;
        isArmed = false;
        strike(Number(fields?.node));
      },
    };
    const { rig, leader, follower } = filled({ logger });
    strike = (id) => breakTables(rig, id);
    const client = rig.connect(leader);
    // The state machine's time is one of its own keys.
    expect(client.ask('SETEX temporary 1000 1\r\n')).toBe('+OK\r\n');
    breakTables(rig, follower);
    for (let n = 0; n < KEYS; n++) client.send(`APPEND ${nameOf(n)} !\r\n`);
    rig.run(20_000);
    expect(isArmed).toBe(false);
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'rebuilt')).toBe('2');
    expect(info(rig, follower, 'applied_index')).toBe(info(rig, leader, 'applied_index'));
    const reader = rig.connect(follower);
    for (let n = 0; n < KEYS; n++) {
      expect(reader.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(`${value(n)}!`);
    }
  });

  it('is mended under writes, and nothing is lost by a restart', () => {
    const { rig, leader, follower } = filled();
    breakTables(rig, follower);
    const client = rig.connect(leader);
    expectAll(rig.connect(follower));
    for (let n = 0; n < 400; n++) {
      client.send(`SET ${nameOf(n % KEYS)} again.${n}\r\n`);
      rig.run(50);
    }
    client.take();
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    rig.crash(follower);
    rig.boot(follower);
    rig.run(3000);
    const reader = rig.connect(follower);
    for (let n = 0; n < KEYS; n++) {
      const last = n + KEYS * Math.floor((399 - n) / KEYS);
      expect(reader.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(`again.${last}\r\n`);
    }
  });

  it('starts although it cannot read who belongs to its group, and is rebuilt', () => {
    const { rig, leader, follower } = filled();
    // The configuration becomes a part of the data.
    expect(rig.connect(leader).ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    rig.run(3000);
    expect(rig.connect(leader).ask('FLUSH\r\n')).toContain('+OK');
    expect(rig.connect(follower).ask('FLUSH\r\n')).toContain('+OK');
    rig.run(500);
    rig.crash(follower);
    const { disk } = rig.machine(follower);
    for (const path of disk.files()) {
      if (path.includes('/table-')) for (let at = 0; at < disk.sizeOf(path); at += 8) disk.flipByte(path, at);
    }
    rig.boot(follower);
    rig.run(200);
    expect(rig.machine(follower).failure).toBe(null);
    expect(rig.connect(follower).ask('READ STALE MAXAGE 100000 GET key00\r\n', 10)).not.toContain('$');
    rig.run(5000);
    expect(info(rig, follower, 'rebuilt')).toBe('1');
    expect(info(rig, follower, 'voters')).toBe('1 2 3 4');
    expectAll(rig.connect(follower));
    // It counts itself again: it can lead.
    expect(rig.connect(leader).ask(`MEMBER TRANSFER ${follower}\r\n`)).toBe('+OK\r\n');
    rig.run(1000);
    expect(rig.leader()).toBe(follower);
  });

  it('installs once more what it has fetched when it cannot read there who belongs to its group', () => {
    let left = 0;
    let strike = (_id: number): void => {};
    const seen: string[] = [];
    const logger: Logger = {
      log: (_level, event, fields) => {
        seen.push(event);
        if (event !== 'snapshot-installed' || left === 0) return;
        left--;
        strike(Number(fields?.node));
      },
    };
    const { rig, leader, follower } = filled({ logger, snapshots: { logTailEntries: 10 } });
    expect(rig.connect(leader).ask('MEMBER ADD node4:9000 77\r\n')).toBe(':4\r\n');
    rig.join(77);
    // Until nothing is held for it any more.
    rig.run(35_000);
    rig.crash(follower);
    const client = rig.connect(rig.leader());
    for (let n = 0; n < KEYS; n++) client.send(`SET ${nameOf(n)} ${value(n)}\r\n`);
    rig.run(1000);
    expect(client.ask('FLUSH\r\n')).toContain('+OK');
    expect(client.ask('SET counter 2\r\n')).toContain('+OK');
    left = 2;
    strike = (id) => {
      const { disk } = rig.machine(id);
      for (const path of disk.files()) {
        if (path.includes('/table-'))
          for (let at = 0; at < disk.sizeOf(path); at += 8) disk.flipByte(path, at);
      }
    };
    rig.boot(follower);
    rig.run(10_000);
    expect(left).toBe(0);
    expect(rig.machine(follower).failure).toBe(null);
    expect(seen.filter((event) => event === 'snapshot-installed').length).toBeGreaterThan(2);
    expect(info(rig, follower, 'voters')).toBe('1 2 3 4');
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    expectAll(rig.connect(follower));
  });

  it('takes no writes as a leader that cannot apply them, and a client is told that they were not carried out', () => {
    const { rig } = filled();
    // The state machine's time is one of its own keys: without it a node starts and must be rebuilt.
    expect(rig.connect(rig.leader()).ask('SETEX temporary 1000 1\r\n')).toBe('+OK\r\n');
    for (const id of [1, 2, 3]) expect(rig.connect(id).ask('FLUSH\r\n')).toContain('+OK');
    rig.run(500);
    for (const id of [1, 2, 3]) rig.kill(id);
    for (const id of [1, 2]) {
      const { disk } = rig.machine(id);
      for (const path of disk.files()) {
        if (path.includes('/table-'))
          for (let at = 0; at < disk.sizeOf(path); at += 8) disk.flipByte(path, at);
      }
      rig.boot(id);
    }
    // These two elect one of them, and whom they could be rebuilt from is away.
    rig.run(1000);
    const client = rig.connect(rig.leader());
    const follower = rig.connect(3 - rig.leader());
    client.send('SET counter 2\r\n');
    const last = info(rig, rig.leader(), 'last_index');
    expect(follower.ask('SET counter 2\r\n', 3500)).toMatch(
      /^-ERR the leader can apply nothing, .* see INFO\r\n$/,
    );
    expect(client.take()).toMatch(/^-ERR the leader can apply nothing, .* see INFO\r\n$/);
    // Entries of new leaders, since they hand over to each other, and nothing else.
    expect(Number(info(rig, rig.leader(), 'last_index')) - Number(last)).toBeLessThan(4);
    // Whom they could be rebuilt from must stay.
    expect(client.ask('MEMBER REMOVE 3\r\n', 3500)).toMatch(/^-ERR the leader can apply nothing, /);
    expect(client.ask('MEMBER LIST\r\n')).toContain('3 ');
    expect(client.ask('GET counter\r\n', 3500)).toMatch(
      /^-ERR what this node holds is being rebuilt from another node/,
    );
    rig.boot(3);
    rig.run(10_000);
    for (const id of [1, 2]) expect(info(rig, id, 'rebuilt')).toBe('1');
    expect(client.ask('GET counter\r\n')).toBe('$1\r\n1\r\n');
    expect(client.ask('SET counter 2\r\n')).toBe('+OK\r\n');
  });

  it('treats what the disk refuses to read as damage, and one refusal as none', () => {
    const { rig, follower } = filled();
    const { disk } = rig.machine(follower);
    // Reads that fail for once.
    for (let after = 1; after <= 5; after++) disk.failRead({ after: 2 * after, kind: 'table' });
    const reader = rig.connect(follower);
    for (let n = 0; n < KEYS; n++) {
      expect(reader.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(value(n));
    }
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    for (const path of disk.files()) {
      if (path.includes('/table-')) disk.breakSector(path, 0);
    }
    expectAll(rig.connect(follower));
    rig.run(20_000);
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    expect(Number(info(rig, follower, 'mended_tables'))).toBeGreaterThan(0);
    for (let n = 0; n < KEYS; n++) {
      expect(reader.ask(`READ STALE MAXAGE 100000 GET ${nameOf(n)}\r\n`, 100)).toContain(value(n));
    }
  });

  it('starts with tables that the disk refuses to read, and mends them', () => {
    const { rig, follower } = filled();
    const { disk } = rig.machine(follower);
    rig.crash(follower);
    for (const path of disk.files()) {
      if (path.includes('/table-')) disk.breakSector(path, disk.sizeOf(path) - 1);
    }
    rig.boot(follower);
    rig.run(20_000);
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'damaged_tables')).toBe('0');
    expectAll(rig.connect(follower));
  });

  it('stops when a sync of a table has failed', () => {
    const { rig, follower } = filled();
    rig.machine(follower).disk.failSync({ seen: 'at-crash', kind: 'table' });
    rig.connect(follower).send('SET counter 3\r\nFLUSH\r\n');
    rig.run(1000);
    expect(rig.machine(follower).failure?.message).toMatch(/EIO/);
  });

  it('stops at what it cannot apply when its tables are not to be put aside', () => {
    const { rig, leader, follower } = filled({ store: { ...OPTIONS.store, damagedTables: 'refuse' } });
    breakTables(rig, follower);
    const client = rig.connect(leader);
    for (let n = 0; n < KEYS; n++) client.send(`APPEND ${nameOf(n)} !\r\n`);
    rig.run(1000);
    expect(rig.machine(follower).failure?.message).toContain('the checksum of a data block does not match');
  });

  it('stops when it is the last member before it could fetch what it cannot read', () => {
    const { rig, leader, follower } = filled({ snapshots: { bytesPerSecondMax: 100, chunkBytes: 64 } });
    const other = 6 - leader - follower;
    breakTables(rig, follower);
    const client = rig.connect(leader);
    for (let n = 0; n < KEYS; n++) client.send(`APPEND ${nameOf(n)} !\r\n`);
    rig.run(1000);
    client.take();
    expect(client.ask(`MEMBER REMOVE ${other}\r\n`)).toBe(`:${other}\r\n`);
    expect(rig.machine(follower).failure).toBe(null);
    client.send(`MEMBER REMOVE ${leader}\r\n`);
    rig.run(1000);
    // What it has begun to fetch goes on coming, from who is not a member any more.
    expect(rig.machine(follower).failure).toBe(null);
    expect(info(rig, follower, 'voters')).toBe(`${follower}`);
    rig.crash(leader);
    rig.run(7000);
    expect(rig.machine(follower).failure?.message).toMatch(
      /^corruption in .*table-\d+ at offset \d+: .*; no other member is left/,
    );
  });

  it('says what is damaged when nobody has another copy', () => {
    const { rig, leader } = filled();
    for (const id of [1, 2, 3]) breakTables(rig, id);
    const client = rig.connect(leader);
    const answers = Array.from({ length: KEYS }, (_none, n) => client.ask(`GET ${nameOf(n)}\r\n`, 5000));
    expect(answers.some((answer) => /^-ERR corruption in .*table-\d+ at offset \d+/.test(answer))).toBe(true);
    for (const [n, answer] of answers.entries()) {
      if (!answer.startsWith('-ERR corruption')) expect(answer).toContain(value(n));
    }
    expect(client.ask('SET new 1\r\n')).toBe('+OK\r\n');
    expect(client.ask('GET new\r\n')).toBe('$1\r\n1\r\n');
    for (const id of [1, 2, 3]) expect(rig.machine(id).failure).toBe(null);
  });
});
