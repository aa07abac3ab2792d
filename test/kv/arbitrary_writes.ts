/** Random logs: every kind of write, over few keys and short times, so that they meet each other. */
import fc from 'fast-check';
import { utf8 } from '../../src/codec/bytes.ts';
import { BatchWriter } from '../../src/kv/batch.ts';
import type { Guard, OnceWrite, PointRead, PointWrite, Write } from '../../src/kv/request.ts';

export interface LogEntry {
  /** What the leader's clock showed: it may go back, as from one leader to the next. */
  readonly timeMs: number;
  readonly write: Write;
}

const START_MS = 1_700_000_000_000;

const bucket = fc.constantFrom('default', 'orders', 'p');
const key = fc.constantFrom('a', 'b', 'ba', 'bb', 'c', '').map(utf8);
const keys = fc.array(key, { minLength: 1, maxLength: 3 });
const value = fc
  .constantFrom('', '1', '-7', '9223372036854775807', 'text', '{"n": 1, "l": [1, {}]}', '[]', 'x'.repeat(60))
  .map(utf8);
const ms = fc.constantFrom(-1, 0, 1, 5, 20, 100);
const at = fc.integer({ min: -10, max: 300 }).map((offset) => START_MS + offset);
const revision = fc.nat({ max: 30 });
const path = fc.constantFrom('n', 'l', 'l[0]', 'l[1]', 'l[1].x', '$', '[0]', 'nope', 'a..b');

const expiryTime = fc.oneof(
  fc.record({ type: fc.constant('after' as const), ms }),
  fc.record({ type: fc.constant('at' as const), ms: at }),
);
const expiry = fc.oneof(
  fc.record({ type: fc.constantFrom('never' as const, 'keep' as const) }),
  expiryTime,
  expiryTime,
);
const condition = fc.oneof(
  fc.record({ type: fc.constantFrom('always' as const, 'absent' as const, 'present' as const) }),
  fc.record({ type: fc.constant('value' as const), value }),
  fc.record({ type: fc.constant('revision' as const), revision }),
);

export const pointWrite: fc.Arbitrary<PointWrite> = fc.oneof(
  fc.record({ type: fc.constant('set' as const), bucket, key, value }),
  fc.record({ type: fc.constant('delete' as const), bucket, keys }),
  fc.record({
    type: fc.constant('set-if' as const),
    bucket,
    key,
    value,
    condition,
    expiry,
    answer: fc.constantFrom('status' as const, 'flag' as const, 'old' as const, 'revision' as const),
  }),
  fc.record({ type: fc.constantFrom('get-delete' as const, 'persist' as const), bucket, key }),
  fc.record({ type: fc.constant('get-expire' as const), bucket, key, expiry }),
  fc.record({
    type: fc.constant('add' as const),
    bucket,
    key,
    by: fc.constantFrom(1n, -1n, 10n, 9223372036854775807n),
  }),
  fc.record({ type: fc.constant('append' as const), bucket, key, value }),
  keys.chain((names) =>
    fc.record({
      type: fc.constant('set-many' as const),
      bucket,
      keys: fc.constant(names),
      values: fc.array(value, { minLength: names.length, maxLength: names.length }),
      condition: fc.constantFrom('always' as const, 'all-absent' as const),
    }),
  ),
  fc.record({
    type: fc.constant('expire' as const),
    bucket,
    key,
    expiry: expiryTime,
    when: fc.constantFrom(
      'always' as const,
      'never-expires' as const,
      'expires' as const,
      'later' as const,
      'sooner' as const,
    ),
  }),
  fc.record({
    type: fc.constant('json-set' as const),
    bucket,
    key,
    path,
    json: fc.constantFrom('1', '{"n":2}', '[1]', '"t"', 'oops'),
  }),
  fc.record({ type: fc.constant('json-delete' as const), bucket, key, path }),
  fc.record({
    type: fc.constant('json-add' as const),
    bucket,
    key,
    path,
    by: fc.constantFrom('1', '0.5', '1e300', 'x'),
  }),
);

export const pointRead: fc.Arbitrary<PointRead> = fc.oneof(
  fc.record({
    type: fc.constantFrom('get' as const, 'get-revision' as const, 'length' as const, 'kind' as const),
    bucket,
    key,
  }),
  fc.record({
    type: fc.constantFrom('exists' as const, 'get-many' as const, 'revisions' as const),
    bucket,
    keys,
  }),
  fc.record({
    type: fc.constant('expiry' as const),
    bucket,
    key,
    from: fc.constantFrom('now' as const, 'epoch' as const),
    unit: fc.constantFrom('s' as const, 'ms' as const),
  }),
);

const guard: fc.Arbitrary<Guard> = fc.oneof(
  fc.record({
    type: fc.constant('value' as const),
    bucket,
    key,
    is: fc.constantFrom('=' as const, '!=' as const),
    value,
  }),
  fc.record({
    type: fc.constant('revision' as const),
    bucket,
    key,
    is: fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const),
    revision,
  }),
);

const points = fc.array(fc.oneof(pointWrite, pointWrite, pointRead), { maxLength: 4 });

const onceWrite: fc.Arbitrary<OnceWrite> = fc.oneof(
  { weight: 10, arbitrary: pointWrite },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('transaction' as const),
      guards: fc.array(guard, { maxLength: 2 }),
      success: points,
      failure: points,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('drop-bucket' as const), bucket }) },
);

/** An edit of a batch: without a value it deletes, with a time to live of 0 the value stays. */
export interface Edit {
  readonly bucket: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly ttlMs: number;
}

/** What the edits of the batches made here say. */
export const editsOf = new WeakMap<Uint8Array, readonly Edit[]>();

const edit: fc.Arbitrary<Edit> = fc.record({
  bucket,
  key,
  value: fc.option(value, { nil: null }),
  ttlMs: fc.constantFrom(0, 0, 0, 1, 5, 100),
});

const batch: fc.Arbitrary<Write> = fc.array(edit, { maxLength: 5 }).map((list) => {
  const writer = new BatchWriter();
  for (const { bucket: name, key: bytes, value: content, ttlMs } of list) {
    if (content === null) writer.delete(name, bytes);
    else writer.put(name, bytes, content, ttlMs);
  }
  const edits = writer.edits.slice();
  editsOf.set(edits, list);
  return { type: 'batch', edits };
});

const session = fc.nat({ max: 12 });

const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 12, arbitrary: onceWrite },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('tick' as const) }) },
  { weight: 2, arbitrary: batch },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('session-open' as const), idleMs: fc.constantFrom(5, 50, 500) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('session-close' as const), session }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('delete-range' as const),
      bucket,
      from: fc.oneof(key, fc.constant(new Uint8Array(0))),
      to: fc.option(key),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('session-write' as const),
      session,
      number: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(60, 70, 200)),
      write: onceWrite,
    }),
  },
);

/** Time goes on in small steps, so that what expires does so one after the other; now and then a clock is behind. */
export const log: fc.Arbitrary<LogEntry[]> = fc
  .array(
    fc.record({
      stepMs: fc.constantFrom(0, 0, 1, 3, 10, 30),
      behindMs: fc.constantFrom(0, 0, 0, 7),
      write,
    }),
    { minLength: 5, maxLength: 45, size: 'max' },
  )
  .map((entries) => {
    let nowMs = START_MS;
    return entries.map(({ stepMs, behindMs, write: one }) => {
      nowMs += stepMs;
      return { timeMs: nowMs - behindMs, write: one };
    });
  });
