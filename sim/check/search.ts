/**
 * Is there an order of operations, compatible with real time, in which each answer is what one copy of the store would
 * have given? The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memoisation
 * ("Testing for linearizability", 2017), on a linked list of call and return events: repeatedly take an operation whose
 * call stands before the first return, try it, take it out; at a dead end go back. Configurations (which operations
 * are taken, what the keys hold) that were left without success are remembered and never entered again.
 *
 * Three things are ours. All leave out only what cannot matter, so the answer is exact:
 *
 * An observer (an operation that changes nothing wherever its answer is right) that may come next, and whose answer is
 * right, is taken at once, without a look at other orders: whatever may follow later may follow it now.
 *
 * Operations of unknown outcome are not in the list. Think of an order that explains every answer with as few of them
 * as can be, each as late as can be. There each stands immediately before one that tells whether it has happened: if
 * leaving it out, or letting its neighbour go first, changed no answer and came to the same state, the order would not
 * have been that one. So they are considered only in chains before an operation that they make a difference to, and each
 * link of a chain must make a difference to the next. Those that do the same are interchangeable: the one that was
 * called first is as good as any.
 *
 * Configurations from which some answer is out of reach are not entered (`needs.ts`).
 */
import { ConfigurationSet } from './configuration_set.ts';
import { IMPOSSIBLE } from './machine.ts';
import { NO_POINT } from './needs.ts';
import type { Problem, Step } from './problem.ts';

export interface Limits {
  /** Configurations to enter before giving up. */
  readonly statesMax: number;
  /** What the machine may come to remember (`Machine.cells`) before giving up; looked at every thousand configurations. */
  readonly cellsMax: number;
  /** Looked at every thousand configurations: true gives up. */
  readonly isOver: () => boolean;
}

export type Outcome = 'found' | 'none' | 'gave up';

/** Where a search begins, or has ended. */
export interface Position {
  readonly state: number;
  /** How many operations of each class of unknown ones have taken effect. */
  readonly used: readonly number[];
  /** Steps that had taken effect before the search began. */
  readonly taken: readonly number[];
}

/** A step to take after a chain of unknown operations, and the state that this leads to. */
interface ChainOption {
  readonly call: number;
  readonly chain: readonly number[];
  readonly state: number;
}

/** A configuration on the way from the start, with the choice that led to it and what is left to try. */
interface Frame {
  readonly state: number;
  /** Position of the call that was taken to come here; 0: the start. */
  readonly call: number;
  /** Classes of the unknown operations that came before it. */
  readonly chain: readonly number[] | null;
  /** Position of the call to try next; FRESH: nothing tried yet; EXHAUSTED: no step is left to try by itself. */
  cursor: number;
  options: readonly ChainOption[] | null;
  optionAt: number;
}

const FRESH = -1;
const EXHAUSTED = -2;
const LOOK_EVERY = 1024;
/** Links of chains that may be tried for each configuration that may be entered. */
const LINKS_PER_STATE = 32;

export class Search {
  statesVisited = 0;
  readonly #problem: Problem;
  readonly #limits: Limits;
  /** Events by position from 1; 0 is the head of the list and the end. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** For a call its step, for a return -1. */
  readonly #stepOf: Int32Array;
  readonly #callOf: Int32Array;
  readonly #returnOf: Int32Array;
  readonly #timeOf: Float64Array;
  /** One bit a step. */
  readonly #taken: Int32Array;
  #takenCount = 0;
  /** All words of `#taken` before it are full. */
  #low = 0;
  readonly #used: number[];
  #usedCount = 0;
  readonly #seen = new ConfigurationSet();
  readonly #words: Int32Array;
  readonly #frames: Frame[] = [];
  /** Per point, how many steps that are not taken need it, and how many operations that are left may come to it. */
  readonly #needed: Int32Array;
  readonly #reaching: Int32Array;
  /** Per state, the points that it is at. */
  readonly #pointsOf: Int32Array[] = [];
  readonly #linksMax: number;
  #links = 0;
  #gaveUp = false;
  /** States in which the watched step could have been taken, if it had agreed. */
  readonly #watchedStates = new Set<number>();
  #watched = -1;

  constructor(problem: Problem, limits: Limits) {
    this.#problem = problem;
    this.#limits = limits;
    this.#linksMax = (limits.statesMax + 1) * LINKS_PER_STATE;
    const { steps, classes } = problem;
    const count = steps.length * 2;
    this.#next = Int32Array.from({ length: count + 1 }, (_none, at) => (at < count ? at + 1 : 0));
    this.#previous = Int32Array.from({ length: count + 1 }, (_none, at) => (at > 0 ? at - 1 : count));
    this.#stepOf = new Int32Array(count + 1).fill(-1);
    this.#callOf = new Int32Array(steps.length);
    this.#returnOf = new Int32Array(steps.length);
    this.#timeOf = new Float64Array(count + 1);
    this.#taken = new Int32Array((steps.length >> 5) + 1);
    this.#used = classes.map(() => 0);
    this.#words = new Int32Array(this.#taken.length + classes.length + 3);
    this.#needed = new Int32Array(problem.needs.count);
    this.#reaching = new Int32Array(problem.needs.count);
    for (const { needed, reached } of steps) {
      addTo(this.#needed, needed, 1);
      addTo(this.#reaching, reached, 1);
    }
    for (const { reached, calls } of classes) addTo(this.#reaching, reached, calls.length);
    this.#layEvents(steps);
  }

  /** Ends at the first order found, or goes on to all states that orders may end in, for `onEnd`. */
  run(starts: readonly Position[], onEnd: ((end: Position) => void) | null = null): Outcome {
    let outcome: Outcome = 'none';
    for (const start of starts) {
      this.#begin(start);
      while (this.#frames.length > 0 && !this.#gaveUp) {
        if (this.#takenCount === this.#problem.steps.length) {
          outcome = 'found';
          if (onEnd === null) return outcome;
          const { state } = this.#frames[this.#frames.length - 1];
          onEnd({ state, used: [...this.#used], taken: [] });
          this.#goBack();
        } else if (!this.#advance(this.#frames[this.#frames.length - 1])) {
          this.#goBack();
        }
      }
      if (this.#gaveUp) return 'gave up';
      this.#leave(start);
    }
    return outcome;
  }

  get hasGivenUp(): boolean {
    return this.#gaveUp;
  }

  /** As `run`; gives the states that a step met where it might have been next. */
  statesBefore(step: number, starts: readonly Position[]): ReadonlySet<number> {
    this.#watched = step;
    // It is where the others let it be, whatever it needs itself.
    addTo(this.#needed, this.#problem.steps[step].needed, -1);
    this.run(starts, ignoreEnd);
    return this.#watchedStates;
  }

  #layEvents(steps: readonly Step[]): void {
    const events = steps.flatMap((step, number) => [
      { time: step.call, step: number, isReturn: 0 },
      { time: step.return, step: number, isReturn: 1 },
    ]);
    // At equal times calls come first: such operations overlap.
    events.sort((a, b) => a.time - b.time || a.isReturn - b.isReturn || a.step - b.step);
    for (const [at, { time, step, isReturn }] of events.entries()) {
      this.#timeOf[at + 1] = time;
      if (isReturn === 0) {
        this.#stepOf[at + 1] = step;
        this.#callOf[step] = at + 1;
      } else {
        this.#returnOf[step] = at + 1;
      }
    }
  }

  #begin({ state, used, taken }: Position): void {
    for (const [at, count] of used.entries()) this.#setUsed(at, count);
    for (const step of taken) this.#take(step);
    if (this.#needsAreInReach(state) && this.#isNew(state)) this.#push(state, 0, null);
  }

  #leave({ used, taken }: Position): void {
    for (const step of [...taken].reverse()) this.#putBack(step);
    for (const at of used.keys()) this.#setUsed(at, 0);
  }

  #push(state: number, call: number, chain: readonly number[] | null): void {
    this.#frames.push({ state, call, chain, cursor: FRESH, options: null, optionAt: 0 });
    if (this.#watched >= 0) this.#watch(state);
  }

  #watch(state: number): void {
    if (this.#isTaken(this.#watched)) return;
    if (this.#problem.steps[this.#watched].call <= this.#firstReturn()) this.#watchedStates.add(state);
  }

  /** Leaves the last configuration: nothing more can be tried from it. */
  #goBack(): void {
    const frame = this.#frames.pop();
    if (frame === undefined || frame.call === 0) return;
    this.#undo(frame.call, frame.chain);
  }

  /** Goes on to a configuration that was not seen before. False: there is none to go to from here. */
  #advance(frame: Frame): boolean {
    const { machine, steps } = this.#problem;
    if (frame.cursor === FRESH) {
      const free = this.#freeObserver(frame.state);
      if (free > 0) {
        frame.cursor = EXHAUSTED;
        frame.options = [];
        this.#do(free, null);
        this.#push(frame.state, free, null);
        return true;
      }
      frame.cursor = this.#next[0];
    }
    while (frame.cursor >= 0) {
      const call = frame.cursor;
      const step = this.#stepOf[call];
      // Behind the first return nothing may come next.
      if (step < 0) {
        frame.cursor = EXHAUSTED;
        break;
      }
      frame.cursor = this.#next[call];
      if (!this.#isReady(steps[step])) continue;
      const state = machine.step(frame.state, steps[step].action);
      if (state !== IMPOSSIBLE && this.#enter(call, null, frame.state, state)) return true;
    }
    frame.options ??= this.#chainOptions(frame.state);
    while (frame.optionAt < frame.options.length) {
      const { call, chain, state } = frame.options[frame.optionAt++];
      if (this.#enter(call, chain, frame.state, state)) return true;
    }
    return false;
  }

  #enter(call: number, chain: readonly number[] | null, from: number, state: number): boolean {
    this.#do(call, chain);
    if (!this.#leavesNeeded(from, state) && this.#isNew(state)) {
      this.#push(state, call, chain);
      return true;
    }
    this.#undo(call, chain);
    return false;
  }

  /** Does the way between two states leave a point that is still needed, and that nothing leads to any more? */
  #leavesNeeded(from: number, to: number): boolean {
    if (from === to) return false;
    const left = this.#pointsAt(from);
    const entered = this.#pointsAt(to);
    for (let slot = 0; slot < left.length; slot++) {
      const point = left[slot];
      if (point === NO_POINT || point === entered[slot]) continue;
      if (this.#needed[point] > 0 && this.#reaching[point] === 0) return true;
    }
    return false;
  }

  /** Is the state at every point that is needed and that nothing leads to? */
  #needsAreInReach(state: number): boolean {
    const here = this.#pointsAt(state);
    for (let point = 0; point < this.#needed.length; point++) {
      if (this.#needed[point] > 0 && this.#reaching[point] === 0 && !here.includes(point)) return false;
    }
    return true;
  }

  #pointsAt(state: number): Int32Array {
    let points = this.#pointsOf[state];
    if (points === undefined) {
      const { needs, machine } = this.#problem;
      points = needs.at(machine.valuesOf(state));
      this.#pointsOf[state] = points;
    }
    return points;
  }

  /** A call, before the first return, of an observer whose answer is right in this state; 0: there is none. */
  #freeObserver(state: number): number {
    const { machine, steps } = this.#problem;
    for (let at = this.#next[0]; this.#stepOf[at] >= 0; at = this.#next[at]) {
      const step = steps[this.#stepOf[at]];
      if (!step.isObserver || !this.#isReady(step)) continue;
      if (machine.step(state, step.action) !== IMPOSSIBLE) return at;
    }
    return 0;
  }

  /** The same process's step before it, if its order counts, has been taken. */
  #isReady({ after }: Step): boolean {
    return after < 0 || this.#isTaken(after);
  }

  #chainOptions(state: number): readonly ChainOption[] {
    const { steps } = this.#problem;
    const options: ChainOption[] = [];
    if (this.#usedCount === this.#problem.unknownCount) return options;
    const bound = this.#firstReturn();
    for (let at = this.#next[0]; this.#stepOf[at] >= 0; at = this.#next[at]) {
      const step = steps[this.#stepOf[at]];
      if (step.heeds.length > 0 && this.#isReady(step))
        this.#extend(state, at, step, bound, [], state, options);
    }
    return options;
  }

  /** Time of the first return that is left: what was called by then may take effect now. */
  #firstReturn(): number {
    let at = this.#next[0];
    while (this.#stepOf[at] >= 0) at = this.#next[at];
    return at === 0 ? Number.POSITIVE_INFINITY : this.#timeOf[at];
  }

  /**
   * Adds each unknown operation that makes a difference to the end of a chain, and keeps what lets the step follow.
   *
   * @param before The state before the chain's last link.
   */
  #extend(
    state: number,
    call: number,
    step: Step,
    bound: number,
    chain: number[],
    before: number,
    options: ChainOption[],
  ): void {
    const { machine, classes } = this.#problem;
    const direct = machine.step(state, step.action);
    for (const at of step.heeds) {
      const { calls, action } = classes[at];
      const used = this.#used[at];
      if (used >= calls.length || calls[used] > bound) continue;
      if (this.#links++ > this.#linksMax) this.#gaveUp = true;
      if (this.#links % LOOK_EVERY === 0 && this.#isOver()) this.#gaveUp = true;
      if (this.#gaveUp) return;
      const linked = machine.step(state, action);
      if (linked === state) continue;
      if (chain.length > 0 && !this.#isLink(before, chain[chain.length - 1], at, linked)) continue;
      const next = machine.step(linked, step.action);
      chain.push(at);
      if (next !== IMPOSSIBLE && next !== direct) {
        const swapped = direct === IMPOSSIBLE ? IMPOSSIBLE : machine.step(direct, action);
        if (swapped !== next) options.push({ call, chain: [...chain], state: next });
      }
      this.#used[at]++;
      this.#extend(linked, call, step, bound, chain, state, options);
      this.#used[at]--;
      chain.pop();
    }
  }

  /** Does an unknown operation make a difference to the one behind it? Of two that commute, only one order counts. */
  #isLink(before: number, last: number, next: number, linked: number): boolean {
    const { machine, classes } = this.#problem;
    const without = machine.step(before, classes[next].action);
    if (without === linked) return false;
    return last <= next || machine.step(without, classes[last].action) !== linked;
  }

  #do(call: number, chain: readonly number[] | null): void {
    if (chain !== null) for (const at of chain) this.#setUsed(at, this.#used[at] + 1);
    this.#take(this.#stepOf[call]);
  }

  #undo(call: number, chain: readonly number[] | null): void {
    this.#putBack(this.#stepOf[call]);
    if (chain !== null) for (const at of chain) this.#setUsed(at, this.#used[at] - 1);
  }

  #setUsed(at: number, count: number): void {
    const more = count - this.#used[at];
    this.#usedCount += more;
    this.#used[at] = count;
    addTo(this.#reaching, this.#problem.classes[at].reached, -more);
  }

  #isTaken(step: number): boolean {
    return (this.#taken[step >> 5] & (1 << (step & 31))) !== 0;
  }

  #take(step: number): void {
    this.#taken[step >> 5] |= 1 << (step & 31);
    this.#takenCount++;
    addTo(this.#needed, this.#problem.steps[step].needed, -1);
    addTo(this.#reaching, this.#problem.steps[step].reached, -1);
    while (this.#taken[this.#low] === -1) this.#low++;
    this.#unlink(this.#callOf[step]);
    this.#unlink(this.#returnOf[step]);
  }

  #putBack(step: number): void {
    this.#relink(this.#returnOf[step]);
    this.#relink(this.#callOf[step]);
    this.#taken[step >> 5] &= ~(1 << (step & 31));
    this.#takenCount--;
    addTo(this.#needed, this.#problem.steps[step].needed, 1);
    addTo(this.#reaching, this.#problem.steps[step].reached, 1);
    if (step >> 5 < this.#low) this.#low = step >> 5;
  }

  #unlink(at: number): void {
    this.#next[this.#previous[at]] = this.#next[at];
    this.#previous[this.#next[at]] = this.#previous[at];
  }

  #relink(at: number): void {
    this.#next[this.#previous[at]] = at;
    this.#previous[this.#next[at]] = at;
  }

  /** Remembers the configuration. False: it has been entered before, and nothing came of it. */
  #isNew(state: number): boolean {
    const words = this.#words;
    words[0] = state;
    words[1] = this.#low;
    let length = 3;
    // Words of untaken steps at the end are left out.
    for (let at = this.#low, left = this.#takenCount - this.#low * 32; left > 0; at++) {
      words[length++] = this.#taken[at];
      left -= bitCount(this.#taken[at]);
    }
    words[2] = length;
    if (this.#usedCount > 0) {
      for (let at = 0, left = this.#usedCount; left > 0; at++) {
        words[length++] = this.#used[at];
        left -= this.#used[at];
      }
    }
    if (!this.#seen.add(words, length)) return false;
    this.statesVisited++;
    if (this.statesVisited > this.#limits.statesMax) this.#gaveUp = true;
    if (this.statesVisited % LOOK_EVERY === 0 && this.#isOver()) this.#gaveUp = true;
    return true;
  }

  #isOver(): boolean {
    return this.#problem.machine.cells > this.#limits.cellsMax || this.#limits.isOver();
  }
}

function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function addTo(counts: Int32Array, points: readonly number[], more: number): void {
  for (let at = 0; at < points.length; at++) counts[points[at]] += more;
}

function ignoreEnd(): void {}
