import { describe, expect, it } from 'vitest';
import { concatBytes, utf8 } from '../../src/codec/bytes.ts';
import { type ClientCommand, DEFAULT_LIMITS, type ProtocolLimits } from '../../src/protocol/command.ts';
import { RespParser } from '../../src/protocol/resp_parser.ts';
import { readable } from './readable.ts';

function array(...parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${utf8(part).length}\r\n${part}\r\n`).join('')}`;
}

function parse(text: string, limits: ProtocolLimits = DEFAULT_LIMITS): unknown[] {
  const parser = new RespParser(limits);
  parser.push(utf8(text));
  const commands: ClientCommand[] = [];
  for (let command = parser.next(); command !== null; command = parser.next()) commands.push(command);
  return commands.map(readable);
}

const invalid = (message: string): unknown => ({ verb: 'invalid', message, fatal: false });
const fatal = (message: string): unknown => ({ verb: 'invalid', message, fatal: true });

const table: readonly (readonly [readonly string[], unknown])[] = [
  [['SET', 'k', 'line\r\nbreak'], { verb: 'set', key: 'k', value: 'line\r\nbreak' }],
  [['set', '', ''], { verb: 'set', key: '', value: '' }],
  [['SET', 'k', 'v', 'QX', '10'], invalid("syntax error in 'SET' at 'QX'")],
  [['SET', 'k'], invalid("wrong number of arguments for 'SET'")],
  [['GET', 'k'], { verb: 'get', key: 'k' }],
  [['DEL', 'a', 'b'], { verb: 'delete', keys: ['a', 'b'] }],
  [['EXISTS', 'a', 'b', 'a'], { verb: 'exists', keys: ['a', 'b', 'a'] }],
  [['PING'], { verb: 'ping', message: null }],
  [['PING', 'hello'], { verb: 'ping', message: 'hello' }],
  [['ECHO', 'hello'], { verb: 'echo', message: 'hello' }],
  [['SELECT', '0'], { verb: 'use', bucket: 'default' }],
  [['SELECT', '3'], { verb: 'use', bucket: 'db3' }],
  [['SELECT', '16'], invalid('DB index is out of range')],
  [['SELECT', 'x'], invalid('invalid DB index')],
  [['CONFIG', 'GET', 'save'], { verb: 'config-get', patterns: ['save'] }],
  [['CONFIG', 'SET', 'a', 'b'], invalid("unknown subcommand 'SET'")],
  [['COMMAND', 'docs'], { verb: 'command', subcommand: 'DOCS' }],
  [['INFO', 'server'], { verb: 'info', section: 'server' }],
  [['DBSIZE'], { verb: 'count' }],
  [['JGET', 'k', 'a b'], { verb: 'json-get', key: 'k', path: 'a b' }],
  [['LIST', 'BUCKETS'], { verb: 'list-buckets' }],
  [['FLUSHALL'], invalid("unknown command 'FLUSHALL'")],
];

describe('RESP', () => {
  for (const [parts, expected] of table) {
    it(`reads ${JSON.stringify(parts)}`, () => expect(parse(array(...parts))).toEqual([expected]));
  }

  it('tells of what it refuses that it is a WATCH, or may be one', () => {
    const limits = { keyBytes: 8, valueBytes: 16, lineBytes: 100 };
    const long = 'x'.repeat(17);
    const isWatch = (parts: readonly string[]): unknown => {
      const [command, next] = parse(array(...parts) + array('PING'), limits);
      expect(next).toEqual({ verb: 'ping', message: null });
      expect(command).toMatchObject({ verb: 'invalid', fatal: false });
      return (command as { readonly unwatched?: unknown }).unwatched ?? false;
    };
    expect(isWatch(['WATCH'])).toBe(true);
    expect(isWatch(['watch', 'a', long.slice(0, 9)])).toBe(true);
    expect(isWatch(['WATCH', 'a', long])).toBe(true);
    expect(isWatch(['WATCH', ...Array.from({ length: 64 * 1024 }, () => 'k')])).toBe(true);
    // Its verb is not kept.
    expect(isWatch(['MGET', ...Array.from({ length: 64 * 1024 }, () => 'k')])).toBe(true);
    expect(isWatch(['GET'])).toBe(false);
    expect(isWatch(['SET', 'k', long])).toBe(false);
    expect(isWatch([long, 'WATCH'])).toBe(false);
  });

  it('skips empty arrays', () => expect(parse(`*0\r\n*-1\r\n${array('PING')}`)).toHaveLength(1));

  const broken: readonly (readonly [string, string])[] = [
    ['*x\r\n', 'Protocol error: invalid multibulk length'],
    ['*1048577\r\n', 'Protocol error: invalid multibulk length'],
    ['PING\r\n', 'Protocol error: invalid multibulk length'],
    ['*1\r\n$-1\r\n', 'Protocol error: invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'Protocol error: invalid bulk length'],
    ['*1\r\nPING\r\n', 'Protocol error: invalid bulk length'],
    ['*1\r\n$4\r\nPINGxx', 'Protocol error: a bulk does not end in CRLF'],
    [`*${'1'.repeat(40)}\r\n`, 'Protocol error: invalid multibulk length'],
  ];
  for (const [bytes, message] of broken) {
    it(`gives up on ${JSON.stringify(bytes).slice(0, 40)}`, () => {
      expect(parse(`${bytes}${array('PING')}`)).toEqual([fatal(message)]);
    });
  }

  const small: ProtocolLimits = { keyBytes: 4, valueBytes: 8, lineBytes: 20 };

  it('names the limit that a command exceeds and goes on with the next', () => {
    const ping = { verb: 'ping', message: null };
    expect(parse(array('SET', '12345', 'v') + array('PING'), small)).toEqual([
      invalid('key is 5 bytes, the limit is 4 (max key bytes)'),
      ping,
    ]);
    expect(parse(array('SET', 'k', '123456789') + array('PING'), small)).toEqual([
      invalid('value is 9 bytes, the limit is 8 (max value bytes)'),
      ping,
    ]);
    expect(parse(array('SET', 'k', '12345678'), small)).toEqual([
      { verb: 'set', key: 'k', value: '12345678' },
    ]);
  });

  it('skips an oversized value as it arrives, without storing it', () => {
    const parser = new RespParser(small);
    const total = 64 << 20;
    parser.push(utf8(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${total}\r\n`));
    const before = process.memoryUsage().arrayBuffers;
    const chunk = new Uint8Array(1 << 20);
    for (let sent = 0; sent < total; sent += chunk.length) {
      parser.push(chunk);
      expect(parser.next()).toBeNull();
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
    parser.push(concatBytes([utf8('\r\n'), utf8(array('PING'))]));
    expect(readable(parser.next())).toEqual(
      invalid(`value is ${total} bytes, the limit is 8 (max value bytes)`),
    );
    expect(parser.next()).toEqual({ verb: 'ping', message: null });
  });

  it('bounds a command of many arguments', () => {
    const parts = Array.from({ length: 300 }, () => 'x'.repeat(8));
    const commands = parse(array('DEL', ...parts), { keyBytes: 8, valueBytes: 8, lineBytes: 20 });
    // 2.4 KB are within the spare megabyte; the bound is on bytes, not on arguments.
    expect(commands).toEqual([{ verb: 'delete', keys: parts }]);
    const many = `*40001\r\n$3\r\nDEL\r\n${`$32\r\n${'x'.repeat(32)}\r\n`.repeat(40_000)}`;
    expect(parse(many, { keyBytes: 32, valueBytes: 32, lineBytes: 50 })).toEqual([
      invalid('command is longer than 1048640 bytes (max command bytes)'),
    ]);
  });
});
