/** A transaction is applied in one turn on all replicas: how long the values may be that it goes through. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Guard, Point, Result, Write } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import { Rig, TINY } from '../lsm/rig.ts';

const MIB = 1024 * 1024;
const bucket = 'default';
const key = utf8('long');

function machine(): { write(write: Write): Result; readonly touchedBytes: number } {
  const state = new StateMachine(new Rig('transaction').open(TINY));
  let index = 0;
  return {
    write: (write) => {
      const result = state.apply(++index, encodeWrite(write, 1), 'wanted');
      if (result === null) throw new Error('no result');
      return result;
    },
    get touchedBytes() {
      return state.touchedBytes;
    },
  };
}

function transaction(...success: readonly Point[]): Write {
  return { type: 'transaction', guards: [], success, failure: [] };
}

const append: Point = { type: 'append', bucket, key, value: utf8('x') };

describe('a transaction over long values', () => {
  it('is refused with the limit when it goes through more than twice the longest, and has changed nothing', () => {
    const { write } = machine();
    write({ type: 'set', bucket, key, value: new Uint8Array(15 * MIB) });
    expect(write(transaction(append, append, append))).toEqual({
      type: 'error',
      code: 'aborted',
      message:
        'command 3 of the transaction failed: the values that are changed have more than 33554432 bytes together (max transaction value bytes)',
    });
    expect(write(append)).toEqual({ type: 'count', count: 15 * MIB + 1 });
    expect(write(transaction(append, append))).toMatchObject({ type: 'transaction', branch: 'success' });
  });

  it('may meet more of them in what does not depend on their length, but not without end', () => {
    const { write } = machine();
    write({ type: 'set', bucket, key, value: new Uint8Array(15 * MIB) });
    const lengths = (count: number): Point[] =>
      Array.from({ length: count }, () => ({ type: 'length', bucket, key }));
    expect(write(transaction(...lengths(17)))).toMatchObject({ type: 'transaction', branch: 'success' });
    const why = 'the values have more than 268435456 bytes together (max met bytes)';
    expect(write(transaction(...lengths(100)))).toEqual({
      type: 'error',
      code: 'aborted',
      message: `command 18 of the transaction failed: ${why}`,
    });
    const guards: readonly Guard[] = Array.from({ length: 100 }, () => ({
      type: 'revision',
      is: '>',
      bucket,
      key,
      revision: 0,
    }));
    const guarded: Write = { type: 'transaction', guards, success: [append], failure: [] };
    expect(write(guarded)).toEqual({ type: 'error', code: 'invalid', message: why });
    expect(write(append)).toEqual({ type: 'count', count: 15 * MIB + 1 });
  });
});

describe('a command that only asks whether keys are there', () => {
  it('is refused with the limit when their values are longer than it goes through in one turn', () => {
    const store = new Rig('exists').open(TINY);
    const state = new StateMachine(store);
    state.apply(
      1,
      encodeWrite({ type: 'set', bucket, key, value: new Uint8Array(15 * MIB) }, 1),
      'not-wanted',
    );
    const ask = (type: 'exists' | 'revisions', count: number): unknown =>
      state.read({ type, bucket, keys: Array.from({ length: count }, () => key) }, 0);
    const refused = { type: 'error', code: 'invalid', message: expect.stringContaining('max met bytes') };
    for (const again of ['at first', 'as before']) {
      expect(ask('exists', 17), again).toEqual({ type: 'count', count: 17 });
      expect(ask('exists', 18)).toEqual(refused);
      expect(ask('revisions', 17)).toMatchObject({ type: 'list' });
      expect(ask('revisions', 18)).toEqual(refused);
    }
  });
});

describe('what an entry has met', () => {
  it('is counted anew for each, in transactions as well', () => {
    const rig = machine();
    rig.write({ type: 'set', bucket, key, value: new Uint8Array(MIB) });
    expect(rig.touchedBytes).toBe(0);
    rig.write(append);
    const once = rig.touchedBytes;
    expect(once).toBeGreaterThanOrEqual(MIB);
    rig.write(append);
    expect(rig.touchedBytes).toBeLessThan(2 * MIB);
    rig.write(transaction(append));
    expect(rig.touchedBytes).toBeGreaterThanOrEqual(MIB);
  });

  it('is counted of a transaction that is refused as well', () => {
    const rig = machine();
    rig.write({ type: 'set', bucket, key, value: new Uint8Array(MIB) });
    const number: Point = { type: 'add', bucket, key, by: 1n };
    expect(rig.write(transaction(append, append, number))).toMatchObject({ type: 'error', code: 'aborted' });
    expect(rig.touchedBytes).toBeGreaterThanOrEqual(2 * MIB);
  });

  it('is counted of a repetition, which has an answer to give and nothing to do', () => {
    const rig = machine();
    rig.write({ type: 'set', bucket, key, value: new Uint8Array(MIB) });
    const opened = rig.write({ type: 'session-open', idleMs: 1000 });
    const session = opened.type === 'count' ? opened.count : 0;
    const once: Write = {
      type: 'session-write',
      session,
      number: 1,
      write: { type: 'get-delete', bucket, key },
    };
    const answer = rig.write(once);
    expect(rig.write(once).type).toBe(answer.type);
    expect(rig.touchedBytes).toBeGreaterThanOrEqual(MIB);
  });
});
