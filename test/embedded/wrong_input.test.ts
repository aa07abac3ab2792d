/** What a program without types, or with a mistake in it, may hand in: an error that names it, and nothing done. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bucket, type Database, DiskError, type OpenOptions, open } from '../../src/index.ts';

let root = '';
let db: Database;
let bucket: Bucket<string, string>;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-wrong-'));
  db = await open(`${root}/db`, { segmentBytes: 64 * 1024 });
  bucket = db.bucket('b');
  await bucket.put('a', '1');
  await bucket.put('b', '2');
});

afterEach(async () => {
  await db.close();
  rmSync(root, { recursive: true });
});

/** What a caller that nothing checks may write. */
function any(value: unknown): never {
  return value as never;
}

describe('what is wrong when a store is opened', () => {
  it.each([
    [{ createIfMissing: 1 }, /createIfMissing is true or false, not 1/],
    [{ errorIfExists: 'no' }, /errorIfExists is true or false, not 'no'/],
    [{ bufferedMs: Number.NaN }, /bufferedMs is a whole number from 0 to 2147483647, not NaN/],
    [{ bufferedMs: Number.POSITIVE_INFINITY }, /bufferedMs is .* not Infinity/],
    [{ bufferedMs: -1 }, /bufferedMs is .* not -1/],
    [{ bufferedMs: 2 ** 31 }, /bufferedMs is .* not 2147483648/],
    [{ segmentBytes: 4095 }, /segmentBytes is a whole number from 4096 to 1073741824, not 4095/],
    [{ segmentBytes: 2 ** 40 }, /segmentBytes is .* not 1099511627776/],
    [{ pageCacheBytes: 0 }, /pageCacheBytes is a whole number from 1 to 3221225472, not 0/],
    [{ background: 'threads' }, /background is one of thread, steps, not 'threads'/],
    [{ logLevel: 'verbose' }, /logLevel is one of debug, info, warn, error, silent, not 'verbose'/],
    [{ logLevel: 'toString' }, /logLevel is one of/],
    [{ tuning: 5 }, /tuning is an object, not 5/],
    [{ tuning: { memtableByte: 1 } }, /tuning has no 'memtableByte': there are memtableBytes, /],
    [{ tuning: { memtableBytes: '1' } }, /memtableBytes is a whole number, 0 to 1073741824, not 1/],
    [{ createIfMising: false }, /open has no 'createIfMising': there are createIfMissing, /],
    [null, /options are an object, not null/],
    [true, /options are an object, not true/],
  ])('is named, and lets go of the directory: %j', async (options, message) => {
    const other = `${root}/other`;
    await expect(open(other, any(options))).rejects.toThrow(message);
    await expect(open(other, any(options))).rejects.toMatchObject({ code: 'INVALID' });
    await (await open(other, { segmentBytes: 4096, bufferedMs: 0 })).close();
  });

  it('may also be said to be undefined, which is to leave it out', async () => {
    const nothing = { bufferedMs: undefined, tuning: undefined, createIfMissing: undefined };
    await (await open(`${root}/other`, nothing as unknown as OpenOptions)).close();
  });

  it.each([
    [undefined],
    [null],
    [''],
    [5],
    ['a\0b'],
    [new URL('file:///nowhere')],
  ])('is a path that is none: %s', async (path) => {
    await expect(open(any(path))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('the path of a directory is a string'),
    });
    await expect(db.checkpoint(any(path))).rejects.toMatchObject({ code: 'INVALID' });
    await expect(db.backup(any(path))).rejects.toMatchObject({ code: 'INVALID' });
  });

  it('is a path where no directory can be: an error of the disk, with the path', async () => {
    writeFileSync(`${root}/file`, '');
    await expect(open(`${root}/file`)).rejects.toBeInstanceOf(DiskError);
    await expect(open(`${root}/file/below`)).rejects.toMatchObject({
      errno: 'ENOTDIR',
      path: `${root}/file/below`,
    });
  });
});

describe('what is wrong in a write', () => {
  it.each([['Sync'], [true], [null], ['']])('is a durability that there is not: %j', async (durability) => {
    const options = any({ durability });
    const refusal = {
      code: 'INVALID',
      message: expect.stringMatching(/^durability is sync or buffered, not /),
    };
    await expect(bucket.put('a', 'x', options)).rejects.toMatchObject(refusal);
    await expect(bucket.putIf('a', 'x', { type: 'present' }, options)).rejects.toMatchObject(refusal);
    await expect(bucket.delete('a', options)).rejects.toMatchObject(refusal);
    await expect(bucket.deleteRange({}, options)).rejects.toMatchObject(refusal);
    await expect(bucket.clear({}, options)).rejects.toMatchObject(refusal);
    const batch = db.batch().delete(bucket, 'a');
    await expect(batch.write(options)).rejects.toMatchObject(refusal);
    expect(batch.size).toBe(1);
    expect(bucket.getMany(['a', 'b'])).toEqual(['1', '2']);
  });

  it.each([
    [{ ttl: 5 }, /^put has no 'ttl': there are durability, ttlMs$/],
    [{ sync: true }, /^put has no 'sync'/],
    [null, /^options are an object, not null$/],
    ['buffered', /^options are an object, not 'buffered'$/],
  ])('is an option that there is not: %j writes nothing', async (options, message) => {
    await expect(bucket.put('new', 'x', any(options))).rejects.toThrow(message);
    await expect(bucket.put('new', 'x', any(options))).rejects.toMatchObject({ code: 'INVALID' });
    const refusal = { code: 'INVALID' };
    await expect(bucket.putIf('new', 'x', { type: 'absent' }, any(options))).rejects.toMatchObject(refusal);
    await expect(bucket.delete('a', any(options))).rejects.toMatchObject(refusal);
    await expect(bucket.deleteRange({}, any(options))).rejects.toMatchObject(refusal);
    await expect(bucket.clear({}, any(options))).rejects.toMatchObject(refusal);
    const batch = db.batch().delete(bucket, 'a');
    await expect(batch.write(any(options))).rejects.toMatchObject(refusal);
    expect(batch.size).toBe(1);
    expect([...bucket.keys()]).toEqual(['a', 'b']);
  });

  it.each([
    [{ ttlMs: '5' }, "ttlMs is '5': it is a whole number of milliseconds"],
    [{ ttlMs: 0 }, 'ttlMs is 0: it is a whole number of milliseconds'],
    [{ ttl: 5 }, "Batch.put has no 'ttl': there are ttlMs"],
    [{ ttlMs: 5, durability: 'sync' }, "Batch.put has no 'durability': there are ttlMs"],
    [5, 'options are an object, not 5'],
    [null, 'options are an object, not null'],
  ])('is an option of a write in a batch that there is not: %j', (options, refusal) => {
    const batch = db.batch().put(bucket, 'a', 'x', { ttlMs: 60_000 });
    expect(() => batch.put(bucket, 'b', 'x', any(options))).toThrow(refusal);
    expect(batch.size).toBe(1);
  });

  it('is a bucket of a batch that is none, or not of this store as it is now', async () => {
    const batch = db.batch().put(bucket, 'a', 'x');
    const none = /^a bucket is what `Database.bucket` gives, not 'b'$/;
    expect(() => batch.put(any('b'), 'a', 'x')).toThrow(none);
    expect(() => batch.delete(any('b'), 'a')).toThrow(none);
    using snapshot = db.snapshot();
    const past = snapshot.bucket('b') as Bucket<string, string>;
    expect(() => batch.put(past, 'a', 'x')).toThrow('a snapshot is not written to');
    await using other = await open(`${root}/other`, { segmentBytes: 4096 });
    expect(() => batch.put(other.bucket('b'), 'a', 'x')).toThrow("the bucket 'b' is of another store");
    expect(() => batch.delete(other.bucket('b'), 'b')).toThrow("the bucket 'b' is of another store");
    expect(batch.size).toBe(1);
    await batch.write();
    expect([...bucket.entries()]).toEqual([
      ['a', 'x'],
      ['b', '2'],
    ]);
  });

  it.each([
    [{ gtt: 'a' }, /a range has no 'gtt': there are gt, gte, /],
    [{ gte: 'a', signal: AbortSignal.abort() }, /a range has no 'signal': there are gt, gte, /],
    [{ start: 'a', end: 'b' }, /a range has no 'start'/],
    ['a', /a range is an object, not 'a'/],
    [null, /a range is an object, not null/],
    [{ prefix: undefined }, /prefix is undefined: leave it out/],
    [{ gte: 'a', lt: undefined }, /lt is undefined: leave it out/],
  ])('is a range that says less than was meant: %j deletes nothing', async (range, message) => {
    await expect(bucket.deleteRange(any(range))).rejects.toThrow(message);
    await expect(bucket.clear(any(range))).rejects.toThrow(message);
    expect([...bucket.keys()]).toEqual(['a', 'b']);
  });

  it.each([
    [{ type: 'missing' }, /type of a condition is absent, present, value or revision, not 'missing'/],
    [{}, /type of a condition is .* not undefined/],
    ['absent', /type of a condition is/],
    [null, /type of a condition is/],
    [{ type: 'revision' }, /revision is a whole number from 0 on, not undefined/],
    [{ type: 'revision', revision: '3' }, /revision is .* not '3'/],
    [{ type: 'revision', revision: -1 }, /revision is .* not -1/],
  ])('is a condition that could never hold: %j', async (condition, message) => {
    await expect(bucket.putIf('a', 'x', any(condition))).rejects.toThrow(message);
  });

  it('is a bucket of a snapshot', async () => {
    using snapshot = db.snapshot();
    const past = snapshot.bucket('b') as Bucket<string, string>;
    for (const write of [past.put('a', 'x'), past.delete('a'), past.deleteRange(), past.clear()]) {
      await expect(write).rejects.toThrow('a snapshot is not written to');
    }
    expect(bucket.get('a')).toBe('1');
  });

  it('is half of a surrogate pair, which UTF-8 does not have: other halves would be the same key', async () => {
    const refusal = /half of a surrogate pair/;
    await expect(bucket.put('\ud800', 'x')).rejects.toThrow(refusal);
    await expect(bucket.put('a', `${'long '.repeat(20)}\udfff`)).rejects.toThrow(refusal);
    expect(() => bucket.get('x\udc00')).toThrow(refusal);
    const json = db.bucket('j', { values: 'json' });
    await json.put('half', '\ud800');
    expect(json.get('half')).toBe('\ud800');
    await bucket.put('\u{1f600}', '\u{1f601}');
    expect(bucket.get('\u{1f600}')).toBe('\u{1f601}');
  });
});

describe('what is wrong in a bucket', () => {
  it.each([[null], [5], [{}]])('is a name that is no string: %j', (name) => {
    expect(() => db.bucket(any(name))).toThrow(/a bucket's name is a string, not /);
  });

  it.each([['\ud800'], ['a\udfff'], ['a b'], ['']])('is a name that cannot be written: %j', (name) => {
    expect(() => db.bucket(name)).toThrow(/a bucket's name has 1 to 255 bytes of UTF-8, and no spaces/);
  });

  it.each([[null], ['json'], [5]])('is options that are none: %j', (options) => {
    expect(() => db.bucket('b', any(options))).toThrow(/options are an object, not /);
  });

  it.each([
    [{ keys: 'json' }, /keys are utf8, view, buffer or an encoding of your own, not json/],
    [{ keys: null }, /an encoding is a name, or an object/],
    [{ values: 'xml' }, /no encoding is named 'xml'/],
    [{ vals: 'json' }, /a bucket has no 'vals': there are keys, values/],
  ])('is an encoding that cannot be: %j', (options, message) => {
    expect(() => db.bucket('b', any(options))).toThrow(message);
  });

  it.each([
    ['text'],
    [[1, 2]],
    [undefined],
    [{ length: 3 }],
  ])('is an encoding of your own that gives no bytes: %j', async (result) => {
    const encoding = { encode: () => any(result), decode: () => 'x' };
    const refusal = /`encode` of an encoding gives a Uint8Array, not /;
    await expect(db.bucket('b', { values: encoding }).put('a', 'x')).rejects.toThrow(refusal);
    expect(() => db.bucket('b', { keys: encoding }).get('a')).toThrow(refusal);
    expect(bucket.get('a')).toBe('1');
  });

  it('is no encoding with a state of its own', async () => {
    class Reversed {
      readonly #by = 255;
      encode(value: number): Uint8Array {
        return new Uint8Array([this.#by - value]);
      }
      decode(bytes: Uint8Array): number {
        return this.#by - bytes[0];
      }
      decodeRange(bytes: Uint8Array, start: number): number {
        return this.#by - bytes[start];
      }
    }
    const values = db.bucket('r', { values: new Reversed() });
    await values.put('a', 7);
    expect(values.get('a')).toBe(7);
  });
});

describe('what is wrong in a read, or in long work', () => {
  it('is a range that says what there is not', () => {
    expect(() => bucket.keys(any({ gtt: 'a' }))).toThrow(/a range has no 'gtt'/);
    expect(() => bucket.entries(any('a'))).toThrow(/a range is an object/);
    expect(() => bucket.approximateBytes(any({ from: 'a' }))).toThrow(/a range has no 'from'/);
    expect(() => bucket.approximateBytes(any({ limit: 1 }))).toThrow(/a range has no 'limit'/);
    expect([...bucket.keys(any({ gt: undefined, lt: 'b' }))]).toEqual(['a']);
  });

  it.each([['no'], [1], [null]])('is a direction that is none: %j', async (reverse) => {
    const refusal = /^reverse is true or false, not /;
    expect(() => bucket.keys(any({ reverse }))).toThrow(refusal);
    await expect(bucket.count(any({ reverse }))).rejects.toThrow(refusal);
    await expect(bucket.clear(any({ reverse, limit: 1 }))).rejects.toThrow(refusal);
    expect([...bucket.keys(any({ reverse: undefined }))]).toEqual(['a', 'b']);
  });

  it('is a list of keys that is none', () => {
    expect(() => bucket.getMany(any('ab'))).toThrow("keys are an array, not 'ab'");
    expect(() => bucket.getMany(any(undefined))).toThrow('keys are an array, not undefined');
  });

  it('is an option of long work that there is not', async () => {
    const options = any({ onprogress: () => {} });
    await expect(db.compact(options)).rejects.toThrow(
      /^compact has no 'onprogress': there are signal, onPro/,
    );
    await expect(db.backup(`${root}/copy`, options)).rejects.toThrow(/^backup has no 'onprogress'/);
    await expect(bucket.clear({}, options)).rejects.toThrow(/^clear has no 'onprogress'/);
    await expect(db.compact(any(null))).rejects.toThrow('options are an object, not null');
    await expect(db.backup(`${root}/copy`, any(null))).rejects.toThrow('options are an object, not null');
    expect(readdirSync(root)).toEqual(['db']);
    expect(bucket.get('a')).toBe('1');
  });

  it('is no signal of another realm or library', async () => {
    const own = new AbortController();
    const { signal } = own;
    const foreign = {
      get aborted() {
        return signal.aborted;
      },
      get reason(): unknown {
        return signal.reason;
      },
      throwIfAborted: () => signal.throwIfAborted(),
      addEventListener: (type: 'abort', listener: () => void) => signal.addEventListener(type, listener),
      removeEventListener: (type: 'abort', listener: () => void) =>
        signal.removeEventListener(type, listener),
    };
    expect(await bucket.count(any({ signal: foreign }))).toBe(2);
    await db.compact(any({ signal: foreign }));
    own.abort(new Error('enough'));
    await expect(bucket.count(any({ signal: foreign }))).rejects.toThrow('enough');
  });

  it('is a signal or a callback that is none', async () => {
    expect(() => bucket.keys(any({ signal: 5 }))).toThrow('signal is an AbortSignal, not 5');
    await expect(db.compact(any({ signal: {} }))).rejects.toThrow('signal is an AbortSignal, not an object');
    await expect(db.compact(any({ onProgress: 1 }))).rejects.toThrow('onProgress is a function, not 1');
    await expect(db.backup(`${root}/copy`, any({ signal: 1 }))).rejects.toThrow('signal is an AbortSignal');
    await expect(bucket.clear({}, any({ onProgress: 1 }))).rejects.toThrow('onProgress is a function');
    expect(readdirSync(root)).toEqual(['db']);
    expect(bucket.get('a')).toBe('1');
  });

  it('is a read of a snapshot that was released', () => {
    const snapshot = db.snapshot();
    const past = snapshot.bucket('b');
    snapshot.release();
    expect(() => past.get('a')).toThrow('the snapshot was released');
    expect(() => past.entries()).toThrow(expect.objectContaining({ code: 'RELEASED' }));
  });

  it('is a read of a cursor that stands nowhere', () => {
    using cursor = bucket.cursor();
    expect(() => cursor.key).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });
});
