/** `npm run sim -- shrink SEED`: makes a failing run small, and saves what is left. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ProgressLine } from '../progress_line.ts';
import { type Failure, isOfTrial } from '../result.ts';
import { describeScenario, encodeScenario, eventCount, parseScenario, type Scenario } from '../scenario.ts';
import { Shrinker } from '../shrink.ts';
import { recordSeed, runScenario } from '../world.ts';
import { count, expectWritable, readInput, UsageError } from './arguments.ts';

const LINES_SHOWN_MAX = 60;

const HELP = `Usage: npm run sim -- shrink SEED|FILE [options]

Finds a short schedule that fails as the run of the seed, or the scenario in the file, does: leaves out faults, requests,
nodes and options as long as the same check still fails. Prints what is left, and saves it.

  --out FILE       where to save it          (default failure-SEED.json)
  --seconds S      stop after so long        (default 120)
  --noises N       runs per candidate, each with other latencies  (default 6)
  --storm-ms MS    as in a run               (default 20000)
  --mutant NAME    with a known bug planted; npm run mutants -- --list names them

Exit code: 0 when a schedule was saved, 1 when the run does not fail, 2 for wrong usage.
`;

export function shrinkCommand(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      seconds: { type: 'string' },
      noises: { type: 'string' },
      'storm-ms': { type: 'string' },
      mutant: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const [subject, ...rest] = positionals;
  if (subject === undefined || rest.length > 0) throw new UsageError('shrink takes one seed or file');
  if (subject === '') throw new UsageError('a seed is a text that is not empty');
  const mutant = values.mutant === undefined ? '' : ` --mutant ${values.mutant}`;
  const stormMs = count(values['storm-ms'], 'storm-ms', 20_000);
  const seconds = count(values.seconds, 'seconds', 120);
  const noises = count(values.noises, 'noises', 6, 1);
  const { scenario, failure } = load(subject, stormMs);
  if (failure === null) {
    process.stdout.write(`${subject}: every check held, there is nothing to shrink\n`);
    return 1;
  }
  if (isOfTrial(failure)) {
    process.stdout.write(
      `${subject} fails: ${failure.check}\n${failure.message}\na schedule is the cluster's; a trial has none, and runs again with its seed alone: npm run sim -- --seed ${subject} --storm-ms ${stormMs}${mutant}\n`,
    );
    return 1;
  }
  const out = values.out ?? `failure-${subject.replaceAll(/[^\w.-]/g, '_')}.json`;
  expectWritable(out);
  const until = performance.now() + seconds * 1000;
  const progress = new ProgressLine();
  const shrinker = new Shrinker(scenario, {
    check: failure.check,
    runsMax: Number.MAX_SAFE_INTEGER,
    noises,
    isOver: () => performance.now() > until,
    onProgress: (best, runs) => progress.show(() => `${runs} runs, ${eventCount(best)} events`),
  });
  process.stdout.write(`${subject} fails: ${failure.check}; ${eventCount(scenario)} events\n`);
  const shrunk = shrinker.run();
  progress.end();
  if (shrunk === null) {
    process.stdout.write('its schedule alone does not fail: the race hangs on what only the seed draws\n');
    return 1;
  }
  writeFileSync(out, encodeScenario(shrunk.scenario));
  const { nodes } = shrunk.scenario.options;
  process.stdout.write(
    `${eventCount(shrunk.scenario)} events on ${nodes} nodes after ${shrunk.runs} runs:\n\n${head(describeScenario(shrunk.scenario))}\n\n${shrunk.result.failure?.check}: ${shrunk.result.failure?.message}\n\nsaved; replay: npm run sim -- replay ${out}${mutant}\n`,
  );
  return 0;
}

function load(subject: string, stormMs: number): { scenario: Scenario; failure: Failure | null } {
  if (!subject.endsWith('.json')) {
    const { scenario, result } = recordSeed(subject, stormMs);
    return { scenario, failure: result.failure };
  }
  const scenario = parseScenario(readInput(subject), subject);
  return { scenario, failure: runScenario(scenario).failure };
}

/** What nobody would read is in the file. */
function head(schedule: string): string {
  const lines = schedule.split('\n');
  if (lines.length <= LINES_SHOWN_MAX) return schedule;
  return [...lines.slice(0, LINES_SHOWN_MAX), `... and ${lines.length - LINES_SHOWN_MAX} more`].join('\n');
}
