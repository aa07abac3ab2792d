/**
 * Makes a failing scenario small: leaves out strokes, requests, faults of the surroundings, rare paths, tunings and
 * nodes, as long as the same check still fails. Delta debugging (Zeller and Hildebrandt, TSE 2002) over lists, plain
 * attempts over the rest, again and again until nothing more can go or the budget is used up.
 *
 * What is left out shifts the small draws (latencies, fates of sectors) that a race may hang on. So a candidate is run
 * under several noises, and counts as failing if one of them fails; the scenario then keeps that noise.
 */
import {
  NO_FAULTS,
  PLAIN_SURROUNDINGS,
  PLAIN_TUNING,
  type Surroundings,
  type Tuning,
  type WorldOptions,
} from './options.ts';
import type { RunResult } from './result.ts';
import { eventCount, type Scenario } from './scenario.ts';
import type { OperatorCommand, Stroke } from './strokes.ts';
import { runScenario } from './world.ts';

export interface ShrinkOptions {
  /** The check that must go on failing. */
  readonly check: string;
  /** Runs of a world, at most. */
  readonly runsMax: number;
  /** Noises that a candidate is tried under. */
  readonly noises: number;
  /** Stops before the next run; called often. */
  readonly isOver: () => boolean;
  readonly onProgress: (scenario: Scenario, runs: number) => void;
  /** Runs a candidate; `runScenario`, unless a test stands in for it. */
  readonly run?: (scenario: Scenario) => RunResult;
}

export interface Shrunk {
  readonly scenario: Scenario;
  readonly result: RunResult;
  readonly runs: number;
}

/** Simulated time after the last event that is kept for its consequences to show, in milliseconds. */
const AFTERMATH_MS = [200, 1000, 3000] as const;
/** At the start a run that fails is looked for under so many times the noises. */
const FIRST_EFFORT = 10;
const LONG_EVENTS = 300;

export class Shrinker {
  readonly #options: ShrinkOptions;
  #best: Scenario;
  #result: RunResult | null = null;
  #runs = 0;

  constructor(scenario: Scenario, options: ShrinkOptions) {
    this.#best = scenario;
    this.#options = options;
  }

  /** Null when the scenario does not fail in the first place, under no noise that was tried. */
  run(): Shrunk | null {
    if (!this.#attempt(this.#best, FIRST_EFFORT * this.#options.noises)) return null;
    for (let before = Number.POSITIVE_INFINITY; this.#size() < before && !this.#isOver(); ) {
      before = this.#size();
      this.#shortenStorm();
      this.#dropClients();
      this.#dropStrokes();
      this.#dropRequests();
      this.#dropNodes();
      this.#simplifyOptions();
      this.#pairUp();
    }
    const result = this.#result;
    return result === null ? null : { scenario: this.#best, result, runs: this.#runs };
  }

  #isOver(): boolean {
    return this.#runs >= this.#options.runsMax || this.#options.isOver();
  }

  /** Events, and a little for every option that isn't plain. */
  #size(): number {
    const { options } = this.#best;
    return eventCount(this.#best) + options.nodes + options.spares + JSON.stringify(options).length / 1000;
  }

  /** Runs the candidate; one that fails in the same way becomes the best. */
  #attempt(candidate: Scenario, noises = this.#noisesFor(candidate)): boolean {
    for (let i = 0; i < noises && !this.#isOver(); i++) {
      // The noise that failed last is the likeliest to fail again.
      const noise = i === 0 ? candidate.noise : candidate.noise + i;
      const tried = { ...candidate, noise };
      this.#runs++;
      const result = (this.#options.run ?? runScenario)(tried);
      if (result.failure?.check !== this.#options.check) continue;
      this.#best = untilFailure(tried, result);
      this.#result = result;
      this.#options.onProgress(this.#best, this.#runs);
      return true;
    }
    return false;
  }

  /** Long schedules take long, and leave enough ways to fail: they are tried less often. */
  #noisesFor(candidate: Scenario): number {
    const { noises } = this.#options;
    return eventCount(candidate) > LONG_EVENTS ? Math.ceil(noises / 2) : noises;
  }

  #shortenStorm(): void {
    const { strokes, batches, stormMs } = this.#best;
    const lastUs = Math.max(strokes.at(-1)?.atUs ?? 0, batches.at(-1)?.atUs ?? 0);
    for (const aftermathMs of AFTERMATH_MS) {
      const shorter = Math.ceil(lastUs / 1000) + aftermathMs;
      if (shorter < stormMs && this.#attempt({ ...this.#best, stormMs: shorter })) return;
    }
  }

  #dropClients(): void {
    const clients = [...new Set(this.#best.batches.map(({ client }) => client))];
    for (const client of clients) {
      const batches = this.#best.batches.filter((batch) => batch.client !== client);
      this.#attempt({ ...this.#best, batches });
    }
  }

  #dropStrokes(): void {
    this.#minimize(
      () => this.#best.strokes,
      (strokes) => ({ ...this.#best, strokes }),
    );
  }

  #dropRequests(): void {
    this.#minimize(
      () => this.#best.batches,
      (batches) => ({ ...this.#best, batches }),
    );
    // Single requests out of batches of several.
    for (let at = this.#best.batches.length - 1; at >= 0; at--) {
      for (let i = this.#best.batches[at].requests.length - 1; i >= 0; i--) {
        const batch = this.#best.batches[at];
        if (batch.requests.length < 2) break;
        const requests = batch.requests.toSpliced(i, 1);
        this.#attempt({ ...this.#best, batches: this.#best.batches.with(at, { ...batch, requests }) });
      }
    }
  }

  /** ddmin: leaves out ever smaller parts of the list, the later ones first. */
  #minimize<T>(list: () => readonly T[], without: (kept: readonly T[]) => Scenario): void {
    for (let part = Math.ceil(list().length / 2); part >= 1 && !this.#isOver(); ) {
      let hasShrunk = false;
      for (let end = list().length; end > 0 && !this.#isOver(); end -= part) {
        const items = list();
        const start = Math.max(0, end - part);
        if (this.#attempt(without([...items.slice(0, start), ...items.slice(end)]))) hasShrunk = true;
      }
      if (part === 1 && !hasShrunk) return;
      part = part === 1 ? 1 : Math.ceil(part / 2);
    }
  }

  /** Things done and undone (a crash and the start after it) often can only go together. */
  #pairUp(): void {
    for (let first = this.#best.strokes.length - 1; first >= 0; first--) {
      for (let second = this.#best.strokes.length - 1; second > first; second--) {
        const { strokes } = this.#best;
        if (!isSamePlace(strokes[first], strokes[second])) continue;
        if (this.#attempt({ ...this.#best, strokes: strokes.toSpliced(second, 1).toSpliced(first, 1) }))
          break;
      }
    }
  }

  #dropNodes(): void {
    const { nodes, spares } = this.#best.options;
    for (let node = nodes + spares; node >= 1; node--) {
      const isSpare = node > this.#best.options.nodes;
      if (isSpare || this.#best.options.nodes > 1) this.#attempt(withoutNode(this.#best, node));
    }
  }

  #simplifyOptions(): void {
    this.#attemptOptions({ faults: NO_FAULTS });
    this.#attemptOptions({ maybes: {} });
    for (const name of Object.keys(this.#best.options.maybes)) {
      const { [name]: _left, ...maybes } = this.#best.options.maybes;
      this.#attemptOptions({ maybes });
    }
    this.#attemptOptions({ surroundings: PLAIN_SURROUNDINGS });
    for (const name of Object.keys(PLAIN_SURROUNDINGS) as (keyof Surroundings)[]) {
      this.#attemptOptions({
        surroundings: { ...this.#best.options.surroundings, [name]: PLAIN_SURROUNDINGS[name] },
      });
    }
    this.#attemptOptions({ tuning: PLAIN_TUNING });
    for (const name of Object.keys(PLAIN_TUNING) as (keyof Tuning)[]) {
      this.#attemptOptions({ tuning: { ...this.#best.options.tuning, [name]: PLAIN_TUNING[name] } });
    }
    this.#attemptOptions({ workload: { ...this.#best.options.workload, respPermille: 0 } });
  }

  #attemptOptions(changed: Partial<WorldOptions>): void {
    const options = { ...this.#best.options, ...changed };
    if (JSON.stringify(options) === JSON.stringify(this.#best.options)) return;
    this.#attempt({ ...this.#best, options });
  }
}

/** What would have come after the failure had no part in it. */
function untilFailure(scenario: Scenario, result: RunResult): Scenario {
  const endUs = Math.ceil(result.simulatedSeconds * 1e6);
  if (endUs >= scenario.stormMs * 1000) return scenario;
  return {
    ...scenario,
    strokes: scenario.strokes.filter(({ atUs }) => atUs <= endUs),
    batches: scenario.batches.filter(({ atUs }) => atUs <= endUs),
  };
}

function isSamePlace(a: Stroke, b: Stroke): boolean {
  if ('node' in a && 'node' in b) return a.node === b.node;
  return 'routes' in a && 'routes' in b && JSON.stringify(a.routes) === JSON.stringify(b.routes);
}

/** The scenario in a cluster without that node: what was to happen to it or through it does not. */
export function withoutNode(scenario: Scenario, node: number): Scenario {
  const renumber = (other: number): number => (other > node ? other - 1 : other);
  const strokes: Stroke[] = [];
  for (const stroke of scenario.strokes) {
    if ('routes' in stroke) {
      const routes = stroke.routes
        .filter((route) => !route.includes(node))
        .map(([from, to]) => [renumber(from), renumber(to)] as const);
      if (routes.length > 0) strokes.push({ ...stroke, routes });
    } else if (stroke.kind === 'reset') {
      if (stroke.node !== node && stroke.peer !== node) {
        strokes.push({ ...stroke, node: renumber(stroke.node), peer: renumber(stroke.peer) });
      }
    } else if (stroke.kind === 'member') {
      if (stroke.node !== node && stroke.subject !== node) {
        strokes.push({ ...stroke, node: renumber(stroke.node), subject: renumber(stroke.subject) });
      }
    } else if (stroke.kind === 'command') {
      const text = withoutSuccessor(stroke.text, node, renumber);
      if (stroke.node !== node && text !== null)
        strokes.push({ ...stroke, node: renumber(stroke.node), text });
    } else if (!('node' in stroke)) {
      strokes.push(stroke);
    } else if (stroke.node !== node) {
      strokes.push({ ...stroke, node: renumber(stroke.node) });
    }
  }
  const before = scenario.options;
  const isSpare = node > before.nodes;
  const nodes = before.nodes - (isSpare ? 0 : 1);
  return {
    ...scenario,
    options: { ...before, nodes, spares: before.spares - (isSpare ? 1 : 0) },
    strokes,
    // Requests made to it are made to another one.
    batches: scenario.batches.map((batch) => ({
      ...batch,
      node: batch.node === node ? (node % nodes) + 1 : renumber(batch.node),
    })),
  };
}

/** A transfer goes to the same machine under its new number; null: to the one that is left out. */
function withoutSuccessor(
  text: OperatorCommand,
  node: number,
  renumber: (other: number) => number,
): OperatorCommand | null {
  const successor = /^MEMBER TRANSFER (\d+)$/.exec(text)?.[1];
  if (successor === undefined) return text;
  return Number(successor) === node ? null : `MEMBER TRANSFER ${renumber(Number(successor))}`;
}
