import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EntryStream } from 'level-read-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Database } from '../../src/embedded/database.ts';
import { open } from '../../src/index.ts';
import { EnvelopeLevel } from '../../src/level/index.ts';
import { EngineRig } from '../embedded/rig.ts';

/** Arrays, numbers and texts as keys that are in order as bytes: an encoding of the Level ecosystem. */
const charwise = createRequire(import.meta.url)('charwise') as {
  readonly encode: (key: unknown) => string;
  readonly decode: (key: string) => unknown;
  readonly buffer: boolean;
  readonly type: string;
};

let directory = '';
let db: EnvelopeLevel;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-level-'));
  db = new EnvelopeLevel(directory);
});

afterEach(async () => {
  await db.close();
  rmSync(directory, { recursive: true });
});

describe('a Level database', () => {
  it('is the bucket of a store, which both doors see', async () => {
    await db.put('a', '1');
    await db.batch([{ type: 'put', key: 'b', value: '2' }], { sync: true });
    expect(db.getSync('a')).toBe('1');
    await db.close();
    const store = await open(directory);
    expect([...store.bucket().entries()]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    const users = new EnvelopeLevel<string, { score: number }>(store, {
      bucket: 'users',
      valueEncoding: 'json',
    });
    await users.put('alice', { score: 100 });
    expect(await users.get('alice')).toEqual({ score: 100 });
    expect(users.location).toBeNull();
    await users.close();
    // Closed as a database of Level; the store is not.
    expect(store.bucket('users', { values: 'json' }).get('alice')).toEqual({ score: 100 });
    await users.open();
    expect(await users.keys().all()).toEqual(['alice']);
    await store.close();
    await expect(users.get('alice')).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' });
    await users.close();
    await expect(users.open()).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' });
  });

  it('says who holds a directory that another has open', async () => {
    await db.open();
    const other = new EnvelopeLevel(directory);
    await expect(other.open()).rejects.toMatchObject({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: {
        code: 'LEVEL_LOCKED',
        message: `${directory} is in use by process ${process.pid} (see ${directory}/LOCK)`,
      },
    });
    await db.close();
    await other.open();
    await other.close();
  });

  it('lets go of its directory when it cannot be opened', async () => {
    const other = join(directory, 'other');
    const wrong = new EnvelopeLevel(other, { bucket: 'not a name' });
    await expect(wrong.open()).rejects.toMatchObject({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: { code: 'INVALID', message: expect.stringContaining("'not a name'") },
    });
    const right = new EnvelopeLevel(other, { bucket: 'name' });
    await right.open();
    await right.close();
  });

  it('says where damage is, and never takes it for a value that is not there', async () => {
    await db.put('a', 'x'.repeat(100));
    await db.put('b', 'y'.repeat(100));
    await db.database?.flush();
    await db.close();
    const tables = join(directory, 'tables');
    const [table] = readdirSync(tables).filter((name) => name.startsWith('table-'));
    const bytes = readFileSync(join(tables, table));
    bytes[bytes.indexOf('xxx') + 50] ^= 1;
    writeFileSync(join(tables, table), bytes);
    await db.open();
    const damage = { code: 'LEVEL_CORRUPTION', message: expect.stringContaining(table) };
    await expect(db.get('a')).rejects.toMatchObject(damage);
    expect(() => db.getSync('a')).toThrow(expect.objectContaining(damage));
    await expect(db.has('a')).rejects.toMatchObject(damage);
    await expect(db.getMany(['a', 'b'])).rejects.toMatchObject(damage);
    await expect(db.iterator().all()).rejects.toMatchObject(damage);
  });

  it('names the limit that an input breaks', async () => {
    const long = 'x'.repeat(65_537);
    await expect(db.put(long, '')).rejects.toMatchObject({
      code: 'LEVEL_INVALID_KEY',
      message: 'a key has 65536 bytes at most; this one has 65537',
    });
    const large = 'x'.repeat(9 * 1024 * 1024);
    await expect(db.put('k', large + large)).rejects.toMatchObject({ code: 'LEVEL_INVALID_VALUE' });
    const both = ['a', 'b'].map((key) => ({ type: 'put' as const, key, value: large }));
    await expect(db.batch(both)).rejects.toMatchObject({ code: 'LEVEL_INVALID_BATCH' });
    const chained = db.batch().put('a', large);
    expect(() => chained.put('b', large)).toThrow(expect.objectContaining({ code: 'LEVEL_INVALID_BATCH' }));
    await chained.write();
    expect(await db.keys().all()).toEqual(['a']);
    expect(() => new EnvelopeLevel('')).toThrow(TypeError);
  });

  it('ends an iteration that leaves its range, and goes on from where it was sought', async () => {
    await db.batch(['a', 'b', 'c', 'd'].map((key) => ({ type: 'put', key, value: key })));
    const iterator = db.keys({ gte: 'b', lt: 'd' });
    iterator.seek('a');
    expect(await iterator.next()).toBeUndefined();
    iterator.seek('d');
    expect(await iterator.next()).toBeUndefined();
    iterator.seek('c');
    expect(await iterator.nextv(9)).toEqual(['c']);
    await iterator.close();
  });

  it('lets a value expire', async () => {
    await db.open();
    await db.put('a', 'v', { ttlMs: 60_000 });
    await db.batch([
      { type: 'put', key: 'b', value: 'v', ttlMs: 60_000 },
      { type: 'put', key: 'c', value: 'v' },
    ]);
    await db.batch().put('d', 'v', { ttlMs: 60_000 }).write();
    const bucket = db.database?.bucket();
    expect(['a', 'b', 'c', 'd'].map((key) => bucket?.entry(key)?.expiresAtMs === null)).toEqual([
      false,
      false,
      true,
      false,
    ]);
  });

  it('deletes what a snapshot saw, within a limit, and nothing that came later', async () => {
    const keys = Array.from({ length: 2500 }, (_none, n) => `k${String(n).padStart(4, '0')}`);
    await db.batch(keys.map((key) => ({ type: 'put', key, value: '1' })));
    const snapshot = db.snapshot();
    await db.put('k0000a', 'late');
    await db.put('k0001', 'later');
    await db.clear({ snapshot, gte: 'k0000', limit: 2300 });
    expect(await db.keys({ limit: 2 }).all()).toEqual(['k0000a', 'k2300']);
    await db.clear({ limit: 1 });
    await db.clear({ limit: 2, reverse: true });
    expect(await db.keys().all()).toEqual(keys.slice(2300, 2498));
    await snapshot.close();
  });

  it('takes no snapshot and no sublevel of another database', async () => {
    const other = new EnvelopeLevel(join(directory, 'other'));
    await other.open();
    await db.open();
    const snapshot = other.snapshot();
    await expect(db.get('a', { snapshot })).rejects.toThrow('the snapshot is of another database');
    expect(() => db.iterator({ snapshot })).toThrow('the snapshot is of another database');
    const sublevel = other.sublevel('s') as never;
    await expect(db.batch([{ type: 'put', key: 'a', value: 'v', sublevel }])).rejects.toThrow(
      'the sublevel belongs to another database',
    );
    expect(await db.keys().all()).toEqual([]);
    await other.close();
  });

  it('estimates what a range takes, also before it has opened', async () => {
    const value = 'v'.repeat(1000);
    const early = db.approximateSize('a', 'z');
    expect(await early).toBe(0);
    const keys = Array.from({ length: 200 }, (_none, n) => `k${String(n).padStart(3, '0')}`);
    await db.batch(keys.map((key) => ({ type: 'put', key, value })));
    await db.database?.flush();
    const all = await db.approximateSize('k000', 'k999');
    const half = await db.approximateSize('k000', 'k100');
    expect(all).toBeGreaterThan(190_000);
    expect(all).toBeLessThan(230_000);
    expect(half).toBeGreaterThan(0.45 * all);
    expect(half).toBeLessThan(0.55 * all);
    expect(await db.approximateSize('l', 'm')).toBe(0);
    await db.close();
    await expect(db.approximateSize('a', 'z')).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' });
  });

  it('gives others their turn, whoever reads one thing after the other', async () => {
    await db.batch(Array.from({ length: 3000 }, (_none, n) => ({ type: 'put', key: `k${n}`, value: 'v' })));
    const turnsOf = async (task: () => Promise<unknown>): Promise<number> => {
      let turns = 0;
      const turn = (): void => {
        turns++;
        immediate = setImmediate(turn);
      };
      let immediate = setImmediate(turn);
      await task();
      clearImmediate(immediate);
      return turns;
    };
    const busy = (): void => {
      for (const end = performance.now() + 0.1; performance.now() < end; );
    };
    const gets = await turnsOf(async () => {
      for (let n = 0; n < 1000; n++) {
        await db.get(`k${n}`);
        busy();
      }
    });
    const nexts = await turnsOf(async () => {
      for await (const _key of db.keys({ limit: 1000 })) busy();
    });
    expect(gets).toBeGreaterThan(5);
    expect(nexts).toBeGreaterThan(5);
    const signal = AbortSignal.timeout(0);
    const endless = db.keys({ signal });
    await expect(
      (async () => {
        for (;;) {
          endless.seek('k0');
          await endless.nextv(3000);
        }
      })(),
    ).rejects.toMatchObject({ code: 'LEVEL_ABORTED', name: 'AbortError' });
    await endless.close();
  });
});

describe('packages of the Level ecosystem', () => {
  it('read streams of it', async () => {
    const users = db.sublevel<string, number>('users', { valueEncoding: 'json' });
    for (const [key, value] of Object.entries({ carol: 3, alice: 1, bob: 2 })) await users.put(key, value);
    await db.put('else', 'where');
    const found: unknown[] = [];
    for await (const entry of new EntryStream(users as never, { gte: 'b', reverse: true } as never))
      found.push(entry);
    expect(found).toEqual([
      { key: 'carol', value: 3 },
      { key: 'bob', value: 2 },
    ]);
  });

  it('encode its keys', async () => {
    const events = db.sublevel<unknown, string>('events', { keyEncoding: charwise as never });
    const keys = [['a', 10], ['a', 9], ['b', -1], 7, true];
    await events.batch(keys.map((key) => ({ type: 'put', key, value: 'v' })));
    expect(await events.keys().all()).toEqual([true, 7, ['a', 9], ['a', 10], ['b', -1]]);
    expect(await events.keys({ gt: ['a', 9], lt: ['b'] }).all()).toEqual([['a', 10]]);
  });
});

describe('a Level database over a simulated disk', () => {
  let rig: EngineRig;

  beforeEach(() => {
    rig = new EngineRig('level');
  });

  function opened(): EnvelopeLevel {
    return new EnvelopeLevel(new Database(rig.mustOpen(), null, () => {}));
  }

  /** The world goes on while a promise is waited for. */
  async function settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    while (!isSettled) {
      rig.pass(100);
      await new Promise(setImmediate);
    }
    return promise;
  }

  it('tells that a sync has failed, takes no further write, and is read all the same', async () => {
    const level = opened();
    await settled(level.put('a', '1', { sync: true }));
    rig.disk.failSync({ kind: 'log', seen: 'at-crash' });
    const failure = { code: 'LEVEL_IO_ERROR', message: expect.stringContaining('EIO') };
    await expect(settled(level.put('b', '2', { sync: true }))).rejects.toMatchObject(failure);
    await expect(settled(level.del('a'))).rejects.toMatchObject(failure);
    await expect(settled(level.batch().put('c', '3').write())).rejects.toMatchObject(failure);
    await expect(settled(level.clear())).rejects.toMatchObject(failure);
    expect(level.getSync('a')).toBe('1');
    rig.crash();
    expect(await settled(opened().get('a'))).toBe('1');
  });

  it('tells that a table cannot be read', async () => {
    const level = opened();
    await settled(level.put('a', '1'));
    await settled(level.database?.flush() ?? Promise.reject());
    for (const read of [() => level.get('a'), () => level.has('a'), () => level.values().next()]) {
      // A read that fails for once is tried again, up to five times.
      for (let tries = 0; tries < 5; tries++) rig.disk.failRead({ kind: 'table' });
      await expect(settled<unknown>(read())).rejects.toMatchObject({ code: 'LEVEL_IO_ERROR' });
    }
    expect(level.getSync('a')).toBe('1');
  });

  it('keeps what was written with `sync` when it loses its power, and of the rest a beginning', async () => {
    let durable = 0;
    let written = 0;
    for (let round = 0; round < 10; round++) {
      const level = opened();
      const found = await settled(level.keys().all());
      expect(found.length).toBeGreaterThanOrEqual(durable);
      expect(found.length).toBeLessThanOrEqual(written);
      expect(found).toEqual(Array.from(found, (_none, n) => `k${String(n).padStart(3, '0')}`));
      written = found.length;
      for (let n = 0; n < 20; n++) {
        const sync = n === 2 * round;
        await settled(level.put(`k${String(written).padStart(3, '0')}`, 'v', { sync }));
        written++;
        if (sync) durable = written;
      }
      rig.crash();
    }
    expect(durable).toBeGreaterThan(0);
    expect(existsSync('/db')).toBe(false);
  });
});
