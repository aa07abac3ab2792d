import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatHistory, HistoryFileError, parseHistory } from '../../../sim/check/history_file.ts';
import { smallHistories } from './random_calls.ts';

/** A line with one part replaced by JSON of another. */
function line(parts: Readonly<Record<string, unknown>> = {}): string {
  const op = { type: 'write', key: 'k', value: '1' };
  return JSON.stringify({ process: 0, call: 12, return: 15, op, result: { type: 'ok' }, ...parts });
}

function readLine(value: unknown): string {
  return line({ op: { type: 'read', key: 'k' }, result: { type: 'ok', value } });
}

/** The message of the error that the text is refused with. */
function refusal(text: string | Uint8Array): string {
  try {
    parseHistory(text);
  } catch (error) {
    if (error instanceof HistoryFileError) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('history files', () => {
  it('are read as they were written, whatever the operations', () => {
    fc.assert(
      fc.property(smallHistories(7), (calls) => {
        const written = formatHistory(calls);
        const lines = written.trim().split('\n');
        expect(lines.length).toBe(Math.max(1, calls.length));
        const sorted = [...calls].sort((a, b) => a.call - b.call || a.id - b.id);
        const expected = sorted.map((call, id) => ({
          ...call,
          id,
          // Who says that it took effect, but not with what answer, is not asked for by the format.
          return: call.result.type === 'unknown' ? null : call.return,
        }));
        expect(parseHistory(written)).toEqual(expected);
      }),
    );
  });

  it('may tell of a transaction no more than that it was carried out', () => {
    const steps = [{ type: 'write', key: 'k', value: '1' }];
    const text = `${line({ op: { type: 'transaction', guards: [], steps } })}\n`;
    const calls = parseHistory(text);
    expect(calls[0]?.result).toEqual({ type: 'ok' });
    expect(formatHistory(calls)).toBe(text);
  });

  it('may hold empty lines, ends of lines of either kind, and what is not asked for', () => {
    const text = `${line()}\r\n\n${line({ comment: 'not read' })}`;
    expect(parseHistory(text).map(({ id, call }) => [id, call])).toEqual([
      [0, 12],
      [1, 12],
    ]);
  });

  it('may leave out what has a usual value', () => {
    const ops = [{ type: 'scan' }, { type: 'increment', key: 'n' }, { type: 'transaction', steps: [] }];
    const text = ops.map((op) => line({ op, return: null, result: { type: 'unknown' } })).join('\n');
    expect(parseHistory(text).map(({ op }) => op)).toEqual([
      { type: 'scan', prefix: '', from: null, to: null, limit: null },
      { type: 'increment', key: 'n', by: 1 },
      { type: 'transaction', guards: [], steps: [] },
    ]);
  });

  it('are refused with the line and the field', () => {
    expect(refusal(`${line()}\n{"process":0,`)).toBe('line 2: is not JSON');
    expect(refusal('[]')).toBe('line 1: is not an object');
    expect(refusal(line({ process: 'p' }))).toBe('line 1: process is not a whole number within +-(2^53 - 1)');
    expect(refusal(line({ call: undefined }))).toBe('line 1: call is missing');
    expect(refusal(line({ call: 2 ** 60 }))).toBe('line 1: call is not a number within +-(2^53 - 1)');
    expect(refusal(line({ return: undefined }))).toBe('line 1: return is missing');
    expect(refusal(line({ return: 11 }))).toBe('line 1: return is before the call');
    expect(refusal(line({ return: null }))).toBe("line 1: return is null, but the result is 'ok'");
    expect(refusal(line({ op: { type: 'wriet', key: 'k' } }))).toMatch(
      /^line 1: op.type is not one of read, write,/,
    );
    expect(refusal(line({ op: { type: 'write', key: 'k', value: 1 } }))).toBe(
      'line 1: op.value is not a string',
    );
    expect(refusal(line({ op: { type: 'cas', key: 'k', value: '1' } }))).toBe(
      'line 1: op.expected is missing',
    );
    expect(refusal(line({ result: { type: 'done' } }))).toBe(
      'line 1: result.type is not one of ok, fail, unknown',
    );
    expect(refusal(readLine(undefined))).toBe('line 1: result.value is missing');
    expect(refusal(readLine(7))).toBe('line 1: result.value is neither a string nor null');
  });

  it('begin with a byte order mark where an editor has put one, and with no more', () => {
    const mark = '\uFEFF';
    const bytes = new TextEncoder().encode(`${mark}${line()}\n${line()}`);
    expect(parseHistory(bytes)).toEqual(parseHistory(`${mark}${line()}\n${line()}`));
    expect(parseHistory(bytes)).toHaveLength(2);
    expect(refusal(`${mark}${mark}${line()}`)).toBe('line 1: is not JSON');
    expect(refusal(`${line()}\n${mark}${line()}`)).toBe('line 2: is not JSON');
  });

  it('are read from bytes as from text', () => {
    const key = line({ op: { type: 'write', key: 'schlüssel ☃ 🗝', value: '' } });
    const text = `${key}\r\n\n${line()}\n${readLine(null)}`;
    expect(parseHistory(new TextEncoder().encode(text))).toEqual(parseHistory(text));
    expect(parseHistory(new Uint8Array(0))).toEqual([]);
  });

  it('are refused where bytes are no text: two keys would be read as one', () => {
    const [head, tail] = readLine(null).split('"k"');
    const of = (byte: number): Buffer =>
      Buffer.concat([Buffer.from(`${line()}\n${head}"`), Buffer.of(byte), Buffer.from(`"${tail}\n`)]);
    expect(refusal(of(0x6b))).toBe('accepted');
    expect(refusal(of(0xff))).toBe('line 2: is not UTF-8');
    expect(refusal(of(0xe2))).toBe('line 2: is not UTF-8');
    expect(refusal(new Uint8Array((1 << 28) + 1))).toBe('line 1: is longer than 268435456 bytes');
  });

  it('are refused where a field is there twice: only one of the two would be checked', () => {
    const twice = (text: string, what: string): string => line().replace(text, `${text},${what}`);
    expect(refusal(twice('"call":12', '"call":13'))).toBe('line 1: call is there twice');
    expect(refusal(twice('"key":"k"', '"key":"k"'))).toBe('line 1: op.key is there twice');
    expect(refusal(twice('"key":"k"', '"k\\u0065y":"j"'))).toBe('line 1: op.key is there twice');
    const steps = '[{"type":"read","key":"a"},{"type":"read","key":"b","key":"c"}]';
    const transaction = `{"type":"transaction","steps":${steps}}`;
    expect(refusal(line().replace(/\{"type":"write"[^}]*\}/, transaction))).toBe(
      'line 1: op.steps[1].key is there twice',
    );
  });

  it('may hold a name twice in different objects, and quotation marks, commas and brackets in texts', () => {
    const text = line({ op: { type: 'write', key: '"call":1,"call":2,{', value: '\\"]},"key":' } });
    expect(parseHistory(text)).toHaveLength(1);
    const comment = { call: 1, op: [{ call: 1 }, { call: 2 }, [], {}], result: ['call', 'call'] };
    expect(parseHistory(line({ comment }))).toHaveLength(1);
  });

  it('are refused whatever is wrong with whatever field, by its name', () => {
    const junk = [undefined, null, true, 1.5, 'x', [], {}, 2 ** 60];
    const wrong: [string, (value: unknown) => string, unknown[]][] = [
      ['process', (process) => line({ process }), junk],
      ['call', (call) => line({ call }), junk.filter((one) => one !== 1.5)],
      ['return', (value) => line({ return: value }), junk.filter((one) => one !== 1.5)],
      ['op', (op) => line({ op }), junk],
      ['result', (result) => line({ result }), junk],
      ['op.type', (type) => line({ op: { type, key: 'k', value: '' } }), junk],
      ['op.key', (key) => line({ op: { type: 'write', key, value: '' } }), junk.filter((one) => one !== 'x')],
      [
        'op.value',
        (value) => line({ op: { type: 'write', key: 'k', value } }),
        junk.filter((one) => one !== 'x'),
      ],
      ['result.type', (type) => line({ result: { type } }), junk],
    ];
    for (const [field, make, values] of wrong) {
      for (const value of values) {
        // What is no object has no type.
        const names = field === 'op' || field === 'result' ? [field, `${field}.type`] : [field];
        const message = refusal(make(value));
        expect(
          names.some((name) => message.startsWith(`line 1: ${name} `)),
          `${field} ${message}`,
        ).toBe(true);
      }
    }
    expect(refusal(line({ return: 1.5 }))).toBe('line 1: return is before the call');
    expect(refusal(line({ call: -5, return: -6 }))).toBe('line 1: return is before the call');
    expect(refusal(line({ call: -5, return: -4 }))).toBe('accepted');
  });

  it('are refused with the place in a list', () => {
    const steps = [
      { type: 'read', key: 'a' },
      { type: 'scan', prefix: '' },
    ];
    expect(refusal(line({ op: { type: 'transaction', steps } }))).toMatch(
      /^line 1: op.steps\[1\].type is not one of/,
    );
    const scanned = { type: 'ok', value: [['a', '1'], ['b']] };
    expect(refusal(line({ op: { type: 'scan' }, result: scanned }))).toBe(
      'line 1: result.value[1] is no pair of key and value',
    );
  });
});
