import { describe, expect, it } from 'vitest';
import { ServerRig, type TestClient } from './rig.ts';

type Transcript = readonly (readonly [string, string])[];

/** What a client types, line by line, and what it is answered. */
function play(client: TestClient, lines: Transcript): void {
  for (const [line, reply] of lines) {
    const answer = client.ask(`${line}\r\n`, 100).replaceAll('\r\n', ' ').trimEnd();
    expect([line, answer]).toEqual([line, reply]);
  }
}

function cluster(nodes: number): ServerRig {
  const rig = new ServerRig(nodes);
  rig.leader();
  rig.run(200);
  return rig;
}

/** Each over a cluster of three, on a node that does not lead, in the text dialect. */
const transcripts: Readonly<Record<string, Transcript>> = {
  'conditional writes': [
    ['SETX k NX VALUE first value', '+OK'],
    ['SETX k NX VALUE second', '$-1'],
    ['GET k', '$11 first value'],
    ['SETX k XX GET VALUE third', '$11 first value'],
    ['SETX nobody XX VALUE x', '$-1'],
    ['SETX k IFEQ third VALUE fourth', '+OK'],
    ['SETX k IFEQ third VALUE fifth', '$-1'],
    ['SETNX k x', ':0'],
    ['SETNX n 1 2', ':1'],
    ['GETSET k sixth', '$6 fourth'],
    ['GETDEL k', '$5 sixth'],
    ['GETDEL k', '$-1'],
    ['SETX k NX XX VALUE v', '-ERR SET takes one condition: NX, XX, IFEQ or IFREV'],
    ['SETX k IFREV x VALUE v', "-ERR revision 'x' is not a whole number from 0 on"],
    ['SETX k WHAT VALUE v', "-ERR syntax error in 'SET' at 'WHAT'"],
    ['SETX k NX v', "-ERR 'SETX' ends in VALUE and the value"],
  ],
  'counters and texts': [
    ['INCR c', ':1'],
    ['INCRBY c 9223372036854775806', ':9223372036854775807'],
    ['INCR c', '-ERR increment or decrement would overflow'],
    ['DECRBY c 9223372036854775807', ':0'],
    ['DECR c', ':-1'],
    ['INCRBY c x', '-ERR value is not an integer or out of range'],
    ['SET c 01', '+OK'],
    ['INCR c', '-ERR value is not an integer or out of range'],
    ['APPEND t ab', ':2'],
    ['APPEND t  c', ':4'],
    ['GET t', '$4 ab c'],
    ['STRLEN t', ':4'],
    ['STRLEN nobody', ':0'],
    ['MSET a 1 b 2', '+OK'],
    ['MGET a nobody b', '*3 $1 1 $-1 $1 2'],
    ['MSETNX b 3 d 4', ':0'],
    ['MSETNX d 4 e 5', ':1'],
    ['MSET a', "-ERR wrong number of arguments for 'MSET'"],
    ['MSET a 1 b', "-ERR wrong number of arguments for 'MSET'"],
  ],
  'JSON by path': [
    ['JSET j $ {"a": {"n": 1}, "list": []}', '+OK'],
    ['JSET j a.name "A B"', '+OK'],
    ['JSET j list[0] [1, 2]', '+OK'],
    ['JINCR j a.n 41', '$2 42'],
    ['JINCR j list[0][1] 0.5', '$3 2.5'],
    ['GET j', '$44 {"a":{"n":42,"name":"A B"},"list":[[1,2.5]]}'],
    ['JDEL j a.n', ':1'],
    ['JDEL j a.n', ':0'],
    ['JGET j $', '$37 {"a":{"name":"A B"},"list":[[1,2.5]]}'],
    ['JSET j x.y 1', '-ERR field not found'],
    ['JSET j a oops', '-ERR invalid JSON value'],
    ['JSET nobody a 1', "-ERR there is no such key: set all of it first, with the path '$'"],
    ['JINCR j a 1', '-ERR value is not a number'],
  ],
};

describe('commands', () => {
  for (const [name, lines] of Object.entries(transcripts)) {
    it(`${name}: answers as the transcript says`, () => {
      const rig = cluster(3);
      const follower = rig.leader() === 1 ? 2 : 1;
      play(rig.connect(follower), lines);
    });
  }

  it('write under the revision that was read, and under no other', () => {
    const rig = cluster(1);
    const client = rig.connect(1);
    client.ask('SET k v\r\n');
    const revision = /^\*2\r\n:(\d+)\r\n\$1\r\nv\r\n$/.exec(client.ask('GETREV k\r\n'))?.[1] ?? '';
    expect(Number(revision)).toBeGreaterThan(0);
    play(client, [
      ['GETREV nobody', '*-1'],
      [`SETX k IFREV ${revision} VALUE w`, '+OK'],
      [`SETX k IFREV ${revision} VALUE x`, '$-1'],
      ['SETX new IFREV 0 VALUE x', '+OK'],
      ['SETX new IFREV 0 VALUE y', '$-1'],
    ]);
    const written = /^:(\d+)\r\n$/.exec(client.ask('SETX k REV VALUE z\r\n'))?.[1];
    expect(client.ask('GETREV k\r\n')).toBe(`*2\r\n:${written}\r\n$1\r\nz\r\n`);
  });
});
