/** What one command may cost before anybody has looked at what it asks: levels of the stack, objects, keys. */
import { describe, expect, it } from 'vitest';
import { concatBytes, utf8 } from '../../src/codec/bytes.ts';
import { type ClientCommand, DEFAULT_LIMITS } from '../../src/protocol/command.ts';
import type { CommandParser } from '../../src/protocol/parser.ts';
import { RespParser } from '../../src/protocol/resp_parser.ts';
import { TextParser } from '../../src/protocol/text_parser.ts';
import { readable } from './readable.ts';

const WORDS_MAX = 65_536;
const KEYS_MAX = 10_000;
const PING = { verb: 'ping', message: null };

function line(text: string): unknown[] {
  return all(new TextParser(DEFAULT_LIMITS), utf8(`${text}\nPING\n`));
}

function array(words: readonly string[]): unknown[] {
  const parts = words.map((word) => `$${utf8(word).length}\r\n${word}\r\n`);
  return all(
    new RespParser(DEFAULT_LIMITS),
    utf8(`*${words.length}\r\n${parts.join('')}*1\r\n$4\r\nPING\r\n`),
  );
}

function all(parser: CommandParser, bytes: Uint8Array): unknown[] {
  parser.push(bytes);
  const commands: ClientCommand[] = [];
  for (let command = parser.next(); command !== null; command = parser.next()) commands.push(command);
  return commands.map(readable);
}

const invalid = (message: string): object => ({ verb: 'invalid', message, fatal: false });

const WORDS = ['READ LEASE', 'SESSION DO 1 1', 'TXN THEN 9'] as const;
const REFUSALS: Readonly<Record<(typeof WORDS)[number], (inner: string) => string>> = {
  'READ LEASE': (inner) => `READ is for reads, and '${inner}' is none`,
  'SESSION DO 1 1': (inner) => `SESSION DO is for writes, and '${inner}' is none`,
  'TXN THEN 9': (inner) => `'${inner}' is not allowed in a transaction`,
};

describe('a command within a command', () => {
  for (const outer of WORDS) {
    for (const inner of WORDS) {
      const verb = inner.slice(0, inner.indexOf(' '));
      const isAllowed = outer.startsWith('SESSION') && verb === 'TXN';
      const text = isAllowed ? `${outer} TXN THEN 2 GET k` : `${outer} ${inner} GET k 1 2 3 4 5 6 7`;
      it(`${isAllowed ? 'takes' : 'refuses'} ${outer} ${verb}`, () => {
        const expected = isAllowed
          ? expect.objectContaining({ verb: 'once' })
          : invalid(REFUSALS[outer](verb.toLowerCase()));
        expect(line(text)).toEqual([expected, PING]);
        expect(array(text.split(' '))).toEqual([expected, PING]);
      });
    }
  }

  it('costs no stack, however deep it is said to be', () => {
    const once = 'SESSION DO 1 1 '.repeat(1_000_000);
    expect(line(`${once}GET k`)).toEqual([invalid("SESSION DO is for writes, and 'session' is none"), PING]);
    expect(line(` ${once}`)).toEqual([invalid("SESSION DO is for writes, and 'session' is none"), PING]);
    const words = 'READ LEASE SESSION DO 1 1 '.repeat(10_000).trim().split(' ');
    expect(array(words)).toEqual([invalid("READ is for reads, and 'session' is none"), PING]);
  });
});

describe('a command of too many words', () => {
  it('is refused, and the next one read', () => {
    const rest = ' a'.repeat(WORDS_MAX);
    expect(line(`MGET${rest}`)).toEqual([
      invalid(`the command has more than ${WORDS_MAX} words, the limit is ${WORDS_MAX} (max command words)`),
      PING,
    ]);
    expect(array(`MGET${rest}`.split(' '))).toEqual([
      {
        ...invalid(`the command has ${WORDS_MAX + 1} words, the limit is ${WORDS_MAX} (max command words)`),
        // Its verb is not kept.
        unwatched: true,
      },
      PING,
    ]);
  });

  it('is one word fewer when it is read', () => {
    const rest = ' a'.repeat(WORDS_MAX - 1);
    const refused = invalid(
      `'MGET' names ${WORDS_MAX - 1} keys, the limit is ${KEYS_MAX} (max command keys)`,
    );
    expect(line(`MGET${rest}`)).toEqual([refused, PING]);
    expect(array(`MGET${rest}`.split(' '))).toEqual([refused, PING]);
  });

  it('keeps none of them', () => {
    const parser = new RespParser(DEFAULT_LIMITS);
    const element = utf8('$1\r\na\r\n');
    parser.push(
      concatBytes([utf8(`*${WORDS_MAX + 1}\r\n`), ...Array.from({ length: WORDS_MAX }, () => element)]),
    );
    expect(parser.next()).toBeNull();
    parser.push(element);
    expect(readable(parser.next())).toMatchObject({ verb: 'invalid', fatal: false });
  });

  it('a value of as many is a value', () => {
    const value = 'VALUE '.repeat(WORDS_MAX + 1);
    expect(line(`SETX k VALUE ${value}`)).toEqual([expect.objectContaining({ verb: 'point' }), PING]);
    expect(line(`SET k ${value}`)).toEqual([{ verb: 'set', key: 'k', value }, PING]);
  });
});

describe('a command of too many keys', () => {
  for (const verb of ['DEL', 'EXISTS', 'WATCH', 'MGET']) {
    it(`${verb} is refused, with the limit`, () => {
      const keys = Array.from({ length: KEYS_MAX }, (_none, at) => `k${at}`);
      expect(array([verb, ...keys])).not.toEqual([expect.objectContaining({ verb: 'invalid' }), PING]);
      expect(array([verb, ...keys, 'k'])).toEqual([
        {
          ...invalid(`'${verb}' names ${KEYS_MAX + 1} keys, the limit is ${KEYS_MAX} (max command keys)`),
          ...(verb === 'WATCH' ? { unwatched: true } : {}),
        },
        PING,
      ]);
    });
  }
});
