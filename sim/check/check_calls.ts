/** Is a whole history linearizable? Part by part, with the smallest beginning of a part that contradicts itself. */
import { AliveValues } from './alive.ts';
import { Machine } from './machine.ts';
import { type Call, canFail } from './model.ts';
import { type Partition, partition } from './partition.ts';
import { nothing, type Order, pose } from './problem.ts';
import { type Limits, type Outcome, Search } from './search.ts';

export interface CheckOptions extends Limits {
  readonly order: Order;
}

export type Verdict =
  | { readonly type: 'linearizable'; readonly statesVisited: number }
  | {
      readonly type: 'not linearizable';
      readonly keys: readonly string[];
      /**
       * The smallest beginning of the part's history, by return time, that already contradicts itself: what had not
       * returned by then is of unknown outcome.
       */
      readonly calls: readonly Call[];
      /** The call whose return completes the contradiction. */
      readonly offender: Call;
      readonly statesVisited: number;
    }
  /** Neither proven nor refuted. */
  | { readonly type: 'gave up'; readonly keys: readonly string[]; readonly statesVisited: number };

export const CHECK_DEFAULTS: CheckOptions = {
  order: 'real-time',
  /** Per part: about a gigabyte and ten seconds. */
  statesMax: 5_000_000,
  /** Per part: about 300 MB, of the two gigabytes that a worker thread may have. */
  cellsMax: 15_000_000,
  isOver: () => false,
};

/** @param history Calls at equal times, or that return when another is called, are concurrent. */
export function checkCalls(history: readonly Call[], options: CheckOptions = CHECK_DEFAULTS): Verdict {
  let statesVisited = 0;
  let unfinished: readonly string[] | null = null;
  for (const part of partition(history.filter(tookEffect))) {
    const searched = searchPart(part, options);
    statesVisited += searched.statesVisited;
    if (searched.outcome === 'none') return { ...refute(part, options), statesVisited };
    // Another part may still be refuted for certain.
    if (searched.outcome === 'gave up') unfinished ??= part.keys;
  }
  if (unfinished !== null) return { type: 'gave up', keys: unfinished, statesVisited };
  return { type: 'linearizable', statesVisited };
}

/** Operations that cannot fail by their own rules were refused if they did: as if they had not been asked. */
export function tookEffect({ op, result }: Call): boolean {
  return result.type !== 'fail' || canFail(op);
}

function searchPart(
  { keys, calls }: Partition,
  options: CheckOptions,
): { outcome: Outcome; statesVisited: number } {
  const machine = new Machine(keys, new AliveValues(calls));
  const problem = pose(calls, machine, options.order);
  const search = new Search(problem, options);
  const start = { state: machine.state(nothing(machine)), used: problem.classes.map(() => 0), taken: [] };
  const outcome = search.run([start]);
  return { outcome, statesVisited: search.statesVisited };
}

/**
 * A beginning of a linearizable history is linearizable, so the shortest failing one can be found by bisection. Each is
 * judged as if there were nothing else: what joins keys later does not yet make one part of them, for which the order of
 * a program would be promised.
 */
function refute(
  { keys, calls }: Partition,
  options: CheckOptions,
): { type: 'not linearizable'; keys: readonly string[]; calls: readonly Call[]; offender: Call } {
  const returned = calls
    .filter((call): call is Call & { return: number } => call.return !== null)
    .sort((a, b) => a.return - b.return || a.id - b.id);
  let low = 1;
  let high = returned.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const parts = partition(beginning(calls, returned.slice(0, middle)));
    // When a search gave up its part is not known to fail: the shortest that certainly does is looked for.
    if (parts.some((part) => searchPart(part, options).outcome === 'none')) high = middle;
    else low = middle + 1;
  }
  const kept = returned.slice(0, high);
  return { type: 'not linearizable', keys, calls: beginning(calls, kept), offender: kept[kept.length - 1] };
}

/** The history as it was when the last of these had returned: what had not returned by then is of unknown outcome. */
function beginning(calls: readonly Call[], returned: readonly (Call & { return: number })[]): Call[] {
  const kept = new Set(returned.map(({ id }) => id));
  const now = returned[returned.length - 1].return;
  return calls
    .filter(({ call }) => call <= now)
    .map((call) => (kept.has(call.id) ? call : { ...call, return: null, result: { type: 'unknown' } }));
}
