/** `npm run sim`: the simulator's commands. */

import { checkCommand } from './check/command.ts';
import { UsageError } from './commands/arguments.ts';
import { modelCommand } from './commands/model.ts';
import { mutantsCommand } from './commands/mutants.ts';
import { replayCommand } from './commands/replay.ts';
import { RUN_HELP, runCommand } from './commands/run.ts';
import { shrinkCommand } from './commands/shrink.ts';

type Command = (args: readonly string[]) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, { readonly what: string; readonly run: Command }>> = {
  run: { what: 'run one seed or many (what happens without a command)', run: runCommand },
  shrink: { what: 'make a failing run small, and save it', run: shrinkCommand },
  check: { what: 'check whether a history in a file is linearizable', run: checkCommand },
  replay: { what: 'play a saved scenario', run: replayCommand },
  model: { what: 'check the consensus core in every order of events, within bounds', run: modelCommand },
  mutants: { what: 'plant known bugs and count the seeds that find them', run: mutantsCommand },
};

function main(): number | Promise<number> {
  const [name = '', ...rest] = process.argv.slice(2);
  if (name === '--help') {
    process.stdout.write(`${RUN_HELP}\nCommands, each with a --help of its own:\n${listCommands()}`);
    return 0;
  }
  // Without the name of a command, the arguments are those of a run.
  if (name === '' || name.startsWith('-')) return runCommand(process.argv.slice(2));
  const command = COMMANDS[name];
  if (command === undefined) throw new UsageError(`unknown command '${name}'; there are:\n${listCommands()}`);
  return command.run(rest);
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
  return code.startsWith('ERR_PARSE_ARGS') || code === 'FORMAT' || code === 'ENOENT';
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
