/**
 * The command line: a table of commands and options gives parsing, `--help` at the top and for each command, and errors
 * that name what is wrong. Usage errors exit with code 2.
 */
import { parseArgs } from 'node:util';

export type OptionSpec = StringOption | IntegerOption | FlagOption;

interface StringOption {
  readonly type: 'string';
  readonly valueName: string;
  readonly default: string;
  readonly choices?: readonly string[];
  readonly description: string;
}

interface IntegerOption {
  readonly type: 'integer';
  readonly valueName: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly description: string;
}

interface FlagOption {
  readonly type: 'flag';
  readonly description: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  /** All are required. */
  readonly positionals: readonly { readonly name: string; readonly description: string }[];
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
  const [first] = argv;
  if (first === undefined) return { kind: 'print', text: overview(specs, program), exitCode: 2 };
  if (first === '--help' || first === '-h' || first === 'help') {
    return { kind: 'print', text: overview(specs, program), exitCode: 0 };
  }
  if (first === '--version') return { kind: 'print', text: `${program.version}\n`, exitCode: 0 };
  const spec = specs.find(({ name }) => name === first);
  if (spec === undefined) {
    const known = specs.map(({ name }) => name).join(', ');
    return usageError(program, `unknown command '${first}'; there are: ${known}`, `${program.name} --help`);
  }
  try {
    return parseCommand(argv.slice(1), spec);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return usageError(program, message, `${program.name} ${spec.name} --help`);
  }
}

function parseCommand(argv: readonly string[], spec: CommandSpec): Parsed {
  const options: Record<string, { type: 'string' | 'boolean' }> = { help: { type: 'boolean' } };
  for (const [name, option] of Object.entries(spec.options)) {
    options[name] = { type: option.type === 'flag' ? 'boolean' : 'string' };
  }
  const { values: given, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
  if (given.help === true) return { kind: 'print', text: commandHelp(spec), exitCode: 0 };
  const missing = spec.positionals[positionals.length];
  if (missing !== undefined) throw new Error(`${missing.name} is missing`);
  const extra = positionals[spec.positionals.length];
  if (extra !== undefined) throw new Error(`unexpected argument '${extra}'`);
  const values: Record<string, string | number | boolean> = {};
  for (const [name, option] of Object.entries(spec.options))
    values[name] = optionValue(name, option, given[name]);
  return { kind: 'run', command: spec.name, values, positionals };
}

function optionValue(
  name: string,
  option: OptionSpec,
  given: string | boolean | undefined,
): string | number | boolean {
  switch (option.type) {
    case 'flag':
      return given === true;
    case 'integer': {
      if (given === undefined) return option.default;
      const value = Number(given);
      if (!/^\d+$/.test(String(given)) || value < option.min || value > option.max) {
        throw new Error(`--${name} takes a whole number from ${option.min} to ${option.max}, not '${given}'`);
      }
      return value;
    }
    case 'string': {
      const value = given === undefined ? option.default : String(given);
      if (option.choices !== undefined && !option.choices.includes(value)) {
        throw new Error(`--${name} takes one of ${option.choices.join(', ')}, not '${value}'`);
      }
      return value;
    }
  }
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
    ...lineUp([...options, ['--help', 'Print this']]),
    '',
  ].join('\n');
}

function describe(option: OptionSpec): string {
  if (option.type === 'flag') return option.description;
  const choices =
    option.type === 'string' && option.choices !== undefined ? `: ${option.choices.join(', ')}` : '';
  return `${option.description}${choices} (default ${option.default})`;
}

const WIDTH = 100;

/** Two columns, the second one wrapped. */
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
