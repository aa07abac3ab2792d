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
  /**
   * Configurations to enter for the ends of a piece: beyond that it is kept, and tried again when it has grown. Left
   * out: `statesMax`, and beyond that the whole is given up.
   */
  readonly cutStatesMax?: number;
  /** A piece is kept that could have been dropped, had it fewer ends or were they easier to find. */
  readonly onKept?: (why: 'too many ends' | 'too many states') => void;
  /** These are not held any more. */
  readonly onDropped?: (calls: readonly Call[]) => void;
}

/** More places are not carried on: the piece is kept, and tried again when it has grown. */
const PLACES_MAX = 256;

/** The hardest piece may cost so many times as much as others. */
const EFFORT_MAX = 16;

const NOWHERE: Place = { values: new Map(), used: new Map(), taken: new Set() };

export class StreamPart {
  readonly keys = new Set<string>();
  /** Have returned since the last piece was dropped. */
  held: Call[] = [];
  /** Of unknown outcome. */
  open: Call[] = [];
  #places: readonly Place[] = [NOWHERE];
  #pieceMin: number;
  /** How many times as many configurations the next piece is worth. */
  #effort = 1;

  constructor(pieceMin: number) {
    this.#pieceMin = pieceMin;
  }

  add(call: Call): void {
    if (call.return === null) this.open.push(call);
    else this.held.push(call);
  }

  /** Takes in what another part holds. */
  absorb(other: StreamPart): void {
    for (const key of other.keys) this.keys.add(key);
    this.held.push(...other.held);
    this.open.push(...other.open);
    this.#places = this.#places.flatMap((one) => other.#places.map((two) => merge(one, two)));
  }

  /**
   * Checks and drops what is held, moment by moment at which nothing was under way.
   *
   * @param until What returned before was not overlapped by anything that has not returned yet.
   * @param least Operations that a piece holds; left out: as many as it is to have.
   */
  cut(options: PartOptions, until: number, least?: number): Outcome {
    if (this.held.length < (least ?? this.#pieceMin)) return 'found';
    for (;;) {
      const piece = this.#nextPiece(until, least ?? this.#pieceMin);
      if (piece === null) return 'found';
      const outcome = this.#cutPiece(piece, options);
      if (outcome === 'kept') return 'found';
      if (outcome !== 'found') return outcome;
    }
  }

  /** The shortest beginning of what is held that may be dropped, with no operation over its end; null: there is none. */
  #nextPiece(until: number, least: number): readonly Call[] | null {
    if (this.held.length < least || this.held.length === 0) return null;
    this.held.sort((one, other) => one.call - other.call || one.id - other.id);
    let end = Number.NEGATIVE_INFINITY;
    for (const [at, call] of this.held.entries()) {
      end = Math.max(end, call.return ?? Number.POSITIVE_INFINITY);
      if (end >= until) return null;
      const next = this.held[at + 1];
      if (at + 1 >= least && (next === undefined || next.call > end)) return this.held.slice(0, at + 1);
    }
    return null;
  }

  /** `kept`: its ends are too many, or too hard to find. */
  #cutPiece(piece: readonly Call[], options: PartOptions): Outcome | 'kept' {
    const problem = this.#problem(options, piece);
    const ends: Position[] = [];
    const { cutStatesMax, statesMax, onKept, onDropped } = options;
    const limit = Math.min(statesMax, (cutStatesMax ?? statesMax) * this.#effort);
    const search = new Search(problem, { ...options, statesMax: limit });
    const outcome = search.run(this.#starts(problem), (end) => ends.push(end));
    if (outcome === 'none' || (outcome === 'gave up' && cutStatesMax === undefined)) return outcome;
    const best = outcome === 'found' ? withoutWorse(ends) : [];
    if (outcome === 'gave up' || best.length > PLACES_MAX) {
      // The same piece again at the same cost would end as it did.
      if (outcome === 'found' || this.#effort === EFFORT_MAX)
        this.#pieceMin = Math.max(this.#pieceMin, 2 * piece.length);
      else this.#effort *= 2;
      onKept?.(outcome === 'found' ? 'too many ends' : 'too many states');
      return 'kept';
    }
    this.#pieceMin = options.pieceMin;
    this.#effort = 1;
    onDropped?.(piece);
    this.held.splice(0, piece.length);
    this.#places = best.map((end) => placeOf(problem, end));
    const usedUp = this.#dropUsedUp(problem);
    onDropped?.(usedUp);
    return outcome;
  }

  /** Checks what is held, as if nothing followed. */
  finish(options: PartOptions): Outcome {
    const problem = this.#problem(options, this.held);
    return new Search(problem, options).run(this.#starts(problem));
  }

  /** It was of unknown outcome and has taken effect by `at`, which is later than all that was dropped. */
  settle(call: Call, at: number): void {
    // What has taken effect in every order needs no more.
    if (!this.#close(call)) return;
    const name = nameOf(call);
    const left = this.#openLike(name);
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

  /** It was of unknown outcome, and has not taken effect, nor ever will. */
  discard(call: Call): void {
    const name = nameOf(call);
    const wasOpen = this.#close(call);
    const left = wasOpen ? this.#openLike(name) : -1;
    // Nothing explains what was seen of it, if it was.
    this.#places = this.#places.filter(({ used }) => left >= (used.get(name) ?? 0));
  }

  /**
   * It is of unknown outcome, and takes no effect from here on: each place says whether it has done so before. Of those
   * that do the same it may have been another one: then that may do it again, which allows more than there was.
   */
  retire(call: Call): void {
    if (this.held.length > 0 || !this.#close(call)) return;
    const name = nameOf(call);
    const byName = new Map<string, Place>();
    for (const place of this.#places) {
      const used = withCount(place.used, name, (place.used.get(name) ?? 0) - 1);
      byName.set(JSON.stringify([[...place.values], [...used], [...place.taken]]), { ...place, used });
    }
    this.#places = [...byName.values()];
  }

  /** Could the key hold this value, for all that is known? Yes, where something is held that has not been checked. */
  mayHold(key: string, value: string): boolean {
    return this.held.length > 0 || this.#places.some(({ values }) => values.get(key) === value);
  }

  /** False: it is not open any more. */
  #close(call: Call): boolean {
    const before = this.open.length;
    this.open = this.open.filter(({ id }) => id !== call.id);
    return this.open.length < before;
  }

  #openLike(name: string): number {
    return this.open.filter((other) => nameOf(other) === name).length;
  }

  /** What the keys may have held before what is held, for people. */
  describePlaces(): string {
    const shown = this.#places.slice(0, 3).map(({ values }) => {
      const pairs = [...values].map(([key, value]) => `${key} = ${value.slice(0, 40)}`);
      return pairs.length === 0 ? 'nothing' : pairs.join(', ');
    });
    return shown.join(' or ');
  }

  #problem({ order }: PartOptions, piece: readonly Call[]): Problem {
    // Values stay what they are: what follows may yet see any of them.
    return pose([...piece, ...this.open], new Machine([...this.keys], null), order);
  }

  #starts({ machine, classes, steps }: Problem): Position[] {
    return this.#places.map(({ values, used, taken }) => ({
      state: machine.state(machine.keys.map((key) => values.get(key) ?? null)),
      used: classes.map(({ name }) => used.get(name) ?? 0),
      taken: steps.flatMap(({ id }, step) => (taken.has(id) ? [step] : [])),
    }));
  }

  /** Operations that have taken effect in all places need not be carried on. Gives them. */
  #dropUsedUp({ classes }: Problem): Call[] {
    const dropped: Call[] = [];
    for (const { name, ids } of classes) {
      const least = Math.min(...this.#places.map(({ used }) => used.get(name) ?? 0));
      if (least === 0) continue;
      const gone = new Set(ids.slice(0, least));
      dropped.push(...this.open.filter(({ id }) => gone.has(id)));
      this.open = this.open.filter(({ id }) => !gone.has(id));
      this.#places = this.#places.map((place) => {
        const left = (place.used.get(name) ?? 0) - least;
        return { ...place, used: withCount(place.used, name, left) };
      });
    }
    return dropped;
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
