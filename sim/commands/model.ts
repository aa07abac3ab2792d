/** `npm run sim -- model`: bounded model checking of the consensus core. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BOUND_MAX, type Bounds, DEFAULT_BOUNDS, KINDS } from '../model/bounds.ts';
import { Model } from '../model/model.ts';
import type { Persistence } from '../model/model_node.ts';
import { RAFT_MUTANTS } from '../model/mutants.ts';
import { loadOpenedRaft } from '../model/opened_raft.ts';
import {
  describeNodes,
  describePath,
  PathError,
  play,
  type SavedStep,
  saveStep,
  shorten,
} from '../model/path.ts';
import { type PlannedSearch, PORTFOLIO, type Setup } from '../model/portfolio.ts';
import { PropertyViolation } from '../model/properties.ts';
import { formatPath, PERSISTENCES, parsePath, type SavedPath, SETUP_RANGES } from '../model/saved_path.ts';
import { type Progress, type SearchResult, type Strategy, search } from '../model/search.ts';
import { type Begun, begin, STARTS } from '../model/start.ts';
import type { Mutant } from '../mutants/mutant.ts';
import { ProgressLine } from '../progress_line.ts';
import { count, expectWritable, readInput, refuse, UsageError } from './arguments.ts';

const HELP = `Usage: npm run sim -- model [options]

Drives the consensus core through every order of messages, timeouts, crashes and requests within bounds, and checks
Raft's safety properties in each state. See docs/model_checking.md.

The model
  --nodes N          voters, 1 to 7                                       (default 3)
  --start S          'empty'; 'elected': node 1 leads in term 1;
                     'diverged': where figure 8 of the Raft paper begins   (default empty)
  --persistence P    'steps': saves and syncs are steps; 'at-once'         (default steps)
  --max-term T       nobody campaigns for a later term                     (default 3)
  --letters M        messages on their way, at most                        (default 12)
  --copies C         equal messages on their way, at most                  (default 1)
  --rare NAME        take the rarer way at maybe(NAME), such as 'short-append'; may be repeated
  --mutant NAME      plant a known bug of the core; --list names them

Bounds on a way through it, each from 0 to ${BOUND_MAX}
  --entries N        proposals            (default ${DEFAULT_BOUNDS.entries})    --timeouts N    election timeouts     (default ${DEFAULT_BOUNDS.timeouts})
  --reads N          reads                (default ${DEFAULT_BOUNDS.reads})    --beats N       heartbeats            (default ${DEFAULT_BOUNDS.beats})
  --crashes N        crash and restart    (default ${DEFAULT_BOUNDS.crashes})    --lapses N      leaders forgotten     (default ${DEFAULT_BOUNDS.lapses})
  --drops N          messages lost        (default ${DEFAULT_BOUNDS.drops})    --resets N      connections made anew (default ${DEFAULT_BOUNDS.resets})
  --duplicates N     messages repeated    (default ${DEFAULT_BOUNDS.duplicates})

The search
  --search S         'breadth', 'depth' or 'walk' (random, proves nothing) (default breadth)
  --depth N          steps, at most                                       (default 100)
  --max-states N     distinct states, at most                             (default 2000000)
  --seconds S        time, at most                                        (default 600)
  --seed TEXT        of a walk                                            (default 1)
  --portfolio        search a list of models instead, up to the first violation
  --scoreboard       the same for each known bug of the core, or that of --mutant
  --json             the result as JSON
  --save FILE        write the path to a violation there
  --path FILE        play such a path instead of a search

Exit code: 0 when no violation was found, 1 when one was (with --scoreboard: when a bug was not found), 2 for wrong usage.
`;

export async function modelCommand(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      nodes: { type: 'string' },
      start: { type: 'string' },
      persistence: { type: 'string' },
      'max-term': { type: 'string' },
      letters: { type: 'string' },
      copies: { type: 'string' },
      rare: { type: 'string', multiple: true },
      portfolio: { type: 'boolean' },
      scoreboard: { type: 'boolean' },
      mutant: { type: 'string' },
      list: { type: 'boolean' },
      entries: { type: 'string' },
      reads: { type: 'string' },
      crashes: { type: 'string' },
      drops: { type: 'string' },
      duplicates: { type: 'string' },
      timeouts: { type: 'string' },
      beats: { type: 'string' },
      lapses: { type: 'string' },
      resets: { type: 'string' },
      search: { type: 'string' },
      depth: { type: 'string' },
      'max-states': { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
      save: { type: 'string' },
      path: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return print(HELP);
  if (values.list === true) {
    return print(RAFT_MUTANTS.map(({ name, what }) => `${name.padEnd(34)}  ${what}\n`).join(''));
  }
  const mutant = values.mutant === undefined ? null : findMutant(values.mutant);
  if (values.path !== undefined) {
    refuse(values, ['save', 'portfolio', 'scoreboard'], 'does not go with --path');
    return playFile(values.path, mutant);
  }
  expectWritable(values.save);
  const setup: Setup = {
    nodes: inRange(count(values.nodes, 'nodes', 3), 'nodes', ...SETUP_RANGES.nodes),
    start: oneOf(values.start, 'start', STARTS),
    persistence: oneOf<Persistence>(values.persistence, 'persistence', PERSISTENCES),
    maxTerm: inRange(count(values['max-term'], 'max-term', 3), 'max-term', ...SETUP_RANGES.maxTerm),
    letters: inRange(count(values.letters, 'letters', 12), 'letters', ...SETUP_RANGES.letters),
    copies: inRange(count(values.copies, 'copies', 1), 'copies', ...SETUP_RANGES.copies),
    rarePaths: values.rare ?? [],
    bounds: boundsFrom(values),
  };
  if (setup.start === 'diverged' && setup.nodes < 3) {
    throw new UsageError("--start 'diverged' needs 3 nodes or more");
  }
  const strategy = oneOf<Strategy>(values.search, 'search', ['breadth', 'depth', 'walk']);
  const limits = {
    depth: count(values.depth, 'depth', 100, 1),
    states: count(values['max-states'], 'max-states', 2_000_000, 1),
    seconds: count(values.seconds, 'seconds', 600, 1),
  };
  if (values.scoreboard === true) return scoreboard(mutant === null ? RAFT_MUTANTS : [mutant]);
  const shows = values.json !== true;
  const planned: readonly PlannedSearch[] =
    values.portfolio === true
      ? PORTFOLIO
      : [{ name: '', setup, strategy, depth: limits.depth, states: limits.states }];
  const seed = values.seed ?? '1';
  for (const plan of planned) {
    const found = await runSearch(plan, { mutant, seconds: limits.seconds, seed, shows });
    if (plan.name !== '' && values.json !== true) print(`${plan.name}: `);
    if (values.json === true) print(`${JSON.stringify(summaryOf(plan, found))}\n`);
    else print(describeFound(found));
    const { outcome } = found.result;
    if (outcome.type !== 'violated') continue;
    if (values.save !== undefined) {
      writeFileSync(
        values.save,
        formatPath({
          mutant: mutant?.name ?? null,
          property: outcome.violation.property,
          setup: plan.setup,
          steps: found.steps,
        }),
      );
    }
    return 1;
  }
  return 0;
}

interface Found {
  readonly model: Model;
  readonly begun: Begun;
  readonly result: SearchResult;
  /** To the violation, from where the search began. */
  readonly steps: readonly SavedStep[];
  readonly seconds: number;
}

async function runSearch(
  { setup, strategy, depth, states }: PlannedSearch,
  how: {
    readonly mutant: Mutant | null;
    readonly seconds: number;
    readonly seed: string;
    readonly shows: boolean;
  },
): Promise<Found> {
  const model = await makeModel(setup, how.mutant);
  const startedAt = performance.now();
  const elapsed = (): number => (performance.now() - startedAt) / 1000;
  let begun: Begun;
  try {
    begun = begin(model, setup.start);
  } catch (error) {
    if (!(error instanceof PropertyViolation)) throw error;
    const progress: Progress = { reached: 1, distinct: 1, depth: 0, queue: 0 };
    const outcome = { type: 'violated', violation: error, steps: [] } as const;
    return {
      model,
      begun: begin(model, 'empty'),
      result: { outcome, progress },
      steps: [],
      seconds: elapsed(),
    };
  }
  const line = new ProgressLine();
  const result = search({
    model,
    from: begun.state,
    strategy,
    limits: { depth, states, seconds: how.seconds },
    seed: how.seed,
    nowMs: () => performance.now(),
    onProgress: (progress) => {
      if (how.shows) line.show(() => describeProgress(progress, elapsed()));
    },
  });
  const seconds = elapsed();
  line.end();
  return { model, begun, result, steps: stepsOf(model, begun, result, strategy), seconds };
}

/** Plants each known bug and searches the portfolio up to the first violation: its search, property, steps and states. */
async function scoreboard(mutants: readonly Mutant[]): Promise<number> {
  let missed = 0;
  for (const mutant of mutants) {
    const startedAt = performance.now();
    let line = '';
    for (const plan of PORTFOLIO) {
      const found = await runSearch(plan, { mutant, seconds: 60, seed: '1', shows: false });
      const { outcome, progress } = found.result;
      if (outcome.type !== 'violated') continue;
      const { property } = outcome.violation;
      line = `${plan.name} | ${property} | ${found.steps.length} | ${progress.distinct} | ${found.seconds.toFixed(1)} s`;
      break;
    }
    if (line === '') missed++;
    const seconds = (performance.now() - startedAt) / 1000;
    print(
      `${mutant.name.padEnd(34)} | ${line === '' ? 'not found' : line} | ${seconds.toFixed(1)} s in all\n`,
    );
  }
  return missed === 0 ? 0 : 1;
}

/** A walk's path is mostly detours: it is shortened. */
function stepsOf(model: Model, begun: Begun, { outcome }: SearchResult, strategy: Strategy): SavedStep[] {
  if (outcome.type !== 'violated') return [];
  const { steps, violation } = outcome;
  const best = strategy === 'breadth' ? steps : shorten(model, begun.state, steps, violation.property);
  return best.map(saveStep);
}

function makeModel(setup: Setup, mutant: Mutant | null): Promise<Model> {
  const { rarePaths } = setup;
  return loadOpenedRaft({ mutants: mutant === null ? [] : [mutant], rarePaths }).then(
    (raftClass) =>
      new Model({
        raftClass,
        nodes: setup.nodes,
        persistence: setup.persistence,
        bounds: setup.bounds,
        maxTerm: setup.maxTerm,
        maxLetters: setup.letters,
        copies: setup.copies,
      }),
  );
}

/** @throws UsageError that names the file and the field. */
function readPath(file: string): SavedPath {
  try {
    return parsePath(readInput(file));
  } catch (error) {
    throw error instanceof PathError ? new UsageError(`${file}: ${error.message}`) : error;
  }
}

async function playFile(file: string, mutant: Mutant | null): Promise<number> {
  const saved = readPath(file);
  const model = await makeModel(saved.setup, mutant);
  const begun = begin(model, saved.setup.start);
  const played = play(model, begun.state, saved.steps);
  print(describeSteps(model, begun, played.steps.map(saveStep)));
  if (played.violation !== null) return print(`\n${played.violation.message}\n`) + 1;
  const at = played.impossible;
  print(`\n${describeNodes(model, played.state).join('\n')}\n`);
  print(
    at === null
      ? 'played to its end: every property held\n'
      : `every property held; step ${at + 1} was not possible, and was left out as were ${saved.steps.length - played.steps.length} in all\n`,
  );
  return 0;
}

function describeFound({ model, begun, result: { outcome, progress }, steps, seconds }: Found): string {
  const figures = `${describeProgress(progress, seconds)}\n${describeWork(model)}\n`;
  switch (outcome.type) {
    case 'exhausted':
      return `${figures}every state within the bounds was looked at: every property holds\n`;
    case 'limited':
      return `${figures}no violation up to the limit of --${outcome.limit === 'states' ? 'max-states' : outcome.limit}\n`;
    case 'violated':
      return `${figures}\n${describeSteps(model, begun, steps)}\nVIOLATED ${outcome.violation.message}\n`;
  }
}

function describeSteps(model: Model, begun: Begun, saved: readonly SavedStep[]): string {
  const { steps } = play(model, begun.state, saved);
  const head = begun.steps.length === 0 ? '' : `${describeNodes(model, begun.state).join('\n')}\n\n`;
  return `${head}${describePath(model, begun.state, steps).join('\n')}\n`;
}

function describeProgress({ reached, distinct, depth, queue }: Readonly<Progress>, seconds: number): string {
  const rate = seconds > 0 ? Math.round(distinct / seconds) : 0;
  return `${reached} states, ${distinct} distinct, depth ${depth}, queue ${queue}, ${seconds.toFixed(1)} s, ${rate} distinct/s`;
}

function describeWork(model: Model): string {
  const { locals, properties, crowded } = model;
  const left = crowded === 0 ? '' : `; ${crowded} states not searched on: too many messages on their way`;
  return `${locals.count} states of single nodes, ${locals.executed} runs of the core, ${properties.memories} memories${left}`;
}

function summaryOf(
  plan: PlannedSearch,
  { model, result: { outcome, progress }, steps, seconds }: Found,
): object {
  const violation: PropertyViolation | null = outcome.type === 'violated' ? outcome.violation : null;
  return {
    search: plan.name,
    outcome: outcome.type,
    limit: outcome.type === 'limited' ? outcome.limit : null,
    property: violation?.property ?? null,
    message: violation?.message ?? null,
    ...progress,
    crowded: model.crowded,
    seconds,
    steps: steps.length,
  };
}

function boundsFrom(values: Readonly<Record<string, unknown>>): Bounds {
  const bounds: Record<string, number> = {};
  for (const kind of KINDS) {
    const value = values[kind];
    const text = typeof value === 'string' ? value : undefined;
    bounds[kind] = inRange(count(text, kind, DEFAULT_BOUNDS[kind]), kind, 0, BOUND_MAX);
  }
  return { ...DEFAULT_BOUNDS, ...bounds };
}

function inRange(value: number, name: string, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${name} is from ${min} to ${max}, not ${value}`);
}

/** The first of `choices` is the default. */
function oneOf<Choice extends string>(
  text: string | undefined,
  name: string,
  choices: readonly Choice[],
): Choice {
  if (text === undefined) return choices[0];
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`--${name} is one of ${choices.join(', ')}, not '${text}'`);
  return found;
}

function findMutant(name: string): Mutant {
  const found = RAFT_MUTANTS.find((mutant) => mutant.name === name);
  if (found === undefined) throw new UsageError(`no mutant '${name}' of the core; --list names them`);
  return found;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
