import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Store } from '../../src/lsm/store.ts';
import { contents, get, put, Rig, TINY } from './rig.ts';

type Write = { readonly key: string; readonly value: string | null };

/** What the caller's log holds: entries of writes. A crash takes nothing of it. */
type Entries = readonly (readonly Write[])[];

type Step =
  | { readonly do: 'entry'; readonly writes: readonly Write[] }
  | { readonly do: 'flush' | 'merge' | 'reopen' | 'crash' | 'iterate' }
  | { readonly do: 'steps'; readonly count: number }
  | { readonly do: 'seek'; readonly key: string };

const key = fc.oneof(
  fc.constantFrom('a', 'ab', 'abc', 'abcd', 'b', 'ba', ''),
  fc.string({ minLength: 1, maxLength: 12 }),
);
const value = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.constant('x'.repeat(700)) },
);
const write = fc.record({ key, value: fc.option(value, { freq: 4 }) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('entry' as const), writes: fc.array(write, { maxLength: 5 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'flush' as const,
        'merge' as const,
        'reopen' as const,
        'crash' as const,
        'iterate' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('seek' as const), key }) },
);

function modelOf(entries: Entries, upTo = entries.length): Map<string, string> {
  const model = new Map<string, string>();
  for (const writes of entries.slice(0, upTo)) {
    for (const { key: name, value: text } of writes) {
      if (text === null) model.delete(name);
      else model.set(name, text);
    }
  }
  return model;
}

function sorted(model: ReadonlyMap<string, string>): [string, string][] {
  return [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

class Run {
  readonly #rig: Rig;
  #store: Store;
  readonly #entries: Write[][] = [];

  constructor(seed: string) {
    this.#rig = new Rig(seed, { poisonViews: true });
    this.#store = this.#rig.open(TINY);
  }

  apply(one: Step): void {
    const store = this.#store;
    switch (one.do) {
      case 'entry':
        this.#entries.push([...one.writes]);
        this.#replay();
        break;
      case 'steps':
        this.#rig.steps(one.count);
        break;
      case 'flush':
      case 'merge': {
        const index = store.appliedIndex;
        let told = false;
        const done = (error: Error | null): void => {
          expect(error).toBeNull();
          told = true;
          // Without writes since, there was nothing to flush.
          if (one.do === 'flush' && modelOf(this.#entries, index).size > 0) return;
        };
        if (one.do === 'flush') store.flush(done);
        else store.merge(done);
        this.#rig.settle();
        expect(told).toBe(true);
        break;
      }
      case 'reopen':
        store.close();
        this.#reopen();
        break;
      case 'crash':
        this.#rig.crash();
        this.#reopen();
        break;
      case 'iterate': {
        const expected = sorted(modelOf(this.#entries));
        const iterator = store.iterator();
        // What happens meanwhile does not show: more writes, a flush, a merge.
        this.#entries.push([
          { key: 'later', value: 'l' },
          { key: 'a', value: null },
        ]);
        this.#replay();
        store.merge(() => {});
        this.#rig.settle();
        const found: [string, string][] = [];
        while (iterator.next()) {
          found.push([Buffer.from(iterator.key()).toString(), Buffer.from(iterator.value()).toString()]);
        }
        expect(iterator.next()).toBe(false);
        iterator.close();
        expect(found).toEqual(expected);
        break;
      }
      case 'seek': {
        const iterator = store.iterator({ lt: utf8('b') });
        iterator.seek(utf8(one.key));
        const expected = sorted(modelOf(this.#entries)).find(
          ([name]) =>
            Buffer.compare(Buffer.from(name), Buffer.from(one.key)) >= 0 &&
            Buffer.compare(Buffer.from(name), Buffer.from('b')) < 0,
        );
        expect(iterator.next()).toBe(expected !== undefined);
        if (expected !== undefined) expect(Buffer.from(iterator.key()).toString()).toBe(expected[0]);
        iterator.close();
        break;
      }
    }
    expect(this.#rig.failure).toBeNull();
    this.#check();
  }

  #reopen(): void {
    this.#store = this.#rig.open(TINY);
    expect(this.#store.flushedIndex).toBeLessThanOrEqual(this.#entries.length);
    // Before anything is replayed the store is as of its flushed index.
    expect(contents(this.#store)).toEqual(sorted(modelOf(this.#entries, this.#store.flushedIndex)));
    this.#replay();
  }

  /** Applies what the log holds and the store does not. */
  #replay(): void {
    for (let index = this.#store.appliedIndex + 1; index <= this.#entries.length; index++) {
      this.#store.beginEntry(index);
      for (const { key: name, value: text } of this.#entries[index - 1] ?? []) {
        if (text === null) this.#store.delete(utf8(name));
        else put(this.#store, name, text);
      }
    }
  }

  #check(): void {
    const model = modelOf(this.#entries);
    for (const name of ['a', 'ab', 'abc', '', 'absent', ...model.keys()]) {
      const found = get(this.#store, name);
      if (found !== (model.get(name) ?? null)) expect.fail(`'${name}' is ${found}`);
    }
    expect(contents(this.#store)).toEqual(sorted(model));
  }
}

describe('a store', () => {
  it('answers as a sorted map does, through flushes, merges, reopens and crashes', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(step, { maxLength: 60, size: 'max' }), (seed, steps) => {
        const run = new Run(seed);
        for (const one of steps) run.apply(one);
      }),
      { numRuns: 60 },
    );
  });
});
