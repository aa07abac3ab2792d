import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Database, type Encoding, json, open } from '../../src/index.ts';
import { silentLogger } from '../../src/io/logger.ts';
import { NodeClock } from '../../src/io/node/clock.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { EntryKind } from '../../src/log/entry.ts';
import { Log } from '../../src/log/log.ts';

let directory = '';
let db: Database;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-embedded-'));
  db = await open(directory);
});

afterEach(async () => {
  await db.close();
  rmSync(directory, { recursive: true });
});

async function reopen(): Promise<void> {
  await db.close();
  db = await open(directory);
}

describe('an embedded store', () => {
  it('keeps what was put, and finds it again when it is opened again', async () => {
    const users = db.bucket('users', { values: 'json' });
    await users.put('alice', { score: 100 });
    await users.put('bob', [1, null, 'x']);
    expect(users.get('alice')).toEqual({ score: 100 });
    expect(await users.delete('bob')).toBe(true);
    expect(await users.delete('bob')).toBe(false);
    await reopen();
    const again = db.bucket('users', { values: 'json' });
    expect(again.get('alice')).toEqual({ score: 100 });
    expect(again.get('bob')).toBeUndefined();
    expect(again.has('alice')).toBe(true);
    expect(db.bucket('other').get('alice')).toBeUndefined();
  });

  it('finds what is in tables, and what is in the log behind them', async () => {
    const bucket = db.bucket();
    for (let i = 0; i < 50; i++) await bucket.put(`k${i}`, 'old', { durability: 'buffered' });
    await db.flush();
    await bucket.put('k7', 'new');
    await db.compact();
    await bucket.put('k8', 'newer');
    await reopen();
    const found = db.bucket().getMany(['k6', 'k7', 'k8', 'k99']);
    expect(found).toEqual(['old', 'new', 'newer', undefined]);
    expect(db.stats().tables).toBe(1);
  });

  it('goes through keys in order, both ways, within bounds, as of when it began', async () => {
    const bucket = db.bucket();
    for (const key of ['b', 'd', 'a', 'c', 'é'])
      await bucket.put(key, key.toUpperCase(), { durability: 'buffered' });
    await db.bucket('a').put('z', 'not of this bucket');
    expect([...bucket.entries({ gte: 'b', lt: 'd' })]).toEqual([
      ['b', 'B'],
      ['c', 'C'],
    ]);
    expect([...bucket.keys({ gt: 'b', reverse: true })]).toEqual(['é', 'd', 'c']);
    expect([...bucket.values({ lte: 'c', limit: 2, reverse: true })]).toEqual(['C', 'B']);
    const keys = bucket.keys();
    expect(keys.next().value).toBe('a');
    await bucket.put('aa', 'late');
    await bucket.delete('b');
    expect([...keys]).toEqual(['b', 'c', 'd', 'é']);
  });

  it('shows a snapshot as it was, whatever is written, merged and deleted since', async () => {
    const bucket = db.bucket();
    await bucket.put('a', '1');
    await bucket.put('b', '1');
    const snapshot = db.snapshot();
    await bucket.put('a', '2');
    await bucket.delete('b');
    await db.compact();
    const then = snapshot.bucket();
    expect([then.get('a'), then.get('b')]).toEqual(['1', '1']);
    expect([...then.entries()]).toEqual([
      ['a', '1'],
      ['b', '1'],
    ]);
    snapshot.release();
    snapshot.release();
    expect([...bucket.entries()]).toEqual([['a', '2']]);
  });

  it('copies what it is given before the call returns, also of writes that have to wait', async () => {
    const bucket = db.bucket('b', { keys: 'view', values: 'view' });
    // A slice of a Buffer is none: it is a view.
    const waits = Buffer.alloc(64 * 1024);
    const writes = [bucket.put(new Uint8Array([0]), waits, { durability: 'buffered' })];
    const key = Buffer.from([1]);
    const value = Buffer.from([1]);
    const buffered = { durability: 'buffered' } as const;
    const expected: [Uint8Array, Uint8Array][] = [];
    for (let n = 1; n < 5; n++) {
      key[0] = n;
      value[0] = n;
      expected.push([new Uint8Array(key), new Uint8Array(value)]);
      if (n < 3) writes.push(bucket.put(key, value, buffered));
      else writes.push(bucket.putIf(key, value, { type: 'absent' }, buffered).then(() => {}));
    }
    key[0] = 4;
    writes.push(bucket.delete(key, buffered).then(() => {}));
    key[0] = 2;
    writes.push(bucket.deleteRange({ gte: key, lte: key }, buffered));
    key[0] = 9;
    await Promise.all(writes);
    expect([...bucket.entries({ gt: new Uint8Array([0]) })]).toEqual([expected[0], expected[2]]);
  });

  it('writes a batch as one, over buckets', async () => {
    const from = db.bucket('from');
    const to = db.bucket('to', { keys: 'view', values: 'view' });
    await from.put('k', 'v');
    const batch = db
      .batch()
      .delete(from, 'k')
      .put(to, new Uint8Array([1, 0, 255]), new Uint8Array(0));
    expect([from.get('k'), batch.size]).toEqual(['v', 2]);
    await batch.write();
    expect([from.get('k'), batch.size]).toEqual([undefined, 0]);
    await batch.put(from, 'k', 'v').clear().write();
    expect(from.has('k')).toBe(false);
    await reopen();
    const found = db.bucket('to', { keys: 'view', values: 'view' });
    expect([...found.entries()]).toEqual([[new Uint8Array([1, 0, 255]), new Uint8Array(0)]]);
  });

  it('writes under conditions, of which one of two at the same time holds', async () => {
    const bucket = db.bucket();
    const both = await Promise.all([
      bucket.putIf('k', 'a', { type: 'absent' }),
      bucket.putIf('k', 'b', { type: 'absent' }),
    ]);
    expect(both).toEqual([true, false]);
    expect(await bucket.putIf('k', 'c', { type: 'value', value: 'b' })).toBe(false);
    expect(await bucket.putIf('k', 'c', { type: 'value', value: 'a' })).toBe(true);
    const { revision } = bucket.entry('k') ?? { revision: -1 };
    expect(await bucket.putIf('k', 'd', { type: 'revision', revision: revision - 1 })).toBe(false);
    expect(await bucket.putIf('k', 'd', { type: 'revision', revision })).toBe(true);
    expect(await bucket.putIf('none', 'x', { type: 'present' })).toBe(false);
    expect(bucket.get('k')).toBe('d');
  });

  it('lists the buckets that hold a key, now or as of a snapshot', async () => {
    expect(db.bucketNames()).toEqual([]);
    const names = ['b', 'ba', 'a', 'z\u{10ffff}', 'short', 'zz'];
    for (const name of names) await db.bucket(name).put('', 'v');
    await db.bucket('gone').put('k', 'v');
    await db.bucket('gone').delete('k');
    await db.bucket('ranged').put('k', 'v');
    await db.bucket('ranged').deleteRange();
    await db.bucket('short').put('', 'v', { ttlMs: 1 });
    await db.bucket('short').put('k', 'v', { ttlMs: 1 });
    while (db.bucket('short').has('k')) await new Promise((resolve) => setImmediate(resolve));
    const expected = ['a', 'b', 'ba', 'zz', 'z\u{10ffff}'];
    expect(db.bucketNames()).toEqual(expected);
    await db.flush();
    using snapshot = db.snapshot();
    await db.bucket('b').deleteRange();
    expect(db.bucketNames()).toEqual(expected.filter((name) => name !== 'b'));
    expect(snapshot.bucketNames()).toEqual(expected);
    await db.close();
    expect(() => db.bucketNames()).toThrow(/closed/);
    db = await open(directory);
    expect(db.bucketNames()).toEqual(expected.filter((name) => name !== 'b'));
  });

  it('lets the values of a batch expire', async () => {
    const bucket = db.bucket();
    const before = Date.now();
    await db
      .batch()
      .put(bucket, 'a', 'v', { ttlMs: 60_000 })
      .put(bucket, 'b', 'v', {})
      .put(bucket, 'c', 'v')
      .write();
    expect(bucket.entry('a')?.expiresAtMs).toBeGreaterThanOrEqual(before + 60_000);
    expect(bucket.entry('b')?.expiresAtMs).toBeNull();
    expect(bucket.entry('c')?.expiresAtMs).toBeNull();
  });

  it('tells when a value expires, and takes no time that is none', async () => {
    const bucket = db.bucket();
    const before = Date.now();
    await bucket.put('k', 'v', { ttlMs: 60_000 });
    expect(bucket.entry('k')?.expiresAtMs).toBeGreaterThanOrEqual(before + 60_000);
    expect(bucket.entry('k')?.expiresAtMs).toBeLessThanOrEqual(Date.now() + 60_000);
    await bucket.put('k', 'v');
    expect(bucket.entry('k')?.expiresAtMs).toBeNull();
    for (const ttlMs of [0, -1, 1.5, Number.NaN]) {
      await expect(bucket.put('k', 'v', { ttlMs })).rejects.toThrow(
        /ttlMs is .* whole number of milliseconds/,
      );
    }
  });

  it('reads tables through a cache of its own where that is wanted', async () => {
    await db.close();
    expect(db.pageCacheStatistics()).toBeNull();
    await expect(open(directory, { pageCacheBytes: -1 })).rejects.toMatchObject({ code: 'INVALID' });
    db = await open(directory, { pageCacheBytes: 1024 * 1024 });
    const bucket = db.bucket();
    const names = Array.from({ length: 300 }, (_none, n) => `key-${n}`);
    await Promise.all(names.map((name) => bucket.put(name, name.repeat(20))));
    await db.compact();
    for (const name of names) expect(bucket.get(name)).toBe(name.repeat(20));
    const { hits, readBytes, fallbacks, budgetBytes } = db.pageCacheStatistics() ?? expect.fail('no cache');
    expect(budgetBytes).toBe(1024 * 1024);
    // Where files can only be read through the system's cache, they are.
    if (fallbacks === 0) expect(hits).toBeGreaterThan(200);
    if (fallbacks === 0) expect(readBytes).toBeGreaterThan(names.join('').length * 20);
  });

  it('drops values that have expired when it compacts', async () => {
    const bucket = db.bucket();
    const names = Array.from({ length: 200 }, (_none, n) => `short-${n}`);
    await Promise.all(names.map((name) => bucket.put(name, 'x', { ttlMs: 1 })));
    await bucket.put('long', 'x', { ttlMs: 600_000 });
    await bucket.put('ever', 'x');
    while (names.some((name) => bucket.has(name))) await new Promise((resolve) => setImmediate(resolve));
    await db.compact();
    // Two keys, the entry of one in the index of expiries, and the time.
    expect(db.stats()).toMatchObject({ entries: 4, tombstones: 0 });
    expect([...bucket.keys()]).toEqual(['ever', 'long']);
  });

  it('begins a walk where it was asked for, not where it is first used', async () => {
    const bucket = db.bucket();
    await bucket.put('a', '1');
    using scan = bucket.entries();
    await bucket.put('a', '2');
    await bucket.put('b', '2');
    expect([...scan]).toEqual([['a', '1']]);
  });

  it('goes through keys of a prefix, also of one that no key can follow', async () => {
    const bucket = db.bucket('b', { keys: 'view' });
    const keys = [[], [1], [1, 0], [1, 255], [1, 255, 255], [2], [255], [255, 255, 7]];
    for (const key of keys) await bucket.put(new Uint8Array(key), 'v', { durability: 'buffered' });
    const found = (prefix: number[], gt?: number[]): number[][] =>
      [
        ...bucket.keys({
          prefix: new Uint8Array(prefix),
          ...(gt === undefined ? {} : { gt: new Uint8Array(gt) }),
        }),
      ].map((key) => [...key]);
    expect(found([])).toEqual(keys);
    expect(found([1])).toEqual(keys.slice(1, 5));
    expect(found([1, 255])).toEqual(keys.slice(3, 5));
    expect(found([255])).toEqual(keys.slice(6));
    expect(found([1], [1, 0])).toEqual(keys.slice(3, 5));
    expect(found([1], [0])).toEqual(keys.slice(1, 5));
    expect([...bucket.keys({ prefix: new Uint8Array([1]), reverse: true, limit: 1 })]).toEqual([
      new Uint8Array([1, 255, 255]),
    ]);
  });

  it('reads and writes by the encodings that it is given', async () => {
    const numbers: Encoding<number> = {
      encode: (value) => new Uint8Array([value >>> 8, value]),
      decode: (bytes) => (bytes[0] << 8) | bytes[1],
    };
    const bucket = db.bucket('n', { keys: numbers, values: 'json' });
    for (const n of [300, 7, 256]) await bucket.put(n, { n }, { durability: 'buffered' });
    expect([...bucket.keys({ gt: 7, lte: 300 })]).toEqual([256, 300]);
    expect(bucket.get(300)).toEqual({ n: 300 });
    expect(db.bucket('n', { keys: numbers, values: json<{ n: number }>() }).get(300)?.n).toBe(300);
    const raw = db.bucket('n', { keys: 'buffer', values: 'buffer' });
    const prefix = Buffer.from([1]);
    expect([...raw.keys({ prefix })]).toEqual([Buffer.from([1, 0]), Buffer.from([1, 44])]);
    expect(prefix).toEqual(Buffer.from([1]));
    expect(raw.get(Buffer.from([0, 7]))?.toString()).toBe('{"n":7}');
    expect(() => db.bucket('n', { keys: { encode: numbers.encode } as Encoding<number> })).toThrow(
      'an encoding is a name, or an object with the functions `encode` and `decode`',
    );
    await expect(raw.put('text' as never, Buffer.alloc(0))).rejects.toThrow(
      'a Uint8Array is wanted, not string',
    );
  });

  it('moves a cursor by hand, beyond its end and back, and hands out views', async () => {
    const bucket = db.bucket('b', { values: 'view' });
    for (const key of ['a', 'b', 'c']) await bucket.put(key, Buffer.from(key), { durability: 'buffered' });
    using cursor = bucket.cursor({ lt: 'c' });
    await bucket.put('aa', new Uint8Array(0));
    expect([cursor.next(), cursor.key, cursor.value]).toEqual([true, 'a', new Uint8Array([97])]);
    expect([cursor.next(), [...cursor.keyView], [...cursor.valueView]]).toEqual([true, [98], [98]]);
    expect([cursor.next(), cursor.next()]).toEqual([false, false]);
    expect(() => cursor.key).toThrow('a cursor is read while it stands on a key');
    cursor.seek('aa');
    expect([cursor.next(), cursor.key]).toEqual([true, 'b']);
    cursor.close();
    cursor.seek('a');
    expect(cursor.next()).toBe(false);
    using limited = bucket.cursor({ limit: 1, reverse: true });
    expect([limited.next(), limited.key, limited.next()]).toEqual([true, 'c', false]);
    limited.seek('b');
    expect(limited.next()).toBe(false);
    using late = bucket.cursor();
    await db.close();
    expect(() => late.next()).toThrow('the store is closed');
  });

  it('seeks forwards and back, both ways, within the range and the limit', async () => {
    const bucket = db.bucket();
    for (const key of ['b', 'd', 'f', 'h']) await bucket.put(key, key, { durability: 'buffered' });
    using up = bucket.keys({ gt: 'b', limit: 4 });
    up.seek('e');
    expect(up.next().value).toBe('f');
    up.seek('a');
    expect([...up]).toEqual(['d', 'f', 'h']);
    using down = bucket.keys({ lte: 'f', reverse: true });
    down.seek('e');
    expect(down.next().value).toBe('d');
    down.seek('z');
    expect([...down]).toEqual(['f', 'd', 'b']);
  });

  it('gives way to others in an asynchronous walk, and ends it when it is told to', async () => {
    const bucket = db.bucket();
    const batch = db.batch();
    for (let i = 0; i < 3000; i++) batch.put(bucket, `k${String(i).padStart(4, '0')}`, 'v');
    await batch.write();
    let turns = 0;
    const turn = (): void => {
      turns++;
      immediate = setImmediate(turn);
    };
    let immediate = setImmediate(turn);
    let seen = 0;
    for await (const [key] of bucket.entries({ gte: 'k1000' })) {
      expect(key).toBe(`k${1000 + seen++}`);
      // As long as ten milliseconds of work for each key would take.
      if (seen % 100 === 0) for (const end = performance.now() + 10; performance.now() < end; );
    }
    clearImmediate(immediate);
    expect(seen).toBe(2000);
    expect(turns).toBeGreaterThan(5);
    expect(await bucket.count({ prefix: 'k01' })).toBe(100);
    const controller = new AbortController();
    const scan = bucket.keys({ signal: controller.signal });
    expect(scan.next().value).toBe('k0000');
    controller.abort(new Error('enough'));
    expect(() => scan.next()).toThrow('enough');
    expect(scan.next()).toEqual({ done: true, value: undefined });
  });

  it('deletes a range by one record, whatever lies in it, and keeps what is written behind it', async () => {
    const bucket = db.bucket();
    await db.bucket('other').put('k0001', 'v');
    const batch = db.batch();
    for (let i = 0; i < 2500; i++) batch.put(bucket, `k${String(i).padStart(4, '0')}`, 'v');
    await batch.write();
    using snapshot = db.snapshot();
    await bucket.deleteRange({ gte: 'k0100', lt: 'k2400' });
    await db.flush();
    expect(db.stats()).toMatchObject({ rangeTombstones: 1, tombstones: 0 });
    await bucket.put('k0200', 'new');
    expect([bucket.get('k0100'), bucket.get('k0200'), bucket.get('k2400')]).toEqual([undefined, 'new', 'v']);
    expect(await bucket.count()).toBe(201);
    expect(await snapshot.bucket().count()).toBe(2500);
    await bucket.deleteRange({ gte: 'x', lt: 'a' });
    await reopen();
    expect(await db.bucket().count()).toBe(201);
    await db.bucket().deleteRange();
    await reopen();
    expect(await db.bucket().count()).toBe(0);
    expect(db.bucket('other').get('k0001')).toBe('v');
    const limited = { gte: 'a', limit: 1 };
    await expect(db.bucket().deleteRange(limited)).rejects.toThrow('neither limit nor reverse');
  });

  it('clears a range, a thousand keys at a time, with a count, a limit and a way to end it', async () => {
    const bucket = db.bucket();
    const batch = db.batch();
    for (let i = 0; i < 2500; i++) batch.put(bucket, `k${String(i).padStart(4, '0')}`, 'v');
    await batch.write();
    expect(await bucket.clear({ limit: 3, reverse: true })).toBe(3);
    expect([...bucket.keys({ reverse: true, limit: 1 })]).toEqual(['k2496']);
    const told: number[] = [];
    const cleared = await bucket.clear({ gte: 'k0100' }, { onProgress: ({ keys }) => told.push(keys) });
    expect([cleared, told]).toEqual([2397, [1000, 2000, 2397]]);
    expect([...bucket.keys()]).toHaveLength(100);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(bucket.clear({}, { signal })).rejects.toThrow('enough');
    for (const limit of [-1, 0.5, Number.NaN]) {
      await expect(bucket.clear({ limit })).rejects.toThrow(/limit is .* whole number from 0 on/);
      expect(() => bucket.keys({ limit })).toThrow(/limit is .* whole number from 0 on/);
    }
    expect(await bucket.clear({ limit: 0 })).toBe(0);
    expect(await bucket.count()).toBe(100);
  });

  it('takes the empty key as any other', async () => {
    const bucket = db.bucket();
    await bucket.put('', 'empty');
    await bucket.put('a', 'v');
    expect([bucket.get(''), [...bucket.keys()]]).toEqual(['empty', ['', 'a']]);
    await reopen();
    expect(await db.bucket().clear({ lt: 'a' })).toBe(1);
    expect([...db.bucket().keys()]).toEqual(['a']);
  });

  it('names the limit that an input breaks, and keeps what was there', async () => {
    const bucket = db.bucket('b', { values: 'view' });
    await bucket.put('k', new Uint8Array([1]));
    await expect(bucket.put('x'.repeat(65_537), new Uint8Array(1))).rejects.toThrow(
      'a key has 65536 bytes at most; this one has 65537',
    );
    await expect(bucket.put('k', new Uint8Array(16 * 1024 * 1024 + 1))).rejects.toThrow(
      /16777216 bytes at most/,
    );
    expect(() => db.bucket('two words')).toThrow(/no spaces or control characters/);
    expect(() => db.bucket('b', { values: 'xml' as 'json' })).toThrow("no encoding is named 'xml'");
    expect(bucket.get('k')).toEqual(new Uint8Array([1]));
  });

  it('ends the thread that it has begun when it cannot be opened', async () => {
    await db.bucket().put('a', 'x'.repeat(4096));
    await db.bucket().put('b', 'x');
    await db.close();
    const clock = new NodeClock();
    const place = {
      disk: new NodeDisk({ reads: 'pread' }),
      directory: join(directory, 'log'),
      clock,
      logger: silentLogger,
    };
    const log = await new Promise<Log>((resolve, reject) => {
      Log.open(place, (outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.error)));
    });
    const entries = log.group(1);
    const index = entries.lastIndex + 1;
    entries.append({ index, term: 1, kind: EntryKind.Command, payload: new Uint8Array([255]) });
    await new Promise((resolve) => log.close(resolve));

    const begun: Worker[] = [];
    const ended: Worker[] = [];
    const onWorker = (worker: Worker): void => {
      begun.push(worker);
      worker.on('exit', () => ended.push(worker));
    };
    process.on('worker', onWorker);
    try {
      // A part of it is enough to have the thread begun.
      await expect(open(directory, { tuning: { memtableBytes: 32 * 1024 } })).rejects.toMatchObject({
        code: 'FORMAT',
      });
      expect(begun).toHaveLength(1);
      await vi.waitFor(() => expect(ended).toHaveLength(1), 10_000);
    } finally {
      process.off('worker', onWorker);
      for (const worker of begun) await worker.terminate();
    }
  });

  it('is open once: who comes second is told who holds it', async () => {
    await expect(open(directory)).rejects.toThrow(`is in use by process ${process.pid}`);
    await db.close();
    await db.close();
    expect(readdirSync(directory)).not.toContain('LOCK');
    expect(() => db.bucket().get('k')).toThrow('the store is closed');
    await expect(db.bucket().put('k', 'v')).rejects.toThrow('the store is closed');
  });

  it('makes a store only where it may, and takes an old one only where it is to', async () => {
    const other = join(directory, 'inner');
    await expect(open(other, { createIfMissing: false })).rejects.toMatchObject({ code: 'MISSING' });
    expect(existsSync(other)).toBe(false);
    await (await open(other, { errorIfExists: true })).close();
    await expect(open(other, { errorIfExists: true })).rejects.toMatchObject({ code: 'EXISTS' });
    await (await open(other, { createIfMissing: false })).close();
    for (const segmentBytes of [4095, 1e5 + 0.5, Number.NaN]) {
      await expect(open(other, { segmentBytes })).rejects.toThrow(/segmentBytes is .* from 4096 to/);
    }
  });

  it.each([
    'vote-a',
    'vote-b',
  ])('is no directory of a node, which has %s: it is left as it is', async (name) => {
    const other = join(directory, 'node');
    await (await open(other, { segmentBytes: 64 * 1024 })).close();
    writeFileSync(join(other, name), '');
    const before = readdirSync(other, { recursive: true });
    await expect(open(other)).rejects.toMatchObject({
      code: 'NODE',
      message: expect.stringContaining(`${other} is that of a node`),
    });
    expect(readdirSync(other, { recursive: true })).toEqual(before);
  });

  it('stays where it was opened when the process goes to another directory', async () => {
    const from = process.cwd();
    mkdirSync(join(directory, 'here'));
    mkdirSync(join(directory, 'there'));
    try {
      process.chdir(join(directory, 'here'));
      const other = await open('./store', { segmentBytes: 64 * 1024 });
      process.chdir(join(directory, 'there'));
      await other.bucket().put('k', 'v');
      await other.flush();
      await other.close();
      expect(readdirSync('.')).toEqual([]);
      expect(readdirSync('../here/store').sort()).toEqual(['log', 'tables']);
      await using again = await open('../here/store', { createIfMissing: false });
      expect(again.bucket().get('k')).toBe('v');
    } finally {
      process.chdir(from);
    }
  });

  it('takes little room when it is told to', async () => {
    const other = join(directory, 'inner');
    await using small = await open(other, { segmentBytes: 64 * 1024 });
    await small.bucket().put('k', 'v');
    const files = readdirSync(other, { recursive: true, encoding: 'utf8' });
    const bytes = files.reduce((sum, name) => sum + statSync(join(other, name)).size, 0);
    expect(bytes).toBeLessThan(256 * 1024);
  });

  it('carries out the writes that were called before it was closed, and refuses those behind', async () => {
    const bucket = db.bucket();
    const value = 'x'.repeat(1000);
    const writes = Array.from({ length: 500 }, (_none, n) =>
      bucket.put(`k${n}`, value, { durability: n % 2 === 0 ? 'sync' : 'buffered' }),
    );
    const closed = db.close();
    await expect(bucket.put('late', value)).rejects.toMatchObject({ code: 'CLOSED' });
    await Promise.all(writes);
    await closed;
    db = await open(directory);
    expect(await db.bucket().count()).toBe(500);
  });

  it('has flushed, or merged, what was called before, also what had to wait for its turn', async () => {
    const bucket = db.bucket();
    const value = 'x'.repeat(1000);
    const fill = (prefix: string): Promise<void>[] =>
      Array.from({ length: 200 }, (_none, n) =>
        bucket.put(`${prefix}${n}`, value, { durability: 'buffered' }),
      );
    const writes = fill('a');
    await db.flush();
    expect(db.stats()).toMatchObject({ entries: 200, waitingWrites: 0 });
    expect(db.stats().memtableBytes).toBeLessThan(value.length);
    writes.push(...fill('b'));
    await db.compact();
    expect(db.stats()).toMatchObject({ entries: 400, tables: 1 });
    expect(db.stats().memtableBytes).toBeLessThan(value.length);
    writes.push(...fill('c'));
    const flushed = db.flush();
    await db.close();
    await expect(flushed).rejects.toMatchObject({ code: 'CLOSED' });
    await Promise.all(writes);
    db = await open(directory);
    expect(await db.bucket().count()).toBe(600);
  });

  it('clears what was called before, also what had to wait for its turn', async () => {
    const bucket = db.bucket();
    const writes = Array.from({ length: 200 }, (_none, n) =>
      bucket.put(`k${String(999 - n)}`, 'x'.repeat(1000), { durability: 'buffered' }),
    );
    expect(await bucket.clear()).toBe(200);
    await Promise.all(writes);
    expect([...bucket.keys()]).toEqual([]);
  });

  it('lets go of a snapshot that was forgotten, but of none that can still be read', async () => {
    const bucket = db.bucket();
    await bucket.put('a', '1');
    const read = db.snapshot().bucket();
    for (let n = 0; n < 100; n++) db.snapshot();
    await bucket.put('a', '2');
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await vi.waitFor(
      () => {
        collect();
        expect(db.stats().snapshots).toBe(1);
      },
      { timeout: 10_000 },
    );
    expect(read.get('a')).toBe('1');
  });

  it('closes by itself at the end of its scope', async () => {
    const other = join(directory, 'inner');
    {
      await using inner = await open(other);
      await inner.bucket().put('k', 'v', { durability: 'buffered' });
    }
    await using again = await open(other);
    expect(again.bucket().get('k')).toBe('v');
  });
});
