/**
 * The state machine: applies committed writes to the store, in order, and answers reads from it. Deterministic: the
 * same entries give the same store on every replica.
 *
 * Its time is the latest that an entry has carried. It is kept in the store from the first entry on that might need it, so
 * a store without expiries and sessions pays nothing for it; then once for every millisecond in which something was
 * written. The expired, the dropped and the closed are gone at once for every reader; their bytes go with ticks, which
 * the leader asks for when there is something to do (`isTickDue`).
 */
import { assert } from '../base/assert.ts';
import { CorruptionError, DiskError } from '../base/errors.ts';
import type { Index } from '../log/entry.ts';
import { expires } from './batch.ts';
import { applyEdits } from './batch_apply.ts';
import { readFeed } from './feed.ts';
import { ChangeKind, DEFAULT_JOURNAL_LIMITS, Journal, type JournalLimits } from './journal.ts';
import { JournaledCells } from './journaled_cells.ts';
import { bucketPrefix, bucketRange, configurationKey, lentStoreKey, storeKey, timeKey } from './key_space.ts';
import type { KeyValueStore } from './key_value_store.ts';
import { LiveKeys, type MachineState } from './live_keys.ts';
import { type SteppedRead, startLongRead } from './long_reads.ts';
import { readPoint } from './point_reads.ts';
import { writePoint } from './point_writes.ts';
import {
  errorResult,
  type LongRead,
  type OnceWrite,
  type PointRead,
  type Result,
  type Write,
} from './request.ts';
import { closeSession, openSession, writeOnce } from './sessions.ts';
import { DigestedStore, type StateDigest } from './state_digest.ts';
import { encodeStored, NEVER } from './stored_value.ts';
import { dropBucket, loadState, sweep } from './sweep.ts';
import { runTransaction } from './transaction.ts';
import { decodeWrite, type TimedWrite } from './write_codec.ts';

const OK: Result = { type: 'ok' };
const EMPTY = new Uint8Array(0);
const NO_DROPS: ReadonlyMap<string, Index> = new Map();
/** They do the same at any time. */
const TIMELESS: ReadonlySet<Write['type']> = new Set(['set', 'delete', 'delete-range']);

export class StateMachine {
  readonly #store: KeyValueStore;
  #state: MachineState;
  #keys: LiveKeys;
  #journal: Journal;

  readonly #journalLimits: JournalLimits;
  /** Of the state, as before the entry that was begun last. */
  #timeBeforeMs = 0;
  #dueBeforeMs = 0;
  #dropsBefore: ReadonlyMap<string, Index> = NO_DROPS;
  /** Of what applying does; null: nobody compares it. */
  readonly digest: StateDigest | null;
  /** A read has met this, and answers with it. */
  onDamage: (error: CorruptionError) => void = () => {};

  /** What it keeps for itself could not be read: it is of no use before `reload`. */
  readonly isUnreadable: boolean;

  /**
   * @param unreadable What to do when that is so.
   * @param digest Notes what is applied, to be compared with that of other replicas; null spends nothing on it.
   * @throws DiskError, and CorruptionError with `throw`, when the store's own keys cannot be read.
   */
  constructor(
    store: KeyValueStore,
    journalLimits: JournalLimits = DEFAULT_JOURNAL_LIMITS,
    unreadable: 'throw' | 'wait' = 'throw',
    digest: StateDigest | null = null,
  ) {
    this.digest = digest;
    this.#store = digest === null ? store : new DigestedStore(store, digest);
    this.#journalLimits = journalLimits;
    const state = unreadable === 'wait' ? loadIfReadable(store) : loadState(store);
    this.isUnreadable = state === null;
    this.#state = state ?? { nowMs: 0, drops: new Map(), nextDueMs: Number.POSITIVE_INFINITY };
    this.#journal = new Journal(store.appliedIndex, journalLimits);
    this.#keys = new LiveKeys(new JournaledCells(this.#store, this.#journal), this.#state);
  }

  /** The store holds something else now: all of it was replaced by a snapshot. */
  reload(): void {
    this.digest?.clear();
    this.#state = loadState(this.#store);
    this.#journal = new Journal(this.#store.appliedIndex, this.#journalLimits);
    this.#keys = new LiveKeys(new JournaledCells(this.#store, this.#journal), this.#state);
  }

  /** Milliseconds since the epoch; 0 as long as no entry needed it. */
  get nowMs(): number {
    return this.#state.nowMs;
  }

  /** Whether a tick would have something to sweep at this wall time. For leaders, which read clocks. */
  isTickDue(wallMs: number): boolean {
    return this.#state.drops.size > 0 || this.#state.nextDueMs <= wallMs;
  }

  /** Whether a tick would have something to sweep without moving the time on. */
  get hasBacklog(): boolean {
    return this.#state.drops.size > 0 || this.#state.nextDueMs <= this.#state.nowMs;
  }

  /**
   * @param result `not-wanted` spares the lookups that only the answer needs.
   * @returns null when it is not wanted.
   * @throws EnvelopeError `FORMAT` when the payload is not a write: the log holds what was never proposed.
   * @throws CorruptionError, DiskError when what the write depends on cannot be read: the other replicas go on with
   * what this one cannot know, so it must not.
   */
  apply(index: Index, payload: Uint8Array, result: 'wanted' | 'not-wanted'): Result | null {
    return this.applyWrite(index, decodeWrite(payload), result);
  }

  /** As `apply`, for who has both the write and its encoding: what is decoded from that must be the same. */
  applyWrite(index: Index, { timeMs, write }: TimedWrite, result: 'wanted' | 'not-wanted'): Result | null {
    const store = this.#store;
    const keys = this.#keys;
    this.#rememberState();
    store.beginEntry(index);
    keys.revision = index;
    keys.asOfMs = 0;
    keys.touchedBytes = 0;
    this.#moveTime(timeMs, write);
    if (write.type === 'set') {
      const key = lentStoreKey(write.bucket, write.key, 0, write.key.length);
      store.put(key, encodeStored(write.value, index, NEVER));
      this.#journal.add(index, ChangeKind.Key, key);
      return result === 'wanted' ? OK : null;
    }
    if (write.type === 'delete') {
      // What is damaged cannot be counted, but it is deleted all the same: every replica must do the same.
      const counted =
        result === 'wanted' ? this.#guarded(() => this.#countLive(write.bucket, write.keys)) : null;
      for (const key of write.keys) keys.delete(write.bucket, key);
      return counted?.type === 'error' ? deletedUncounted(counted) : counted;
    }
    const answer = this.#write(write);
    return result === 'wanted' ? answer : null;
  }

  /** Bytes of the values that the entry applied last has met: it may be short and change long ones. */
  get touchedBytes(): number {
    return this.#keys.touchedBytes;
  }

  /**
   * The entry that was applied last has failed, and the store has taken it back (`abandonEntry`): nothing else is left of
   * it either. In the same turn. Whoever follows a feed is told to read anew.
   */
  abandonEntry(): void {
    this.digest?.abandonEntry();
    const { drops } = this.#state;
    this.#state.nowMs = this.#timeBeforeMs;
    this.#state.nextDueMs = this.#dueBeforeMs;
    drops.clear();
    for (const [bucket, revision] of this.#dropsBefore) drops.set(bucket, revision);
    this.#keys.revision = this.#store.appliedIndex;
    this.#forgetChanges();
  }

  /** Who belongs to the group, as the last entry that said so; null: none has. The bytes are not looked at. @throws as `get` of the store */
  get configuration(): Uint8Array | null {
    return this.#store.get(configurationKey)?.slice() ?? null;
  }

  applyConfiguration(index: Index, configuration: Uint8Array): void {
    this.#store.beginEntry(index);
    this.#store.put(configurationKey, configuration);
  }

  /** An entry without a command. */
  applyNothing(index: Index): void {
    this.#store.beginEntry(index);
  }

  /**
   * The caller has made sure that the answer is current. Values are copies, the caller's to keep.
   *
   * @param wallMs The leader's; 0: whatever the state machine's time says, for a reader who may see the past.
   * @returns `due` when a key was met that should have expired by `wallMs` and has not: ask again behind a tick.
   */
  read(request: PointRead, wallMs: number): Result | 'due' {
    const keys = this.#keys;
    keys.asOfMs = wallMs;
    keys.metDue = false;
    const result = this.#guarded(() => readPoint(keys, request));
    return keys.metDue ? 'due' : result;
  }

  /** As `read`. */
  readLong(request: LongRead, wallMs: number): SteppedRead | Result | 'due' {
    const { nowMs, nextDueMs } = this.#state;
    if (nowMs < Math.floor(wallMs) && nextDueMs <= wallMs) return 'due';
    if (request.type === 'feed') {
      this.#keys.asOfMs = 0;
      return this.#guarded(() => readFeed(this.#keys, this.#journal, this.#store.appliedIndex, request));
    }
    let read: SteppedRead | null = null;
    const failure = this.#guarded(() => {
      read = startLongRead(this.#store, this.#state, request);
      return null;
    });
    if (failure !== null) return failure;
    assert(read !== null, 'a read that did not fail has begun');
    return new GuardedRead(read, this.#guarded);
  }

  #write(write: Exclude<Write, { type: 'set' | 'delete' }>): Result {
    const keys = this.#keys;
    switch (write.type) {
      case 'tick':
        sweep(this.#store, keys);
        return OK;
      case 'delete-range': {
        const { bucket, from, to } = write;
        const end = to === null ? bucketRange(bucket).lt : storeKey(bucket, to);
        this.#store.deleteRange(storeKey(bucket, from), end);
        this.#forgetChanges();
        return OK;
      }
      case 'batch':
        applyEdits(keys, write.edits);
        return OK;
      case 'session-open':
        return openSession(keys, write.idleMs);
      case 'session-close':
        return closeSession(keys, write.session);
      case 'session-write':
        return writeOnce(keys, write.session, write.number, write.write, this.#carryOut);
      default:
        return this.#carryOut(write);
    }
  }

  readonly #carryOut = (write: OnceWrite): Result => {
    switch (write.type) {
      case 'transaction':
        return runTransaction(this.#keys, write);
      case 'drop-bucket':
        dropBucket(this.#keys, write.bucket);
        this.#journal.add(this.#keys.revision, ChangeKind.Drop, bucketPrefix(write.bucket));
        return OK;
      default:
        return writePoint(this.#keys, write);
    }
  };

  /** A feed cannot name the keys of a range: whoever follows one is told to read them anew. */
  #forgetChanges(): void {
    const { revision } = this.#keys;
    this.#journal = new Journal(revision, this.#journalLimits);
    this.#keys = new LiveKeys(new JournaledCells(this.#store, this.#journal), this.#state);
    this.#keys.revision = revision;
  }

  #moveTime(timeMs: number, write: Write): void {
    const state = this.#state;
    const isTimeless = write.type === 'batch' ? !expires(write.edits) : TIMELESS.has(write.type);
    const isNeeded = state.nowMs > 0 || !isTimeless;
    if (!isNeeded || timeMs <= state.nowMs) return;
    state.nowMs = timeMs;
    // The time stands where a value's expiry does.
    this.#store.put(timeKey, encodeStored(EMPTY, this.#keys.revision, timeMs));
  }

  #rememberState(): void {
    const { nowMs, nextDueMs, drops } = this.#state;
    this.#timeBeforeMs = nowMs;
    this.#dueBeforeMs = nextDueMs;
    this.#dropsBefore = drops.size === 0 ? NO_DROPS : new Map(drops);
  }

  /** Turns damage and failed disks into answers. */
  readonly #guarded: Guard = (task) => {
    try {
      return task();
    } catch (error) {
      if (error instanceof CorruptionError) {
        this.onDamage(error);
        return errorResult('corruption', error.message);
      }
      if (error instanceof DiskError) return errorResult('internal', error.message);
      throw error;
    }
  };

  #countLive(bucket: string, keys: readonly Uint8Array[]): Result {
    const seen = new Set<string>();
    let count = 0;
    for (const key of keys) {
      // A key named twice is there only once.
      const name = key.join();
      if (!seen.has(name) && this.#keys.find(bucket, key) !== null) count++;
      seen.add(name);
    }
    return { type: 'count', count };
  }
}

/** Other errors say that nothing has changed. */
function deletedUncounted({ code, message }: Result & { type: 'error' }): Result {
  return errorResult(code, `deleted, but how many keys there were cannot be told: ${message}`);
}

function loadIfReadable(store: KeyValueStore): MachineState | null {
  try {
    return loadState(store);
  } catch (error) {
    if (error instanceof CorruptionError) return null;
    throw error;
  }
}

type Guard = <T extends Result | null>(task: () => T) => T | Result;

/** Damage that is met on the way is the answer. */
class GuardedRead implements SteppedRead {
  readonly #read: SteppedRead;
  readonly #guarded: Guard;

  constructor(read: SteppedRead, guarded: Guard) {
    this.#read = read;
    this.#guarded = guarded;
  }

  step(keys: number): Result | null {
    const result = this.#guarded(() => this.#read.step(keys));
    if (result?.type === 'error') this.#read.cancel();
    return result;
  }

  cancel(): void {
    this.#read.cancel();
  }
}
