/**
 * The keys of a running history that operations join, checked and forgotten piece by piece.
 *
 * Where nothing is under way, what came before matters only by what the keys may hold now and by which operations of
 * unknown outcome may have been used up for that: the places from which what follows may go on. So there the piece is
 * searched for all its ends, and dropped. Operations of unknown outcome are carried on, until they have taken effect in
 * every order or are known to have taken effect.
 */
import { Machine } from './machine.ts';
import type { Call } from './model.ts';
import { type Order, type Problem, pose } from './problem.ts';
import { type Limits, type Outcome, type Position, Search } from './search.ts';

/** A state of affairs that explains everything so far. */
interface Place {
  /** What keys hold; those that are missing hold nothing. */
  readonly values: ReadonlyMap<string, string>;
  /** How many of each class of unknown operations have taken effect. */
  readonly used: ReadonlyMap<string, number>;
  /** Operations that are known to have taken effect, and had done so before that was known. */
  readonly taken: ReadonlySet<number>;
}

export interface PartOptions extends Limits {
  readonly order: Order;
  /** A piece holds at least so many operations that have returned. */
  readonly pieceMin: number;
}

/** More places are not carried on: the piece is kept, and tried again when it has grown. */
const PLACES_MAX = 256;

const NOWHERE: Place = { values: new Map(), used: new Map(), taken: new Set() };

export class StreamPart {
  readonly keys = new Set<string>();
  /** Latest return. */
  busyUntil = Number.NEGATIVE_INFINITY;
  /** Have returned since the last piece was dropped. */
  held: Call[] = [];
  /** Of unknown outcome. */
  open: Call[] = [];
  #places: readonly Place[] = [NOWHERE];
  #pieceMin: number;

  constructor(pieceMin: number) {
    this.#pieceMin = pieceMin;
  }

  add(call: Call): void {
    if (call.return === null) this.open.push(call);
    else {
      this.held.push(call);
      this.busyUntil = Math.max(this.busyUntil, call.return);
    }
  }

  /** Takes in what another part holds. */
  absorb(other: StreamPart): void {
    for (const key of other.keys) this.keys.add(key);
    this.busyUntil = Math.max(this.busyUntil, other.busyUntil);
    this.held.push(...other.held);
    this.open.push(...other.open);
    this.#places = this.#places.flatMap((one) => other.#places.map((two) => merge(one, two)));
  }

  /** What is held may be checked and dropped at `now`, if nothing of the part is under way. */
  isDueAt(now: number): boolean {
    return now > this.busyUntil && this.held.length >= this.#pieceMin;
  }

  /** Checks what is held, and drops it unless it may have ended in too many ways. */
  cut(options: PartOptions): Outcome {
    const problem = this.#problem(options);
    const ends: Position[] = [];
    const outcome = new Search(problem, options).run(this.#starts(problem), (end) => ends.push(end));
    if (outcome !== 'found') return outcome;
    const best = withoutWorse(ends);
    if (best.length > PLACES_MAX) {
      this.#pieceMin = 2 * this.held.length;
      return outcome;
    }
    this.#pieceMin = options.pieceMin;
    this.held = [];
    this.#places = best.map((end) => placeOf(problem, end));
    this.#dropUsedUp(problem);
    return outcome;
  }

  /** Checks what is held, as if nothing followed. */
  finish(options: PartOptions): Outcome {
    const problem = this.#problem(options);
    return new Search(problem, options).run(this.#starts(problem));
  }

  /** It was of unknown outcome and has taken effect by `at`, which is later than all that was dropped. */
  settle(call: Call, at: number): void {
    const name = nameOf(call);
    this.open = this.open.filter(({ id }) => id !== call.id);
    const left = this.open.filter((other) => nameOf(other) === name).length;
    this.add({ ...call, return: at });
    this.#places = this.#places.flatMap((place) => {
      const count = place.used.get(name) ?? 0;
      // What took effect before may have been this one, or another that does the same.
      const asBefore = count <= left ? [place] : [];
      if (count === 0) return asBefore;
      const used = withCount(place.used, name, count - 1);
      return [...asBefore, { ...place, used, taken: new Set([...place.taken, call.id]) }];
    });
  }

  /** What the keys may have held before what is held, for people. */
  describePlaces(): string {
    const shown = this.#places.slice(0, 3).map(({ values }) => {
      const pairs = [...values].map(([key, value]) => `${key} = ${value.slice(0, 40)}`);
      return pairs.length === 0 ? 'nothing' : pairs.join(', ');
    });
    return shown.join(' or ');
  }

  #problem({ order }: PartOptions): Problem {
    // Values stay what they are: what follows may yet see any of them.
    return pose([...this.held, ...this.open], new Machine([...this.keys], null), order);
  }

  #starts({ machine, classes, steps }: Problem): Position[] {
    return this.#places.map(({ values, used, taken }) => ({
      state: machine.state(machine.keys.map((key) => values.get(key) ?? null)),
      used: classes.map(({ name }) => used.get(name) ?? 0),
      taken: steps.flatMap(({ id }, step) => (taken.has(id) ? [step] : [])),
    }));
  }

  /** Operations that have taken effect in all places need not be carried on. */
  #dropUsedUp({ classes }: Problem): void {
    for (const { name, ids } of classes) {
      const least = Math.min(...this.#places.map(({ used }) => used.get(name) ?? 0));
      if (least === 0) continue;
      const gone = new Set(ids.slice(0, least));
      this.open = this.open.filter(({ id }) => !gone.has(id));
      this.#places = this.#places.map((place) => {
        const left = (place.used.get(name) ?? 0) - least;
        return { ...place, used: withCount(place.used, name, left) };
      });
    }
  }
}

/** As the classes of a problem are named. */
function nameOf({ op }: Call): string {
  return JSON.stringify(op);
}

function withCount(counts: ReadonlyMap<string, number>, name: string, count: number): Map<string, number> {
  const changed = new Map(counts);
  if (count > 0) changed.set(name, count);
  else changed.delete(name);
  return changed;
}

function placeOf({ machine, classes }: Problem, { state, used }: Position): Place {
  const values = new Map<string, string>();
  for (const [slot, value] of machine.valuesOf(state).entries()) {
    if (value !== null) values.set(machine.keys[slot], value);
  }
  const counts = used.flatMap((count, at): [string, number][] =>
    count > 0 ? [[classes[at].name, count]] : [],
  );
  return { values, used: new Map(counts), taken: new Set() };
}

function merge(one: Place, two: Place): Place {
  return {
    values: new Map([...one.values, ...two.values]),
    used: new Map([...one.used, ...two.used]),
    taken: new Set([...one.taken, ...two.taken]),
  };
}

/** Of ends in the same state, one that has used more operations than another explains nothing that the other does not. */
function withoutWorse(ends: readonly Position[]): readonly Position[] {
  const byState = new Map<number, Position[]>();
  for (const end of ends) {
    const others = byState.get(end.state) ?? [];
    if (others.some((other) => usesNoMore(other, end))) continue;
    byState.set(end.state, [...others.filter((other) => !usesNoMore(end, other)), end]);
  }
  return [...byState.values()].flat();
}

function usesNoMore(one: Position, other: Position): boolean {
  return one.used.every((count, at) => count <= other.used[at]);
}
