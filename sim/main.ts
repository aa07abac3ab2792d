/**
 * `npm run sim`: runs seeds in the simulated world and reports what failed, with the one command that replays it.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Campaign } from './campaign.ts';
import { count, UsageError } from './commands/arguments.ts';
import { shrinkCommand } from './commands/shrink.ts';
import { runMutants } from './mutant_runner.ts';
import { parseScenario } from './scenario.ts';
import { type RunResult, runScenario, runSeed } from './world.ts';

const HELP = `Usage: npm run sim -- [options]

Runs EnvelopeDB's server code in a simulated world, deterministically from a seed.

  --seed S         run this one seed (any text) and print what it did
  --seeds N        run N seeds, named 1 to N                    (default 200)
  --first N        the first of them                            (default 1)
  --storm-ms MS    simulated time in which faults are injected  (default 20000)
  --jobs J         worker threads for --seeds                   (default: cores)
  --twice          with --seed: run it twice and compare the hashes
  --trace          with --seed: print one line per event to standard output
  --until-failure  with --seeds: stop at the first failing seed
  --mutant NAME    plant a known bug in a copy of the sources and count the seeds
                   that it takes to find it; 'all' for each in turn
  --help           print this

Exit code: 0 when every check held, 1 when one did not, 2 for wrong usage.
`;

const DEFAULT_SEEDS = 200;
const DEFAULT_STORM_MS = 20_000;

type Command = (args: readonly string[]) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, Command>> = {
  run: runCommand,
  shrink: shrinkCommand,
  replay: replayCommand,
};

function main(): number | Promise<number> {
  const [name = '', ...rest] = process.argv.slice(2);
  // Without the name of a command, the arguments are those of a run.
  if (name === '' || name.startsWith('-')) return runCommand(process.argv.slice(2));
  const command = COMMANDS[name];
  if (command === undefined) {
    throw new UsageError(`unknown command '${name}'; there are: ${Object.keys(COMMANDS).join(', ')}`);
  }
  return command(rest);
}

async function runCommand(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      first: { type: 'string' },
      'storm-ms': { type: 'string' },
      jobs: { type: 'string' },
      twice: { type: 'boolean' },
      trace: { type: 'boolean' },
      'until-failure': { type: 'boolean' },
      mutant: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const stormMs = count(values['storm-ms'], 'storm-ms', DEFAULT_STORM_MS);
  if (values.mutant !== undefined)
    return runMutants(values.mutant, count(values.seeds, 'seeds', DEFAULT_SEEDS), stormMs);
  if (values.seed !== undefined)
    return runOne(values.seed, stormMs, values.twice === true, values.trace === true);
  const campaign = new Campaign({
    first: count(values.first, 'first', 1),
    seeds: count(values.seeds, 'seeds', DEFAULT_SEEDS),
    stormMs,
    jobs: values.jobs === undefined ? null : count(values.jobs, 'jobs', 1),
    untilFailure: values['until-failure'] === true,
  });
  return campaign.run();
}

function runOne(seed: string, stormMs: number, twice: boolean, trace: boolean): number {
  const startedAt = performance.now();
  const run = trace ? { stormMs, onLine: (line: string) => process.stdout.write(`${line}\n`) } : { stormMs };
  const result = runSeed(seed, run);
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(describe(result, seconds, `--seed ${seed}`));
  if (twice) {
    const again = runSeed(seed, { stormMs });
    if (again.hash !== result.hash) {
      process.stdout.write(`the second run differs: hash ${again.hash}\n`);
      return 1;
    }
    process.stdout.write('the second run has the same hash\n');
  }
  process.stdout.write(`hash ${result.hash}\n`);
  return result.failure === null ? 0 : 1;
}

function describe(result: RunResult, seconds: number, replay: string): string {
  const lines = [
    `seed ${result.seed}: ${result.failure === null ? 'every check held' : `FAILED: ${result.failure.check}`}`,
    `  ${result.simulatedSeconds.toFixed(1)} s simulated in ${seconds.toFixed(2)} s: ${(result.simulatedSeconds / seconds).toFixed(0)} simulated seconds per second`,
    `  ${result.events} events, ${result.operations} operations, ${result.entries} entries committed, ${result.crashes} crashes, ${result.elections} elections`,
  ];
  if (result.failure !== null) {
    lines.push('', result.failure.message, '', `replay: npm run sim -- ${replay}`);
  }
  return `${lines.join('\n')}\n`;
}

function replayCommand(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { trace: { type: 'boolean' } },
  });
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new UsageError('replay takes one file');
  const scenario = parseScenario(readFileSync(file, 'utf8'));
  const startedAt = performance.now();
  const onLine = values.trace === true ? (line: string) => process.stdout.write(`${line}\n`) : null;
  const result = runScenario(scenario, onLine);
  process.stdout.write(describe(result, (performance.now() - startedAt) / 1000, `replay ${file}`));
  process.stdout.write(`hash ${result.hash}\n`);
  return result.failure === null ? 0 : 1;
}

Promise.resolve()
  .then(main)
  .then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      const isUsage =
        error instanceof UsageError || (error as NodeJS.ErrnoException)?.code?.startsWith('ERR_PARSE_ARGS');
      const text =
        error instanceof Error ? (isUsage ? error.message : (error.stack ?? error.message)) : String(error);
      process.stderr.write(`sim: ${text}\n`);
      process.exitCode = 2;
    },
  );
