/**
 * The store alone, under the state machine that uses it, on a simulated disk, through short lives: writes and deletes of
 * few keys in tiny memtables, reads between them, iterators held while tables are flushed and merged beneath them, kills
 * and crashes at any moment. A start applies again what tables do not cover, as a replica does.
 *
 * Whatever is read is what a map in memory says, or, when the trial has ended in damage, an error that says so.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import type { Write } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeStored, NEVER } from '../../src/kv/stored_value.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import type { StoreIterator } from '../../src/lsm/store_iterator.ts';
import type { CompactionProgress } from '../../src/lsm/store_options.ts';
import type { SimRandom } from '../random.ts';
import { StoreMachine, SYNC_US } from './store_machine.ts';

const LIVES_MAX = 4;
const ROUNDS_MAX = 8;
/** Before each life. */
const CUT_STARTS_MAX = 8;
/** A store opens within about so many. */
const CUT_EVENTS_MAX = 8;
/** Of a thousand lives, how many end beside merges of everything, or in the middle of one. */
const MERGE_PERMILLE = 500;
const MERGES_MAX = 5;
/** Events between two of them. */
const MERGE_EVENTS_MAX = 12;
/** Events between the moment that is waited for and what is done then. */
const LAST_EVENTS_MAX = 2;
/** A merge takes no longer. */
const MERGING_US = 10_000_000;
/** Entries applied in one turn, at most. */
const BATCH_MAX = 12;
const DAMAGE_PERMILLE = 600;
const DIRECTORY = '/store';
const BUCKET = 'b';

/** Runs a trial; what went wrong, or null. */
export function tryStore(random: SimRandom): string | null {
  return new StoreTrial(random).run();
}

interface Live {
  readonly store: Store;
  readonly machine: StateMachine;
}

interface Value {
  readonly revision: number;
  readonly text: string;
}

class StoreTrial {
  readonly #random: SimRandom;
  readonly #machine: StoreMachine;
  readonly #tuning: Partial<StoreOptions>;
  /** Draws the starts that are cut off. */
  readonly #starts: SimRandom;
  readonly #keys: number;
  readonly #valueBytesMax: number;
  /** What a log would hold: entry `i` is at `i - 1`. */
  readonly #entries: Write[] = [];
  #applied = 0;
  #model = new Map<string, Value>();
  #isDamaged = false;
  /** Merges of everything that were asked for and have not ended. */
  #merging = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new StoreMachine(random);
    this.#starts = random.fork('starts');
    this.#keys = random.pick([3, 10, 40]);
    this.#valueBytesMax = random.pick([4, 40, 400]);
    this.#tuning = {
      memtableBytes: 1 << random.between(8, 11),
      blockBytes: 1 << random.between(6, 10),
      restartInterval: random.pick([1, 2, 16]),
      filterBitsPerKey: random.pick([0, 1, 10]),
      immutableMemtablesMax: random.pick([1, 2, 4]),
      mergeAtTables: random.between(2, 5),
      compaction: random.pick(['levelled', 'size-tiered']),
      tableBytes: 1 << random.between(7, 12),
      levelBytes: 1 << random.between(8, 12),
      levelGrowth: random.between(2, 5),
      stopAtRuns: random.pick([4, 24]),
      stepBytes: 1 << random.between(6, 12),
    };
  }

  run(): string | null {
    const random = this.#random;
    for (let lives = random.between(1, LIVES_MAX); lives > 0 && this.#machine.failure === null; lives--) {
      for (let cut = this.#starts.between(0, CUT_STARTS_MAX); cut > 0; cut--) this.#cutStart();
      const live = this.#open();
      if (live === null) break;
      this.#live(live);
      const merging = random.fork(`merging ${lives}`);
      this.#merging = 0;
      if (this.#machine.failure === null && merging.chance(MERGE_PERMILLE)) this.#mergeAll(live, merging);
      this.#machine.endLife(random);
    }
    if (this.#machine.failure === null && random.chance(DAMAGE_PERMILLE)) this.#checkDamaged();
    return this.#machine.failure;
  }

  /** Power fails while the store opens. Each of its names that is not durable yet is there afterwards or not. */
  #cutStart(): void {
    let events = this.#starts.below(CUT_EVENTS_MAX);
    const opened = this.#machine.openStore(DIRECTORY, this.#tuning, () => events-- === 0);
    if (opened instanceof Error) this.#onError('the store does not open', opened);
    this.#machine.process.crash();
    this.#machine.disk.crash({ names: 'keep-any' });
    this.#machine.process.restart();
  }

  /** A store that holds what its tables cover, and what follows applied again. Null: it does not open. */
  #open(): Live | null {
    const store = this.#machine.openStore(DIRECTORY, this.#tuning, () => this.#machine.failure !== null);
    if (store === null) this.#machine.fail('the store does not open in time');
    if (store instanceof Error) this.#onError('the store does not open', store);
    if (store === null || store instanceof Error) return null;
    store.onFailure = (error) => this.#onError('the store has failed', error);
    let live: Live | null = null;
    this.#machine.process.run(() => {
      try {
        live = { store, machine: new StateMachine(store) };
        this.#recover(live);
      } catch (error) {
        this.#onError('what the store holds cannot be read', error);
      }
    });
    return this.#machine.failure === null ? live : null;
  }

  #recover(live: Live): void {
    const { flushedIndex } = live.store;
    if (flushedIndex > this.#entries.length) {
      this.#machine.fail(`tables cover ${flushedIndex} entries of ${this.#entries.length}`);
      return;
    }
    this.#model = new Map();
    this.#applied = flushedIndex;
    for (let index = 1; index <= flushedIndex; index++) this.#applyToModel(index);
    this.#compareAll(live.store.iterator(), this.#model, `after a start, up to entry ${flushedIndex},`);
    // Nothing new: what a log would bring back.
    for (let index = flushedIndex + 1; index <= this.#entries.length; index++) this.#apply(live, index);
  }

  #live(live: Live): void {
    const random = this.#random;
    for (let rounds = random.between(1, ROUNDS_MAX); rounds > 0 && this.#machine.failure === null; rounds--) {
      let held: { readonly iterator: StoreIterator; readonly model: Map<string, Value> } | null = null;
      this.#machine.process.run(() => {
        try {
          this.#write(live);
          this.#read(live);
          if (random.chance(300)) {
            held = { iterator: live.store.iterator(), model: new Map(this.#model) };
          }
          if (random.chance(150)) live.store.flush(() => {});
          if (random.chance(100)) live.store.merge(() => {});
          // Behind what has just left the memtable no write may follow in the same entry.
          this.#read(live);
        } catch (error) {
          this.#onError('a read failed', error);
        }
      });
      const end = this.#machine.scheduler.nowUs + random.below(6 * SYNC_US.max);
      this.#machine.scheduler.runUntil(end);
      this.#machine.process.run(() => {
        try {
          this.#read(live);
          if (held !== null) this.#compareAll(held.iterator, held.model, 'an iterator that was held');
        } catch (error) {
          this.#onError('a read failed', error);
        }
      });
    }
  }

  /**
   * Asked for again and again while one is under way: whoever is told so finds nothing more of what was superseded when it
   * was asked for. Or a life ends when one is built, and about to be put in force.
   */
  #mergeAll(live: Live, random: SimRandom): void {
    const { store } = live;
    const isToEnd = random.chance(500);
    for (let asked = random.between(2, MERGES_MAX); asked > 0 && this.#machine.failure === null; asked--) {
      this.#merge(live);
      this.#stepFor(random.below(MERGE_EVENTS_MAX));
    }
    if (isToEnd) {
      this.#stepUntil(() => isBuilt(store.compaction));
      this.#stepFor(random.below(LAST_EVENTS_MAX));
      return;
    }
    this.#stepUntil(() => this.#merging === 0);
    if (this.#merging > 0) this.#machine.fail('a merge of everything does not end');
  }

  #merge(live: Live): void {
    this.#machine.process.run(() => {
      this.#write(live);
      this.#merging++;
      const liveKeys = this.#model.size;
      const asked = this.#applied;
      live.store.merge((error) => {
        this.#merging--;
        if (error !== null) this.#machine.fail(`a merge of everything fails: ${error.stack}`);
        const { entries } = live.store.statistics();
        const since = this.#applied - asked;
        if (entries > liveKeys + since) {
          this.#machine.fail(
            `a merge was asked for at entry ${asked}, with ${liveKeys} live keys; ${since} entries later ${entries} records are kept`,
          );
        }
      });
    });
  }

  #stepUntil(isOver: () => boolean): void {
    const { scheduler } = this.#machine;
    const end = scheduler.nowUs + MERGING_US;
    while (!isOver() && this.#machine.failure === null && scheduler.stepUntil(end)) {
      // Until then.
    }
  }

  #stepFor(events: number): void {
    for (let count = events; count > 0 && this.#machine.failure === null; count--)
      this.#machine.scheduler.step();
  }

  #write(live: Live): void {
    const random = this.#random;
    for (let count = random.between(0, BATCH_MAX); count > 0 && live.store.writable; count--) {
      const key = utf8(`k${random.below(this.#keys)}`);
      const index = this.#entries.length + 1;
      const text = `${index}`.padEnd(random.below(this.#valueBytesMax), '.');
      this.#entries.push(
        random.chance(250)
          ? { type: 'delete', bucket: BUCKET, keys: [key] }
          : { type: 'set', bucket: BUCKET, key, value: utf8(text) },
      );
      this.#apply(live, index);
    }
  }

  #apply({ machine }: Live, index: number): void {
    machine.apply(index, encodeWrite(this.#entries[index - 1], 0), 'wanted');
    this.#applied = index;
    this.#applyToModel(index);
  }

  #applyToModel(index: number): void {
    const write = this.#entries[index - 1];
    if (write.type === 'set') {
      this.#model.set(textOf(write.key), { revision: index, text: textOf(write.value) });
    } else if (write.type === 'delete') {
      for (const key of write.keys) this.#model.delete(textOf(key));
    }
  }

  /** Some keys, and one that has never been. */
  #read({ machine }: Live): void {
    for (let at = 0; at <= this.#keys && this.#machine.failure === null; at += this.#random.between(1, 3)) {
      const name = `k${at}`;
      const found = machine.read({ type: 'get', bucket: BUCKET, key: utf8(name) }, 0);
      const expected = this.#model.get(name)?.text ?? null;
      if (found === 'due' || found.type === 'error') {
        if (!this.#isDamaged) this.#machine.fail(`a read of ${name} was answered ${JSON.stringify(found)}`);
        continue;
      }
      const text = found.type === 'value' && found.value !== null ? textOf(found.value) : null;
      if (text !== expected)
        this.#machine.fail(`${name} is ${expected} after ${this.#applied} entries; read: ${text}`);
    }
  }

  /** Closes the iterator. */
  #compareAll(iterator: StoreIterator, model: Map<string, Value>, where: string): void {
    const expected = [...model]
      .map(([name, value]) => ({ key: storeKey(BUCKET, utf8(name)), ...value }))
      .sort((a, b) => compareBytes(a.key, b.key));
    try {
      for (const { key, text, revision } of expected) {
        const more = iterator.next();
        const value = encodeStored(utf8(text), revision, NEVER);
        if (more && compareBytes(iterator.key(), key) === 0 && compareBytes(iterator.value(), value) === 0)
          continue;
        const found = more ? `${textOf(iterator.key())} = ${textOf(iterator.value())}` : 'the end';
        this.#machine.fail(`${where} ${textOf(key)} = ${text} should come; it is ${found}`);
        return;
      }
      if (iterator.next()) this.#machine.fail(`${where} ${textOf(iterator.key())} should not be there`);
    } finally {
      iterator.close();
    }
  }

  /** A byte of a file changes. */
  #checkDamaged(): void {
    this.#machine.disk.crash();
    const paths = this.#machine.disk.files().filter((path) => this.#machine.disk.sizeOf(path) > 0);
    if (paths.length === 0) return;
    const path = this.#random.pick(paths);
    this.#machine.disk.flipByte(path, this.#random.below(this.#machine.disk.sizeOf(path)));
    this.#isDamaged = true;
    const live = this.#open();
    if (live !== null) this.#live(live);
  }

  /** Damage that is said is not a failure, where there is some. */
  #onError(what: string, error: unknown): void {
    if (this.#isDamaged && error instanceof CorruptionError) return;
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#machine.fail(`${what}: ${why}`);
  }
}

function isBuilt(merge: CompactionProgress | null): boolean {
  return merge?.isOfAll === true && merge.doneBytes >= merge.inputBytes;
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
