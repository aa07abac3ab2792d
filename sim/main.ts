/** `npm run sim`: the simulator's commands. */

import { parseArgs } from 'node:util';
import { UsageError } from './commands/arguments.ts';

type Command = (args: readonly string[]) => number | Promise<number>;

interface Entry {
  readonly what: string;
  /** Loads it, and with it the code that it runs. */
  readonly load: () => Promise<Command>;
  /** `--mutant` plants a bug in that code before it is loaded. */
  readonly takesMutant?: true;
}

const RUN: Entry = {
  what: 'run one seed or many (what happens without a command)',
  load: async () => (await import('./commands/run.ts')).runCommand,
  takesMutant: true,
};

const COMMANDS: Readonly<Record<string, Entry>> = {
  run: RUN,
  shrink: {
    what: 'make a failing run small, and save it',
    load: async () => (await import('./commands/shrink.ts')).shrinkCommand,
    takesMutant: true,
  },
  check: {
    what: 'check whether a history in a file is linearizable',
    load: async () => (await import('./check/command.ts')).checkCommand,
  },
  replay: {
    what: 'play a saved scenario',
    load: async () => (await import('./commands/replay.ts')).replayCommand,
    takesMutant: true,
  },
  model: {
    what: 'check the consensus core in every order of events, within bounds',
    load: async () => (await import('./commands/model.ts')).modelCommand,
  },
  mutants: {
    what: 'plant known bugs and count the seeds that find them',
    load: async () => (await import('./commands/mutants.ts')).mutantsCommand,
  },
};

async function main(): Promise<number> {
  const [name = '', ...rest] = process.argv.slice(2);
  if (name === '--help' || name === '-h' || name === 'help') {
    const { RUN_HELP } = await import('./commands/run.ts');
    process.stdout.write(`${RUN_HELP}\nCommands, each with a --help of its own:\n${listCommands()}`);
    return 0;
  }
  // Without the name of a command, the arguments are those of a run.
  if (name === '' || name.startsWith('-')) return start(RUN, process.argv.slice(2));
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new UsageError(`unknown command '${name}'; there are:\n${listCommands()}`);
  return start(command, rest);
}

async function start({ load, takesMutant }: Entry, args: readonly string[]): Promise<number> {
  const mutant = takesMutant === true ? mutantIn(args) : undefined;
  if (mutant !== undefined) {
    const { findMutant, plant } = await import('./mutants/plant.ts');
    plant(findMutant(mutant));
  }
  const command = await load();
  return command(args);
}

/** What the command itself will say of its arguments is left to it. */
function mutantIn(args: readonly string[]): string | undefined {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    options: { mutant: { type: 'string' } },
  });
  return typeof values.mutant === 'string' ? values.mutant : undefined;
}

/** 128 and the number of SIGPIPE. */
const BROKEN_PIPE_EXIT_CODE = 141;

function listCommands(): string {
  return Object.entries(COMMANDS)
    .map(([name, { what }]) => `  ${name.padEnd(8)}  ${what}\n`)
    .join('');
}

function isUsage(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS') || code === 'FORMAT' || code === 'USAGE';
}

// Whoever read the output, as `head` does, wants no more of it: that ends the run as it ends other programs.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(BROKEN_PIPE_EXIT_CODE);
});

Promise.resolve()
  .then(main)
  .then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      const stack = error instanceof Error ? error.stack : undefined;
      process.stderr.write(`sim: ${isUsage(error) ? text : (stack ?? text)}\n`);
      process.exitCode = 2;
    },
  );
