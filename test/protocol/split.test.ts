import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { ClientCommand, ProtocolLimits } from '../../src/protocol/command.ts';
import type { CommandParser } from '../../src/protocol/parser.ts';
import { RespParser } from '../../src/protocol/resp_parser.ts';
import { TextParser } from '../../src/protocol/text_parser.ts';
import { runs } from '../long.ts';
import { readable } from './readable.ts';

const LIMITS: ProtocolLimits = { keyBytes: 20, valueBytes: 60, lineBytes: 100 };

function parse(parser: CommandParser, chunks: readonly Uint8Array[]): unknown[] {
  const commands: ClientCommand[] = [];
  for (const chunk of chunks) {
    // Views of the chunk are kept: it must be a buffer of its own, as those of the network are.
    parser.push(chunk.slice());
    for (let command = parser.next(); command !== null; command = parser.next()) commands.push(command);
  }
  return commands.map(readable);
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
const word = fc.oneof(
  fc.constantFrom('SET', 'get', 'DEL', 'PING', 'JGET', 'USE', 'LIST', 'BUCKETS', 'k', '', ' ', '"q"'),
  fc.string({ maxLength: 30 }),
  fc.string({ minLength: 70, maxLength: 130 }),
);
const textLine = fc
  .tuple(fc.array(word, { maxLength: 5 }), fc.constantFrom('\n', '\r\n'))
  .map(([words, end]) => words.join(' ') + end);
const respCommand = fc
  .array(word, { minLength: 1, maxLength: 5 })
  .map((words) => `*${words.length}\r\n${words.map((one) => `$${utf8(one).length}\r\n${one}\r\n`).join('')}`);

describe('any split of the bytes', () => {
  it('parses to the same text commands', () => {
    fc.assert(
      fc.property(fc.array(textLine, { maxLength: 8 }), sizes, (lines, cuts) => {
        const bytes = utf8(lines.join(''));
        const whole = parse(new TextParser(LIMITS), [bytes]);
        expect(parse(new TextParser(LIMITS), cut(bytes, cuts))).toEqual(whole);
      }),
      { numRuns: runs(400) },
    );
  });

  it('parses to the same RESP commands, one for each array', () => {
    fc.assert(
      fc.property(fc.array(respCommand, { maxLength: 8 }), sizes, (commands, cuts) => {
        const bytes = utf8(commands.join(''));
        const whole = parse(new RespParser(LIMITS), [bytes]);
        expect(whole.length).toBe(commands.length);
        expect(parse(new RespParser(LIMITS), cut(bytes, cuts))).toEqual(whole);
      }),
      { numRuns: runs(400) },
    );
  });
});

describe('garbage', () => {
  it('never throws and always parses the same', () => {
    const noise = fc.array(
      fc.oneof(fc.uint8Array({ maxLength: 40 }), respCommand.map(utf8), fc.constant(utf8('*3\r\n$3\r\n'))),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(noise, sizes, (pieces, cuts) => {
        const bytes = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
        for (const make of [() => new TextParser(LIMITS), () => new RespParser(LIMITS)]) {
          const whole = parse(make(), [bytes]);
          expect(parse(make(), cut(bytes, cuts))).toEqual(whole);
        }
      }),
      { numRuns: runs(400) },
    );
  });
});
