/**
 * The storage engine alone, asked all that it can do: entries of writes, deletes and range deletes, snapshots and iterators
 * held while tables are flushed and compacted beneath them, ranges in both directions, disks that are full for a while,
 * kills and crashes. Beside it goes a map; whatever the store answers is compared.
 *
 * What a log would hold is kept, and applied again after a crash from where the tables end.
 *
 * In half of the trials some values expire, by a time that entries write as any other key. Who reads passes over what has
 * expired, as the store's owner would; compaction may or may not have dropped it. In two of three of these trials it comes in tides:
 * values that stay, then ones over them that are gone soon, each flushed by themselves, with hardly a snapshot held.
 */
import { compareBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { ExpiryRule } from '../../src/lsm/expiry.ts';
import type { ReadSnapshot, Store, StoreOptions } from '../../src/lsm/store.ts';
import type { IteratorRange, StoreIterator } from '../../src/lsm/store_iterator.ts';
import type { SimRandom } from '../random.ts';
import { runLength } from '../run_length.ts';
import { StoreMachine, SYNC_US } from './store_machine.ts';

const LIVES_MAX = 4;
const ROUNDS_MAX = 12;
/** Entries of a round, and writes of an entry, at most. */
const ENTRIES_MAX = 6;
const WRITES_MAX = 6;
/** A disk that was full has space again after this long, in microseconds, and a store tries again within a second. */
const FULL_US = 3_000_000;
const SETTLING_US = 20_000_000;
const DIRECTORY = '/engine';
/** What each entry moves the time on by, and within which time a value expires. */
const ENTRY_MS = 10;
const EXPIRY_MS_MAX = 200;
/** Behind all other keys. */
const TIME_KEY = 'time';

/** `text@90` expires at 90. */
const rule: ExpiryRule = {
  timeIn: (get) => {
    const time = get(utf8(TIME_KEY));
    return time === null ? 0 : Number(fromUtf8(time.slice()));
  },
  expiresAtMs: (_key, value) => expiryOf(fromUtf8(value.slice())),
};

type Write =
  | { readonly do: 'put'; readonly key: string; readonly value: string }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'range'; readonly gte: string; readonly lt: string };

type Model = Map<string, string>;

interface Held {
  readonly snapshot: ReadSnapshot;
  readonly model: Model;
}

/** Runs a trial; what went wrong, or null. */
export function tryEngine(random: SimRandom): string | null {
  return new EngineTrial(random).run();
}

class EngineTrial {
  readonly #random: SimRandom;
  readonly #machine: StoreMachine;
  readonly #tuning: Partial<StoreOptions>;
  /** Draws what concerns expiry; null: nothing expires. */
  readonly #expiries: SimRandom | null;
  /** How many of a thousand values expire, and when at the latest. */
  #expiring: number;
  #expiryMsMax: number;
  /** Draws what each round writes: what expires, or what stays; null: all rounds write both. */
  readonly #tides: SimRandom | null;
  readonly #keys: number;
  /** What a log would hold: entry `i` is at `i - 1`. */
  readonly #entries: Write[][] = [];
  #model: Model = new Map();

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new StoreMachine(random, { poisonViews: random.chance(300) });
    this.#keys = random.pick([4, 20, 60]);
    const expiries = random.fork('expiry');
    this.#expiries = expiries.chance(500) ? expiries : null;
    this.#expiring = expiries.pick([300, 500, 500, 950]);
    this.#expiryMsMax = expiries.pick([EXPIRY_MS_MAX / 8, EXPIRY_MS_MAX / 2, EXPIRY_MS_MAX]);
    const tides = random.fork('tides');
    this.#tides = this.#expiries !== null && tides.chance(650) ? tides : null;
    const packing = random.fork('compression');
    this.#tuning = {
      compressions: [runLength],
      compression: packing.chance(350) ? runLength.name : null,
      expiry: this.#expiries === null ? null : rule,
      memtableBytes: 1 << random.between(8, 11),
      blockBytes: 1 << random.between(5, 10),
      restartInterval: random.pick([1, 2, 16]),
      filterBitsPerKey: random.pick([0, 1, 10]),
      immutableMemtablesMax: random.pick([1, 2, 4]),
      compaction: random.pick(['levelled', 'levelled', 'size-tiered']),
      mergeAtTables: random.between(1, 5),
      tableBytes: 1 << random.between(5, 11),
      levelBytes: 1 << random.between(7, 11),
      levelGrowth: random.between(2, 4),
      stepBytes: 1 << random.between(6, 12),
      blockCacheBytes: random.pick([0, 0, 1000]),
      damagedTables: random.pick(['refuse', 'quarantine']),
      // Tables that hold a tide each, and are left alone for some rounds.
      ...(this.#tides === null
        ? {}
        : { memtableBytes: 1 << 12, mergeAtTables: tides.between(3, 6), levelBytes: 1 << 12 }),
    };
    if (this.#tides !== null) this.#expiryMsMax = tides.pick([10, 30]);
  }

  run(): string | null {
    const random = this.#random;
    for (let lives = random.between(1, LIVES_MAX); lives > 0 && this.#machine.failure === null; lives--) {
      const store = this.#open();
      if (store === null) break;
      this.#live(store);
      this.#machine.endLife(random);
      this.#machine.disk.restoreSpace();
    }
    return this.#machine.failure;
  }

  #open(): Store | null {
    const store = this.#machine.openSoundStore(DIRECTORY, this.#tuning);
    if (store === null) return null;
    this.#machine.guarded(() => this.#recover(store));
    return this.#machine.failure === null ? store : null;
  }

  #recover(store: Store): void {
    const { flushedIndex } = store;
    if (flushedIndex > this.#entries.length) {
      this.#machine.fail(`tables cover ${flushedIndex} entries of ${this.#entries.length}`);
      return;
    }
    const model: Model = new Map();
    for (const writes of this.#entries.slice(0, flushedIndex)) {
      for (const write of writes) applyToModel(model, write);
    }
    this.#compare(store.iterator(), {}, model, `after a start, up to entry ${flushedIndex},`);
    this.#model = model;
    for (let index = flushedIndex + 1; index <= this.#entries.length; index++) this.#apply(store, index);
  }

  #live(store: Store): void {
    const random = this.#random;
    let held: Held[] = [];
    for (let rounds = random.between(1, ROUNDS_MAX); rounds > 0 && this.#machine.failure === null; rounds--) {
      let iterator: StoreIterator | null = null;
      const range = this.#drawRange();
      let model: Model = new Map();
      if (this.#tides !== null) this.#expiring = this.#tides.pick([0, 950]);
      this.#machine.guarded(() => {
        this.#write(store);
        this.#read(store, held);
        if (random.chance(300)) {
          iterator = store.iterator(range);
          model = new Map(this.#model);
        }
        if (random.chance(this.#tides === null ? 350 : 50))
          held.push({ snapshot: store.takeSnapshot(), model: new Map(this.#model) });
        if (random.chance(200)) held.shift()?.snapshot.release();
        if (random.chance(this.#tides === null ? 150 : 700)) store.flush(() => {});
        if (random.chance(100)) store.merge(() => {});
        if (random.chance(60)) this.#machine.disk.fullFor(random.below(FULL_US), random.below(4000));
      });
      this.#machine.scheduler.runUntil(
        this.#machine.scheduler.nowUs + random.below(random.pick([2, 20]) * SYNC_US.max),
      );
      this.#machine.guarded(() => {
        this.#read(store, held);
        if (iterator !== null) this.#compare(iterator, range, model, 'an iterator that was held:');
      });
    }
    if (this.#machine.failure === null && random.chance(400)) this.#settle(store, held);
    held = [];
  }

  /** Everything is merged, once there is space: nothing is left that nobody can see. */
  #settle(store: Store, held: readonly Held[]): void {
    let outcome: Error | null | undefined;
    this.#machine.disk.restoreSpace();
    this.#machine.guarded(() => {
      for (const { snapshot } of held) snapshot.release();
      store.merge((error) => {
        outcome = error;
      });
    });
    const end = this.#machine.scheduler.nowUs + SETTLING_US;
    while (
      outcome === undefined &&
      this.#machine.failure === null &&
      this.#machine.scheduler.stepUntil(end)
    ) {
      // Until it is merged.
    }
    if (outcome !== null) {
      this.#machine.fail(`a merge of everything does not end: ${outcome?.stack ?? 'not in time'}`);
      return;
    }
    this.#machine.guarded(() => {
      this.#read(store, []);
      const { entries, rangeTombstones } = store.statistics();
      const live = liveOf(this.#model).size;
      if (entries !== live || rangeTombstones !== 0) {
        this.#machine.fail(`${live} keys are live, ${entries} records are kept, ${rangeTombstones} ranges`);
      }
    });
  }

  #write(store: Store): void {
    const random = this.#random;
    for (let count = random.between(0, ENTRIES_MAX); count > 0 && store.writable; count--) {
      const index = this.#entries.length + 1;
      const writes = Array.from({ length: random.between(0, WRITES_MAX) }, (_none, at) =>
        this.#drawWrite(`${index}.${at}`, index),
      );
      if (this.#expiries?.chance(800)) {
        writes.push({ do: 'put', key: TIME_KEY, value: String(index * ENTRY_MS) });
      }
      this.#entries.push(writes);
      this.#apply(store, index);
    }
  }

  #drawWrite(name: string, index: number): Write {
    const random = this.#random;
    const key = this.#drawKey();
    if (random.chance(60)) return { do: 'range', gte: key, lt: this.#drawKey() };
    if (random.chance(200)) return { do: 'delete', key };
    const value = name.padEnd(random.below(60), '.');
    const expires = this.#expiries?.chance(this.#expiring) ?? false;
    const inMs = this.#expiries?.below(this.#expiryMsMax) ?? 0;
    return { do: 'put', key, value: expires ? `${value}@${index * ENTRY_MS + inMs}` : value };
  }

  #drawKey(): string {
    return `k${String(this.#random.below(this.#keys)).padStart(2, '0')}`;
  }

  #drawRange(): IteratorRange {
    const random = this.#random;
    return {
      ...(random.chance(400) ? { [random.pick(['gte', 'gt'])]: utf8(this.#drawKey()) } : {}),
      ...(random.chance(400) ? { [random.pick(['lt', 'lte'])]: utf8(this.#drawKey()) } : {}),
      reverse: random.chance(500),
    };
  }

  #apply(store: Store, index: number): void {
    store.beginEntry(index);
    for (const write of this.#entries[index - 1]) {
      applyToModel(this.#model, write);
      if (write.do === 'put') store.put(utf8(write.key), utf8(write.value));
      else if (write.do === 'delete') store.delete(utf8(write.key));
      else store.deleteRange(utf8(write.gte), utf8(write.lt));
    }
  }

  #read(store: Store, held: readonly Held[]): void {
    this.#readOne(store, this.#model, 'now');
    const range = this.#drawRange();
    this.#compare(store.iterator(range), range, this.#model, 'now');
    for (const { snapshot, model } of held) {
      const where = `in a snapshot of entry ${snapshot.sequence}`;
      this.#readOne(snapshot, model, where);
      this.#compare(snapshot.iterator(range), range, model, where);
    }
  }

  #readOne(from: { get(key: Uint8Array): Uint8Array | null }, model: Model, where: string): void {
    const timeMs = timeOf(model);
    for (let at = 0; at <= this.#keys; at += this.#random.between(1, 4)) {
      const key = `k${String(at).padStart(2, '0')}`;
      const bytes = from.get(utf8(key));
      const text = bytes === null ? null : fromUtf8(bytes.slice());
      const found = text !== null && isLive(text, timeMs) ? text : null;
      const kept = model.get(key);
      const expected = kept !== undefined && isLive(kept, timeMs) ? kept : null;
      if (found !== expected) this.#machine.fail(`${where} ${key} is ${expected}; read: ${found}`);
    }
  }

  /** Closes the iterator. */
  #compare(iterator: StoreIterator, range: IteratorRange, model: Model, where: string): void {
    const expected = select(liveOf(model), range);
    const timeMs = timeOf(model);
    const next = (): boolean => {
      while (iterator.next()) if (isLive(fromUtf8(iterator.value().slice()), timeMs)) return true;
      return false;
    };
    try {
      for (const [key, value] of expected) {
        const isThere = next();
        const found = isThere ? [fromUtf8(iterator.key().slice()), fromUtf8(iterator.value().slice())] : [];
        if (found[0] === key && found[1] === value) continue;
        this.#machine.fail(
          `${where} ${key} = ${value} should come; it is ${isThere ? found.join(' = ') : 'the end'}`,
        );
        return;
      }
      if (next()) this.#machine.fail(`${where} ${fromUtf8(iterator.key().slice())} should not be there`);
    } finally {
      iterator.close();
    }
  }
}

/** 0: never. */
function expiryOf(value: string): number {
  return Number(value.split('@')[1] ?? 0);
}

function timeOf(model: Model): number {
  return Number(model.get(TIME_KEY) ?? 0);
}

function isLive(value: string, timeMs: number): boolean {
  const expiresAtMs = expiryOf(value);
  return expiresAtMs === 0 || expiresAtMs > timeMs;
}

function liveOf(model: Model): Model {
  const timeMs = timeOf(model);
  return new Map([...model].filter(([, value]) => isLive(value, timeMs)));
}

function applyToModel(model: Model, write: Write): void {
  if (write.do === 'put') model.set(write.key, write.value);
  else if (write.do === 'delete') model.delete(write.key);
  else for (const key of [...model.keys()]) if (key >= write.gte && key < write.lt) model.delete(key);
}

function select(model: Model, { gte, gt, lt, lte, reverse }: IteratorRange): [string, string][] {
  const found = [...model]
    .filter(([name]) => {
      const key = utf8(name);
      return (
        (gte === undefined || compareBytes(key, gte) >= 0) &&
        (gt === undefined || compareBytes(key, gt) > 0) &&
        (lt === undefined || compareBytes(key, lt) < 0) &&
        (lte === undefined || compareBytes(key, lte) <= 0)
      );
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return reverse === true ? found.reverse() : found;
}
