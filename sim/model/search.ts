/**
 * Three ways through the transition system.
 *
 * - `breadth`: by levels, so the first violation has a path of the fewest steps. Keeps the states of a level.
 * - `depth`: depth first, with a limit that rises (iterative deepening): the same states, in less memory and more time.
 *   A state is entered again when more steps are left below it than before.
 * - `walk`: random ways to the bounds and over again, for what is too deep for the others. It proves nothing.
 */
import { SimRandom } from '../random.ts';
import { Fingerprinter, Fingerprints } from './fingerprints.ts';
import type { GlobalState, Model, Step } from './model.ts';
import { PropertyViolation } from './properties.ts';

export type Strategy = 'breadth' | 'depth' | 'walk';

export interface SearchLimits {
  /** Steps from the start. */
  readonly depth: number;
  /** Distinct states (of a walk: states). */
  readonly states: number;
  readonly seconds: number;
}

export interface Progress {
  /** States reached, each time that they were. */
  reached: number;
  distinct: number;
  /** Steps from the start to the deepest state. */
  depth: number;
  /** States that were reached and not looked at yet. */
  queue: number;
}

export type Outcome =
  /** Every state within the bounds was looked at. */
  | { readonly type: 'exhausted' }
  /** A limit was met first. */
  | { readonly type: 'limited'; readonly limit: keyof SearchLimits }
  | { readonly type: 'violated'; readonly violation: PropertyViolation; readonly steps: readonly Step[] };

export interface SearchOptions {
  readonly model: Model;
  readonly from: GlobalState;
  readonly strategy: Strategy;
  readonly limits: SearchLimits;
  /** Of a walk. */
  readonly seed: string;
  /** A clock in milliseconds. */
  readonly nowMs: () => number;
  readonly onProgress: (progress: Readonly<Progress>) => void;
}

export interface SearchResult {
  readonly outcome: Outcome;
  readonly progress: Readonly<Progress>;
}

/** How many states are looked at between two looks at the clock. */
const STATES_PER_LOOK = 1024;
/** By how much iterative deepening goes deeper each time. */
const DEEPENING = 4;

export function search(options: SearchOptions): SearchResult {
  const progress: Progress = { reached: 1, distinct: 1, depth: 0, queue: 1 };
  const run = new Run(options, progress);
  let outcome: Outcome;
  if (options.strategy === 'breadth') outcome = searchBreadthFirst(run);
  else if (options.strategy === 'depth') outcome = searchDepthFirst(run);
  else outcome = walk(run);
  options.onProgress(progress);
  return { outcome, progress };
}

/** What the three ways share: limits and progress. */
class Run {
  readonly options: SearchOptions;
  readonly progress: Progress;
  readonly fingerprinter: Fingerprinter;
  readonly #startedAtMs: number;
  #untilLook = STATES_PER_LOOK;

  constructor(options: SearchOptions, progress: Progress) {
    this.options = options;
    this.progress = progress;
    this.fingerprinter = new Fingerprinter(options.model);
    this.#startedAtMs = options.nowMs();
  }

  /** To be called for every state that is looked at. */
  spentLimit(): keyof SearchLimits | null {
    const { limits, onProgress, nowMs } = this.options;
    if (this.progress.distinct >= limits.states) return 'states';
    this.#untilLook--;
    if (this.#untilLook > 0) return null;
    this.#untilLook = STATES_PER_LOOK;
    onProgress(this.progress);
    return nowMs() - this.#startedAtMs > 1000 * limits.seconds ? 'seconds' : null;
  }
}

function searchBreadthFirst(run: Run): Outcome {
  const { model, from, limits } = run.options;
  const { progress, fingerprinter } = run;
  const seen = new Fingerprints();
  // By number of the state, in the order in which they were reached.
  const parents = new IntList();
  const causes: Step[] = [];
  fingerprinter.take(from);
  seen.put(fingerprinter.high, fingerprinter.low, 0);
  parents.push(-1);
  let level: GlobalState[] = [from];
  let levelStart = 0;
  const pathTo = (state: number, last: Step): Step[] => {
    const steps = [last];
    for (let at = state; at > 0; at = parents.at(at)) steps.push(causes[at - 1]);
    return steps.reverse();
  };
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= limits.depth) return { type: 'limited', limit: 'depth' };
    const next: GlobalState[] = [];
    for (let at = 0; at < level.length; at++) {
      const state = level[at];
      for (const step of model.steps(state)) {
        const reached = takeStep(model, state, step);
        if (reached instanceof PropertyViolation) {
          progress.depth = depth + 1;
          return { type: 'violated', violation: reached, steps: pathTo(levelStart + at, step) };
        }
        if (reached === null) continue;
        progress.reached++;
        fingerprinter.take(reached);
        if (!seen.put(fingerprinter.high, fingerprinter.low, 0)) continue;
        progress.distinct++;
        progress.depth = depth + 1;
        parents.push(levelStart + at);
        causes.push(step);
        next.push(reached);
      }
      progress.queue = level.length - at - 1 + next.length;
      const limit = run.spentLimit();
      if (limit !== null) return { type: 'limited', limit };
    }
    levelStart += level.length;
    level = next;
  }
  return { type: 'exhausted' };
}

interface Frame {
  readonly state: GlobalState;
  readonly steps: readonly Step[];
  at: number;
}

function searchDepthFirst(run: Run): Outcome {
  const { limits } = run.options;
  for (let depth = Math.min(DEEPENING, limits.depth); ; depth = Math.min(depth + DEEPENING, limits.depth)) {
    const outcome = searchToDepth(run, depth);
    if (outcome.type !== 'limited' || outcome.limit !== 'depth' || depth >= limits.depth) return outcome;
  }
}

function searchToDepth(run: Run, limit: number): Outcome {
  const { model, from } = run.options;
  const { progress, fingerprinter } = run;
  // With each state, how many steps were left below it.
  const seen = new Fingerprints();
  const stack: Frame[] = [{ state: from, steps: model.steps(from), at: 0 }];
  let isCut = false;
  fingerprinter.take(from);
  seen.put(fingerprinter.high, fingerprinter.low, limit);
  progress.distinct = 1;
  while (stack.length > 0) {
    const frame = stack[stack.length - 1];
    if (frame.at === frame.steps.length) {
      stack.pop();
      continue;
    }
    const step = frame.steps[frame.at++];
    const reached = takeStep(model, frame.state, step);
    if (reached instanceof PropertyViolation) {
      const steps = stack.map(({ steps: taken, at }) => taken[at - 1]);
      return { type: 'violated', violation: reached, steps };
    }
    if (reached === null) continue;
    progress.reached++;
    fingerprinter.take(reached);
    const { high, low } = fingerprinter;
    const left = limit - stack.length;
    const leftBefore = seen.get(high, low);
    if (leftBefore >= left) continue;
    seen.put(high, low, left);
    progress.distinct = seen.size;
    progress.depth = Math.max(progress.depth, stack.length);
    progress.queue = stack.length;
    const spent = run.spentLimit();
    if (spent !== null) return { type: 'limited', limit: spent };
    const steps = model.steps(reached);
    if (left === 0) isCut ||= steps.length > 0;
    else stack.push({ state: reached, steps, at: 0 });
  }
  return isCut ? { type: 'limited', limit: 'depth' } : { type: 'exhausted' };
}

function walk(run: Run): Outcome {
  const { model, from, limits, seed } = run.options;
  const { progress, fingerprinter } = run;
  const random = new SimRandom(seed);
  const seen = new Fingerprints();
  for (;;) {
    let state = from;
    const path: Step[] = [];
    while (path.length < limits.depth) {
      const steps = model.steps(state);
      let reached: GlobalState | PropertyViolation | null = null;
      // A step that changes nothing is as good as none: another is drawn.
      while (reached === null && steps.length > 0) {
        const at = random.below(steps.length);
        const [step] = steps.splice(at, 1);
        reached = takeStep(model, state, step);
        if (reached !== null) path.push(step);
      }
      if (reached === null) break;
      if (reached instanceof PropertyViolation) {
        return { type: 'violated', violation: reached, steps: path };
      }
      state = reached;
      progress.reached++;
      fingerprinter.take(state);
      seen.put(fingerprinter.high, fingerprinter.low, 0);
      progress.distinct = seen.size;
      progress.depth = Math.max(progress.depth, path.length);
      const limit = run.spentLimit();
      if (limit !== null) return { type: 'limited', limit };
    }
  }
}

export function takeStep(
  model: Model,
  state: GlobalState,
  step: Step,
): GlobalState | PropertyViolation | null {
  try {
    return model.take(state, step);
  } catch (error) {
    if (error instanceof PropertyViolation) return error;
    throw error;
  }
}

/** A list of integers that grows. */
class IntList {
  #items = new Int32Array(1 << 16);
  #length = 0;

  at(index: number): number {
    return this.#items[index];
  }

  push(item: number): void {
    if (this.#length === this.#items.length) {
      const grown = new Int32Array(2 * this.#length);
      grown.set(this.#items);
      this.#items = grown;
    }
    this.#items[this.#length++] = item;
  }
}
