/** The state machine against a model of plain maps. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { LongRead, PointRead, Result } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import { runs } from '../long.ts';
import { Rig, TINY } from '../lsm/rig.ts';
import { log, pointRead } from './arbitrary_writes.ts';
import { type Answer, Model } from './model.ts';

/** A result as the model says it. */
function plain(result: Result | 'due' | null): Answer {
  if (result === null || result === 'due') throw new Error(`no result: ${result}`);
  switch (result.type) {
    case 'ok':
      return 'OK';
    case 'value':
      return result.value === null ? null : fromUtf8(result.value);
    case 'count':
      return result.count;
    case 'integer':
      return result.value;
    case 'names':
      return result.names;
    case 'word':
      return result.word;
    case 'list':
      return result.items.map(plain);
    case 'nothing':
      return null;
    case 'transaction':
      return [result.branch === 'success' ? 1 : 0, result.results.map(plain)];
    case 'error':
      return '!';
  }
}

function readLong(machine: StateMachine, read: LongRead, keysPerStep: number): Answer {
  const long = machine.readLong(read, 0);
  if (long === 'due' || !('step' in long)) return plain(long);
  for (;;) {
    const result = long.step(keysPerStep);
    if (result !== null) return plain(result);
  }
}

/** All pages of a range, put together. */
function readPages(
  machine: StateMachine,
  bucket: string,
  limit: number,
  order: 'ascending' | 'descending',
): Answer[] {
  const all: Answer[] = [];
  let from: Uint8Array = new Uint8Array(0);
  let to: Uint8Array | null = null;
  for (;;) {
    const page = readLong(
      machine,
      { type: 'range', bucket, from, to, prefix: new Uint8Array(0), limit, answer: 'keys', order },
      3,
    );
    if (!Array.isArray(page)) throw new Error('not a page');
    const [next, items] = page as [string | null, Answer[]];
    expect(items.length).toBeLessThanOrEqual(limit);
    all.push(...items);
    if (next === null) return all;
    if (order === 'ascending') from = utf8(next);
    else to = utf8(next);
  }
}

describe('the state machine', () => {
  it('answers every write and every read as the model does', () => {
    fc.assert(
      fc.property(log, fc.array(pointRead, { maxLength: 4 }), fc.nat({ max: 4 }), (entries, reads, pace) => {
        const rig = new Rig('commands');
        const machine = new StateMachine(rig.open(TINY));
        const model = new Model();
        for (const [at, { timeMs, write }] of entries.entries()) {
          const answer = machine.apply(at + 1, encodeWrite(write, timeMs), 'wanted');
          expect([write, plain(answer)]).toEqual([write, model.apply(at + 1, timeMs, write)]);
          rig.steps(pace);
          for (const read of reads) {
            expect([read, plain(machine.read(read, 0))]).toEqual([read, model.read(read)]);
          }
        }
        for (const bucket of ['default', 'orders', 'p']) {
          const keys = model.keysOf(bucket);
          expect(readLong(machine, { type: 'count', bucket }, 2)).toBe(keys.length);
          expect(readLong(machine, { type: 'keys', bucket, prefix: utf8('b') }, 2)).toEqual(
            keys.filter((key) => key.startsWith('b')),
          );
          expect(readPages(machine, bucket, 2, 'ascending')).toEqual(keys);
          expect(readPages(machine, bucket, 2, 'descending')).toEqual([...keys].reverse());
        }
        expect(readLong(machine, { type: 'list-buckets' }, 1)).toEqual(model.buckets());
      }),
      { numRuns: runs(120) },
    );
  });

  it('has nothing left of what has expired, was dropped or closed, once ticks have swept it', () => {
    fc.assert(
      fc.property(log, (entries) => {
        const rig = new Rig('swept');
        const store = rig.open(TINY);
        const machine = new StateMachine(store);
        let index = 0;
        for (const { timeMs, write } of entries) {
          machine.apply(++index, encodeWrite(write, timeMs), 'wanted');
          rig.steps(2);
        }
        for (const bucket of ['default', 'orders', 'p']) {
          machine.apply(++index, encodeWrite({ type: 'drop-bucket', bucket }, 0), 'wanted');
        }
        const later = machine.nowMs + 1e6;
        for (let ticks = 0; machine.isTickDue(later) && ticks < 50; ticks++) {
          machine.apply(++index, encodeWrite({ type: 'tick' }, later), 'wanted');
          rig.settle();
        }
        const left = store.iterator();
        const keys: string[] = [];
        while (left.next()) keys.push(fromUtf8(left.key().slice()));
        left.close();
        expect(keys.filter((key) => key !== '\0t')).toEqual([]);
      }),
      { numRuns: runs(60) },
    );
  });
});

describe('time', () => {
  const START = 1_700_000_000_000;
  const bucket = 'default';
  const k = utf8('k');
  const get: PointRead = { type: 'get', bucket, key: k };

  function machineWithKeyFor(ms: number): { machine: StateMachine; apply: (timeMs: number) => void } {
    const machine = new StateMachine(new Rig('time').open(TINY));
    let index = 1;
    machine.apply(
      index,
      encodeWrite(
        {
          type: 'set-if',
          bucket,
          key: k,
          value: utf8('v'),
          condition: { type: 'always' },
          expiry: { type: 'after', ms },
          answer: 'status',
        },
        START,
      ),
      'not-wanted',
    );
    return {
      machine,
      apply: (timeMs) => machine.apply(++index, encodeWrite({ type: 'tick' }, timeMs), 'not-wanted'),
    };
  }

  it('asks for a tick where a read meets a key that should have expired, and only there', () => {
    const { machine, apply } = machineWithKeyFor(100);
    expect(plain(machine.read(get, START + 99))).toBe('v');
    expect(machine.read(get, START + 100)).toBe('due');
    expect(machine.readLong({ type: 'count', bucket }, START + 100)).toBe('due');
    expect(plain(machine.read({ type: 'get', bucket, key: utf8('other') }, START + 100))).toBe(null);
    expect(plain(machine.read(get, 0))).toBe('v');
    apply(START + 100);
    expect(plain(machine.read(get, START + 100))).toBe(null);
  });

  it('never brings back what has expired, whatever the next leader takes for the time', () => {
    const { machine, apply } = machineWithKeyFor(100);
    apply(START + 100);
    apply(START - 5000);
    expect(machine.nowMs).toBe(START + 100);
    expect(plain(machine.read(get, START))).toBe(null);
  });

  it('says how long a key has left by the later of its own time and the time of who asks', () => {
    const { machine } = machineWithKeyFor(10_000);
    const ttl = (unit: 's' | 'ms', wallMs: number): Answer =>
      plain(machine.read({ type: 'expiry', bucket, key: k, from: 'now', unit }, wallMs));
    expect(ttl('ms', 0)).toBe(10_000);
    expect(ttl('ms', START + 4000)).toBe(6000);
    expect(ttl('ms', START - 4000)).toBe(10_000);
    expect(ttl('s', START + 300)).toBe(10);
    expect(plain(machine.read({ type: 'expiry', bucket, key: k, from: 'epoch', unit: 'ms' }, 0))).toBe(
      START + 10_000,
    );
  });
});
