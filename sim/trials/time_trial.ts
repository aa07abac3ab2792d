/**
 * The state machine alone, with what goes by time: keys that expire, and buckets that are dropped and swept. It applies a
 * log whose entries carry the times of leaders whose clocks disagree, on a store with tiny memtables, through kills and
 * crashes after which it applies again what tables do not cover.
 *
 * Whatever is read is what a map in memory says, whose time is the latest of the entries: what has expired by then is
 * not there, and what should have expired by the reader's clock is never answered but behind a tick. In the end the
 * sweep leaves nothing of what is gone.
 *
 * Now and then a read fails in the middle of an entry, which is taken back then and applied again. However the log was
 * applied, the windows of its digests are those of a replica that applies all of it at the end, in one go.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { DEFAULT_JOURNAL_LIMITS } from '../../src/kv/journal.ts';
import { bucketRange } from '../../src/kv/key_space.ts';
import type { Write } from '../../src/kv/request.ts';
import { StateDigest } from '../../src/kv/state_digest.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import type { SimRandom } from '../random.ts';
import { DigestWatch, FailingReads } from './digest_watch.ts';
import { StoreMachine, SYNC_US } from './store_machine.ts';

const LIVES_MAX = 4;
const ROUNDS_MAX = 10;
const BATCH_MAX = 8;
const START_MS = 1_700_000_000_000;
/** By how many milliseconds leaders' clocks are off. */
const CLOCKS = [-40, 0, 25, 300] as const;
const TTL_MS_MAX = 60;
const ROUND_MS_MAX = 40;
const BUCKETS = ['a', 'b'] as const;
/** A tick sweeps 256 keys. */
const FINAL_TICKS_MAX = 20;
const FAILING_PERMILLE = 100;
const READS_BEFORE_MAX = 4;

/** Runs a trial; what went wrong, or null. */
export function tryTime(random: SimRandom): string | null {
  return new TimeTrial(random).run();
}

interface Value {
  readonly text: string;
  readonly expiresAtMs: number;
}

/** What the log says, one entry after the other. */
class Model {
  readonly values = new Map<string, Value>();
  nowMs = 0;

  apply({ timeMs, write }: LogEntry, index: number): void {
    this.nowMs = Math.max(this.nowMs, timeMs);
    switch (write.type) {
      case 'set':
        this.values.set(`${write.bucket}/${textOf(write.key)}`, {
          text: textOf(write.value),
          expiresAtMs: Number.POSITIVE_INFINITY,
        });
        return;
      case 'set-if': {
        const name = `${write.bucket}/${textOf(write.key)}`;
        if (write.condition.type === 'absent' && this.find(name) !== null) return;
        const ms = write.expiry.type === 'after' ? write.expiry.ms : Number.POSITIVE_INFINITY;
        this.values.set(name, { text: textOf(write.value), expiresAtMs: this.nowMs + ms });
        return;
      }
      case 'delete':
        for (const key of write.keys) this.values.delete(`${write.bucket}/${textOf(key)}`);
        return;
      case 'drop-bucket':
        for (const name of this.values.keys())
          if (name.startsWith(`${write.bucket}/`)) this.values.delete(name);
        return;
      case 'tick':
        return;
      default:
        throw new Error(`entry ${index} is a ${write.type}`);
    }
  }

  /** Null: it is not there. */
  find(name: string): Value | null {
    const value = this.values.get(name);
    return value === undefined || value.expiresAtMs <= this.nowMs ? null : value;
  }

  countIn(bucket: string): number {
    let count = 0;
    for (const name of this.values.keys())
      if (name.startsWith(`${bucket}/`) && this.find(name) !== null) count++;
    return count;
  }
}

interface LogEntry {
  readonly timeMs: number;
  readonly write: Write;
}

interface Live {
  readonly store: Store;
  /** The same, as the state machine sees it. */
  readonly reads: FailingReads;
  readonly machine: StateMachine;
  readonly digest: StateDigest;
}

class TimeTrial {
  readonly #random: SimRandom;
  readonly #machine: StoreMachine;
  readonly #tuning: Partial<StoreOptions>;
  readonly #keys: number;
  readonly #entries: LogEntry[] = [];
  readonly #model = new Model();
  readonly #digests = new DigestWatch();
  readonly #windowEntries: number;
  /** Draws which reads fail. */
  readonly #failures: SimRandom;
  #elapsedMs = 0;
  /** How far the clock of who leads is off. */
  #offMs = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new StoreMachine(random);
    this.#failures = random.fork('failures');
    this.#windowEntries = this.#failures.between(1, 6);
    // With many, one tick does not sweep all.
    this.#keys = random.pick([3, 10, 400]);
    this.#tuning = {
      memtableBytes: 1 << random.between(8, 12),
      blockBytes: 1 << random.between(6, 10),
      immutableMemtablesMax: random.pick([1, 2, 4]),
      mergeAtTables: random.between(2, 5),
      compaction: random.pick(['levelled', 'size-tiered']),
      tableBytes: 1 << random.between(8, 12),
      levelBytes: 1 << random.between(9, 12),
      stepBytes: 1 << random.between(8, 12),
    };
  }

  run(): string | null {
    const random = this.#random;
    for (let lives = random.between(1, LIVES_MAX); lives > 0 && this.#machine.failure === null; lives--) {
      const live = this.#open();
      if (live === null) break;
      for (
        let rounds = random.between(1, ROUNDS_MAX);
        rounds > 0 && this.#machine.failure === null;
        rounds--
      ) {
        this.#machine.guarded(() => this.#round(live));
        this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + random.below(4 * SYNC_US.max));
      }
      if (lives === 1) this.#machine.guarded(() => this.#sweepAll(live));
      this.#machine.endLife(random);
    }
    if (this.#machine.failure === null) this.#compareDigests();
    return this.#machine.failure;
  }

  /** What the clock of who leads shows. */
  get #wallMs(): number {
    return START_MS + this.#elapsedMs + this.#offMs;
  }

  #open(): Live | null {
    const store = this.#machine.openSoundStore('/store', this.#tuning);
    let live: Live | null = null;
    this.#machine.guarded(() => {
      if (store === null) return;
      live = this.#liveOn(store);
      for (let index = store.flushedIndex + 1; index <= this.#entries.length; index++) {
        this.#apply(live, index, 'not-wanted');
      }
      this.#review(live);
      this.#readAll(live, `after a start from entry ${store.flushedIndex}`);
    });
    return this.#machine.failure === null ? live : null;
  }

  #liveOn(store: Store): Live {
    const reads = new FailingReads(store);
    const digest = new StateDigest(this.#windowEntries);
    return {
      store,
      reads,
      digest,
      machine: new StateMachine(reads, DEFAULT_JOURNAL_LIMITS, 'throw', digest),
    };
  }

  #review({ digest }: Live): void {
    const problem = this.#digests.review(digest);
    if (problem !== null) this.#machine.fail(problem);
  }

  /** A replica that has never failed has done the same. */
  #compareDigests(): void {
    const store = this.#machine.openSoundStore('/another', {});
    this.#machine.guarded(() => {
      if (store === null) return;
      const live = this.#liveOn(store);
      for (let index = 1; index <= this.#entries.length && this.#machine.failure === null; index++) {
        this.#applyOnce(live, index, 'not-wanted');
        this.#review(live);
      }
    });
  }

  /** In the order of `src/replica/applier.ts`. */
  #apply(live: Live, index: number, result: 'wanted' | 'not-wanted'): void {
    const { store, reads, machine } = live;
    if (this.#failures.chance(FAILING_PERMILLE)) reads.failNext(this.#failures.below(READS_BEFORE_MAX));
    try {
      this.#applyOnce(live, index, result);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      store.abandonEntry();
      machine.abandonEntry();
      this.#applyOnce(live, index, result);
    } finally {
      reads.failNoMore();
    }
  }

  #applyOnce({ machine }: Live, index: number, result: 'wanted' | 'not-wanted'): void {
    const { timeMs, write } = this.#entries[index - 1];
    machine.apply(index, encodeWrite(write, timeMs), result);
  }

  #round(live: Live): void {
    const random = this.#random;
    this.#elapsedMs += random.below(ROUND_MS_MAX);
    if (random.chance(200)) this.#offMs = random.pick(CLOCKS);
    for (let count = random.between(0, BATCH_MAX); count > 0 && live.store.writable; count--) {
      this.#append(live, this.#drawWrite());
    }
    for (let count = random.between(0, 3); count > 0; count--) this.#read(live);
    if (random.chance(300) && live.machine.isTickDue(this.#wallMs)) this.#append(live, { type: 'tick' });
    if (random.chance(200)) this.#readAll(live, `after ${this.#entries.length} entries`);
    this.#review(live);
    if (random.chance(150)) live.store.flush(() => {});
  }

  #drawWrite(): Write {
    const random = this.#random;
    const bucket = random.pick(BUCKETS);
    const key = utf8(`k${random.below(this.#keys)}`);
    const value = utf8(`${this.#entries.length + 1}`);
    // Time is kept from the first entry on that may need it.
    const draw = this.#entries.length === 0 ? 0 : random.below(1000);
    if (draw < 500) {
      const condition = { type: random.chance(300) ? ('absent' as const) : ('always' as const) };
      const expiry = { type: 'after' as const, ms: random.between(1, TTL_MS_MAX) };
      return { type: 'set-if', bucket, key, value, condition, expiry, answer: 'status' };
    }
    if (draw < 750) return { type: 'set', bucket, key, value };
    if (draw < 830) return { type: 'delete', bucket, keys: [key] };
    if (draw < 860) return { type: 'drop-bucket', bucket };
    const many = Array.from({ length: this.#keys }, (_none, at) => utf8(`k${at}`));
    return draw < 870 ? { type: 'delete', bucket, keys: many } : { type: 'set', bucket, key, value };
  }

  #append(live: Live, write: Write): void {
    const entry = { timeMs: this.#wallMs, write };
    this.#entries.push(entry);
    const index = this.#entries.length;
    this.#apply(live, index, 'wanted');
    this.#model.apply(entry, index);
  }

  /** As a leader reads that has made sure that it leads. */
  #read(live: Live): void {
    const bucket = this.#random.pick(BUCKETS);
    const name = `k${this.#random.below(this.#keys)}`;
    const request = { type: 'get', bucket, key: utf8(name) } as const;
    const wallMs = this.#wallMs;
    const held = this.#model.find(`${bucket}/${name}`);
    const isDue = held !== null && held.expiresAtMs <= wallMs;
    const found = live.machine.read(request, wallMs);
    if ((found === 'due') !== isDue) {
      this.#machine.fail(
        `${bucket}/${name} expires at ${held?.expiresAtMs}, and at ${wallMs} is ${JSON.stringify(found)}`,
      );
      return;
    }
    if (!isDue) {
      this.#expect(`${bucket}/${name}`, textIn(found), `at ${wallMs}`);
      return;
    }
    this.#append(live, { type: 'tick' });
    this.#expect(
      `${bucket}/${name}`,
      textIn(live.machine.read(request, wallMs)),
      `behind a tick at ${wallMs}`,
    );
  }

  /** As who may see the past. */
  #readAll({ machine }: Live, where: string): void {
    for (const bucket of BUCKETS) {
      for (let at = 0; at < this.#keys && this.#machine.failure === null; at++) {
        const found = machine.read({ type: 'get', bucket, key: utf8(`k${at}`) }, 0);
        this.#expect(`${bucket}/k${at}`, textIn(found), where);
      }
    }
  }

  #sweepAll(live: Live): void {
    for (let ticks = 0; live.machine.hasBacklog && live.store.writable; ticks++) {
      if (ticks === FINAL_TICKS_MAX) {
        this.#machine.fail(`${ticks} ticks have not swept all`);
        return;
      }
      this.#append(live, { type: 'tick' });
    }
    if (live.machine.hasBacklog) return;
    this.#readAll(live, 'after all was swept');
    for (const bucket of BUCKETS) {
      const iterator = live.store.iterator(bucketRange(bucket));
      let count = 0;
      while (iterator.next()) count++;
      iterator.close();
      const expected = this.#model.countIn(bucket);
      if (count !== expected)
        this.#machine.fail(`bucket ${bucket} has ${expected} keys, and the store holds ${count}`);
    }
  }

  #expect(name: string, text: string | null, where: string): void {
    const expected = this.#model.find(name)?.text ?? null;
    if (text !== expected) this.#machine.fail(`${where} ${name} is ${expected}; read: ${text}`);
  }
}

function textIn(result: ReturnType<StateMachine['read']>): string | null {
  if (result !== 'due' && result.type === 'value') return result.value === null ? null : textOf(result.value);
  return JSON.stringify(result);
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
