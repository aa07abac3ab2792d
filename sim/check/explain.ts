/**
 * Why a history is not linearizable, for a person: the call that cannot be placed, what its keys could have held when it
 * was asked, and the smallest beginning of the history that contradicts itself, as a table.
 *
 * A long beginning is cut where nothing was under way: what the keys could have held there says all that the search
 * needs to know of what came before.
 */
import type { Verdict } from './check_calls.ts';
import { describeOp, describeResult, describeValue, formatCalls } from './describe.ts';
import { IMPOSSIBLE, type KeyValues, Machine } from './machine.ts';
import { type Call, keysAnswered, keysOf } from './model.ts';
import { nothing, type Order, type Problem, pose } from './problem.ts';
import { type Limits, type Position, Search } from './search.ts';

type Refutation = Extract<Verdict, { type: 'not linearizable' }>;

export interface Explanation {
  /** Which call, and why not. */
  readonly reason: string;
  /** The calls that it takes to see that, with what was left out before them. */
  readonly table: string;
}

/** A person reads more than that only if asked to. */
const ROWS_MAX = 40;
/** As many as give an impression, where there are more. */
const ROWS_MIN = 8;
const KEYS_SHOWN_MAX = 6;
const STATES_SHOWN_MAX = 6;
/** Explaining is worth a moment, not minutes. */
const LIMITS: Limits = { statesMax: 20_000, cellsMax: 1_000_000, isOver: () => false };

export function explain({ keys, calls, offender }: Refutation, order: Order): Explanation {
  const name = keys.length === 1 ? `key ${keys[0]}` : `keys ${head(keys, KEYS_SHOWN_MAX).join(', ')}`;
  const asked = `${describeOp(offender.op)} of process ${offender.process}`;
  const when = `called at ${offender.call}, returned at ${offender.return}`;
  const reason = `${name}: ${asked} (${when}) ${whyNot(keys, calls, offender, order)}`;
  return { reason, table: table(keys, calls, offender, order) };
}

function whyNot(keys: readonly string[], calls: readonly Call[], offender: Call, order: Order): string {
  const answer = describeResult(offender.result);
  const answered = answer === '' ? 'was done' : `answered ${answer}`;
  const { problem, start } = prepare(keys, calls, order);
  const step = problem.steps.findIndex(({ id }) => id === offender.id);
  const search = new Search(problem, LIMITS);
  const states = [...search.statesBefore(step, [start])];
  const { action } = problem.steps[step];
  if (search.hasGivenUp || states.length === 0)
    return `${answered}, which no order of these operations explains`;
  const where = describeStates(problem.machine, states, offender);
  if (states.some((state) => problem.machine.step(state, action) !== IMPOSSIBLE)) {
    return `${answered}; wherever it fits, another answer does not (before it: ${where})`;
  }
  return `${answered}, but before it could only have been: ${where}`;
}

function table(keys: readonly string[], calls: readonly Call[], offender: Call, order: Order): string {
  if (calls.length <= ROWS_MAX) return formatCalls(calls, offender);
  const cut = cutAt(calls);
  const rest = calls.filter(({ call }) => call > cut);
  const shown = rest.slice(-ROWS_MAX);
  const before = calls.length - shown.length;
  const summary = `${before} earlier operations${shown.length < rest.length ? '' : `, after which could have been: ${statesAt(keys, calls, cut, order)}`}`;
  const open = calls.filter((call) => call.return === null && call.call <= cut).length;
  const pending = open > 0 ? `; ${open} of them of unknown outcome` : '';
  return `(${summary}${pending})\n${formatCalls(shown, offender)}`;
}

/** The latest time at which nothing was under way, and behind which enough is left to show. */
function cutAt(calls: readonly Call[]): number {
  const sorted = [...calls].sort((a, b) => a.call - b.call || a.id - b.id);
  let busyUntil = Number.NEGATIVE_INFINITY;
  let cut = Number.NEGATIVE_INFINITY;
  for (const [at, call] of sorted.entries()) {
    if (call.call > busyUntil && sorted.length - at >= ROWS_MIN) cut = busyUntil;
    if (call.return !== null) busyUntil = Math.max(busyUntil, call.return);
  }
  return cut;
}

/** What the keys could have held at a time at which nothing was under way. */
function statesAt(keys: readonly string[], calls: readonly Call[], time: number, order: Order): string {
  const { problem, start } = prepare(
    keys,
    calls.filter(({ call }) => call <= time),
    order,
  );
  const states = new Set<number>();
  const search = new Search(problem, LIMITS);
  search.run([start], ({ state }) => states.add(state));
  if (search.hasGivenUp) return 'too much to tell';
  return describeStates(problem.machine, [...states], null);
}

function prepare(
  keys: readonly string[],
  calls: readonly Call[],
  order: Order,
): { problem: Problem; start: Position } {
  const machine = new Machine(keys, null);
  const problem = pose(calls, machine, order);
  const start = { state: machine.state(nothing(machine)), used: problem.classes.map(() => 0), taken: [] };
  return { problem, start };
}

/** @param offender Only its keys are told; null: all. */
function describeStates(machine: Machine, states: readonly number[], offender: Call | null): string {
  const named =
    offender === null ? [] : [...keysOf(offender.op), ...keysAnswered(offender.op, offender.result)];
  const told = named.length === 0 ? machine.keys : machine.keys.filter((key) => named.includes(key));
  const texts = new Set(states.map((state) => describeState(machine, machine.valuesOf(state), told)));
  return head([...texts], STATES_SHOWN_MAX).join(' or ');
}

function describeState(machine: Machine, values: KeyValues, told: readonly string[]): string {
  const held = machine.keys.flatMap((key, at) =>
    told.includes(key) ? [`${key} = ${describeValue(values[at])}`] : [],
  );
  const shown = head(held, KEYS_SHOWN_MAX).join(', ');
  return told.length > 1 ? `{ ${shown} }` : shown;
}

function head(texts: readonly string[], max: number): string[] {
  return texts.length <= max ? [...texts] : [...texts.slice(0, max), `${texts.length - max} more`];
}
