/** `npm run sim -- [run]`: runs one seed, or a campaign of many. */
import { parseArgs } from 'node:util';
import { Campaign, formatSummary } from '../campaign.ts';
import { REPORT_OPTIONS, type ReportOptions, runWithReport } from '../report/command.ts';
import type { RunResult } from '../result.ts';
import { runSeed } from '../world.ts';
import { count, refuse, UsageError } from './arguments.ts';
import { Comparison } from './comparison.ts';

export const RUN_HELP = `Usage: npm run sim -- [run] [options]

Runs EnvelopeDB's server code in a simulated world, deterministically from a seed.

  --seed S         run this one seed (any text) and print what it did
  --seeds N        run N seeds, named by numbers                (default 200); Ctrl-C ends with the summary
  --minutes M      run seeds for so long instead                (also: --seconds)
  --first N        the number of the first seed                 (default 1)
  --storm-ms MS    simulated time in which faults are injected  (default 20000)
  --no-trials      whole clusters alone, without the trials of single parts
  --jobs J         worker threads                               (default: cores)
  --until-failure  stop at the first failing seed
  --failures FILE  keep failing seeds there, and run them first the next time
  --require-marks  fail when a mark in the code was never reached
  --json           the summary as JSON

With --seed:
  --twice          run it twice and report the first event that differs
  --trace          print one line per event to standard output
  --report FILE    draw the run, as one HTML page
  --transcript FILE  write one line for each thing that happened
  --history FILE   write what the clients saw, for \`sim check --order program\`
  --mutant NAME    with a known bug planted; npm run mutants -- --list names them

Exit code: 0 when every check held, 1 when one did not, 2 for wrong usage.
`;

/** Options of one kind of run, which the others do not take. */
const OF_A_CAMPAIGN = [
  'seeds',
  'minutes',
  'seconds',
  'first',
  'no-trials',
  'jobs',
  'until-failure',
  'failures',
  'require-marks',
  'json',
] as const;
const OF_A_RECORD = ['trace', 'report', 'transcript', 'history'] as const;
/** A seed whose trial failed would be taken to hold, and marks that trials reach to be dark. */
const NEEDS_TRIALS = ['failures', 'require-marks'] as const;
const DEFAULT_SEEDS = 200;
const DEFAULT_STORM_MS = 20_000;

export async function runCommand(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      minutes: { type: 'string' },
      seconds: { type: 'string' },
      first: { type: 'string' },
      'storm-ms': { type: 'string' },
      'no-trials': { type: 'boolean' },
      jobs: { type: 'string' },
      'until-failure': { type: 'boolean' },
      failures: { type: 'string' },
      'require-marks': { type: 'boolean' },
      json: { type: 'boolean' },
      twice: { type: 'boolean' },
      trace: { type: 'boolean' },
      mutant: { type: 'string' },
      ...REPORT_OPTIONS,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(RUN_HELP);
    return 0;
  }
  const stormMs = count(values['storm-ms'], 'storm-ms', DEFAULT_STORM_MS);
  if (values.seed !== undefined) {
    if (values.seed === '') throw new UsageError('--seed takes a text that is not empty');
    refuse(values, OF_A_CAMPAIGN, 'is for many seeds, not for the one of --seed');
    const replay = replayOf(values.seed, stormMs, values.mutant);
    if (values.twice === true) {
      refuse(values, OF_A_RECORD, 'does not go with --twice');
      return runTwice(values.seed, stormMs, replay);
    }
    const { report, transcript, history } = values;
    const onLine = values.trace === true ? printLine : null;
    return runOne(values.seed, {
      stormMs,
      replay,
      report,
      transcript,
      history,
      onLine,
    });
  }
  refuse(values, ['twice', 'mutant', ...OF_A_RECORD], 'is for one run: name its seed with --seed');
  if (values['no-trials'] === true)
    refuse(values, NEEDS_TRIALS, 'needs the trials, which --no-trials leaves out');
  const minutes = count(values.minutes, 'minutes', 0, 1);
  const seconds = 60 * minutes + count(values.seconds, 'seconds', 0, 1);
  const campaign = new Campaign({
    first: count(values.first, 'first', 1),
    seeds: values.seeds === undefined && seconds > 0 ? null : count(values.seeds, 'seeds', DEFAULT_SEEDS, 1),
    seconds: seconds > 0 ? seconds : null,
    stormMs,
    trials: values['no-trials'] === true ? 'none' : 'all',
    jobs: values.jobs === undefined ? null : count(values.jobs, 'jobs', 1, 1),
    untilFailure: values['until-failure'] === true,
    failures: values.failures ?? null,
    requireMarks: values['require-marks'] === true,
  });
  // The first Ctrl-C ends it with a summary, the second at once.
  process.once('SIGINT', () => campaign.stop());
  const summary = await campaign.run();
  process.stdout.write(
    values.json === true ? `${JSON.stringify(summary, null, 2)}\n` : formatSummary(summary),
  );
  return summary.ok ? 0 : 1;
}

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

function replayOf(seed: string, stormMs: number, mutant: string | undefined): string {
  const storm = stormMs === DEFAULT_STORM_MS ? '' : ` --storm-ms ${stormMs}`;
  return `--seed ${seed}${storm}${mutant === undefined ? '' : ` --mutant ${mutant}`}`;
}

function runOne(seed: string, options: ReportOptions): number {
  const startedAt = performance.now();
  const result = runWithReport(seed, options);
  process.stdout.write(describeRun(result, (performance.now() - startedAt) / 1000, options.replay));
  return result.failure === null ? 0 : 1;
}

/** Compares two runs of a seed event by event. */
function runTwice(seed: string, stormMs: number, replay: string): number {
  const comparison = new Comparison();
  const startedAt = performance.now();
  const result = runSeed(seed, { stormMs, onLine: comparison.first });
  process.stdout.write(describeRun(result, (performance.now() - startedAt) / 1000, replay));
  const again = runSeed(seed, { stormMs, onLine: comparison.second });
  const { difference } = comparison;
  if (difference === null && again.hash === result.hash) {
    process.stdout.write('the second run has the same hash\n');
    return result.failure === null ? 0 : 1;
  }
  process.stdout.write(
    `the second run differs: hash ${again.hash}, ${difference ?? 'in nothing that is shown'}\n`,
  );
  return 1;
}

function verdictOf({ failure, undecided }: RunResult): string {
  if (failure !== null) return `FAILED: ${failure.check}`;
  return undecided === 0 ? 'every check held' : 'no check failed';
}

/** @param replay Arguments that run it again. */
export function describeRun(result: RunResult, seconds: number, replay: string): string {
  const lines = [
    `seed ${result.seed}: ${verdictOf(result)}`,
    `  ${result.simulatedSeconds.toFixed(1)} s simulated in ${seconds.toFixed(2)} s: ${(result.simulatedSeconds / seconds).toFixed(0)} simulated seconds per second`,
    `  ${result.events} events, ${result.operations} operations, ${result.entries} entries committed, ${result.faults} faults, ${result.crashes} crashes, ${result.elections} elections`,
  ];
  if (result.undecided > 0)
    lines.push('  NOT DECIDED whether the history is linearizable: it was too hard to search');
  if (result.failure !== null) lines.push('', result.failure.message, '', `replay: npm run sim -- ${replay}`);
  return `${lines.join('\n')}\nhash ${result.hash}\n`;
}
