/**
 * The command line: a table of commands and options gives parsing, `--help` at the top and for each command, and errors
 * that name what is wrong. Usage errors exit with code 2.
 *
 * `parseArgs` of Node cuts the words into options and positionals; what they mean, and every message, is decided here.
 * Options may stand before or behind positionals, as `--name value` or `--name=value`; of one that is given several
 * times the last counts; behind `--` everything is positional.
 */
import { parseArgs } from 'node:util';

export type OptionSpec = StringOption | IntegerOption | FlagOption;

interface StringOption {
  readonly type: 'string';
  /** Stands for the value in help, in capitals. */
  readonly valueName: string;
  readonly default: string;
  readonly choices?: readonly string[];
  readonly description: string;
}

interface IntegerOption {
  readonly type: 'integer';
  readonly valueName: string;
  readonly default: number;
  /** Smallest and largest value allowed; not negative. */
  readonly min: number;
  readonly max: number;
  readonly description: string;
}

interface FlagOption {
  readonly type: 'flag';
  readonly description: string;
}

interface Positional {
  readonly name: string;
  readonly description: string;
  readonly optional?: true;
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  /** Those that may be left out come last. */
  readonly positionals: readonly Positional[];
  readonly options: Readonly<Record<string, OptionSpec>>;
}

export interface Program {
  readonly name: string;
  readonly version: string;
}

export type Parsed =
  | {
      readonly kind: 'run';
      readonly command: string;
      /** Every option of the command, its default where it was not given. */
      readonly values: Readonly<Record<string, string | number | boolean>>;
      readonly positionals: readonly string[];
    }
  | { readonly kind: 'print'; readonly text: string; readonly exitCode: 0 | 2 };

/** @param argv What stands behind the program's name. */
export function parse(argv: readonly string[], specs: readonly CommandSpec[], program: Program): Parsed {
  const [first, second] = argv;
  if (first === undefined) return { kind: 'print', text: overview(specs, program), exitCode: 2 };
  if (first === '--version') return { kind: 'print', text: `${program.version}\n`, exitCode: 0 };
  const asksForHelp = first === 'help' || HELP.includes(first);
  if (asksForHelp && second === undefined) {
    return { kind: 'print', text: overview(specs, program), exitCode: 0 };
  }
  const name = asksForHelp ? second : first;
  const spec = specs.find((one) => one.name === name);
  if (spec === undefined) {
    const known = specs.map((one) => one.name).join(', ');
    const what = name?.startsWith('-') ? 'option' : 'command';
    const hint = what === 'option' ? 'a command comes first' : 'there are';
    return usageError(program, `unknown ${what} '${name}'; ${hint}: ${known}`, `${program.name} --help`);
  }
  if (asksForHelp) return { kind: 'print', text: commandHelp(spec), exitCode: 0 };
  try {
    return parseCommand(argv.slice(1), spec);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return usageError(program, error.message, `${program.name} ${spec.name} --help`);
  }
}

const HELP: readonly string[] = ['--help', '-h'];

/** What the person at the terminal got wrong. */
class UsageError extends Error {}

function parseCommand(argv: readonly string[], spec: CommandSpec): Parsed {
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const [name, option] of Object.entries(spec.options)) {
    options[name] = { type: option.type === 'flag' ? 'boolean' : 'string' };
  }
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  // Whoever asks for help gets it, whatever else is wrong.
  if (tokens.some((token) => token.kind === 'option' && HELP.includes(token.rawName))) {
    return { kind: 'print', text: commandHelp(spec), exitCode: 0 };
  }
  const values: Record<string, string | number | boolean> = {};
  for (const [name, option] of Object.entries(spec.options)) {
    values[name] = option.type === 'flag' ? false : option.default;
  }
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(spec.options, token.name) ? spec.options[token.name] : undefined;
    if (option === undefined || !token.rawName.startsWith('--')) throw unknownOption(token.rawName, spec);
    // What looks like the next option is not the value of this one, unless it is joined to it by `=`.
    const isNext = token.value?.startsWith('-') === true && !token.inlineValue;
    values[token.name] = optionValue(token.name, option, isNext ? undefined : token.value);
  }
  const missing = spec.positionals[positionals.length];
  if (missing !== undefined && missing.optional !== true) throw new UsageError(`${missing.name} is missing`);
  const extra = positionals[spec.positionals.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`);
  return { kind: 'run', command: spec.name, values, positionals };
}

function unknownOption(rawName: string, spec: CommandSpec): UsageError {
  const known = [...Object.keys(spec.options), 'help'].map((name) => `--${name}`).join(', ');
  return new UsageError(`unknown option '${rawName}'; ${spec.name} takes: ${known}`);
}

/** @param given What the option was given; undefined when it stood there alone. */
function optionValue(name: string, option: OptionSpec, given: string | undefined): string | number | boolean {
  if (option.type === 'flag') {
    if (given !== undefined) throw new UsageError(`--${name} takes no value, but got '${given}'`);
    return true;
  }
  if (given === undefined || given === '') {
    throw new UsageError(`--${name} needs a value: --${name} ${option.valueName}`);
  }
  if (option.type === 'integer') {
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < option.min || value > option.max) {
      const range = `from ${option.min} to ${option.max}`;
      throw new UsageError(`--${name} takes a whole number ${range}, not '${given}'`);
    }
    return value;
  }
  if (option.choices !== undefined && !option.choices.includes(given)) {
    throw new UsageError(`--${name} takes one of ${option.choices.join(', ')}, not '${given}'`);
  }
  return given;
}

function usageError(program: Program, message: string, help: string): Parsed {
  return { kind: 'print', text: `${program.name}: ${message}\nSee: ${help}\n`, exitCode: 2 };
}

function overview(specs: readonly CommandSpec[], program: Program): string {
  const rows = specs.map(({ name, summary }): [string, string] => [name, summary]);
  return [
    `Usage: ${program.name} COMMAND [options]`,
    '',
    'A replicated key-value store.',
    '',
    'Commands:',
    ...lineUp(rows),
    '',
    `${program.name} COMMAND --help tells the options of a command; ${program.name} --version the version.`,
    '',
  ].join('\n');
}

function commandHelp(spec: CommandSpec): string {
  const positionals = spec.positionals.map(({ name, description }): [string, string] => [name, description]);
  const options = Object.entries(spec.options).map(([name, option]): [string, string] => [
    option.type === 'flag' ? `--${name}` : `--${name} ${option.valueName}`,
    describe(option),
  ]);
  return [
    `Usage: ${spec.usage}`,
    '',
    `${spec.summary}.`,
    ...(positionals.length > 0 ? ['', 'Arguments:', ...lineUp(positionals)] : []),
    '',
    'Options:',
    ...lineUp([...options, ['-h, --help', 'Print this']]),
    '',
  ].join('\n');
}

function describe(option: OptionSpec): string {
  if (option.type === 'flag') return option.description;
  const choices =
    option.type === 'string' && option.choices !== undefined ? `: ${option.choices.join(', ')}` : '';
  const given = option.default === '' ? '' : ` (default ${option.default})`;
  return `${option.description}${choices}${given}`;
}

const WIDTH = 100;

/** Two columns, the second one wrapped between words so that no line is longer than `WIDTH`. */
function lineUp(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.max(...rows.map(([name]) => name.length)) + 4;
  return rows.flatMap(([name, text]) => {
    const lines: string[] = [];
    let line = `  ${name}`.padEnd(left);
    let isEmpty = true;
    for (const word of text.split(' ')) {
      if (!isEmpty && line.length + 1 + word.length > WIDTH) {
        lines.push(line);
        line = ' '.repeat(left);
        isEmpty = true;
      }
      line += isEmpty ? word : ` ${word}`;
      isEmpty = false;
    }
    return [...lines, line];
  });
}
