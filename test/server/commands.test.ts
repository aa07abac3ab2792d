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

function words(...parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`;
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
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
    ['TYPE t', '+string'],
    ['TYPE nobody', '+none'],
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
    ['JSET j n 0', '+OK'],
    // Longer than what of a word is shown in an error.
    [`JINCR j n 1${'0'.repeat(99)}`, `$100 1${'0'.repeat(99)}`],
    [`JINCR j n ${'1'.repeat(401)}`, '-ERR increment is not a number'],
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

  it('let keys expire by the time of the group, on every node and after a change of leader', () => {
    const rig = cluster(3);
    const first = rig.leader();
    const client = rig.connect(first);
    play(client, [
      ['SETEX a 10 v', '+OK'],
      ['SETEX b 1 v', '+OK'],
      ['TTL a', ':10'],
      ['TTL b', ':1'],
      ['SET c v', '+OK'],
      ['TTL c', ':-1'],
      ['TTL nobody', ':-2'],
      ['EXPIRE c 1 XX', ':0'],
      ['EXPIRE c 100', ':1'],
      ['PERSIST c', ':1'],
      ['PERSIST c', ':0'],
      ['EXPIRE c -1', ':1'],
      ['GET c', '$-1'],
    ]);
    rig.run(1000);
    // Nothing was written meanwhile: the reads themselves bring it about that b is gone.
    for (const id of [1, 2, 3]) {
      play(rig.connect(id), [
        ['MGET a b', '*2 $1 v $-1'],
        ['DBSIZE', ':1'],
      ]);
    }
    rig.crash(first);
    rig.run(3000);
    const second = rig.connect(rig.leader());
    play(second, [['EXISTS a', ':1']]);
    rig.run(10_000);
    expect(second.take() + second.ask('EXISTS a\nKEYS *\nLIST BUCKETS\n')).toBe(':0\r\n*0\r\n+default\r\n');
  });

  it('go over the keys of a bucket in order, by pages', () => {
    const rig = cluster(3);
    const client = rig.connect(1);
    for (let n = 10; n < 35; n++) client.send(`SET user:${n} v${n}\n`);
    client.send('SET other x\nUSE orders\nSET user:99 x\nUSE default\n');
    rig.run(500);
    client.take();
    const seen: string[] = [];
    let cursor = '0';
    do {
      const page = client.ask(`SCAN ${cursor} MATCH user:* COUNT 10\n`).split('\r\n');
      seen.push(...page.filter((line) => line.startsWith('user:')));
      cursor = page[2] ?? '0';
    } while (cursor !== '0');
    expect(seen).toEqual(Array.from({ length: 25 }, (_none, at) => `user:${at + 10}`));
    play(client, [
      ['RANGE user:33 +', '*2 $-1 *4 $7 user:33 $3 v33 $7 user:34 $3 v34'],
      ['RANGE - user:12 LIMIT 2', '*2 $7 user:11 *4 $5 other $1 x $7 user:10 $3 v10'],
      ['RANGE user:33 + REVERSE', '*2 $-1 *4 $7 user:34 $3 v34 $7 user:33 $3 v33'],
      ['RANGE - user:12 LIMIT 2 REVERSE', '*2 $7 user:10 *4 $7 user:11 $3 v11 $7 user:10 $3 v10'],
      ['RANGE - user:10 LIMIT 2 REVERSE', '*2 $-1 *2 $5 other $1 x'],
      ['RANGE user:12 user:11 REVERSE', '*2 $-1 *0'],
      ['RANGE user:11 user:12', '*2 $-1 *2 $7 user:11 $3 v11'],
      ['KEYS user:3*', '*5 $7 user:30 $7 user:31 $7 user:32 $7 user:33 $7 user:34'],
      ['DBSIZE', ':26'],
    ]);
  });

  it('give a scan in RESP cursors of 64 bits, whatever the keys, which this node knows', () => {
    const rig = cluster(3);
    const client = rig.connect(1);
    for (let n = 10; n < 35; n++) client.send(words('SET', `a-rather-long-key:${n}`, 'v'));
    rig.run(500);
    client.take();
    let cursor = '0';
    let last = '0';
    const seen: string[] = [];
    do {
      const page = client.ask(words('SCAN', cursor)).split('\r\n');
      seen.push(...page.filter((line) => line.startsWith('a-rather')));
      last = cursor;
      cursor = page[2] ?? '0';
      expect(BigInt(cursor) < 2n ** 63n).toBe(true);
    } while (cursor !== '0');
    expect(seen).toEqual(Array.from({ length: 25 }, (_none, at) => `a-rather-long-key:${at + 10}`));
    expect(rig.connect(2).ask(words('SCAN', last))).toBe(
      `-ERR cursor ${last} is not known here: begin the scan again\r\n`,
    );
  });

  it('drop a bucket at once, whatever it holds, and leave the others alone', () => {
    const rig = cluster(3);
    const client = rig.connect(1);
    client.send('USE big\n');
    for (let n = 0; n < 600; n++) client.send(`SET key${n} v\n`);
    client.send('USE default\nSET k v\n');
    rig.run(2000);
    client.take();
    client.send('DROP BUCKET big\nUSE big\nDBSIZE\nSET key7 new\nDBSIZE\nGET key7\nKEYS *\nLIST BUCKETS\n');
    rig.run(2000);
    expect(client.take()).toBe(
      '+OK\r\n+OK\r\n:0\r\n+OK\r\n:1\r\n$3\r\nnew\r\n*1\r\n$4\r\nkey7\r\n+big default\r\n',
    );
    for (const { node } of rig.machines) {
      const stored = node?.store.iterator();
      let keys = 0;
      while (stored?.next() === true) keys++;
      stored?.close();
      // The two keys, and the time of the state machine.
      expect(keys).toBe(3);
    }
    play(client, [
      ['FLUSHDB', '+OK'],
      ['DBSIZE', ':0'],
      ['LIST BUCKETS', '+default'],
    ]);
  });

  it('carry out no transaction whose WATCH was refused, whyever', () => {
    const rig = cluster(1);
    const client = rig.connect(1);
    const names = (count: number): string => Array.from({ length: count }, (_none, n) => `k${n}`).join(' ');
    const aborted = '-EXECABORT Transaction discarded because of previous errors.';
    const long = 'x'.repeat(64 * 1024 + 1);
    for (const [watch, refusal] of [
      ['WATCH', "-ERR wrong number of arguments for 'WATCH'"],
      [`WATCH a ${long}`, '-ERR key is 65537 bytes, the limit is 65536 (max key bytes)'],
      [`WATCH ${names(1025)}`, '-ERR more than 1024 keys are watched (max transaction commands)'],
      [`WATCH ${names(10_001)}`, "-ERR 'WATCH' names 10001 keys, the limit is 10000 (max command keys)"],
      [
        `watch ${names(65_536)}`,
        '-ERR the command has more than 65536 words, the limit is 65536 (max command words)',
      ],
    ]) {
      play(client, [
        [watch, refusal],
        ['MULTI', '+OK'],
        ['SET a 1', '+QUEUED'],
        ['EXEC', aborted],
        // It is over with that, or with UNWATCH.
        [watch, refusal],
        ['UNWATCH', '+OK'],
        ['MULTI', '+OK'],
        ['SET b 1', '+QUEUED'],
        ['EXEC', '*1 +OK'],
        ['GET a', '$-1'],
      ]);
    }
    // What was another command says nothing of keys that are watched.
    play(client, [
      ['WATCH a', '+OK'],
      ['GET', "-ERR wrong number of arguments for 'GET'"],
      ['MULTI', '+OK'],
      ['SET a 1', '+QUEUED'],
      ['EXEC', '*1 +OK'],
    ]);
  });

  it('carry a transaction out as one, unless a watched key has changed', () => {
    const rig = cluster(3);
    const mine = rig.connect(1);
    const yours = rig.connect(2);
    play(mine, [
      ['SET a 1', '+OK'],
      ['WATCH a b', '+OK'],
      ['MULTI', '+OK'],
      ['INCR a', '+QUEUED'],
      ['SET b  x', '+QUEUED'],
      ['MGET a b', '+QUEUED'],
      ['GET a', '+QUEUED'],
      ['EXEC', '*4 :2 +OK *2 $1 2 $2  x $1 2'],
      ['WATCH a', '+OK'],
    ]);
    play(yours, [['SET a 10', '+OK']]);
    play(mine, [
      ['MULTI', '+OK'],
      ['SET a 3', '+QUEUED'],
      ['EXEC', '*-1'],
      ['GET a', '$2 10'],
      ['WATCH a', '+OK'],
      ['UNWATCH', '+OK'],
    ]);
    play(yours, [['SET a 11', '+OK']]);
    play(mine, [
      ['MULTI', '+OK'],
      ['INCR a', '+QUEUED'],
      ['DISCARD', '+OK'],
      ['DISCARD', '-ERR DISCARD without MULTI'],
      ['EXEC', '-ERR EXEC without MULTI'],
      ['MULTI', '+OK'],
      ['MULTI', '-ERR MULTI calls can not be nested'],
      ['INCR a', '+QUEUED'],
      ['GET', "-ERR wrong number of arguments for 'GET'"],
      ['EXEC', '-EXECABORT Transaction discarded because of previous errors.'],
      ['MULTI', '+OK'],
      ['USE orders', "-ERR 'use' is not allowed in a transaction"],
      ['EXEC', '-EXECABORT Transaction discarded because of previous errors.'],
      ['MULTI', '+OK'],
      ['SET a 12', '+QUEUED'],
      ['INCR b', '+QUEUED'],
      ['EXEC', '-EXECABORT command 2 of the transaction failed: value is not an integer or out of range'],
      ['GET a', '$2 11'],
      ['MULTI', '+OK'],
      ['EXEC', '*0'],
    ]);
  });

  it('watch the keys of the bucket that was in use, whatever a pipeline does behind', () => {
    const rig = cluster(3);
    const client = rig.connect(2);
    client.ask('SET a 1\nUSE other\nSET a 1\nUSE default\n');
    // The write between WATCH and MULTI is one to the watched key of the other bucket.
    expect(client.ask('WATCH a\nUSE other\nSET a 2\nMULTI\nSET b x\nEXEC\n')).toBe(
      '+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n',
    );
    expect(client.ask('WATCH a\nUSE default\nUSE other\nSET a 3\nMULTI\nSET b y\nEXEC\n')).toMatch(
      /\*-1\r\n$/,
    );
    expect(client.ask('WATCH a\nUNWATCH\nSET a 4\nMULTI\nSET b z\nEXEC\nGET b\n')).toMatch(
      /\*1\r\n\+OK\r\n\$1\r\nz\r\n$/,
    );
  });

  it('do not carry a transaction out whose watch has failed', () => {
    const rig = new ServerRig(3, { timeouts: { noLeaderMs: 300, answerMs: 1000 } });
    const leader = rig.leader();
    rig.run(200);
    const followers = [1, 2, 3].filter((id) => id !== leader);
    const client = rig.connect(leader);
    client.ask('SET a 1\n');
    for (const id of followers) rig.crash(id);
    rig.run(5000);
    client.send('WATCH a\n');
    rig.run(5000);
    expect(client.take()).toBe('-ERR no leader\r\n');
    for (const id of followers) rig.boot(id);
    rig.leader();
    rig.run(2000);
    expect(client.ask('MULTI\nSET a 2\nEXEC\nGET a\n')).toBe(
      '+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n',
    );
    expect(client.ask('MULTI\nSET a 2\nEXEC\n')).toMatch(/\*1\r\n\+OK\r\n$/);
  });

  it('take a transaction in the middle of a pipeline, in RESP', () => {
    const rig = cluster(3);
    const client = rig.connect(2);
    const sent = [
      words('SET', 'n', '1'),
      words('MULTI'),
      words('INCR', 'n'),
      words('GET', 'n'),
      words('EXEC'),
      words('INCR', 'n'),
      words('SET', 'n', 'a', 'IFEQ', '3', 'GET', 'PX', '1000'),
      words('PTTL', 'n'),
    ];
    const answer = client.ask(sent.join(''));
    expect(answer.replaceAll('\r\n', ' ')).toMatch(
      /^\+OK \+OK \+QUEUED \+QUEUED \*2 :2 \$1 2 :3 \$1 3 :(1000|9\d\d) $/,
    );
  });

  it('compare, then write: all or nothing', () => {
    const rig = cluster(3);
    play(rig.connect(3), [
      ['SET a open', '+OK'],
      ['TXN IF VALUE a = open AND ABSENT b THEN 3 SET a closed 2 INCR b ELSE 2 GET a', '*2 :1 *2 +OK :1'],
      ['TXN IF VALUE a = open AND ABSENT b THEN 3 SET a closed 2 INCR b ELSE 2 GET a', '*2 :0 *1 $6 closed'],
      [
        'TXN THEN 3 SET a x 2 INCR a',
        '-EXECABORT command 2 of the transaction failed: value is not an integer or out of range',
      ],
      ['GET a', '$6 closed'],
    ]);
  });

  it('are carried out once under a number, also when they are repeated at another node', () => {
    const rig = cluster(3);
    const first = rig.connect(1);
    const session = /^:(\d+)\r\n$/.exec(first.ask('SESSION OPEN\n'))?.[1] ?? '';
    play(first, [
      [`SESSION DO ${session} 1 INCR n`, ':1'],
      [`SESSION DO ${session} 1 INCR n`, ':1'],
    ]);
    const leader = rig.leader();
    rig.crash(leader);
    rig.run(3000);
    const other = rig.connect(leader === 1 ? 2 : 1);
    play(other, [
      [`SESSION DO ${session} 1 INCR n`, ':1'],
      [`SESSION DO ${session} 2 SET k two words`, '+OK'],
      [`SESSION DO ${session} 3 GETSET k other`, '$9 two words'],
      [`SESSION DO ${session} 3 GETSET k other`, '$9 two words'],
      ['MULTI', '+OK'],
      ['INCR n', '+QUEUED'],
      [`SESSION DO ${session} 4 EXEC`, '*1 :2'],
      [`SESSION DO ${session} 5 GET n`, "-ERR SESSION DO is for writes, and 'get' is none"],
      [`SESSION DO ${session} 5 MULTI`, "-ERR SESSION DO is for writes, and 'multi' is none"],
      [`SESSION DO ${session} 5 UNWATCH`, "-ERR SESSION DO is for writes, and 'unwatch' is none"],
      [`SESSION DO ${session} 5 USE other`, "-ERR SESSION DO is for writes, and 'use' is none"],
      ['EXEC', '-ERR EXEC without MULTI'],
      [`SESSION DO ${session} 5 TXN IF REV n > 0 THEN 2 DEL n`, '*2 :1 *1 :1'],
      [`SESSION CLOSE ${session}`, '+OK'],
      [
        `SESSION DO ${session} 6 INCR n`,
        `-ERR session ${session} is not open: it was closed, or has expired`,
      ],
    ]);
  });

  it('tell nothing of a document, and take no path, that is not UTF-8', () => {
    const client = cluster(3).connect(1);
    client.ask(bytes('SET j {"a":"\xff"}\n'));
    for (const line of ['JGET j a', 'JGET j $', 'JSET j a 1', 'JDEL j a', 'JINCR j a 1']) {
      expect([line, client.ask(`${line}\n`)]).toEqual([line, '-ERR invalid JSON: not UTF-8\r\n']);
    }
    client.ask('SET j {"\ufffd":1}\n');
    expect(client.ask('JGET j \ufffd\n')).toBe('$1\r\n1\r\n');
    for (const line of ['JGET j \xff', 'JSET j \xff 1', 'JDEL j \xff', 'JINCR j \xff 1']) {
      expect([line, client.ask(bytes(`${line}\n`))]).toEqual([line, '-ERR invalid path: not UTF-8\r\n']);
    }
    expect(client.ask('GET j\n')).toBe('$9\r\n{"\ufffd":1}\r\n');
  });

  it('gather no more keys between MULTI and EXEC than TXN may name', () => {
    const client = cluster(1).connect(1);
    const mget = words('MGET', ...Array.from({ length: 10_000 }, () => 'k'));
    expect(client.ask(words('MULTI') + mget.repeat(6), 1000)).toBe(`+OK\r\n${'+QUEUED\r\n'.repeat(6)}`);
    expect(client.ask(mget + words('EXEC') + words('PING'), 1000)).toBe(
      '-ERR the transaction has more than 65536 keys and values (max command words)\r\n' +
        '-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n',
    );
    const empty = words('MULTI') + mget.repeat(6) + words('DISCARD');
    expect(client.ask(empty + empty, 1000)).toBe(`+OK\r\n${'+QUEUED\r\n'.repeat(6)}+OK\r\n`.repeat(2));
  });

  it('feed changes from where the last answer ended, and wait for them', () => {
    const rig = cluster(3);
    const client = rig.connect(1);
    const writer = rig.connect(2);
    const start = /^\*2\r\n:(\d+)\r\n\*0\r\n$/.exec(client.ask('FEED $\n'))?.[1] ?? '';
    writer.ask('SET user:1 a\nSET other x\nSET user:2 b\nINCR n\nDEL user:2\nSET user:1 c\n');
    const [, through, , ...changes] = client.ask(`FEED ${start} PREFIX user:\n`).split('\r\n');
    expect(changes.join(' ')).toMatch(
      /^\*4 :\d+ \$6 delete \$6 user:2 \$-1 \*4 :\d+ \$3 set \$6 user:1 \$1 c $/,
    );
    expect(client.ask(`FEED ${through?.slice(1)} PREFIX user: WAIT 300\n`, 200)).toBe('');
    writer.ask('SET user:3 d\n', 50);
    expect(client.ask('', 50)).toMatch(/\$3\r\nset\r\n\$6\r\nuser:3\r\n\$1\r\nd\r\n$/);
    expect(client.ask('FEED $ WAIT 300\n', 250)).toBe('');
    expect(client.ask('', 150)).toMatch(/^\*2\r\n:\d+\r\n\*0\r\n$/);
    expect(client.ask('FEED 999999\n')).toMatch(
      /^-ERR revision 999999 is in the future: the last is \d+\r\n$/,
    );
  });

  it('feed a key that expires as deleted, without anybody touching it', () => {
    const rig = cluster(3);
    const client = rig.connect(1);
    client.ask('SETX k PX 400 VALUE v\n', 50);
    expect(client.ask('FEED $ WAIT 5000\n', 200)).toBe('');
    expect(client.ask('', 1000)).toMatch(/\$6\r\ndelete\r\n\$1\r\nk\r\n\$-1\r\n$/);
  });

  it('leave nothing behind of a feed that waits, when its client goes away or the node stops', () => {
    const rig = cluster(1);
    const gone = rig.connect(1);
    gone.send('FEED $ WAIT 60000\n');
    rig.run(100);
    gone.end();
    const waiting = rig.connect(1);
    waiting.send('FEED $ WAIT 60000\n');
    rig.run(1000);
    const { node, process } = rig.machine(1);
    let timers = -1;
    process.run(() => {
      node?.stop(() => {
        timers = process.holdings.timers;
      });
    });
    rig.run(5000);
    expect(timers).toBe(0);
    expect(waiting.take()).toBe('-ERR the node is stopping\r\n');
    expect(waiting.isClosed).toBe(true);
  });
});
