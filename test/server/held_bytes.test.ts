/** How much one connection makes a node hold: of what it asks for, and of answers that it does not take. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Connection } from '../../src/io/network.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import { DEFAULT_LIMITS } from '../../src/protocol/command.ts';
import { HeldBytes } from '../../src/server/held_bytes.ts';
import type { Lane } from '../../src/server/router.ts';
import { Session, type SessionOptions } from '../../src/server/session.ts';
import { ServerRig } from './rig.ts';

const MIB = 1024 * 1024;

describe('what a connection holds', () => {
  it('lets a command of any size start when nothing is held', () => {
    const held = new HeldBytes();
    expect(held.mayTakeMore(0)).toBe(true);
    held.onStarted(24 * MIB);
    expect(held.mayTakeMore(0)).toBe(false);
    held.onAnswered(24 * MIB, 5, false);
    expect(held.mayTakeMore(0)).toBe(true);
  });

  it('counts answers until the connection has sent them', () => {
    const held = new HeldBytes();
    held.onStarted(0);
    held.onAnswered(0, 16 * MIB, true);
    expect(held.mayTakeMore(0)).toBe(false);
    held.onSent(16 * MIB);
    expect(held.mayTakeMore(16 * MIB)).toBe(false);
    expect(held.mayTakeMore(16 * MIB - 1)).toBe(true);
  });

  it('expects answers as long as the longest lately', () => {
    const held = new HeldBytes();
    expect(held.readsMax).toBe(4);
    held.onAnswered(0, 16 * MIB, true);
    expect(held.readsMax).toBe(1);
    for (let i = 0; i < 30; i++) held.onAnswered(0, 100, true);
    expect(held.readsMax).toBeGreaterThan(128);
    held.onAnswered(0, 16 * MIB + 5, true);
    expect(held.readsMax).toBe(1);
  });
});

/** A session whose requests wait until the test answers them. */
class Waiting {
  readonly waiting: ((result: Result) => void)[] = [];
  readonly written: number[] = [];
  readonly session: Session;
  #later: (() => void)[] = [];

  constructor() {
    const connection = {
      bufferedBytes: 0,
      write: (bytes: Uint8Array) => this.written.push(bytes.length),
      pause: () => {},
      resume: () => {},
    };
    const router = {
      target: 1,
      route: (_request: Request, _lane: Lane, done: (result: Result) => void) => this.waiting.push(done),
    };
    const options = {
      dialect: 'text',
      limits: DEFAULT_LIMITS,
      clock: { monotonicMs: () => 0, later: (task: () => void) => this.#later.push(task) },
      group: { group: 1, router, store: null },
      onFailure: (error: Error) => {
        throw error;
      },
    };
    this.session = new Session(connection as unknown as Connection, options as unknown as SessionOptions);
  }

  /** Answers all that is under way, in one turn. */
  answer(result: Result): void {
    for (const done of this.waiting.splice(0)) done(result);
    for (const task of this.#later.splice(0)) task();
  }
}

describe('a session', () => {
  const value = (bytes: number): Result => ({ type: 'value', value: new Uint8Array(bytes) });

  it('reads no more at a time than fits if each answer is as long as those lately', () => {
    const rig = new Waiting();
    rig.session.onData(utf8('GET k\n'.repeat(3000)));
    expect(rig.waiting).toHaveLength(4);
    rig.answer(value(16 * MIB));
    expect(rig.waiting).toHaveLength(1);
    for (let i = 0; i < 20; i++) rig.answer(value(1));
    expect(rig.waiting).toHaveLength(128);
    rig.answer(value(MIB));
    expect(rig.waiting).toHaveLength(15);
  });

  it('holds writes of no more bytes than one of the largest', () => {
    const rig = new Waiting();
    rig.session.onData(utf8(`SET k ${'v'.repeat(5 * MIB)}\n`.repeat(8)));
    expect(rig.waiting).toHaveLength(4);
    rig.answer({ type: 'ok' });
    expect(rig.waiting).toHaveLength(4);
    rig.answer({ type: 'ok' });
    rig.session.onData(utf8('SET k v\n'.repeat(300)));
    expect(rig.waiting).toHaveLength(128);
  });
});

describe('a session that is asked with many long keys', () => {
  const keys = Array.from({ length: 80 }, (_none, at) => `${at}`.padEnd(64 * 1024, 'k')).join(' ');

  it.each([
    `MGET ${keys}`,
    `MSETNX ${keys}`,
    `TXN THEN 81 DEL ${keys}`,
    `READ LEASE MGET ${keys}`,
    `TXN IF ${keys
      .split(' ')
      .map((key) => `ABSENT ${key}`)
      .join(' AND ')} THEN`,
  ])('holds no more of them than of values (%#)', (line) => {
    const rig = new Waiting();
    // Of answers it expects little.
    for (let i = 0; i < 60; i++) {
      rig.session.onData(utf8('GET k\n'));
      rig.answer({ type: 'value', value: new Uint8Array(1) });
    }
    rig.session.onData(utf8(`${line}\n`.repeat(8)));
    expect(rig.waiting).toHaveLength(4);
  });
});

describe('a pipeline of long answers', () => {
  it('is answered whole and in order', () => {
    const rig = new ServerRig(3);
    rig.leader();
    rig.run(200);
    const client = rig.connect(2);
    const value = 'v'.repeat(3 * MIB);
    expect(client.ask(`SET long ${value}\nSET short s\n`, 3000)).toBe('+OK\r\n+OK\r\n');
    const asked = Array.from({ length: 24 }, (_none, at) => (at % 8 === 7 ? 'short' : 'long'));
    const reply = (key: string): string =>
      key === 'long' ? `$${value.length}\r\n${value}\r\n` : '$1\r\ns\r\n';
    const answered = client.ask(asked.map((key) => `GET ${key}\n`).join(''), 5000);
    expect(answered === asked.map(reply).join('')).toBe(true);
  });
});
