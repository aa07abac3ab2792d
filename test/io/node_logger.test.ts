import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogFields, LogLevel } from '../../src/io/logger.ts';
import { NodeLogger, type NodeLoggerOptions } from '../../src/io/node/logger.ts';

const AT_MS = Date.UTC(2026, 10, 23, 6, 30, 0, 123);

function logger(lines: string[], options: Partial<NodeLoggerOptions> = {}): NodeLogger {
  return new NodeLogger({
    level: 'debug',
    write: (line) => lines.push(line),
    wallMs: () => AT_MS,
    ...options,
  });
}

describe('the log', () => {
  it('writes an event as time, level, name and fields', () => {
    const lines: string[] = [];
    logger(lines).log('info', 'leader-elected', { node: 1, term: 3, ready: true, peer: null });
    logger(lines).log('error', 'stopped');
    expect(lines).toEqual([
      '2026-11-23T06:30:00.123Z info leader-elected node=1 term=3 ready=true peer=null\n',
      '2026-11-23T06:30:00.123Z error stopped\n',
    ]);
  });

  it('quotes what would not be one word', () => {
    const lines: string[] = [];
    logger(lines).log('warn', 'odd', {
      space: 'no heartbeat',
      quote: 'say "hi"',
      equals: 'a=b',
      empty: '',
      lines: 'a\nb',
      path: '/data/node-9001/log',
      back: 'C:\\data',
      'bad name': 1,
    });
    expect(lines).toEqual([
      '2026-11-23T06:30:00.123Z warn odd space="no heartbeat" quote="say \\"hi\\"" equals="a=b" empty="" ' +
        'lines="a\\nb" path=/data/node-9001/log back=C:\\data bad_name=1\n',
    ]);
  });

  it('writes an event as JSON, if asked', () => {
    const lines: string[] = [];
    logger(lines, { format: 'json' }).log('info', 'leader-elected', { node: 1, reason: 'no "heartbeat"' });
    expect(lines).toEqual([
      '{"time":"2026-11-23T06:30:00.123Z","level":"info","event":"leader-elected","node":1,' +
        '"reason":"no \\"heartbeat\\""}\n',
    ]);
  });

  it('never lets a field pass for the time, the level or the event', () => {
    const lines: string[] = [];
    logger(lines, { format: 'json' }).log('info', 'e', { level: 'error', event: 'x', time: 1 });
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2026-11-23T06:30:00.123Z',
      level: 'info',
      event: 'e',
      level_: 'error',
      event_: 'x',
      time_: 1,
    });
  });

  it.each([
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['info', ['info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['error', ['error']],
    ['silent', []],
  ] as const)('at level %s writes %j', (level, written) => {
    const lines: string[] = [];
    const log = logger(lines, { level });
    for (const one of ['debug', 'info', 'warn', 'error'] as const satisfies LogLevel[]) log.log(one, 'e');
    expect(lines.map((line) => line.split(' ')[1])).toEqual(written);
  });

  it('keeps an event on one printable line, and what it says, whatever its fields hold', () => {
    const value = fc.oneof(
      fc.uint16Array({ maxLength: 10 }).map((units) => String.fromCharCode(...units)),
      fc.string({ unit: fc.constantFrom(' ', '"', '=', '\n', '\\', '\u2028', '\u009b', 'é') }),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), value, { maxKeys: 3 }), (fields) => {
        for (const format of ['logfmt', 'json'] as const) {
          const lines: string[] = [];
          logger(lines, { format }).log('info', 'e', fields as LogFields);
          expect(lines).toHaveLength(1);
          expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1);
          if (format === 'logfmt') {
            expect(lines[0]?.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
            const rest = (lines[0] ?? '').slice('2026-11-23T06:30:00.123Z info e'.length, -1);
            const values = [...rest.matchAll(/ [^\s="]+=("(?:[^"\\]|\\.)*"|[^\s"=]+)/gu)].map(
              ([, text = '']) => (text.startsWith('"') ? JSON.parse(text) : text),
            );
            expect(values).toEqual(Object.values(fields).map(String));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
