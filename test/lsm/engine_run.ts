/**
 * Everything that a store can be asked to do, beside a sorted map that is asked the same: each answer is compared. The
 * entries that a log would hold are kept, and applied again after a crash as a replica does it.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { ReadSnapshot, Store, StoreOptions } from '../../src/lsm/store.ts';
import type { StoreIterator } from '../../src/lsm/store_iterator.ts';
import { Rig } from './rig.ts';

export type Write =
  | { readonly do: 'put'; readonly key: string; readonly value: string }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'range'; readonly gte: string; readonly lt: string };

export interface Range {
  readonly gte?: string;
  readonly gt?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly limit?: number;
  readonly reverse: boolean;
}

export type Step =
  | { readonly do: 'entry'; readonly writes: readonly Write[] }
  | { readonly do: 'flush' | 'merge' | 'reopen' | 'crash' | 'settle' | 'snapshot' | 'release' | 'hold' }
  | { readonly do: 'steps'; readonly count: number }
  | { readonly do: 'iterate'; readonly range: Range; readonly seeks: readonly string[] };

type Model = ReadonlyMap<string, string>;

const key = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 30 }).map((n) => `k${String(n).padStart(2, '0')}`) },
  { weight: 1, arbitrary: fc.constantFrom('', 'k', 'k1', 'k05\u0000', 'z') },
  { weight: 1, arbitrary: fc.string({ maxLength: 4 }) },
);
const value = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 30 }) },
  { weight: 1, arbitrary: fc.constant('x'.repeat(300)) },
);
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), key, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('range' as const), gte: key, lt: key }) },
);
const range: fc.Arbitrary<Range> = fc.record(
  { gte: key, gt: key, lt: key, lte: key, limit: fc.integer({ min: 0, max: 9 }), reverse: fc.boolean() },
  { requiredKeys: ['reverse'] },
);
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('entry' as const), writes: fc.array(write, { maxLength: 8 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'flush' as const,
        'merge' as const,
        'reopen' as const,
        'crash' as const,
        'settle' as const,
        'snapshot' as const,
        'snapshot' as const,
        'release' as const,
        'hold' as const,
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('iterate' as const),
      range,
      seeks: fc.array(key, { maxLength: 2 }),
    }),
  },
);

export function applyWrite(model: Map<string, string>, one: Write): void {
  switch (one.do) {
    case 'put':
      model.set(one.key, one.value);
      break;
    case 'delete':
      model.delete(one.key);
      break;
    case 'range':
      for (const name of [...model.keys()]) {
        if (compare(name, one.gte) >= 0 && compare(name, one.lt) < 0) model.delete(name);
      }
  }
}

export function writeTo(store: Store, one: Write): void {
  if (one.do === 'put') store.put(utf8(one.key), utf8(one.value));
  else if (one.do === 'delete') store.delete(utf8(one.key));
  else store.deleteRange(utf8(one.gte), utf8(one.lt));
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function sorted(model: Model): [string, string][] {
  return [...model].sort(([a], [b]) => compare(a, b));
}

/** What an iterator over the range should give, after a seek to `from` if there is one. */
function select(model: Model, wanted: Range, from: string | null): [string, string][] {
  const { gte, gt, lt, lte, reverse } = wanted;
  const found = sorted(model).filter(
    ([name]) =>
      (gte === undefined || compare(name, gte) >= 0) &&
      (gt === undefined || compare(name, gt) > 0) &&
      (lt === undefined || compare(name, lt) < 0) &&
      (lte === undefined || compare(name, lte) <= 0) &&
      (from === null || (reverse ? compare(name, from) <= 0 : compare(name, from) >= 0)),
  );
  return reverse ? found.reverse() : found;
}

function bytesOf({ gte, gt, lt, lte, limit, reverse }: Range): Parameters<Store['iterator']>[0] {
  return {
    ...(gte === undefined ? {} : { gte: utf8(gte) }),
    ...(gt === undefined ? {} : { gt: utf8(gt) }),
    ...(lt === undefined ? {} : { lt: utf8(lt) }),
    ...(lte === undefined ? {} : { lte: utf8(lte) }),
    ...(limit === undefined ? {} : { limit }),
    reverse,
  };
}

/** Up to `limit` pairs. */
function take(iterator: StoreIterator, limit: number): [string, string][] {
  const found: [string, string][] = [];
  while (found.length < limit && iterator.next()) {
    found.push([fromUtf8(iterator.key().slice()), fromUtf8(iterator.value().slice())]);
  }
  return found;
}

interface Held {
  readonly snapshot: ReadSnapshot;
  readonly model: Model;
}

export class EngineRun {
  readonly rig: Rig;
  /** Of the next open. */
  options: Partial<StoreOptions>;
  store: Store;
  readonly #entries: (readonly Write[])[] = [];
  #model = new Map<string, string>();
  #held: Held[] = [];
  #iterators: { readonly iterator: StoreIterator; readonly model: Model; readonly range: Range }[] = [];
  /** Everything that was answered, for runs that should answer alike. */
  readonly transcript: string[] = [];

  constructor(seed: string, options: Partial<StoreOptions>) {
    this.rig = new Rig(seed, { poisonViews: true });
    this.options = options;
    this.store = this.rig.open(options);
  }

  apply(one: Step): void {
    switch (one.do) {
      case 'entry':
        this.#entries.push(one.writes);
        for (const each of one.writes) applyWrite(this.#model, each);
        this.#replay();
        break;
      case 'steps':
        this.rig.steps(one.count);
        break;
      case 'settle':
        this.rig.settle();
        break;
      case 'flush':
      case 'merge':
        this.#work(one.do);
        break;
      case 'reopen':
      case 'crash':
        this.#reopen(one.do);
        break;
      case 'snapshot':
        this.#held.push({ snapshot: this.store.takeSnapshot(), model: new Map(this.#model) });
        break;
      case 'release':
        this.#held.shift()?.snapshot.release();
        break;
      case 'hold': {
        const reverse = this.#iterators.length % 2 === 1;
        const wanted = { reverse };
        const iterator = this.store.iterator(wanted);
        this.#iterators.push({ iterator, model: new Map(this.#model), range: wanted });
        break;
      }
      case 'iterate':
        this.#iterate(this.store.iterator(bytesOf(one.range)), this.#model, one.range, one.seeks);
        for (const { snapshot, model } of this.#held) {
          this.#iterate(snapshot.iterator(bytesOf(one.range)), model, one.range, one.seeks);
        }
    }
    expect(this.rig.failure).toBeNull();
    this.#check();
  }

  /** Whatever is held is right to the end. */
  end(): void {
    this.rig.settle();
    this.#checkHeld();
    for (const { iterator, model, range: wanted } of this.#iterators) {
      this.#iterate(iterator, model, wanted, []);
    }
    this.#iterators = [];
    for (const { snapshot } of this.#held) snapshot.release();
    this.#held = [];
    this.#work('merge');
    this.#check();
    // Nothing that is dead is left once nobody can see it.
    expect(this.store.statistics()).toMatchObject({
      entries: this.#model.size,
      tombstones: 0,
      rangeTombstones: 0,
    });
    const tables = this.rig.disk.files().filter((path) => path.includes('/table-'));
    expect(tables.length).toBe(this.store.statistics().tables);
    this.store.close();
  }

  #work(what: 'flush' | 'merge'): void {
    let outcome: Error | null | undefined;
    const done = (error: Error | null): void => {
      outcome = error;
    };
    if (what === 'flush') this.store.flush(done);
    else this.store.merge(done);
    this.rig.settle();
    expect(outcome).toBeNull();
    if (what === 'flush') expect(this.store.flushedIndex).toBe(this.store.appliedIndex);
  }

  #reopen(how: 'reopen' | 'crash'): void {
    this.#held = [];
    for (const { iterator } of this.#iterators) iterator.close();
    this.#iterators = [];
    if (how === 'crash') this.rig.crash();
    else this.store.close();
    this.store = this.rig.open(this.options);
    const { flushedIndex } = this.store;
    expect(flushedIndex).toBeLessThanOrEqual(this.#entries.length);
    // Before anything is applied again the store is as of its flushed index.
    const model = new Map<string, string>();
    for (const writes of this.#entries.slice(0, flushedIndex)) {
      for (const each of writes) applyWrite(model, each);
    }
    this.#compare(this.store.iterator(), sorted(model));
    // How far the tables go depends on the options.
    this.transcript.pop();
    this.#replay();
  }

  #replay(): void {
    for (let index = this.store.appliedIndex + 1; index <= this.#entries.length; index++) {
      this.store.beginEntry(index);
      for (const each of this.#entries[index - 1] ?? []) writeTo(this.store, each);
    }
  }

  #iterate(iterator: StoreIterator, model: Model, wanted: Range, seeks: readonly string[]): void {
    let left = wanted.limit ?? Number.POSITIVE_INFINITY;
    const expectNext = (from: string | null, count: number): void => {
      const expected = select(model, wanted, from).slice(0, Math.min(count, left));
      const found = take(iterator, count);
      if (JSON.stringify(found) !== JSON.stringify(expected)) expect(found).toEqual(expected);
      left -= found.length;
      this.transcript.push(JSON.stringify(found));
    };
    if (seeks.length > 0) expectNext(null, 2);
    for (const from of seeks) {
      iterator.seek(utf8(from));
      expectNext(from, 3);
    }
    if (seeks.length === 0) expectNext(null, Number.POSITIVE_INFINITY);
    iterator.close();
  }

  #check(): void {
    const names = ['', 'k', 'k05', 'k17', 'absent', ...this.#model.keys()];
    const found = this.store.getMany(names.map((name) => utf8(name)));
    names.forEach((name, at) => {
      const bytes = found[at] ?? null;
      const text = bytes === null ? null : fromUtf8(bytes.slice());
      if (text !== (this.#model.get(name) ?? null)) expect.fail(`'${name}' is ${text}`);
      this.transcript.push(`${text}`);
    });
    this.#compare(this.store.iterator(), sorted(this.#model));
    this.#compare(this.store.iterator({ reverse: true }), sorted(this.#model).reverse());
    this.#checkHeld();
  }

  #checkHeld(): void {
    for (const { snapshot, model } of this.#held) {
      for (const name of ['k03', 'k11', 'absent', ...[...model.keys()].slice(0, 8)]) {
        const bytes = snapshot.get(utf8(name));
        const text = bytes === null ? null : fromUtf8(bytes.slice());
        if (text !== (model.get(name) ?? null)) expect.fail(`in a snapshot '${name}' is ${text}`);
      }
      this.#compare(snapshot.iterator(), sorted(model));
    }
  }

  /** `expect` costs too much to be called for every answer. */
  #compare(iterator: StoreIterator, expected: readonly [string, string][]): void {
    const found = take(iterator, Number.POSITIVE_INFINITY);
    iterator.close();
    const text = JSON.stringify(found);
    if (text !== JSON.stringify(expected)) expect(found).toEqual(expected);
    this.transcript.push(text);
  }
}
