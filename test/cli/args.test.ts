import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CommandSpec, type Parsed, parse } from '../../src/cli/args.ts';
import { runs } from '../long.ts';

const PROGRAM = { name: 'kv', version: '1.2.3' };

const SPECS: readonly CommandSpec[] = [
  {
    name: 'serve',
    summary: 'Serve a directory',
    usage: 'kv serve PORT [options]',
    positionals: [{ name: 'PORT', description: 'Where to listen' }],
    options: {
      data: { type: 'string', valueName: 'DIR', default: './data', description: 'Where data is kept' },
      nodes: {
        type: 'integer',
        valueName: 'N',
        default: 3,
        min: 1,
        max: 9,
        description:
          'How many nodes there are, which is a number that is explained here at such a length that it wraps',
      },
      level: {
        type: 'string',
        valueName: 'LEVEL',
        default: 'info',
        choices: ['info', 'error'],
        description: 'What is logged',
      },
      clear: { type: 'flag', description: 'Wipe the data first' },
    },
  },
  { name: 'stop', summary: 'Stop', usage: 'kv stop', positionals: [], options: {} },
];

const run = (...argv: string[]): Parsed => parse(argv, SPECS, PROGRAM);

/** The text of a usage error, which every one of them ends in the same way. */
function usageError(...argv: string[]): string {
  const parsed = run(...argv);
  if (parsed.kind !== 'print') return expect.fail('this was taken for a good command line');
  expect(parsed.exitCode).toBe(2);
  const [message = '', see, end, ...more] = parsed.text.split('\n');
  expect(message).toMatch(/^kv: /);
  expect(see).toMatch(/^See: kv .*--help$/);
  expect([end, more]).toEqual(['', []]);
  return message.slice('kv: '.length);
}

function printed(...argv: string[]): string {
  const parsed = run(...argv);
  if (parsed.kind !== 'print') return expect.fail('nothing was to be printed');
  expect(parsed.exitCode).toBe(0);
  return parsed.text;
}

describe('a command line', () => {
  it('fills in the defaults', () => {
    expect(run('serve', '80')).toEqual({
      kind: 'run',
      command: 'serve',
      values: { data: './data', nodes: 3, level: 'info', clear: false },
      positionals: ['80'],
    });
    expect(run('stop')).toEqual({ kind: 'run', command: 'stop', values: {}, positionals: [] });
  });

  it('takes options before and behind the arguments, joined or apart, the last of several', () => {
    const argv = ['serve', '--data', 'a', '--nodes=5', '80', '--clear', '--level', 'error', '--data=b'];
    expect(run(...argv)).toMatchObject({
      kind: 'run',
      values: { data: 'b', nodes: 5, level: 'error', clear: true },
      positionals: ['80'],
    });
  });

  it('takes everything behind -- as arguments', () => {
    expect(run('serve', '--clear', '--', '--data')).toMatchObject({ positionals: ['--data'] });
  });

  it('takes a value with a dash in front when it is joined to its option', () => {
    expect(run('serve', '80', '--data=--odd')).toMatchObject({ values: { data: '--odd' } });
    expect(usageError('serve', '80', '--data', '--clear')).toBe('--data needs a value: --data DIR');
  });

  it('gives every whole number within the bounds back, and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: -20, max: 20 }).map(String), fc.string()), (text) => {
        const parsed = run('serve', '80', `--nodes=${text}`);
        if (/^0*[1-9]$/.test(text)) expect(parsed).toMatchObject({ values: { nodes: Number(text) } });
        else expect(parsed).toMatchObject({ kind: 'print', exitCode: 2 });
      }),
      { numRuns: runs(200) },
    );
  });

  it('never throws, whatever is typed', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'serve',
        'stop',
        '--data',
        '--nodes',
        '--clear',
        '--',
        '-h',
        '-',
        '--__proto__',
        '--no-clear',
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        const parsed = run(...argv);
        if (parsed.kind === 'print') expect(parsed.text.endsWith('\n')).toBe(true);
        else expect(SPECS.map((spec) => spec.name)).toContain(parsed.command);
      }),
      { numRuns: runs(500) },
    );
  });
});

describe('a usage error', () => {
  it.each([
    [['start'], "unknown command 'start'; there are: serve, stop"],
    [['help', 'start'], "unknown command 'start'; there are: serve, stop"],
    [['--clear', 'serve'], "unknown option '--clear'; a command comes first: serve, stop"],
    [
      ['serve', '80', '--dat', 'x'],
      "unknown option '--dat'; serve takes: --data, --nodes, --level, --clear, --help",
    ],
    [['serve', '80', '-d'], "unknown option '-d'; serve takes: --data, --nodes, --level, --clear, --help"],
    [['stop', '--toString'], "unknown option '--toString'; stop takes: --help"],
    [['serve'], 'PORT is missing'],
    [['serve', '80', '81'], "unexpected argument '81'"],
    [['serve', '80', '--data'], '--data needs a value: --data DIR'],
    [['serve', '80', '--data='], '--data needs a value: --data DIR'],
    [['serve', '80', '--clear=no'], "--clear takes no value, but got 'no'"],
    [['serve', '80', '--nodes', '10'], "--nodes takes a whole number from 1 to 9, not '10'"],
    [['serve', '80', '--nodes', '1e0'], "--nodes takes a whole number from 1 to 9, not '1e0'"],
    [['serve', '80', '--level', 'loud'], "--level takes one of info, error, not 'loud'"],
  ])('of %j names what is wrong', (argv, message) => {
    expect(usageError(...argv)).toBe(message);
  });

  it('points to the help of the command that was meant', () => {
    expect(run('serve', '--nope')).toMatchObject({ text: expect.stringContaining('See: kv serve --help\n') });
    expect(run('nope')).toMatchObject({ text: expect.stringContaining('See: kv --help\n') });
  });

  it('is the overview when nothing was typed', () => {
    expect(run()).toEqual({ kind: 'print', text: printed('--help'), exitCode: 2 });
  });
});

describe('help', () => {
  it('tells the version', () => {
    expect(printed('--version')).toBe('1.2.3\n');
  });

  it('lists the commands', () => {
    expect(printed('--help')).toContain('Commands:\n  serve  Serve a directory\n  stop   Stop\n');
    expect(printed('-h')).toBe(printed('--help'));
    expect(printed('help')).toBe(printed('--help'));
  });

  it('lines up the arguments and options of a command', () => {
    expect(printed('serve', '--help')).toBe(
      [
        'Usage: kv serve PORT [options]',
        '',
        'Serve a directory.',
        '',
        'Arguments:',
        '  PORT  Where to listen',
        '',
        'Options:',
        '  --data DIR     Where data is kept (default ./data)',
        '  --nodes N      How many nodes there are, which is a number that is explained here at such a length',
        '                 that it wraps (default 3)',
        '  --level LEVEL  What is logged: info, error (default info)',
        '  --clear        Wipe the data first',
        '  -h, --help     Print this',
        '',
      ].join('\n'),
    );
  });

  it('is given in every way that one may ask, whatever else is wrong', () => {
    const help = printed('serve', '--help');
    expect(printed('serve', '-h')).toBe(help);
    expect(printed('help', 'serve')).toBe(help);
    expect(printed('--help', 'serve')).toBe(help);
    expect(printed('serve', '--nodes', '99', '--what', '--help')).toBe(help);
  });

  it('is never wider than 100 columns', () => {
    for (const text of [printed('--help'), printed('serve', '--help'), printed('stop', '--help')]) {
      for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    }
  });
});
