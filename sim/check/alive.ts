/**
 * Which values can still make a difference.
 *
 * A value that no operation of the history expects or saw, and that cannot grow by appends into one that is, does the
 * same as any other such value: reads of it contradict, comparisons with it fail, it exists, it cannot be counted on
 * from, and what is appended to it is again such a value. So all of them may be held to be one, the dead value, without
 * a difference to any answer; the order of writes that nobody saw then no longer matters. This is what keeps searches
 * over appends small: of all the orders in which they may have happened, only those that lead to what was read differ.
 */
import { type Call, eachObserved, type Op } from './model.ts';

export class AliveValues {
  /** Stands for every value that can make no difference. */
  readonly dead: string;
  /** Per key, what was expected or seen, ascending. */
  readonly #observed = new Map<string, readonly string[]>();
  /** Keys that are counted on: numbers are alive, and whatever appends may turn into one. */
  readonly #counted = new Set<string>();

  constructor(calls: readonly Pick<Call, 'op' | 'result'>[]) {
    const sets = new Map<string, Set<string>>();
    let dead = '?';
    for (const { op, result } of calls) {
      noteCounted(op, this.#counted);
      eachObserved(op, result, (key, value) => {
        const values = sets.get(key) ?? new Set();
        sets.set(key, values.add(value));
      });
    }
    for (const [key, values] of sets) {
      this.#observed.set(key, [...values].sort(compareText));
      // It must itself not be the beginning of anything that was seen.
      for (const value of values) while (value.startsWith(dead)) dead += '?';
    }
    this.dead = dead;
  }

  /** The value itself if it can make a difference, else the dead one. */
  standFor(key: string, value: string): string {
    if (this.#counted.has(key) && /^-?\d*$/.test(value)) return value;
    const observed = this.#observed.get(key);
    return observed !== undefined && isBeginningOfAny(value, observed) ? value : this.dead;
  }

  /** Can what ends in this text make a difference? */
  isPartOfAny(key: string, text: string): boolean {
    if (this.#counted.has(key) && /^-?\d*$/.test(text)) return true;
    return this.#observed.get(key)?.some((value) => value.includes(text)) ?? false;
  }
}

function noteCounted(op: Op, counted: Set<string>): void {
  if (op.type === 'increment') counted.add(op.key);
  else if (op.type === 'transaction') for (const step of op.steps) noteCounted(step, counted);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What begins with a text stands together in ascending order, from where the text itself would stand. */
function isBeginningOfAny(value: string, ascending: readonly string[]): boolean {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? '') < value) low = middle + 1;
    else high = middle;
  }
  return ascending[low]?.startsWith(value) ?? false;
}
