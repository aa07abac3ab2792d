/** Commands beyond the plainest: what their arguments mean, and what is said of wrong ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { type ClientCommand, DEFAULT_LIMITS } from '../../src/protocol/command.ts';
import { formatCursor } from '../../src/protocol/scan_commands.ts';
import { TextParser } from '../../src/protocol/text_parser.ts';
import { makeCommand } from '../../src/protocol/verbs.ts';
import { runs } from '../long.ts';
import { readable } from './readable.ts';

/** As a RESP client would send it: words are arguments. */
function fromWords(line: string): unknown {
  const words = line.split(' ').map(utf8);
  return deep(makeCommand(words[0] ?? utf8(''), words.slice(1), DEFAULT_LIMITS));
}

function fromLine(line: string): unknown {
  const parser = new TextParser(DEFAULT_LIMITS);
  parser.push(utf8(`${line}\n`));
  return deep(parser.next());
}

/** Readable through and through. */
function deep(value: unknown): unknown {
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return value.map(deep);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(readable(value as ClientCommand) as object).map(([name, field]) => [name, deep(field)]),
  );
}

const invalid = (message: string): unknown => ({ verb: 'invalid', message, fatal: false });
const point = (fields: object): unknown => ({ verb: 'point', point: fields });
const set = (fields: object): unknown =>
  point({
    type: 'set-if',
    key: 'k',
    value: 'v',
    condition: { type: 'always' },
    expiry: { type: 'never' },
    answer: 'status',
    ...fields,
  });

const table: readonly (readonly [string, unknown])[] = [
  ['SET k v EX 10', set({ expiry: { type: 'after', ms: 10_000 } })],
  ['SET k v px 10 nx', set({ expiry: { type: 'after', ms: 10 }, condition: { type: 'absent' } })],
  ['SET k v EXAT 10', set({ expiry: { type: 'at', ms: 10_000 } })],
  ['SET k v PXAT 10 XX', set({ expiry: { type: 'at', ms: 10 }, condition: { type: 'present' } })],
  ['SET k v KEEPTTL GET', set({ expiry: { type: 'keep' }, answer: 'old' })],
  ['SET k v IFEQ NX REV', set({ condition: { type: 'value', value: 'NX' }, answer: 'revision' })],
  ['SET k v IFREV 7', set({ condition: { type: 'revision', revision: 7 } })],
  ['SET k v EX', invalid("syntax error in 'SET': something is missing at its end")],
  ['SET k v EX 0', invalid("invalid expire time '0' in 'SET'")],
  ['SET k v EX 100000000001', invalid("invalid expire time '100000000001' in 'SET'")],
  ['SET k v EX 1 PX 1', invalid('SET takes one expiry: EX, PX, EXAT, PXAT or KEEPTTL')],
  ['SET k v NX IFREV 1', invalid('SET takes one condition: NX, XX, IFEQ or IFREV')],
  ['SET k v IFREV -1', invalid("revision '-1' is not a whole number from 0 on")],
  ['SET k v GET REV', invalid("syntax error in 'SET' at 'REV'")],
  ['SETEX k 5 v', set({ expiry: { type: 'after', ms: 5000 } })],
  ['PSETEX k x v', invalid("invalid expire time 'x' in 'PSETEX'")],
  ['GETEX k', point({ type: 'get-expire', key: 'k', expiry: { type: 'keep' } })],
  ['GETEX k PERSIST', point({ type: 'get-expire', key: 'k', expiry: { type: 'never' } })],
  ['GETEX k EX 1', point({ type: 'get-expire', key: 'k', expiry: { type: 'after', ms: 1000 } })],
  ['GETEX k KEEPTTL', invalid("syntax error in 'GETEX' at 'KEEPTTL'")],
  ['DECRBY k 5', point({ type: 'add', key: 'k', by: -5n })],
  ['INCRBY k 9223372036854775808', invalid('value is not an integer or out of range')],
  ['EXPIRE k -1', point({ type: 'expire', key: 'k', expiry: { type: 'after', ms: -1000 }, when: 'always' })],
  ['PEXPIREAT k 5 gt', point({ type: 'expire', key: 'k', expiry: { type: 'at', ms: 5 }, when: 'later' })],
  ['EXPIRE k 1 AB', invalid("syntax error in 'EXPIRE' at 'AB'")],
  ['EXPIRE k 1.5', invalid("invalid expire time '1.5' in 'EXPIRE'")],
  [
    'RANGE a b LIMIT 5',
    {
      verb: 'range',
      read: {
        type: 'range',
        from: 'a',
        to: 'b',
        prefix: '',
        limit: 5,
        answer: 'entries',
        order: 'ascending',
      },
    },
  ],
  [
    'RANGE - +',
    {
      verb: 'range',
      read: {
        type: 'range',
        from: '',
        to: null,
        prefix: '',
        limit: 100,
        answer: 'entries',
        order: 'ascending',
      },
    },
  ],
  [
    'RANGE a b reverse limit 5',
    {
      verb: 'range',
      read: {
        type: 'range',
        from: 'a',
        to: 'b',
        prefix: '',
        limit: 5,
        answer: 'entries',
        order: 'descending',
      },
    },
  ],
  ['RANGE a b LIMIT 5 LIMIT', invalid("syntax error in 'RANGE' at 'LIMIT'")],
  ['RANGE a b REVERSE REVERSE', invalid("syntax error in 'RANGE' at 'REVERSE'")],
  ['RANGE a b REVERSE LIMIT', invalid("syntax error in 'RANGE': something is missing at its end")],
  ['RANGE a b LIMIT 10001', invalid('LIMIT is 10001, the limit is 10000 (max range entries)')],
  ['RANGE a b LIMIT 0', invalid("LIMIT '0' is not a whole number from 1 on")],
  ['RANGE a b BY 2', invalid("syntax error in 'RANGE' at 'BY'")],
  [
    'SCAN 0 MATCH user:* COUNT 3',
    {
      verb: 'scan',
      remembered: null,
      read: {
        type: 'range',
        from: '',
        to: null,
        prefix: 'user:',
        limit: 3,
        answer: 'keys',
        order: 'ascending',
      },
    },
  ],
  ['SCAN 5', invalid("invalid cursor '5'")],
  ['SCAN x', invalid("invalid cursor 'x'")],
  ['SCAN 18446744073709551615', invalid("invalid cursor '18446744073709551615'")],
  ['SCAN 0 MATCH *x', invalid("pattern '*x' is not a prefix followed by '*'")],
  ['SCAN 0 COUNT 0', invalid("COUNT '0' is not a whole number from 1 on")],
  ['SCAN 0 TYPE string', invalid("syntax error in 'SCAN' at 'TYPE'")],
  ['KEYS a\\*b*', { verb: 'keys', read: { type: 'keys', prefix: 'a*b' } }],
  ['KEYS a', invalid("pattern 'a' is not a prefix followed by '*'")],
  [
    'FEED 7 PREFIX user: LIMIT 5 WAIT 100',
    { verb: 'feed', read: { type: 'feed', since: 7, prefix: 'user:', limit: 5 }, waitMs: 100 },
  ],
  ['FEED $', { verb: 'feed', read: { type: 'feed', since: null, prefix: '', limit: 100 }, waitMs: 0 }],
  ['FEED x', invalid("revision 'x' is neither a whole number from 0 on nor $")],
  ['FEED 1 LIMIT 10001', invalid("LIMIT '10001' is not a whole number from 1 to 10000")],
  ['FEED 1 WAIT', invalid("syntax error in 'FEED': something is missing at its end")],
  ['FEED 1 KEY k', invalid("syntax error in 'FEED' at 'KEY'")],
  ['DROP BUCKET orders', { verb: 'drop-bucket', bucket: 'orders' }],
  ['DROP TABLE orders', invalid('syntax error')],
  ['FLUSHDB', { verb: 'drop-bucket', bucket: null }],
  [
    'TXN IF VALUE a = 1 AND REV b > 3 AND ABSENT c THEN 3 SET THEN ELSE 2 GET a ELSE 2 INCR n',
    {
      verb: 'transaction',
      guards: [
        { type: 'value', key: 'a', is: '=', value: '1' },
        { type: 'revision', key: 'b', is: '>', revision: 3 },
        { type: 'revision', key: 'c', is: '=', revision: 0 },
      ],
      success: [
        { type: 'set', key: 'THEN', value: 'ELSE' },
        { type: 'get', key: 'a' },
      ],
      failure: [{ type: 'add', key: 'n', by: 1n }],
    },
  ],
  ['TXN THEN', { verb: 'transaction', guards: [], success: [], failure: [] }],
  ['TXN IF EXISTS a', invalid("syntax error in 'TXN': something is missing at its end")],
  ['TXN IF VALUE a < 1 THEN', invalid("syntax error in 'TXN' at '<'")],
  ['TXN THEN SET a 1', invalid("'TXN' has 'SET' where the number of a command's words belongs")],
  ['TXN THEN 4 SET a 1', invalid("'TXN' ends within a command of 4 words")],
  ['TXN THEN 2 USE b', invalid('USE is not allowed in a transaction')],
  ['TXN THEN 1 GET', invalid("wrong number of arguments for 'GET'")],
  ['SESSION OPEN', { verb: 'session-open', idleMs: 3_600_000 }],
  ['SESSION OPEN PX 5000', { verb: 'session-open', idleMs: 5000 }],
  ['SESSION OPEN PX 5', invalid("'5' in 'SESSION OPEN' is not a time of 1000 ms or more")],
  ['SESSION CLOSE 7', { verb: 'session-close', session: 7 }],
  ['SESSION CLOSE x', invalid("session 'x' is not a whole number from 1 on")],
  ['SESSION DO 7 0 INCR k', invalid("number '0' is not a whole number from 1 on")],
  ['SESSION DO 7 1', invalid("wrong number of arguments for 'SESSION DO'")],
  ['SESSION WHAT', invalid("unknown subcommand 'WHAT'")],
];

describe('commands as words', () => {
  for (const [line, expected] of table) it(`reads ${line}`, () => expect(fromWords(line)).toEqual(expected));
});

describe('commands as lines', () => {
  const lines: readonly (readonly [string, unknown])[] = [
    ['SETNX k  two words', set({ value: ' two words', condition: { type: 'absent' }, answer: 'flag' })],
    ['SETEX k 1  v ', set({ value: ' v ', expiry: { type: 'after', ms: 1000 } })],
    ['  SETEX  k  1 v', set({ expiry: { type: 'after', ms: 1000 } })],
    ['GETSET k ', set({ value: '', answer: 'old' })],
    ['GETSET k', invalid("wrong number of arguments for 'GETSET'")],
    ['APPEND k a b', point({ type: 'append', key: 'k', value: 'a b' })],
    ['JSET k a {"x": 1}', point({ type: 'json-set', key: 'k', path: 'a', json: '{"x": 1}' })],
    [
      'SETX k XX EX 1 VALUE  NX v',
      set({
        value: ' NX v',
        condition: { type: 'present' },
        expiry: { type: 'after', ms: 1000 },
      }),
    ],
    ['SETX k IFEQ VALUE VALUE v', set({ condition: { type: 'value', value: 'VALUE' } })],
    ['SETX k NX v', invalid("'SETX' ends in VALUE and the value")],
    ['SETX k NX VALUE', invalid("wrong number of arguments for 'SETX'")],
    ['MSET a 1 b 2', point({ type: 'set-many', keys: ['a', 'b'], values: ['1', '2'], condition: 'always' })],
    [
      'SESSION DO 7 1 SET k  v ',
      { verb: 'once', session: 7, number: 1, command: { verb: 'set', key: 'k', value: ' v ' } },
    ],
    ['SESSION DO 7 1 GETT k', invalid("unknown command 'GETT'")],
  ];
  for (const [line, expected] of lines) it(`reads ${line}`, () => expect(fromLine(line)).toEqual(expected));
});

describe('the cursor of a scan', () => {
  it('is a number that names the key to go on at, whatever its bytes', () => {
    for (const key of ['', '\0', '\0\0a', 'user:1', 'x'.repeat(300)]) {
      const cursor = formatCursor(utf8(key), null);
      expect(cursor).toMatch(/^[1-9]\d*$/);
      expect(fromWords(`SCAN ${cursor}`)).toMatchObject({ verb: 'scan', read: { from: key } });
    }
    expect(formatCursor(null, null)).toBe('0');
  });
});

describe('any words behind any verb', () => {
  const verbs =
    'SET SETX SETNX SETEX PSETEX GETSET GETDEL GETEX GETREV APPEND STRLEN INCR DECRBY MGET MSET MSETNX EXPIRE PEXPIREAT TTL PERSIST JSET JDEL JINCR SCAN KEYS RANGE FEED DROP WATCH TXN SESSION';
  const words =
    'k v 0 1 -1 9999999999999999999 NX XX GET REV EX PX EXAT KEEPTTL IFEQ IFREV VALUE PERSIST GT MATCH COUNT a* * LIMIT PREFIX WAIT $ - + BUCKET IF AND THEN ELSE EXISTS ABSENT = != > 2 3 OPEN CLOSE DO PX 1000';
  const word = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...words.split(' ')).map(utf8) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) },
    { weight: 1, arbitrary: fc.constantFrom(...verbs.split(' ')).map(utf8) },
  );

  it('are a command or a line that says what is wrong', () => {
    fc.assert(
      fc.property(fc.constantFrom(...verbs.split(' ')), fc.array(word, { maxLength: 12 }), (verb, args) => {
        const command = makeCommand(utf8(verb), args, DEFAULT_LIMITS);
        if (command.verb === 'invalid') expect(command.message).toMatch(/^[\x20-\x7e]{10,200}$/);
        else if (command.verb === 'point') expect(Object.values(command.point)).not.toContain(undefined);
        else if (command.verb === 'transaction') {
          for (const point of [...command.success, ...command.failure, ...command.guards]) {
            expect(Object.values(point)).not.toContain(undefined);
          }
        }
      }),
      { numRuns: runs(5000) },
    );
  });

  it('mean the same on a line as in an array, unless they end in a value', () => {
    const plain = fc.constantFrom(...words.split(' '));
    const verb = fc.constantFrom(
      ...verbs.split(' ').filter((name) => !/^(SET.*|PSETEX|GETSET|APPEND|JSET|SESSION)$/.test(name)),
    );
    fc.assert(
      fc.property(verb, fc.array(plain, { maxLength: 10 }), (name, args) => {
        const line = [name, ...args].join(' ');
        expect(fromLine(line)).toEqual(fromWords(line));
      }),
      { numRuns: runs(2000) },
    );
  });
});
