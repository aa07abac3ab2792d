/**
 * Random lives of a log, and the simple model that they are held against: per group a list of entries, to which each
 * append is applied in order.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { type Entry, EntryKind } from '../../src/log/entry.ts';
import type { Log } from '../../src/log/log.ts';
import { describeEntry, dump } from './harness.ts';

export const GROUPS = [0, 1, 4_000_000_000];

export type Step =
  | { readonly do: 'append'; readonly group: number; readonly bytes: number; readonly back: number }
  | { readonly do: 'flush' | 'task' | 'timer' | 'reopen' }
  | { readonly do: 'complete'; readonly count: number }
  | { readonly do: 'crash' | 'kill'; readonly seed: number; readonly openingSteps: number };

const append = fc.record({
  do: fc.constant('append' as const),
  group: fc.constantFrom(...GROUPS),
  /** Often the same, so that new records fit over what a crash has left of old ones; about a sector, so that they tear. */
  bytes: fc.oneof(fc.constant(472), fc.nat(40), fc.nat(2000)),
  /** How many entries from the end are replaced; most often none. */
  back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
});

const crash = fc.record({
  do: fc.constantFrom('crash' as const, 'crash' as const, 'kill' as const),
  seed: fc.integer(),
  /** How far the start gets before the next crash; beyond 6 it succeeds. */
  openingSteps: fc.nat(12),
});

const quietSteps = [
  { weight: 8, arbitrary: append },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('task' as const, 'timer' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('complete' as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
];

export const stepsWithReopens: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(...quietSteps, { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) }),
  { maxLength: 80, size: 'max' },
);

export const stepsWithCrashes: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(...quietSteps, { weight: 2, arbitrary: crash }),
  { maxLength: 80, size: 'max' },
);

export interface Appended {
  readonly group: number;
  readonly entry: Entry;
}

export class Model {
  readonly #groups = new Map<number, Entry[]>();
  #appends = 0;

  /** Makes the entry that a step appends: unlike any before it. */
  next(step: Step & { do: 'append' }): Appended {
    const entries = this.entries(step.group);
    const index = Math.max(1, entries.length + 1 - step.back);
    const payload = new Uint8Array(step.bytes);
    for (let i = 0; i < payload.length; i++) payload[i] = Math.imul(++this.#appends, 0x9e3779b1) >>> 24;
    const term = ++this.#appends;
    const kind = step.bytes === 0 ? EntryKind.Noop : EntryKind.Command;
    return { group: step.group, entry: { index, term, kind, payload } };
  }

  apply({ group, entry }: Appended): void {
    const entries = this.entries(group);
    entries.length = entry.index - 1;
    entries.push(entry);
    this.#groups.set(group, entries);
  }

  entries(group: number): Entry[] {
    return this.#groups.get(group) ?? [];
  }

  copy(): Model {
    const copy = new Model();
    copy.#appends = this.#appends;
    for (const [group, entries] of this.#groups) copy.#groups.set(group, entries.slice());
    return copy;
  }

  /** The state of `other`, while entries stay unlike those that this one has made. */
  continuedFrom(other: Model): Model {
    const copy = other.copy();
    copy.#appends = this.#appends;
    return copy;
  }

  describe(): string {
    return GROUPS.map((group) => `${group}: ${this.entries(group).map(describeEntry).join(', ')}`).join('\n');
  }
}

export function describeLog(log: Log): string {
  return GROUPS.map((group) => `${group}: ${dump(log, group).join(', ')}`).join('\n');
}

export function expectEqual(log: Log, model: Model): void {
  expect(describeLog(log)).toBe(model.describe());
}
