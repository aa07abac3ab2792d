import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { type ClientCommand, DEFAULT_LIMITS, type ProtocolLimits } from '../../src/protocol/command.ts';
import { TextParser } from '../../src/protocol/text_parser.ts';
import { readable } from './readable.ts';

function parse(text: string, limits: ProtocolLimits = DEFAULT_LIMITS): unknown[] {
  const parser = new TextParser(limits);
  parser.push(utf8(text));
  const commands: ClientCommand[] = [];
  for (let command = parser.next(); command !== null; command = parser.next()) commands.push(command);
  return commands.map(readable);
}

const invalid = (message: string): unknown => ({ verb: 'invalid', message, fatal: false });

const table: readonly (readonly [string, unknown])[] = [
  ['SET k v\r\n', { verb: 'set', key: 'k', value: 'v' }],
  ['set k v\n', { verb: 'set', key: 'k', value: 'v' }],
  ['SET k two  words "quoted" \n', { verb: 'set', key: 'k', value: 'two  words "quoted" ' }],
  ['SET k \n', { verb: 'set', key: 'k', value: '' }],
  ['SET k  \r\n', { verb: 'set', key: 'k', value: ' ' }],
  ['SET k\n', invalid("wrong number of arguments for 'SET'")],
  ['SET\n', invalid("wrong number of arguments for 'SET'")],
  ['SET  v\n', invalid("wrong number of arguments for 'SET'")],
  ['GET k\n', { verb: 'get', key: 'k' }],
  ['gEt k\r\n', { verb: 'get', key: 'k' }],
  ['GET\n', invalid("wrong number of arguments for 'GET'")],
  ['GET a b\n', invalid("wrong number of arguments for 'GET'")],
  ['JGET k a.b[0]\n', { verb: 'json-get', key: 'k', path: 'a.b[0]' }],
  ['JGET k\n', invalid("wrong number of arguments for 'JGET'")],
  ['DEL k\n', { verb: 'delete', keys: ['k'] }],
  ['DEL a b\n', invalid("wrong number of arguments for 'DEL'")],
  ['EXISTS k\n', { verb: 'exists', keys: ['k'] }],
  ['USE orders\n', { verb: 'use', bucket: 'orders' }],
  [
    'USE a\u0001b\n',
    invalid('invalid bucket name: 1 to 255 bytes of UTF-8 without spaces and control characters'),
  ],
  [
    `USE ${'x'.repeat(256)}\n`,
    invalid('invalid bucket name: 1 to 255 bytes of UTF-8 without spaces and control characters'),
  ],
  ['LIST BUCKETS\n', { verb: 'list-buckets' }],
  ['list buckets\n', { verb: 'list-buckets' }],
  ['LIST THINGS\n', invalid('syntax error')],
  ['MERGE\n', { verb: 'merge' }],
  ['FLUSH\n', { verb: 'flush' }],
  ['PING\r\n', { verb: 'ping', message: null }],
  ['QUIT\n', { verb: 'quit' }],
  ['DBSIZE\n', { verb: 'count' }],
  ['INFO\n', { verb: 'info', section: null }],
  ['NOSUCH thing\n', invalid("unknown command 'NOSUCH'")],
  ['b\u0001d\n', invalid("unknown command 'b?d'")],
  [`${'x'.repeat(100)}\n`, invalid(`unknown command '${'x'.repeat(64)}'`)],
];

describe('the text dialect', () => {
  for (const [line, expected] of table) {
    it(`reads ${JSON.stringify(line).slice(0, 60)}`, () => expect(parse(line)).toEqual([expected]));
  }

  it('skips empty lines', () => expect(parse('\r\n\n  \nPING\n')).toEqual([{ verb: 'ping', message: null }]));

  it('keeps every byte of a value, also what is not UTF-8', () => {
    const parser = new TextParser(DEFAULT_LIMITS);
    parser.push(new Uint8Array([...utf8('SET k '), 0xff, 0x00, 0x0d, 0x80, 0x0d, 0x0a]));
    expect(parser.next()).toEqual({
      verb: 'set',
      key: utf8('k'),
      value: new Uint8Array([0xff, 0x00, 0x0d, 0x80]),
    });
  });

  const small: ProtocolLimits = { keyBytes: 4, valueBytes: 8, lineBytes: 20 };

  it('names the limit that a command exceeds and goes on with the next', () => {
    expect(parse('SET 12345 v\nPING\n', small)[0]).toEqual(
      invalid('key is 5 bytes, the limit is 4 (max key bytes)'),
    );
    expect(parse('GET 12345\nPING\n', small)[0]).toEqual(
      invalid('key is 5 bytes, the limit is 4 (max key bytes)'),
    );
    expect(parse('SET k 123456789\nPING\n', small)).toEqual([
      invalid('value is 9 bytes, the limit is 8 (max value bytes)'),
      { verb: 'ping', message: null },
    ]);
    expect(parse(`SET k ${'x'.repeat(30)}\r\nPING\n`, small)).toEqual([
      invalid('line is 36 bytes, the limit is 20 (max line bytes)'),
      { verb: 'ping', message: null },
    ]);
    expect(parse('SET 1234 12345678\n', small)).toEqual([{ verb: 'set', key: '1234', value: '12345678' }]);
  });

  it('keeps nothing of a line that is too long, however much of it comes', () => {
    const parser = new TextParser(small);
    const chunk = new Uint8Array(1 << 20).fill(0x61);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 64; i++) {
      parser.push(chunk);
      expect(parser.next()).toBeNull();
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
    parser.push(utf8('\nPING\n'));
    expect(readable(parser.next())).toEqual(
      invalid(`line is ${64 << 20} bytes, the limit is 20 (max line bytes)`),
    );
    expect(parser.next()).toEqual({ verb: 'ping', message: null });
  });

  it('puts a line together that comes byte by byte', () => {
    const parser = new TextParser(DEFAULT_LIMITS);
    const line = utf8(`SET k ${'v'.repeat(5000)}\r\n`);
    for (const byte of line.subarray(0, -1)) {
      parser.push(new Uint8Array([byte]));
      expect(parser.next()).toBeNull();
    }
    parser.push(line.subarray(-1));
    const command = parser.next();
    expect(command?.verb === 'set' && fromUtf8(command.value)).toBe('v'.repeat(5000));
  });
});
