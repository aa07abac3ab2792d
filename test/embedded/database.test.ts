import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, open } from '../../src/index.ts';

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
    expect(db.statistics().tables).toBe(1);
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

  it('clears a range', async () => {
    const bucket = db.bucket();
    const batch = db.batch();
    for (let i = 0; i < 2500; i++) batch.put(bucket, `k${String(i).padStart(4, '0')}`, 'v');
    await batch.write();
    expect(await bucket.clear({ gte: 'k0100' })).toBe(2400);
    expect([...bucket.keys()]).toHaveLength(100);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(bucket.clear({}, { signal })).rejects.toThrow('enough');
    expect([...bucket.keys()]).toHaveLength(100);
  });

  it('names the limit that an input breaks, and keeps what was there', async () => {
    const bucket = db.bucket('b', { values: 'view' });
    await bucket.put('k', new Uint8Array([1]));
    await expect(bucket.put('', new Uint8Array(1))).rejects.toThrow(
      'a key is of 1 to 65536 bytes; this one has 0',
    );
    await expect(bucket.put('x'.repeat(65_537), new Uint8Array(1))).rejects.toThrow('this one has 65537');
    await expect(bucket.put('k', new Uint8Array(16 * 1024 * 1024 + 1))).rejects.toThrow(
      /16777216 bytes at most/,
    );
    expect(() => db.bucket('two words')).toThrow(/no spaces or control characters/);
    expect(() => db.bucket('b', { values: 'xml' as 'json' })).toThrow("no encoding is named 'xml'");
    expect(bucket.get('k')).toEqual(new Uint8Array([1]));
  });

  it('is open once: who comes second is told who holds it', async () => {
    await expect(open(directory)).rejects.toThrow(`is in use by process ${process.pid}`);
    await db.close();
    await db.close();
    expect(readdirSync(directory)).not.toContain('LOCK');
    expect(() => db.bucket().get('k')).toThrow('the store is closed');
    await expect(db.bucket().put('k', 'v')).rejects.toThrow('the store is closed');
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
