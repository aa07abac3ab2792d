/**
 * A run written down: everything that was drawn for it, as data. A seed alone decides a scenario; a scenario can also
 * be taken apart, which a seed cannot: the shrinker leaves out strokes, requests and faults, and what still fails is
 * saved in a file that goes on meaning the same after the code (and with it what a seed draws) has changed.
 *
 * What is not written down are the thousands of small draws: latencies, fates of sectors, fragmentation. They come from
 * streams of the seed and of `noise`: another noise is another run of the same schedule.
 */
import { EnvelopeError } from '../src/base/errors.ts';
import { completeOptions, type WorldOptions } from './options.ts';
import { optionsProblem } from './options_shape.ts';
import { strokeProblem } from './stroke_shape.ts';
import { describeStroke, type Stroke } from './strokes.ts';
import { type Batch, describeRequest } from './workload.ts';

export const SCENARIO_FORMAT = 1;
/** Of nodes, spares, clients or watchers. */
const COUNT_MAX = 7;

export interface Scenario {
  readonly format: typeof SCENARIO_FORMAT;
  readonly seed: string;
  readonly noise: number;
  readonly options: WorldOptions;
  /** Simulated milliseconds of faults and workload, before everything is healed. */
  readonly stormMs: number;
  /** By time. */
  readonly strokes: readonly Stroke[];
  /** By time; the requests of one client in the order in which it makes them. */
  readonly batches: readonly Batch[];
}

/** Strokes and requests: the length of the schedule that a person has to read. */
export function eventCount(scenario: Scenario): number {
  let requests = 0;
  for (const batch of scenario.batches) requests += batch.requests.length;
  return scenario.strokes.length + requests;
}

/** The schedule for a person: one line per stroke and request, in order of time. */
export function describeScenario(scenario: Scenario): string {
  const lines: { readonly atUs: number; readonly text: string }[] = [];
  for (const stroke of scenario.strokes) lines.push({ atUs: stroke.atUs, text: describeStroke(stroke) });
  for (const { atUs, client, node, requests } of scenario.batches) {
    for (const request of requests) {
      lines.push({ atUs, text: `client ${client} asks node ${node}: ${describeRequest(request)}` });
    }
  }
  lines.sort((a, b) => a.atUs - b.atUs);
  const width = (lines.at(-1)?.atUs ?? 0).toString().length + 1;
  return lines.map(({ atUs, text }) => `${(atUs / 1000).toFixed(3).padStart(width)} ms  ${text}`).join('\n');
}

export function encodeScenario(scenario: Scenario): string {
  const { strokes, batches, options, ...head } = scenario;
  const rows = (items: readonly unknown[]): string =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`;
  // One line an event, so that a file can be read, edited and compared.
  return `{
  ${Object.entries(head)
    .map(([name, value]) => `"${name}": ${JSON.stringify(value)}`)
    .join(',\n  ')},
  "options": ${JSON.stringify(options, null, 2).replaceAll('\n', '\n  ')},
  "strokes": ${rows(strokes)},
  "batches": ${rows(batches)}
}
`;
}

/**
 * @param file Where the text stood, for the message.
 * @throws EnvelopeError `FORMAT` that names the field when the text is not a scenario of this format.
 */
export function parseScenario(text: string, file = 'the text'): Scenario {
  const invalid = (why: string): EnvelopeError =>
    new EnvelopeError('FORMAT', `${file} is not a scenario: ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
  if (typeof value !== 'object' || value === null) throw invalid('it is not an object');
  const scenario = value as Partial<Scenario>;
  if (scenario.format !== SCENARIO_FORMAT) {
    throw invalid(`its format is ${JSON.stringify(scenario.format)}, this version reads ${SCENARIO_FORMAT}`);
  }
  if (typeof scenario.seed !== 'string') throw invalid('`seed` is not a text');
  if (!isCount(scenario.noise)) throw invalid('`noise` is not a whole number');
  if (!isCount(scenario.stormMs)) throw invalid('`stormMs` is not a whole number');
  if (typeof scenario.options !== 'object' || scenario.options === null)
    throw invalid('`options` is missing');
  for (const name of ['strokes', 'batches'] as const) {
    const items: unknown = scenario[name];
    if (!Array.isArray(items)) throw invalid(`\`${name}\` is not a list`);
    for (const [at, item] of (items as { atUs?: unknown }[]).entries()) {
      if (!isCount(item?.atUs)) throw invalid(`\`${name}[${at}].atUs\` is not a whole number`);
    }
  }
  const complete = { ...(scenario as Scenario), options: completeOptions(scenario.options) };
  const problem = problemOf(complete);
  if (problem !== null) throw invalid(problem);
  return complete;
}

/** What a world would trip over; null: nothing. What it passes over, such as a crash of what is down, may stand there. */
function problemOf({ options, strokes, batches }: Scenario): string | null {
  for (const name of ['nodes', 'spares', 'clients', 'watchers'] as const) {
    const min = name === 'nodes' ? 1 : 0;
    if (!isWithin(options[name], min, COUNT_MAX))
      return `\`options.${name}\` is not a whole number from ${min} to ${COUNT_MAX}`;
  }
  for (const name of ['heartbeatMs', 'electionTimeoutMs'] as const) {
    if (!isWithin(options.timing?.[name], 1, Number.MAX_SAFE_INTEGER))
      return `\`options.timing.${name}\` is not a whole number from 1`;
  }
  const oddOption = optionsProblem(options);
  if (oddOption !== null) return oddOption;
  const machines = options.nodes + options.spares;
  for (const [at, stroke] of strokes.entries()) {
    const problem = strokeProblem({ ...stroke }, machines);
    if (problem !== null) return `\`strokes[${at}]\`: ${problem}, in ${JSON.stringify(stroke)}`;
  }
  for (const [at, { client, node, requests }] of batches.entries()) {
    if (!isWithin(client, 1, COUNT_MAX))
      return `\`batches[${at}].client\` is not a number from 1 to ${COUNT_MAX}`;
    if (!isWithin(node, 1, machines)) return `\`batches[${at}].node\` is not a node from 1 to ${machines}`;
    if (!Array.isArray(requests)) return `\`batches[${at}].requests\` is not a list`;
    for (const [place, request] of requests.entries()) {
      if (!isCount(request?.bucket) || !canBeTold(() => describeRequest(request)))
        return `\`batches[${at}].requests[${place}]\` is not a request that is known: ${JSON.stringify(request)}`;
    }
  }
  return null;
}

function canBeTold(describe: () => string): boolean {
  try {
    return typeof describe() === 'string';
  } catch {
    return false;
  }
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return isCount(value) && value >= min && value <= max;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
