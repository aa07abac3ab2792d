/** The commands over real sockets, against real processes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { OnceClient } from '../../src/client/once_client.ts';
import type { ClientReply } from '../../src/client/reply_reader.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

type Plain = string | number | bigint | null | readonly Plain[];

/** Errors begin with a minus sign. */
function plain(reply: ClientReply): Plain {
  switch (reply.type) {
    case 'simple':
      return reply.text;
    case 'error':
      return `-${reply.text}`;
    case 'bulk':
      return reply.value === null ? null : new TextDecoder().decode(reply.value);
    case 'array':
      return reply.items === null ? null : reply.items.map(plain);
    default:
      return reply.value;
  }
}

async function ask(client: Client, line: string): Promise<Plain> {
  return plain(await client.command(...line.split(' ')));
}

describe('over sockets', () => {
  let cluster: ProcessCluster;
  let clients: Client[] = [];

  beforeAll(async () => {
    cluster = await ProcessCluster.start();
    await cluster.leader();
    clients = await Promise.all(cluster.ports.map((port) => cluster.connect(port)));
  }, 60_000);

  afterAll(async () => {
    for (const client of clients) client.close();
    await cluster.stop();
  });

  /** Lines in turn through the three nodes. */
  async function play(lines: readonly (readonly [string, Plain])[]): Promise<void> {
    for (const [at, [line, expected]] of lines.entries()) {
      const client = clients[at % clients.length];
      if (client === undefined) throw new Error('three clients');
      expect([line, await ask(client, line)]).toEqual([line, expected]);
    }
  }

  it('reads by choice, on each node and from one to the next', async () => {
    await play([
      ['SET chosen 1', 'OK'],
      ['READ LEASE GET chosen', '1'],
      ['READ LINEARIZABLE GET chosen', '1'],
      ['READ SOON GET chosen', "-ERR 'SOON' in 'READ' is not LINEARIZABLE, LEASE or STALE"],
    ]);
    let minRevision = Number(await ask(clients[0] as Client, 'SET chosen 2 REV'));
    for (const client of clients) {
      const read = await client.getStale('chosen', { minRevision });
      expect(fromUtf8(read.value ?? utf8('nothing'))).toBe('2');
      expect(read.revision).toBeGreaterThanOrEqual(minRevision);
      minRevision = read.revision;
      await client.setConsistency({ consistency: 'stale', maxAgeMs: 500 });
      expect(await ask(client, 'CONSISTENCY')).toBe('STALE MAXAGE 500');
      expect(await ask(client, 'GET chosen')).toBe('2');
      const leased = await client.get('chosen', { consistency: 'lease' });
      expect(fromUtf8(leased ?? utf8('nothing'))).toBe('2');
      await client.setConsistency({ consistency: 'linearizable' });
    }
    await expect(clients[0]?.getStale('chosen', { minRevision: 1e9 })).rejects.toThrow(
      /too stale: revision 1000000000 \(MINREV\) is not applied here/,
    );
    await play([['DEL chosen', 1]]);
  });

  it('conditional writes, counters and many keys', async () => {
    await play([
      ['SET k v NX', 'OK'],
      ['SET k w NX', null],
      ['SET k w IFEQ v GET', 'v'],
      ['SETNX k x', 0],
      ['INCRBY c 9223372036854775807', 9223372036854775807n],
      ['INCR c', '-ERR increment or decrement would overflow'],
      ['MSET a 1 b 2', 'OK'],
      ['MGET a nobody b', ['1', null, '2']],
    ]);
  });

  it("updates that lose nobody else's", async () => {
    const counted = async (client: Client): Promise<void> => {
      for (let n = 0; n < 20; ) {
        const found = await client.getRevision('shared');
        const next = String(Number(found === null ? 0 : new TextDecoder().decode(found.value)) + 1);
        const written = await client.setIfRevision('shared', next, found?.revision ?? 0);
        if (written === null) continue;
        expect(written).toBeGreaterThan(found?.revision ?? 0);
        n++;
      }
    };
    await Promise.all(clients.map(counted));
    await play([['GET shared', '60']]);
  });

  it('expiries', async () => {
    await play([
      ['SET e v PX 150', 'OK'],
      ['EXPIRE k 100', 1],
      ['TTL k', 100],
      ['PERSIST k', 1],
    ]);
    await eventually('the key has expired', 5000, async () =>
      (await Promise.all(clients.map((client) => ask(client, 'EXISTS e')))).every((there) => there === 0)
        ? true
        : null,
    );
  });

  it('scans', async () => {
    await play([
      ['USE scanned', 'OK'],
      ['USE scanned', 'OK'],
      ['USE scanned', 'OK'],
      ['MSET x 1 y 2 z 3', 'OK'],
      ['RANGE x z', [null, ['x', '1', 'y', '2']]],
      ['KEYS *', ['x', 'y', 'z']],
      ['SCAN 0', ['0', ['x', 'y', 'z']]],
      ['DROP BUCKET scanned', 'OK'],
      ['DBSIZE', 0],
      ['USE default', 'OK'],
      ['USE default', 'OK'],
      ['USE default', 'OK'],
    ]);
  });

  it('JSON by path', async () => {
    await play([
      ['JSET j $ {"n":1}', 'OK'],
      ['JINCR j n 2', '3'],
      ['JSET j list [1]', 'OK'],
      ['JDEL j n', 1],
      ['GET j', '{"list":[1]}'],
    ]);
  });

  it('transactions', async () => {
    const [mine, yours] = clients;
    if (mine === undefined || yours === undefined) throw new Error('three clients');
    expect(await ask(mine, 'WATCH a')).toBe('OK');
    expect(await ask(yours, 'SET a 5')).toBe('OK');
    const lost = ['MULTI', 'SET a 6', 'EXEC'].map((line) => ask(mine, line));
    expect(await Promise.all(lost)).toEqual(['OK', 'QUEUED', null]);
    const done = ['MULTI', 'INCR a', 'GET a', 'EXEC'].map((line) => ask(mine, line));
    expect(await Promise.all(done)).toEqual(['OK', 'QUEUED', 'QUEUED', [6, '6']]);
    expect(await ask(yours, 'TXN IF VALUE a = 6 THEN 3 SET a 7 2 DEL b')).toEqual([1, ['OK', 1]]);
  });

  it('each increment once, although the leader is killed among them', async () => {
    const leader = await cluster.leader();
    const addresses = cluster.ports.map((port) => ({ host: '127.0.0.1', port }));
    const writers = [1, 2, 3, 4].map(() => new OnceClient({ addresses }));
    const each = 100;
    let answered = 0;
    const done = writers.map(async (writer) => {
      for (let n = 0; n < each; n++) {
        expect(plain(await writer.write('INCR', 'once'))).toBeTypeOf('number');
        answered++;
      }
    });
    await eventually('some increments', 20_000, async () => (answered >= 50 ? true : null));
    await cluster.end(leader, 'SIGKILL');
    await Promise.all(done);
    const survivor = clients[cluster.ports.findIndex((port) => port !== leader)];
    if (survivor === undefined) throw new Error('three clients');
    expect(await ask(survivor, 'GET once')).toBe(String(writers.length * each));
    await Promise.all(writers.map((writer) => writer.close()));
  }, 60_000);
});
