/**
 * The store alone, one table of which rots: a range of keys is replaced by what a model says that another replica holds of it
 * as of one log entry, while writes, flushes and compactions go on. What is read in the end, before and after all is merged
 * and the store is opened anew, is what the model says. In some trials the power fails on the way: then the range is
 * either damaged as before or mended.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import type { Index } from '../../src/log/entry.ts';
import { type Cursor, RecordKind } from '../../src/lsm/record.ts';
import type { MendPlace, Store, StoreOptions } from '../../src/lsm/store.ts';
import type { Borders } from '../../src/lsm/table.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';

export type Model = Map<string, string>;

const KEYS = Array.from({ length: 24 }, (_none, n) => `key${String(n).padStart(2, '0')}`);
const DIRECTORY = '/store';
const TRIALS = 4;
const STEPS_MAX = 100_000;
const CRASH_PERMILLE = 300;
const GIVEN_UP_PERMILLE = 300;
const ROTS_MEANWHILE_PERMILLE = 500;
const REOPENED_PERMILLE = 300;
const MENDS_MAX = 10;

/** Runs some trials; what went wrong, or null. */
export function tryRanges(random: SimRandom): string | null {
  try {
    for (let trial = 0; trial < TRIALS; trial++) new RangeTrial(random.fork(`trial ${trial}`)).run();
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

class RangeTrial {
  readonly #random: SimRandom;
  readonly #machine: LoneMachine;
  readonly #options: Partial<StoreOptions>;
  /** As of each log entry; the first is of none. */
  readonly #models: Model[] = [new Map()];

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new LoneMachine({ random, name: 'store' });
    this.#options = {
      memtableBytes: 1 << random.between(9, 11),
      blockBytes: 96,
      tableBytes: 1 << random.between(8, 10),
      levelBytes: 1 << random.between(9, 11),
      levelGrowth: 3,
      mergeAtTables: random.between(2, 5),
      compaction: random.pick(['levelled', 'size-tiered']),
      stepBytes: 128,
      damagedTables: 'quarantine',
    };
  }

  run(): void {
    const random = this.#random;
    let store = this.#open();
    for (let rounds = random.between(1, 12); rounds > 0; rounds--) {
      this.#write(store, random.between(1, 12));
      this.#settle();
    }
    let damaged = this.#damageOne(store);
    if (damaged === null) return;
    if (random.chance(REOPENED_PERMILLE)) {
      // Now it is one that cannot even be opened.
      store.flush(() => {});
      this.#settle();
      this.#close(store);
      store = this.#open();
      damaged = this.#damaged(store);
    }
    for (let mends = 1; damaged !== null; mends++) {
      if (mends > MENDS_MAX) throw new Error('one damaged table follows upon the other');
      if (!this.#mend(store, damaged, mends === 1)) return;
      damaged = this.#damaged(store);
    }
    this.#compare(store, 'when it is mended');
    this.#write(store, 20);
    store.merge(() => {});
    this.#settle();
    this.#compare(store, 'when all is merged');
    store.flush(() => {});
    this.#settle();
    this.#close(store);
    const again = this.#open();
    this.#compare(again, 'after a restart');
    this.#close(again);
  }

  /** Whoever was refused for damage holds no table open, nor does anybody else. */
  #close(store: Store): void {
    store.close();
    this.#settle();
    const { files } = this.#machine.process.holdings;
    if (files > 0) throw new Error(`${files} files are open behind the end of the store`);
  }

  /** False when the power has failed or it was given up: that is the end. */
  #mend(store: Store, range: Borders, isFirst: boolean): boolean {
    const random = this.#random;
    // What is not durable yet, and a compaction that has just begun, are there as well.
    this.#write(store, random.below(20));
    this.#step(random.below(20));
    let place: MendPlace | null = null;
    store.beginMend((outcome) => {
      if (!outcome.ok) throw outcome.error;
      place = outcome.value;
    });
    const asOf = this.#model;
    const before = new Set(this.#tablePaths());
    this.#until(store, 500, 3, () => place !== null);
    if (place === null) return false;
    // As a replica does it: what is applied meanwhile stands before what is fetched.
    this.#write(store, random.below(30));
    this.#step(random.below(60));
    if (isFirst && random.chance(ROTS_MEANWHILE_PERMILLE)) {
      // It holds what was applied behind the range that is fetched: that does not bring it back.
      this.#rot(
        store,
        this.#tablePaths().filter((path) => !before.has(path)),
      );
    }
    let error: Error | null | 'waits' = 'waits';
    store.mend(range, place, new ModelCursor(asOf, range), (outcome) => {
      error = outcome;
    });
    if (random.chance(CRASH_PERMILLE)) {
      this.#step(random.below(60));
      this.#checkAfterCrash();
      return false;
    }
    if (random.chance(GIVEN_UP_PERMILLE)) {
      this.#giveUp(store, () => error !== 'waits');
      return false;
    }
    this.#until(store, 200, 1, () => error !== 'waits');
    if (error !== null) throw error;
    store.endMend();
    return true;
  }

  get #model(): Model {
    return this.#models[this.#models.length - 1];
  }

  #open(): Store {
    const store = this.#machine.openStore(DIRECTORY, this.#options);
    this.#settle();
    if (store === null) throw new Error('the store does not open');
    if (store instanceof Error) throw store;
    store.onFailure = (error) => {
      throw error;
    };
    return store;
  }

  #settle(): void {
    while (this.#machine.scheduler.step()) {
      // Until nothing is left to do.
    }
  }

  #step(count: number): void {
    for (let left = count; left > 0 && this.#machine.scheduler.step(); left--) {
      // One event at a time.
    }
  }

  /** Steps, and writes between them now and then, until something has come about. */
  #until(store: Store, writePermille: number, stepsMax: number, isMet: () => boolean): void {
    for (let steps = 0; !isMet(); steps++) {
      if (steps > STEPS_MAX) throw new Error('what was begun does not come to an end');
      if (store.writable && this.#random.chance(writePermille)) this.#write(store, this.#random.below(4));
      this.#step(stepsMax);
    }
  }

  #write(store: Store, entries: number): void {
    for (let left = entries; left > 0 && store.writable; left--) this.#writeEntry(store);
  }

  #writeEntry(store: Store): void {
    const random = this.#random;
    const model = new Map(this.#model);
    const index = this.#models.length;
    store.beginEntry(index);
    const key = random.pick(KEYS);
    if (random.chance(250)) {
      store.delete(utf8(key));
      model.delete(key);
    } else if (random.chance(60)) {
      const to = random.pick(KEYS);
      store.deleteRange(utf8(key), utf8(to));
      for (const one of KEYS) if (one >= key && one < to) model.delete(one);
    } else {
      const value = `${index}`.padEnd(random.below(60), '.');
      store.put(utf8(key), utf8(value));
      model.set(key, value);
    }
    this.#models.push(model);
  }

  /** Breaks a table that is in force, and has the store know it; null: there is none. */
  #damageOne(store: Store): Borders | null {
    this.#rot(store, this.#tablePaths());
    return this.#damaged(store);
  }

  #damaged(store: Store): Borders | null {
    this.#readAll(store);
    const [table] = store.quarantined;
    return table === undefined ? null : { low: table.low, end: table.end };
  }

  #tablePaths(): string[] {
    return this.#machine.disk.files().filter((path) => path.includes('/table-'));
  }

  /** Breaks one of the tables, and has the store know it. */
  #rot(store: Store, paths: readonly string[]): void {
    const disk = this.#machine.disk;
    if (paths.length === 0) return;
    const path = this.#random.pick(paths);
    for (let at = 0; at < disk.sizeOf(path); at += 40) disk.flipByte(path, at);
    this.#readAll(store);
  }

  /** Null: it meets damage, which the store is told of. */
  #readAll(store: Store): Model | null {
    const found: Model = new Map();
    try {
      const iterator = store.iterator();
      try {
        while (iterator.next()) found.set(textOf(iterator.key()), textOf(iterator.value()));
      } finally {
        iterator.close();
      }
      return found;
    } catch (error) {
      if (!(error instanceof CorruptionError) || !store.noteDamage(error)) throw error;
      this.#takeSnapshot(store);
      return null;
    }
  }

  /** As another replica asks for it, again and again, that may not get it for the damage. */
  #takeSnapshot(store: Store): void {
    try {
      store.snapshot().release();
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
    }
  }

  /** At any moment, also when it is on its way into the manifest: then it may still come about. */
  #giveUp(store: Store, isOver: () => boolean): void {
    for (let left = this.#random.below(80); left > 0 && !isOver(); left--) this.#step(1);
    store.endMend();
    for (let rounds = 0; rounds < 6; rounds++) {
      this.#write(store, this.#random.below(12));
      this.#step(this.#random.below(40));
    }
    this.#settle();
    const found = this.#readAll(store);
    if (found !== null && !isSame(found, this.#model)) {
      throw new Error(describe('after mending was given up', found, this.#model));
    }
    this.#close(store);
  }

  /** What tables cover is all there is: nothing was applied again. */
  #checkAfterCrash(): void {
    this.#machine.process.crash();
    this.#machine.disk.crash();
    this.#machine.process.restart();
    const store = this.#open();
    const found = this.#readAll(store);
    const expected = this.#models[store.flushedIndex];
    if (found !== null && !isSame(found, expected))
      throw new Error(describe('after a crash', found, expected));
  }

  #compare(store: Store, when: string): void {
    const found = this.#readAll(store);
    if (found === null) throw new Error(`${when} it is damaged: ${store.quarantined[0]?.damage?.message}`);
    if (!isSame(found, this.#model)) throw new Error(describe(when, found, this.#model));
  }
}

/** Live records of a range, as another replica would send them. */
export class ModelCursor implements Cursor {
  readonly kind = RecordKind.Put;
  readonly sequence: Index = 1;
  readonly #records: readonly [string, string][];
  #at = 0;

  constructor(model: Model, { low, end }: Borders) {
    this.#records = [...model]
      .filter(([key]) => compareBytes(utf8(key), low) >= 0 && compareBytes(utf8(key), end) < 0)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  get isValid(): boolean {
    return this.#at < this.#records.length;
  }

  get key(): Uint8Array {
    return utf8(this.#records[this.#at][0]);
  }

  get value(): Uint8Array {
    return utf8(this.#records[this.#at][1]);
  }

  next(): void {
    this.#at++;
  }

  seekToFirst(): void {
    this.#at = 0;
  }

  seek(): void {
    throw new Error('nobody seeks in what is fetched');
  }
}

function isSame(found: Model, expected: Model): boolean {
  return found.size === expected.size && [...expected].every(([key, value]) => found.get(key) === value);
}

function describe(when: string, found: Model, expected: Model): string {
  const keys = KEYS.filter((key) => found.get(key) !== expected.get(key));
  const lines = keys.map((key) => `${key} is ${expected.get(key)}; read: ${found.get(key)}`);
  return `${when} ${lines.join('; ')}`;
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
