/** `npm run mutants`: plants known bugs, one at a time, and counts how long the simulator takes to find each. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS } from '../mutants/index.ts';
import type { Mutant } from '../mutants/mutant.ts';
import { findMutant } from '../mutants/plant.ts';
import { type Hunt, huntMutant } from '../mutants/runner.ts';
import { count } from './arguments.ts';

const HELP = `Usage: npm run mutants -- [NAME ...] [options]

Plants known bugs, each in a bundle of the sources of its own, and runs seeds until one fails. Without names: all of them.

  --list           print the names, one a line
  --seeds N        seeds per bug, at most                  (default 500)
  --seconds S      time per bug, at most                   (default 60)
  --storm-ms MS    as in a run                             (default 20000)
  --no-trials      only whole clusters, without the trials of single parts
  --jobs J         bugs hunted at a time                   (default: cores)
  --shrink S       make the schedule of each run that failed small, for S seconds  (default: do not)
  --json           the scoreboard as JSON

To look at a run that fails, name its seed and the bug: npm run sim -- --seed 1 --mutant NAME --report run.html

Exit code: 0 when all were found, 1 when one was not, 2 for wrong usage.
`;

export async function mutantsCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      seeds: { type: 'string' },
      seconds: { type: 'string' },
      'storm-ms': { type: 'string' },
      'no-trials': { type: 'boolean' },
      jobs: { type: 'string' },
      shrink: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.list === true) {
    process.stdout.write(`${MUTANTS.map(({ name }) => name).join('\n')}\n`);
    return 0;
  }
  const chosen = choose(positionals);
  const limits = {
    seeds: count(values.seeds, 'seeds', 500, 1),
    seconds: count(values.seconds, 'seconds', 60),
    stormMs: count(values['storm-ms'], 'storm-ms', 20_000),
    trials: values['no-trials'] === true ? ('none' as const) : ('all' as const),
    shrinkSeconds: values.shrink === undefined ? null : count(values.shrink, 'shrink', 0),
  };
  const jobs = count(values.jobs, 'jobs', availableParallelism(), 1);
  const startedAt = performance.now();
  const hunts: Hunt[] = [];
  const width = Math.max(...chosen.map(({ name }) => name.length));
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < chosen.length) {
      const hunt = await huntMutant(chosen[next++], limits);
      hunts.push(hunt);
      if (values.json !== true) process.stdout.write(`${formatHunt(hunt, width)}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, chosen.length) }, work));
  if (values.json === true) process.stdout.write(`${JSON.stringify(hunts, null, 2)}\n`);
  else process.stdout.write(summarize(hunts, (performance.now() - startedAt) / 1000));
  return hunts.every(({ found }) => found) ? 0 : 1;
}

function choose(names: readonly string[]): readonly Mutant[] {
  if (names.length === 0) return MUTANTS;
  return names.map(findMutant);
}

function formatHunt({ mutant, found, seeds, seconds, check, shrunk }: Hunt, width: number): string {
  const time = `${seconds.toFixed(1)} s`.padStart(8);
  const outcome = found ? `found at seed ${String(seeds).padStart(4)}` : `NOT FOUND in ${seeds} seeds`;
  const schedule = shrunk === null ? '' : `, ${shrunk.from} events shrunk to ${shrunk.to}`;
  return `${mutant.padEnd(width)}  ${time}  ${outcome}  ${check}${schedule}`.trimEnd();
}

function summarize(hunts: readonly Hunt[], seconds: number): string {
  const found = hunts.filter((hunt) => hunt.found);
  const seeds = found.map((hunt) => hunt.seeds).sort((a, b) => a - b);
  const median = seeds.length === 0 ? '-' : String(seeds[seeds.length >> 1]);
  return `${found.length} of ${hunts.length} found, median at seed ${median}, in ${seconds.toFixed(0)} s\n`;
}
