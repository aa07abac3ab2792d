/**
 * The embedded store's engine: one log, one store and the state machine over the seams, without promises or encodings.
 *
 * A write is applied to the memtable at once and is durable when the log's sync that covers it has ended; all writes of a
 * turn of the event loop, and those that come while a sync is under way, share one sync (group commit). So a read may see
 * a write that a crash would still undo, but nobody has been told that it will last.
 *
 * A start applies the entries behind what tables cover. Tables may cover more than the log has made durable: then they are
 * ahead, and the log begins anew behind them.
 */
import type { HeldState } from '../backup/live_copy.ts';
import { assert } from '../base/assert.ts';
import { EnvelopeError, type Outcome, toError } from '../base/errors.ts';
import { Queue } from '../base/queue.ts';
import { rarely } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { NO_JOURNAL } from '../kv/journal.ts';
import type { Result, Write } from '../kv/request.ts';
import { StateMachine } from '../kv/state_machine.ts';
import { storedExpiry } from '../kv/stored_expiry.ts';
import { decodeStored, decodeStoredAt, NEVER, type StoredValue } from '../kv/stored_value.ts';
import { lendEncodedWrite } from '../kv/write_codec.ts';
import { EntryKind, type Index } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import { Log } from '../log/log.ts';
import { assertJoined, assertNoLog, holdsLog } from '../log/log_presence.ts';
import { recordBytes } from '../log/record.ts';
import { type AbandonMerge, type ReadSnapshot, Store, type StoreOptions } from '../lsm/store.ts';
import { readState } from '../lsm/store_files.ts';
import type { IteratorRange, StoreIterator } from '../lsm/store_iterator.ts';
import { type DatabaseStatistics, databaseStatistics } from './database_statistics.ts';
import { ownedWrite } from './owned_write.ts';

const GROUP = 1;
const TERM = 1;
/** After writes of so many bytes the rest of the process gets its turn: buffered writes alone would never let it. */
const TURN_BYTES = 8 * 1024;
/** While the store's pressure is `slow`: as LevelDB delays a write there. */
const SLOW_TURN_MS = 1;
/** Buffered writes of so many bytes are synced before their time: gathering more would end in one long write to the file. */
const SYNC_BYTES = 512 * 1024;
/** Nobody but a copy reads the log of an open store. */
const LOG_CACHE_BYTES = 1024 * 1024;

export type StoreTuning = Omit<
  StoreOptions,
  'disk' | 'directory' | 'clock' | 'logger' | 'expiry' | 'compressions'
>;

export interface EngineOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly segmentBytes?: number;
  readonly store?: StoreTuning;
  /** Those that tables may be compressed with. */
  readonly compressions?: readonly Compression[];
  /** A buffered write is durable this long after it was made, and the time of a sync, at the latest. */
  readonly bufferedMs: number;
}

/** `sync`: told when it survives a crash of the machine. `buffered`: told at once; a crash may lose the last of them. */
export type Durability = 'sync' | 'buffered';

type Done = (outcome: Outcome<Result>) => void;

interface Waiter {
  readonly index: Index;
  readonly result: Result;
  readonly done: Done;
}

interface Postponed {
  /** Null: nothing, `done` only waits for those before it. */
  readonly write: Write | null;
  readonly durability: Durability;
  readonly done: Done;
}

const NOTHING_DONE: Result = { type: 'ok' };

export class Engine {
  readonly #options: EngineOptions;
  readonly #log: Log;
  readonly #entries: GroupLog;
  readonly #store: Store;
  readonly #machine: StateMachine;
  /** Told when the log is durable up to their index; by index. */
  #waiters: Waiter[] = [];
  /** They wait for room in memory, or for the next turn of the event loop, in order. */
  readonly #postponed = new Queue<Postponed>();
  #syncIsPlanned = false;
  /** Bytes of writes since a sync was planned last. */
  #unsyncedBytes = 0;
  /** Bytes of the writes of this turn; while there are any, its end is planned. */
  #turnBytes = 0;
  #bufferedTimer: Timer | null = null;
  #compactedIndex: Index = 0;
  /** Entries behind these are still needed. */
  readonly #holds = new Set<{ readonly index: Index }>();
  /** The latest time seen: what has expired stays so when the wall clock goes back. */
  #timeMs = 0;
  #logWrittenBytes = 0;
  /** Times that writes had to wait for the store, how long in all, and since when they do now. */
  #stalls = 0;
  #stalledMs = 0;
  #stalledSinceMs: number | null = null;
  #failure: Error | null = null;
  #closed = false;

  /** `done` gets CorruptionError when a file is damaged or missing, DiskError when the disk fails. */
  static open(options: EngineOptions, done: (outcome: Outcome<Engine>) => void): void {
    const { disk, directory, clock, logger, segmentBytes } = options;
    const fail = (error: unknown): void => done({ ok: false, error: toError(error) });
    try {
      // Opening it would make a new one, and nobody would know.
      if (!holdsLog(disk, `${directory}/log`) && disk.exists(`${directory}/tables`)) {
        assertNoLog(`${directory}/log`, readState(disk, `${directory}/tables`).flushedIndex);
      }
    } catch (error) {
      clock.later(() => fail(error));
      return;
    }
    const tuning = { cacheBytes: LOG_CACHE_BYTES, ...(segmentBytes === undefined ? {} : { segmentBytes }) };
    Log.open({ disk, directory: `${directory}/log`, clock, logger, ...tuning }, (log) => {
      if (!log.ok) return fail(log.error);
      const place = { disk, directory: `${directory}/tables`, clock, logger };
      const { compressions = [] } = options;
      Store.open({ ...options.store, compressions, expiry: storedExpiry, ...place }, (store) => {
        if (!store.ok) {
          log.value.close(() => fail(store.error));
          return;
        }
        try {
          const engine = new Engine(options, log.value, store.value);
          engine.#recover(() => done({ ok: true, value: engine }), fail);
        } catch (error) {
          store.value.close();
          log.value.close(() => fail(error));
        }
      });
    });
  }

  private constructor(options: EngineOptions, log: Log, store: Store) {
    this.#options = options;
    this.#log = log;
    this.#entries = log.group(GROUP);
    this.#store = store;
    const { flushedIndex } = store;
    assertJoined(options.directory, flushedIndex, this.#entries.firstIndex);
    if (this.#entries.lastIndex < flushedIndex) this.#entries.reset(flushedIndex, TERM);
    this.#machine = new StateMachine(store, NO_JOURNAL);
    store.onWritable = () => this.#resume();
    store.onFailure = (error) => this.#fail(error);
    log.onFailure = (error) => this.#fail(error);
    log.onRest = () => store.rest();
    this.#entries.onDurable = (index) => this.#onDurable(index);
  }

  /** Milliseconds since the Unix epoch; never goes back while the store is open. */
  get timeMs(): number {
    this.#timeMs = Math.max(this.#timeMs, Math.floor(this.#options.clock.wallMs()), this.#machine.nowMs);
    return this.#timeMs;
  }

  get store(): Store {
    return this.#store;
  }

  /** See `DatabaseStatistics`. */
  statistics(): DatabaseStatistics {
    const log = this.#log.statistics();
    const now = this.#stalledSinceMs === null ? 0 : this.#options.clock.monotonicMs() - this.#stalledSinceMs;
    return databaseStatistics(this.#store.statistics(), {
      logBytes: log.bytes,
      logWrittenBytes: this.#logWrittenBytes,
      logSyncs: log.syncs,
      stalls: this.#stalls,
      stalledMs: this.#stalledMs + now,
      waitingWrites: this.#postponed.size,
    });
  }

  /** Why writes are refused; null: they are not. */
  get failure(): Error | null {
    return this.#failure;
  }

  /**
   * Writes are carried out in the order of these calls. Their bytes are copied, but those of a batch, which must stay.
   * `done` may be called before this returns when `durability` is `buffered`. It is told the outcome of conditions, and errors: what a write depends on is damaged; the store is closed;
   * or it has failed, after which no write is accepted until it is opened again.
   */
  write(write: Write, durability: Durability, done: Done): void {
    if (this.#failure !== null || this.#closed) {
      done({ ok: false, error: this.#refusal() });
      return;
    }
    if (this.#postponed.size > 0 || !this.#mayGoOn) {
      this.#noteStall();
      this.#postponed.push({ write: ownedWrite(write), durability, done });
    } else this.#carryOut(write, durability, done);
  }

  /**
   * What is there for a store key, in memory that is valid until control returns to the event loop; null: nothing.
   * @throws CorruptionError, DiskError when it cannot be told.
   */
  find(name: Uint8Array, snapshot: Moment | null): StoredValue | null {
    this.assertOpen();
    const place = snapshot === null ? this.#store.find(name) : snapshot.view.find(name);
    if (place === null) return null;
    const stored = decodeStoredAt(place.bytes, place.start, place.end);
    // Most values never expire: then nobody asks what time it is.
    if (stored.expiresAtMs === NEVER) return stored;
    return stored.expiresAtMs > (snapshot?.timeMs ?? this.timeMs) ? stored : null;
  }

  /** Store keys of a range, as of `snapshot`, or of now. Close it. */
  iterator(range: IteratorRange, snapshot: Moment | null): StoreIterator {
    this.assertOpen();
    return snapshot === null ? this.#store.iterator(range) : snapshot.view.iterator(range);
  }

  /** The state of now, until it is released. */
  moment(): Moment {
    this.assertOpen();
    return { view: this.#store.takeSnapshot(), timeMs: this.timeMs };
  }

  /**
   * `done` comes when the writes that were called before, and wait for room or their turn, have been carried out: at once if
   * none does. It is told why they never will be.
   */
  afterWrites(done: (error: Error | null) => void): void {
    const told: Done = (outcome) => done(outcome.ok ? null : outcome.error);
    if (this.#postponed.size === 0) done(null);
    else this.#postponed.push({ write: null, durability: 'buffered', done: told });
  }

  /** `done` comes when all that was written before is durable in tables. */
  flush(done: (error: Error | null) => void): void {
    this.afterWrites((refusal) => {
      if (refusal !== null) done(refusal);
      else this.#flushStore(done);
    });
  }

  #flushStore(done: (error: Error | null) => void): void {
    this.#store.flush((error) => {
      if (error === null) this.#shortenLog();
      done(error);
    });
  }

  /**
   * As `flush`, and all tables are merged: what is deleted, superseded or expired is gone.
   * @returns gives it up, with this error for `done` if that was not called yet; what was flushed stays so.
   */
  compact(done: (error: Error | null) => void): (error: Error) => void {
    let abandon: AbandonMerge | null = null;
    let isOver = false;
    const end = (error: Error | null): void => {
      if (isOver) return;
      isOver = true;
      done(error);
    };
    const merge = (refusal: Error | null): void => {
      if (refusal !== null) end(refusal);
      if (isOver) return;
      abandon = this.#store.merge((error) => {
        if (error === null) this.#shortenLog();
        end(error);
      });
    };
    // What has expired goes by the time that tables hold: an entry brings that up to now, if there was ever need of one.
    if (this.#machine.nowMs === 0 || this.#failure !== null || this.#closed) this.afterWrites(merge);
    else this.write({ type: 'tick' }, 'buffered', (outcome) => merge(outcome.ok ? null : outcome.error));
    return (error) => {
      if (isOver) return;
      abandon?.();
      end(error);
    };
  }

  get directory(): string {
    return this.#options.directory;
  }

  /** The state of now: its files and its part of the log stay until it is released. @throws EnvelopeError */
  hold(): HeldState {
    if (this.#failure !== null || this.#closed) throw this.#refusal();
    const { flushedIndex, tables, release } = this.#store.holdTables();
    const hold = { index: flushedIndex };
    this.#holds.add(hold);
    return {
      tablesDirectory: `${this.#options.directory}/tables`,
      tables,
      flushedIndex,
      lastIndex: this.#entries.lastIndex,
      group: GROUP,
      term: TERM,
      entry: (index) => this.#entries.entry(index),
      release: () => {
        this.#holds.delete(hold);
        release();
      },
    };
  }

  /**
   * Makes durable what was written, then closes the files. Writes that wait are carried out as far as memtables have room, and
   * refused beyond. Idempotent; `done` comes later.
   */
  close(done: (error: Error | null) => void): void {
    if (this.#closed) {
      this.#options.clock.later(() => done(null));
      return;
    }
    // They were called before: those that there is room for are carried out.
    while (this.#postponed.size > 0 && this.#store.writable && this.#failure === null) {
      const next = this.#postponed.shift();
      if (next !== null) this.#carryOutPostponed(next);
    }
    this.#closed = true;
    this.#bufferedTimer?.cancel();
    this.#refusePostponed(this.#refusal());
    this.#flushLog();
    this.#log.close((error) => {
      this.#settle(error ?? null);
      this.#store.close();
      done(error ?? this.#failure);
    });
  }

  get #mayGoOn(): boolean {
    return this.#turnBytes < TURN_BYTES && this.#store.writable;
  }

  /** Writes wait for the store, not just for the next turn. */
  #noteStall(): void {
    if (this.#stalledSinceMs !== null || this.#store.writable) return;
    this.#stalls++;
    this.#stalledSinceMs = this.#options.clock.monotonicMs();
  }

  #noteStallEnd(): void {
    if (this.#stalledSinceMs === null || !this.#store.writable) return;
    this.#stalledMs += this.#options.clock.monotonicMs() - this.#stalledSinceMs;
    this.#stalledSinceMs = null;
  }

  #countBytes(bytes: number): void {
    if (this.#turnBytes === 0) this.#planNextTurn();
    this.#turnBytes += bytes;
  }

  /** The turn in which writes that wait are carried out: while compaction falls behind, no sooner than `SLOW_TURN_MS`. */
  #planNextTurn(): void {
    const { clock } = this.#options;
    const begin = (): void => {
      this.#turnBytes = 0;
      this.#resume();
    };
    if (this.#store.pressure === 'slow') {
      rarely('writes of an embedded store are slowed');
      clock.after(SLOW_TURN_MS, begin);
    } else clock.later(begin);
  }

  #carryOutPostponed({ write, durability, done }: Postponed): void {
    if (write === null) done({ ok: true, value: NOTHING_DONE });
    else this.#carryOut(write, durability, done);
  }

  #carryOut(write: Write, durability: Durability, done: Done): void {
    const index = this.#entries.lastIndex + 1;
    const { timeMs } = this;
    // The log copies it.
    const payload = lendEncodedWrite(write, timeMs);
    this.#countBytes(payload.length);
    this.#logWrittenBytes += recordBytes(payload.length);
    let result: Result | null;
    try {
      result = this.#machine.applyWrite(index, { timeMs, write }, 'wanted');
    } catch (error) {
      // Nothing was written; the entry's place is taken all the same.
      this.#append(index, EntryKind.Noop, new Uint8Array(0));
      done({ ok: false, error: toError(error) });
      return;
    }
    assert(result !== null, 'a wanted result is given', { index });
    this.#append(index, EntryKind.Command, payload);
    if (this.#failure !== null) {
      done({ ok: false, error: this.#failure });
      return;
    }
    if (durability === 'sync') {
      this.#waiters.push({ index, result, done });
      this.#planSync();
    } else {
      this.#unsyncedBytes += payload.length;
      if (this.#unsyncedBytes >= SYNC_BYTES) this.#planSync();
      this.#bufferedTimer ??= this.#options.clock.after(this.#options.bufferedMs, () => {
        this.#bufferedTimer = null;
        this.#planSync();
      });
      done({ ok: true, value: result });
    }
  }

  #append(index: Index, kind: EntryKind, payload: Uint8Array): void {
    try {
      this.#entries.append({ index, term: TERM, kind, payload });
    } catch (error) {
      // The memtable is ahead of the log: no further write may be told to last.
      this.#fail(toError(error));
    }
  }

  /** At the end of the turn: one sync for all that it has brought. */
  #planSync(): void {
    if (this.#syncIsPlanned) return;
    this.#syncIsPlanned = true;
    this.#unsyncedBytes = 0;
    this.#options.clock.later(() => {
      this.#syncIsPlanned = false;
      if (!this.#closed) this.#flushLog();
    });
  }

  /** A log that has failed in this turn refuses before it says so to all (`Log.onFailure`). */
  #flushLog(): void {
    if (this.#failure !== null) return;
    try {
      this.#log.flush();
    } catch (error) {
      this.#fail(toError(error));
    }
  }

  #onDurable(durableIndex: Index): void {
    let told = 0;
    while (told < this.#waiters.length && this.#waiters[told].index <= durableIndex) told++;
    const waiters = this.#waiters.splice(0, told);
    this.#shortenLog();
    for (const { result, done } of waiters) done({ ok: true, value: result });
  }

  /** Entries that tables cover are not needed any more. */
  #shortenLog(): void {
    if (this.#closed || this.#failure !== null) return;
    let index = Math.min(this.#store.flushedIndex, this.#entries.durableIndex);
    for (const hold of this.#holds) index = Math.min(index, hold.index);
    if (index <= this.#compactedIndex) {
      if (this.#holds.size > 0) rarely('the log keeps what a copy may still need');
      return;
    }
    this.#compactedIndex = index;
    this.#entries.compact(index);
  }

  #resume(): void {
    this.#noteStallEnd();
    while (this.#postponed.size > 0 && this.#mayGoOn && this.#failure === null && !this.#closed) {
      const next = this.#postponed.shift();
      if (next !== null) this.#carryOutPostponed(next);
    }
    if (this.#postponed.size > 0) this.#noteStall();
  }

  /** Applies what tables do not cover, as memory allows. */
  #recover(done: () => void, fail: (error: unknown) => void): void {
    let index = this.#store.flushedIndex + 1;
    const proceed = (): void => {
      try {
        for (; index <= this.#entries.lastIndex; index++) {
          if (!this.#store.writable) return;
          const { kind, payload } = this.#entries.entry(index);
          if (kind === EntryKind.Command) this.#machine.apply(index, payload, 'not-wanted');
          else this.#machine.applyNothing(index);
        }
      } catch (error) {
        this.#store.close();
        this.#log.close(() => fail(error));
        return;
      }
      this.#store.onWritable = () => this.#resume();
      done();
    };
    this.#store.onWritable = proceed;
    this.#options.clock.later(proceed);
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#bufferedTimer?.cancel();
    this.#settle(error);
  }

  #settle(error: Error | null): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    const why = error ?? this.#refusal();
    for (const { index, result, done } of waiters) {
      const isDurable = index <= this.#entries.durableIndex;
      done(isDurable ? { ok: true, value: result } : { ok: false, error: why });
    }
    this.#refusePostponed(why);
  }

  #refusePostponed(error: Error): void {
    for (let next = this.#postponed.shift(); next !== null; next = this.#postponed.shift()) {
      next.done({ ok: false, error });
    }
  }

  /** @throws EnvelopeError `CLOSED` */
  assertOpen(): void {
    if (this.#closed) throw this.#refusal();
  }

  #refusal(): EnvelopeError {
    if (this.#failure !== null) {
      const why = this.#failure.message;
      return new EnvelopeError('FAILED', `the store accepts no writes until it is opened again: ${why}`);
    }
    return new EnvelopeError('CLOSED', 'the store is closed');
  }
}

/** A state of the store, and its time. */
export interface Moment {
  readonly view: ReadSnapshot;
  readonly timeMs: number;
}

/** Null: it has expired. */
export function live(bytes: Uint8Array, timeMs: number): StoredValue | null {
  const stored = decodeStored(bytes);
  return stored.expiresAtMs === NEVER || stored.expiresAtMs > timeMs ? stored : null;
}
