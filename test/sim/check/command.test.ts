import { describe, expect, it } from 'vitest';
import { checkWith } from '../../../sim/check/command.ts';
import { UsageError } from '../../../sim/commands/arguments.ts';

const STALE = [
  { process: 0, call: 0, return: 4, op: { type: 'write', key: 'k', value: '1' }, result: { type: 'ok' } },
  {
    process: 1,
    call: 5,
    return: null,
    op: { type: 'write', key: 'k', value: '2' },
    result: { type: 'unknown' },
  },
  { process: 2, call: 6, return: 9, op: { type: 'read', key: 'k' }, result: { type: 'ok', value: '2' } },
  {
    process: 0,
    call: 8,
    return: 12,
    op: { type: 'cas', key: 'k', expected: '2', value: '3' },
    result: { type: 'ok' },
  },
  { process: 2, call: 13, return: 15, op: { type: 'read', key: 'k' }, result: { type: 'ok', value: '2' } },
  { process: 1, call: 16, return: 18, op: { type: 'read', key: 'j' }, result: { type: 'ok', value: null } },
];

/** The exit code, and what was written to standard output and error. */
function check(
  args: readonly string[],
  text: string,
  clock: () => number = () => 0,
): [number, string, string] {
  let output = '';
  let errors = '';
  const code = checkWith(args, {
    read: () => text,
    write: (piece) => {
      output += piece;
    },
    writeError: (piece) => {
      errors += piece;
    },
    nowMs: clock,
  });
  return [code, output, errors];
}

function lines(objects: readonly object[]): string {
  return objects.map((object) => JSON.stringify(object)).join('\n');
}

/** Writes that all overlap, and a read of none of them: every subset has to be tried. */
function hard(): string {
  const writes = Array.from({ length: 24 }, (_none, at) => ({
    process: at,
    call: at,
    return: 100 + at,
    op: { type: 'append', key: 'k', value: String.fromCharCode(97 + at) },
    result: { type: 'ok' },
  }));
  const read = { process: 99, call: 200, return: 201, op: { type: 'read', key: 'k' } };
  const letters = writes.map(({ op }) => op.value).join('');
  return lines([
    ...writes,
    { ...read, result: { type: 'ok', value: `${letters.slice(0, 20)}zyxwvutsrqpa` } },
  ]);
}

describe('sim check', () => {
  it('exits with 0 when the history is linearizable', () => {
    const [code, output] = check(['-'], lines(STALE.slice(0, 4)));
    expect(code).toBe(0);
    expect(output).toMatch(/^linearizable: 4 operations/);
  });

  it('takes an empty file for a linearizable history', () => {
    expect(check(['-'], '')[0]).toBe(0);
  });

  it('exits with 1 when it is not, and shows the smallest part that contradicts itself', () => {
    const [code, output] = check(['history.jsonl'], lines(STALE));
    expect(code).toBe(1);
    expect(output).toMatchInlineSnapshot(`
      "not linearizable
      key k: read k of process 2 (called at 13, returned at 15) answered 2, but before it could only have been: k = 3

      called  returned  process  operation     answer
      0       4         0        write k 1
      5       unknown   1        write k 2
      6       9         2        read k        -> 2
      8       12        0        cas k 2 -> 3
      13      15        2        read k        -> 2 <- cannot be placed
      "
    `);
  });

  it('lets operations overlap that touch in time', () => {
    const read = { process: 2, call: 4, return: 5, op: { type: 'read', key: 'k' } };
    const touching = [STALE[0], { ...read, result: { type: 'ok', value: null } }];
    expect(check(['-'], lines(touching))[0]).toBe(0);
    const behind = [STALE[0], { ...read, call: 4.5, result: { type: 'ok', value: null } }];
    expect(check(['-'], lines(behind))[0]).toBe(1);
  });

  it('exits with 2 when a line is no operation, and says which', () => {
    const [code, output, errors] = check(['f.jsonl'], `${lines(STALE)}\n{"process":0}`);
    expect([code, output]).toEqual([2, '']);
    expect(errors).toBe('f.jsonl: line 7: call is missing\n');
  });

  it('exits with 3 when it has not decided in time', () => {
    let nowMs = 0;
    const clock = (): number => {
      nowMs += 400;
      return nowMs;
    };
    const [code, output] = check(['-', '--timeout', '1'], hard(), clock);
    expect(code).toBe(3);
    expect(output).toMatch(/^not decided: gave up on k/);
  });

  it('refuses arguments that it does not know', () => {
    for (const args of [[], ['a', 'b'], ['a', '--timeout', 'soon'], ['a', '--order', 'none']]) {
      expect(() => check(args, '')).toThrow(UsageError);
    }
  });
});
