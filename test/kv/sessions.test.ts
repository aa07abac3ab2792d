import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { OnceWrite, Result, Write } from '../../src/kv/request.ts';
import { WINDOW } from '../../src/kv/sessions.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store } from '../../src/lsm/store.ts';
import { Rig, TINY } from '../lsm/rig.ts';

const START_MS = 1_700_000_000_000;

class Bench {
  readonly store: Store;
  readonly #machine: StateMachine;
  #index = 0;
  nowMs = START_MS;

  constructor() {
    this.store = new Rig('sessions').open(TINY);
    this.#machine = new StateMachine(this.store);
  }

  write(write: Write): Result {
    const result = this.#machine.apply(++this.#index, encodeWrite(write, this.nowMs), 'wanted');
    if (result === null) throw new Error('no result');
    return result;
  }

  open(idleMs: number): number {
    const result = this.write({ type: 'session-open', idleMs });
    return result.type === 'count' ? result.count : -1;
  }

  once(session: number, number: number, write: OnceWrite): Result {
    return this.write({ type: 'session-write', session, number, write });
  }

  /** Keys that the state machine keeps for itself, the time not among them. */
  ownKeys(): string[] {
    const names: string[] = [];
    const iterator = this.store.iterator({ lt: new Uint8Array([1]) });
    while (iterator.next()) names.push(fromUtf8(iterator.key().slice()));
    iterator.close();
    return names.filter((key) => key !== '\0t');
  }
}

const increment: OnceWrite = { type: 'add', bucket: 'default', key: utf8('n'), by: 1n };
const one: Result = { type: 'integer', value: 1n };
const two: Result = { type: 'integer', value: 2n };

describe('a session', () => {
  it('carries a numbered write out once and repeats its first answer', () => {
    const bench = new Bench();
    const session = bench.open(60_000);
    expect(bench.once(session, 1, increment)).toEqual(one);
    expect(bench.once(session, 2, increment)).toEqual(two);
    expect(bench.once(session, 1, increment)).toEqual(one);
    expect(bench.once(session, 2, { type: 'get-delete', bucket: 'default', key: utf8('n') })).toEqual(two);
    expect(bench.once(bench.open(60_000), 1, increment)).toEqual({ type: 'integer', value: 3n });
  });

  it('repeats an error too, and the results of a transaction', () => {
    const bench = new Bench();
    const session = bench.open(60_000);
    bench.write({ type: 'set', bucket: 'default', key: utf8('n'), value: utf8('x') });
    const error = bench.once(session, 1, increment);
    expect(error).toMatchObject({ type: 'error', code: 'invalid' });
    bench.write({ type: 'set', bucket: 'default', key: utf8('n'), value: utf8('1') });
    expect(bench.once(session, 1, increment)).toEqual(error);
    const both: OnceWrite = {
      type: 'transaction',
      guards: [],
      success: [
        increment as Extract<OnceWrite, { type: 'add' }>,
        { type: 'get', bucket: 'default', key: utf8('n') },
      ],
      failure: [],
    };
    const first = bench.once(session, 2, both);
    expect(first).toEqual({
      type: 'transaction',
      branch: 'success',
      results: [two, { type: 'value', value: utf8('2') }],
    });
    expect(bench.once(session, 2, both)).toEqual(first);
  });

  it('carries out late what was lost on its way, as long as its number is within the window', () => {
    const bench = new Bench();
    const session = bench.open(60_000);
    bench.once(session, WINDOW + 1, increment);
    expect(bench.once(session, 2, increment)).toEqual(two);
    expect(bench.once(session, 1, increment)).toMatchObject({
      type: 'error',
      message: `number 1 of session ${session} is too old: answers are kept of the last ${WINDOW} (max session window)`,
    });
  });

  it('keeps a bounded number of answers', () => {
    const bench = new Bench();
    const session = bench.open(60_000);
    for (let number = 1; number <= 3 * WINDOW; number++) bench.once(session, number, increment);
    expect(bench.ownKeys().filter((key) => key.startsWith('\0a'))).toHaveLength(WINDOW);
  });

  it('ends when it has not been used for long enough, and not before', () => {
    const bench = new Bench();
    const session = bench.open(100);
    bench.nowMs += 99;
    expect(bench.once(session, 1, increment)).toEqual(one);
    bench.nowMs += 50;
    bench.write({ type: 'tick' });
    bench.nowMs += 49;
    expect(bench.once(session, 1, increment)).toEqual(one);
    bench.nowMs += 100;
    const gone = { type: 'error', message: `session ${session} is not open: it was closed, or has expired` };
    expect(bench.once(session, 2, increment)).toMatchObject(gone);
    expect(bench.once(session, 1, increment)).toMatchObject(gone);
  });

  it('leaves nothing behind: neither closed nor expired', () => {
    const bench = new Bench();
    const closed = bench.open(100);
    const expired = bench.open(100);
    for (const session of [closed, expired]) bench.once(session, 1, increment);
    bench.write({ type: 'session-close', session: closed });
    bench.nowMs += 99;
    bench.once(expired, 2, increment);
    // It is due by the expiry that it began with, and is looked at again by the one that it has now.
    bench.nowMs += 50;
    bench.write({ type: 'tick' });
    expect(bench.once(expired, 3, increment)).toMatchObject({ type: 'integer' });
    bench.nowMs += 1000;
    bench.write({ type: 'tick' });
    expect(bench.ownKeys()).toEqual([]);
  });
});
