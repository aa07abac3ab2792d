/** `npm run sim -- [run]`: runs one seed, or a campaign of many. */
import { parseArgs } from 'node:util';
import { Campaign, formatSummary } from '../campaign.ts';
import { REPORT_OPTIONS, type ReportOptions, runWithReport } from '../report/command.ts';
import type { RunResult } from '../result.ts';
import { runSeed } from '../world.ts';
import { count } from './arguments.ts';

export const RUN_HELP = `Usage: npm run sim -- [run] [options]

Runs EnvelopeDB's server code in a simulated world, deterministically from a seed.

  --seed S         run this one seed (any text) and print what it did
  --seeds N        run N seeds, named by numbers                (default 200); Ctrl-C ends with the summary
  --minutes M      run seeds for so long instead                (also: --seconds)
  --first N        the number of the first seed                 (default 1)
  --storm-ms MS    simulated time in which faults are injected  (default 20000)
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

Exit code: 0 when every check held, 1 when one did not, 2 for wrong usage.
`;

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
      jobs: { type: 'string' },
      'until-failure': { type: 'boolean' },
      failures: { type: 'string' },
      'require-marks': { type: 'boolean' },
      json: { type: 'boolean' },
      twice: { type: 'boolean' },
      trace: { type: 'boolean' },
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
    if (values.twice === true) return runTwice(values.seed, stormMs);
    const { report, transcript, history } = values;
    const onLine = values.trace === true ? printLine : null;
    return runOne(values.seed, {
      stormMs,
      replay: replayOf(values.seed, stormMs),
      report,
      transcript,
      history,
      onLine,
    });
  }
  const minutes = count(values.minutes, 'minutes', 0);
  const seconds = 60 * minutes + count(values.seconds, 'seconds', 0);
  const campaign = new Campaign({
    first: count(values.first, 'first', 1),
    seeds: values.seeds === undefined && seconds > 0 ? null : count(values.seeds, 'seeds', DEFAULT_SEEDS),
    seconds: seconds > 0 ? seconds : null,
    stormMs,
    jobs: values.jobs === undefined ? null : count(values.jobs, 'jobs', 1),
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

function replayOf(seed: string, stormMs: number): string {
  return stormMs === DEFAULT_STORM_MS ? `--seed ${seed}` : `--seed ${seed} --storm-ms ${stormMs}`;
}

function runOne(seed: string, options: ReportOptions): number {
  const startedAt = performance.now();
  const result = runWithReport(seed, options);
  process.stdout.write(describeRun(result, (performance.now() - startedAt) / 1000, options.replay));
  return result.failure === null ? 0 : 1;
}

/** Compares two runs of a seed event by event. */
function runTwice(seed: string, stormMs: number): number {
  const first: string[] = [];
  const startedAt = performance.now();
  const result = runSeed(seed, { stormMs, onLine: (line) => first.push(line) });
  process.stdout.write(describeRun(result, (performance.now() - startedAt) / 1000, replayOf(seed, stormMs)));
  let at = 0;
  let difference: string | null = null;
  const again = runSeed(seed, {
    stormMs,
    onLine: (line) => {
      if (difference === null && line !== first[at]) {
        difference = `event ${at + 1}:\n  first  ${first[at] ?? '(none)'}\n  second ${line}`;
      }
      at++;
    },
  });
  if (difference === null && at < first.length)
    difference = `event ${at + 1}:\n  first  ${first[at]}\n  second (none)`;
  if (difference === null && again.hash === result.hash) {
    process.stdout.write('the second run has the same hash\n');
    return result.failure === null ? 0 : 1;
  }
  process.stdout.write(
    `the second run differs: hash ${again.hash}, ${difference ?? 'in nothing that is shown'}\n`,
  );
  return 1;
}

/** @param replay Arguments that run it again. */
export function describeRun(result: RunResult, seconds: number, replay: string): string {
  const lines = [
    `seed ${result.seed}: ${result.failure === null ? 'every check held' : `FAILED: ${result.failure.check}`}`,
    `  ${result.simulatedSeconds.toFixed(1)} s simulated in ${seconds.toFixed(2)} s: ${(result.simulatedSeconds / seconds).toFixed(0)} simulated seconds per second`,
    `  ${result.events} events, ${result.operations} operations, ${result.entries} entries committed, ${result.faults} faults, ${result.crashes} crashes, ${result.elections} elections`,
  ];
  if (result.failure !== null) lines.push('', result.failure.message, '', `replay: npm run sim -- ${replay}`);
  return `${lines.join('\n')}\nhash ${result.hash}\n`;
}
