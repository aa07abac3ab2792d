import { describe, expect, it } from 'vitest';
import { recordsOf, rotPayload } from './log_records.ts';
import { ServerRig, type TestClient } from './rig.ts';

/** What a client types, line by line, and what it is answered. */
function transcript(client: TestClient, lines: readonly (readonly [string, string])[]): void {
  for (const [line, reply] of lines) {
    expect([line, client.ask(`${line}\r\n`)]).toEqual([line, reply]);
  }
}

const THE_SESSION: readonly (readonly [string, string])[] = [
  ['SET user:1 {"name": "Alice", "score": 100}', '+OK\r\n'],
  ['GET user:1', '$31\r\n{"name": "Alice", "score": 100}\r\n'],
  ['JGET user:1 name', '$5\r\nAlice\r\n'],
  ['JGET user:1 score', '$3\r\n100\r\n'],
  ['JGET user:1 missing', '-ERR field not found\r\n'],
  ['JGET nobody name', '$-1\r\n'],
  ['USE orders', '+OK\r\n'],
  ['SET order:99 "Pending"', '+OK\r\n'],
  ['GET order:99', '$9\r\n"Pending"\r\n'],
  ['JGET order:99 name', '-ERR field not found\r\n'],
  ['GET user:1', '$-1\r\n'],
  ['SET bad Pending', '+OK\r\n'],
  ['JGET bad name', '-ERR invalid JSON\r\n'],
  ['EXISTS order:99', ':1\r\n'],
  ['LIST BUCKETS', '+default orders\r\n'],
  ['DBSIZE', ':2\r\n'],
  ['DEL order:99', '+OK\r\n'],
  ['DEL order:99', '+OK\r\n'],
  ['GET order:99', '$-1\r\n'],
  ['SET empty ', '+OK\r\n'],
  ['GET empty', '$0\r\n\r\n'],
  ['FLUSH', '+OK\r\n'],
  ['MERGE', '+OK\r\n'],
  ['GET empty', '$0\r\n\r\n'],
  ['SET lonely', "-ERR wrong number of arguments for 'SET'\r\n"],
  ['WHAT now', "-ERR unknown command 'WHAT'\r\n"],
  ['ping', '+PONG\r\n'],
  ['USE default', '+OK\r\n'],
  ['DEL user:1', '+OK\r\n'],
  ['USE orders', '+OK\r\n'],
  ['DEL bad', '+OK\r\n'],
  ['DEL empty', '+OK\r\n'],
  ['LIST BUCKETS', '+default\r\n'],
];

describe('a session', () => {
  it('answers as the table says on each of three nodes', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    for (const id of [1, 2, 3]) transcript(rig.connect(id), THE_SESSION);
  });

  it('answers as the table says on a standalone node', () => {
    const rig = new ServerRig(1);
    rig.leader();
    transcript(rig.connect(1), THE_SESSION);
  });

  it('speaks RESP when the first byte is a star', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    const client = rig.connect(2);
    const say = (...parts: string[]): string =>
      client.ask(`*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`);
    expect(say('COMMAND', 'DOCS')).toBe('*0\r\n');
    expect(say('CONFIG', 'GET', 'save')).toBe('*0\r\n');
    expect(say('SET', 'k', 'a\r\nb')).toBe('+OK\r\n');
    expect(say('GET', 'k')).toBe('$4\r\na\r\nb\r\n');
    expect(say('EXISTS', 'k', 'k', 'nope')).toBe(':2\r\n');
    expect(say('DEL', 'k', 'nope')).toBe(':1\r\n');
    expect(say('GET', 'k')).toBe('$-1\r\n');
    expect(say('SELECT', '2')).toBe('+OK\r\n');
    expect(say('SET', 'x', '1')).toBe('+OK\r\n');
    expect(say('DBSIZE')).toBe(':1\r\n');
    expect(say('LIST', 'BUCKETS')).toBe('*2\r\n$3\r\ndb2\r\n$7\r\ndefault\r\n');
    expect(say('ECHO', 'hello')).toBe('$5\r\nhello\r\n');
    expect(say('PING')).toBe('+PONG\r\n');
    expect(say('INFO')).toMatch(/^\$\d+\r\nnode:2\r\nnodes:3\r\n/);
    expect(client.ask('*1\r\n$x\r\n')).toBe('-ERR Protocol error: invalid bulk length\r\n');
    expect(client.isClosed).toBe(true);
  });

  it('keeps the order of a pipeline: reads see the writes before them and none behind', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    for (const id of [1, 2, 3]) {
      const client = rig.connect(id);
      let sent = '';
      let expected = '';
      for (let n = 0; n < 300; n++) {
        sent += `SET k v${n}\nGET k\nEXISTS k\n`;
        expected += `+OK\r\n$${String(n).length + 1}\r\nv${n}\r\n:1\r\n`;
      }
      expect(client.ask(`${sent}QUIT\n`, 20_000)).toBe(`${expected}+OK\r\n`);
      expect(client.isClosed).toBe(true);
    }
  });

  it('carries out what was sent before the client stopped sending', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    const client = rig.connect(1);
    client.send('SET a 1\nGET a\n');
    client.end();
    rig.run(1000);
    expect(rig.connect(2).ask('GET a\n')).toBe('$1\r\n1\r\n');
  });

  it('names a limit that is exceeded and stays usable', () => {
    const rig = new ServerRig(1, { limits: { keyBytes: 8, valueBytes: 16, lineBytes: 64 } });
    rig.leader();
    const client = rig.connect(1);
    transcript(client, [
      [`SET ${'k'.repeat(9)} v`, '-ERR key is 9 bytes, the limit is 8 (max key bytes)\r\n'],
      [`SET k ${'v'.repeat(17)}`, '-ERR value is 17 bytes, the limit is 16 (max value bytes)\r\n'],
      [`SET k ${'v'.repeat(100)}`, '-ERR line is 106 bytes, the limit is 64 (max line bytes)\r\n'],
      ['SET k v', '+OK\r\n'],
      ['GET k', '$1\r\nv\r\n'],
    ]);
  });

  it('says that there is no leader, in bounded time, and executes nothing', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    rig.crash(2);
    rig.crash(3);
    const client = rig.connect(1);
    rig.run(2000);
    expect(client.ask('SET k v\r\n', 4000)).toBe('-ERR no leader\r\n');
    expect(client.ask('GET k\r\n', 4000)).toBe('-ERR no leader\r\n');
    rig.boot(2);
    rig.boot(3);
    rig.leader();
    rig.run(500);
    expect(client.ask('GET k\r\n')).toBe('$-1\r\n');
  });

  it('says so when a write was under way as its leader was lost', () => {
    const rig = new ServerRig(3);
    const leader = rig.leader();
    rig.run(200);
    const follower = leader === 1 ? 2 : 1;
    const client = rig.connect(follower);
    rig.run(100);
    // The leader gets the request and cannot reach anybody any more.
    for (const id of [1, 2, 3]) if (id !== leader) rig.network.block(`node${leader}`, `node${id}`);
    expect(client.ask('SET k v\r\n', 15_000)).toMatch(/^-ERR unknown outcome: /);
  });
});

describe('damage', () => {
  it('of a table is answered as corruption with file and offset, not as a value or as absence', () => {
    const rig = new ServerRig(1);
    rig.leader();
    const client = rig.connect(1);
    expect(client.ask('SET k value\nSET l other\nFLUSH\n', 2000)).toBe('+OK\r\n+OK\r\n+OK\r\n');
    const { disk } = rig.machine(1);
    const table = disk.files().find((path) => path.includes('/table-')) ?? '';
    disk.flipByte(table, 10);
    expect(client.ask('GET k\n')).toMatch(/^-ERR corruption in \/data\/tables\/table-\d+ at offset 0: /);
    expect(client.ask('GET absent\n')).toMatch(/^(\$-1|-ERR corruption in )/);
  });

  it('in the middle of the log lets the node start, which answers nothing that may miss what is lost', () => {
    const rig = new ServerRig(1);
    rig.leader();
    const client = rig.connect(1);
    for (let n = 0; n < 20; n++) expect(client.ask(`SET k${n} ${'v'.repeat(50)}\n`)).toBe('+OK\r\n');
    rig.crash(1);
    const machine = rig.machine(1);
    const entries = recordsOf(rig, machine).filter(({ payloadBytes }) => payloadBytes > 0);
    if (entries[5] !== undefined) rotPayload(machine, entries[5]);
    rig.boot(1);
    rig.run(1000);
    expect(rig.machine(1).node?.status()).toMatchObject({ damaged_entries: 1, mending_unheard: 'none' });
    const after = rig.connect(1);
    expect(after.ask('GET k0\n', 12_000)).toMatch(/^-ERR the leader waits for damaged entries of its log/);
    expect(after.ask('SET k0 v\n', 12_000)).toMatch(/^-ERR the leader waits for damaged entries of its log/);
  });

  it('of term and vote missing beside a log is not taken for a new node', () => {
    const rig = new ServerRig(1);
    rig.leader();
    expect(rig.connect(1).ask('SET k v\n')).toBe('+OK\r\n');
    rig.crash(1);
    const disk = rig.machine(1).disk.attach(rig.machine(1).process);
    disk.remove('/data/vote-a');
    disk.remove('/data/vote-b');
    for (const start of ['the first', 'the next']) {
      rig.boot(1);
      rig.run(1000);
      expect(rig.machine(1).failure?.message, start).toMatch(/term and vote are missing .* must be replaced/);
      rig.kill(1);
    }
  });

  it('of a log missing beside term and vote is not taken for a node that has nothing', () => {
    const rig = new ServerRig(1);
    rig.leader();
    expect(rig.connect(1).ask('SET k v\n')).toBe('+OK\r\n');
    rig.crash(1);
    const disk = rig.machine(1).disk.attach(rig.machine(1).process);
    for (const name of disk.list('/data/log')) disk.remove(`/data/log/${name}`);
    for (const start of ['the first', 'the next']) {
      rig.boot(1);
      rig.run(1000);
      expect(rig.machine(1).failure?.message, start).toMatch(/the log is missing .* term \d+/);
      rig.kill(1);
    }
  });
});
