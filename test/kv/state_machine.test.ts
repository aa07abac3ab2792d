import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { isLongRead, type PointWrite, type Read, type Request, type Result } from '../../src/kv/request.ts';
import { decodeRequest, decodeResult, encodeRequest, encodeResult } from '../../src/kv/request_codec.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { decodeWrite, encodeWrite } from '../../src/kv/write_codec.ts';
import { runs } from '../long.ts';
import { Rig, TINY } from '../lsm/rig.ts';

const bucket = fc.constantFrom('default', 'orders', 'a', 'aa', 'ü', 'z'.repeat(255));
const key = fc
  .oneof(fc.constantFrom('k', '', 'kk', '\u0000', '\u0001a'), fc.string({ maxLength: 8 }))
  .map(utf8);
type Plain = Extract<PointWrite, { type: 'set' | 'delete' }>;
const write: fc.Arbitrary<Plain> = fc.oneof(
  fc.record({ type: fc.constant('set' as const), bucket, key, value: fc.uint8Array({ maxLength: 50 }) }),
  fc.record({ type: fc.constant('delete' as const), bucket, keys: fc.array(key, { maxLength: 3 }) }),
);

/** Long reads in steps of two keys. */
function read(machine: StateMachine, request: Read): Result {
  if (!isLongRead(request)) {
    const result = machine.read(request, 0);
    if (result === 'due') throw new Error('nothing expires here');
    return result;
  }
  const long = machine.readLong(request, 0);
  if (long === 'due') throw new Error('nothing expires here');
  if (!('step' in long)) return long;
  for (;;) {
    const result = long.step(2);
    if (result !== null) return result;
  }
}

describe('writes', () => {
  it('come out of a log entry as they went in', () => {
    fc.assert(
      fc.property(write, fc.nat(), (sent, timeMs) => {
        const received = decodeWrite(encodeWrite(sent, timeMs + 0.5));
        expect(JSON.stringify(received)).toBe(JSON.stringify({ timeMs, write: sent }));
      }),
    );
  });

  it('that are malformed are refused with a FORMAT error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decodeWrite(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'FORMAT' });
        }
      }),
    );
  });
});

describe('forwarded requests and results', () => {
  const k = utf8('k');
  const requests: Request[] = [
    { type: 'set', bucket: 'b', key: k, value: utf8('') },
    { type: 'delete', bucket: 'b', keys: [k, k] },
    { type: 'get', bucket: 'b', key: k },
    { type: 'json-get', bucket: 'b', key: k, path: 'a[0]' },
    { type: 'exists', bucket: 'b', keys: [] },
    { type: 'list-buckets' },
    { type: 'count', bucket: 'b' },
    { type: 'keys', bucket: 'b', prefix: k },
    {
      type: 'range',
      bucket: 'b',
      from: k,
      to: null,
      prefix: k,
      limit: 3,
      answer: 'keys',
      order: 'ascending',
    },
    {
      type: 'range',
      bucket: 'b',
      from: k,
      to: k,
      prefix: k,
      limit: 3,
      answer: 'entries',
      order: 'ascending',
    },
    { type: 'feed', bucket: 'b', since: null, prefix: k, limit: 3 },
    { type: 'feed', bucket: 'b', since: 2 ** 40, prefix: k, limit: 3 },
    { type: 'expiry', bucket: 'b', key: k, from: 'now', unit: 's' },
    { type: 'revisions', bucket: 'b', keys: [k] },
  ];
  const results: Result[] = [
    { type: 'ok' },
    { type: 'value', value: null },
    { type: 'value', value: k },
    { type: 'count', count: 3 },
    { type: 'names', names: ['a', 'b'] },
    { type: 'word', word: 'string' },
    { type: 'integer', value: -(2n ** 63n) },
    { type: 'nothing' },
    {
      type: 'list',
      items: [
        { type: 'value', value: null },
        { type: 'list', items: [] },
      ],
    },
    { type: 'transaction', branch: 'failure', results: [{ type: 'ok' }] },
    { type: 'error', code: 'aborted', message: 'why' },
    { type: 'error', code: 'unknown', message: 'why' },
  ];
  it('come out as they went in', () => {
    for (const request of requests) expect(decodeRequest(encodeRequest(request))).toEqual(request);
    for (const result of results) expect(decodeResult(encodeResult(result))).toEqual(result);
  });

  it('that are malformed are refused with a FORMAT error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom('set', 'get', 'value', 'error', 'names'), fc.integer())),
        (fields) => {
          for (const decode of [decodeRequest, decodeResult]) {
            try {
              decode(fields);
            } catch (error) {
              expect(error).toMatchObject({ code: 'FORMAT' });
            }
          }
        },
      ),
    );
  });
});

describe('the state machine', () => {
  it('answers as buckets of maps do', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 40 }), fc.boolean(), (writes, wanted) => {
        const rig = new Rig('state machine');
        const machine = new StateMachine(rig.open(TINY));
        const model = new Map<string, Map<string, Uint8Array>>();
        for (const [at, one] of writes.entries()) {
          const keys = model.get(one.bucket) ?? new Map<string, Uint8Array>();
          model.set(one.bucket, keys);
          const result = machine.apply(at + 1, encodeWrite(one, 0), wanted ? 'wanted' : 'not-wanted');
          if (one.type === 'set') {
            keys.set(one.key.join(), one.value);
            expect(result).toEqual(wanted ? { type: 'ok' } : null);
          } else {
            const removed = one.keys.filter((name) => keys.delete(name.join())).length;
            expect(result).toEqual(wanted ? { type: 'count', count: removed } : null);
          }
          rig.steps(at % 4);
        }
        for (const [name, keys] of model) {
          for (const [text, value] of keys) {
            const found = read(machine, {
              type: 'get',
              bucket: name,
              key: Uint8Array.from(text === '' ? [] : text.split(','), Number),
            });
            expect(found.type === 'value' && found.value?.join()).toBe(value.join());
          }
          expect(read(machine, { type: 'count', bucket: name })).toEqual({ type: 'count', count: keys.size });
        }
        const names = new Set([
          'default',
          ...[...model].filter(([, keys]) => keys.size > 0).map(([name]) => name),
        ]);
        expect(read(machine, { type: 'list-buckets' })).toEqual({ type: 'names', names: [...names].sort() });
      }),
      { numRuns: runs(100) },
    );
  });

  it('keeps the keys of one bucket from another, whatever their bytes', () => {
    const rig = new Rig('buckets');
    const machine = new StateMachine(rig.open(TINY));
    const set = (index: number, name: string, text: string): void => {
      machine.apply(
        index,
        encodeWrite({ type: 'set', bucket: name, key: utf8(text), value: utf8(name) }, 0),
        'wanted',
      );
    };
    set(1, 'a', 'b\u0000c');
    set(2, 'a\u0001', 'c');
    expect(read(machine, { type: 'get', bucket: 'a', key: utf8('\u0001\u0000c') })).toEqual({
      type: 'value',
      value: null,
    });
    expect(read(machine, { type: 'exists', bucket: 'a', keys: [utf8('b\u0000c'), utf8('c')] })).toEqual({
      type: 'count',
      count: 1,
    });
  });

  it('answers damage as damage, with file and offset', () => {
    const rig = new Rig('damaged');
    const store = rig.open(TINY);
    const machine = new StateMachine(store);
    machine.apply(
      1,
      encodeWrite({ type: 'set', bucket: 'b', key: utf8('k'), value: utf8('v') }, 0),
      'wanted',
    );
    store.flush(() => {});
    rig.settle();
    const table = rig.disk.files().find((path) => path.includes('/table-')) ?? '';
    rig.disk.flipByte(table, 12);
    const result = read(machine, { type: 'get', bucket: 'b', key: utf8('k') });
    expect(result).toMatchObject({ type: 'error', code: 'corruption' });
    expect(result.type === 'error' && result.message).toContain(`${table} at offset 0`);
    // A delete still happens, though what it removed cannot be counted.
    const remove = encodeWrite({ type: 'delete', bucket: 'b', keys: [utf8('k')] }, 0);
    expect(machine.apply(2, remove, 'wanted')).toMatchObject({
      type: 'error',
      code: 'corruption',
      message: expect.stringMatching(
        /^deleted, but how many keys there were cannot be told: corruption in \//,
      ),
    });
    expect(read(machine, { type: 'get', bucket: 'b', key: utf8('k') })).toEqual({
      type: 'value',
      value: null,
    });
  });
});
