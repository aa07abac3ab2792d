/**
 * Repairs this replica's tables from another replica while it goes on: which of two ways, and step by step.
 *
 * A damaged table is mended alone. Every replica's state after log entry S is the same, so what another one holds of the
 * table's keys as of S can stand in the place of everything that this one's tables say of them up to S:
 *
 * 1. `asking`: another replica is asked for the keys, as of an entry that is not behind what is applied here. Until it names
 *    its S nothing is applied, for a round trip at most.
 * 2. `catching-up`: everything up to S is applied, and no more. Then the store closes its tables at S (`Store.beginMend`)
 *    and applying goes on.
 * 3. `fetching`: meanwhile the keys come in chunks and are written to a file.
 * 4. `building`: they become a run of tables at S, and with one durable edit of the manifest that takes the damaged
 *    table's place. A crash at any time before leaves the damage as it was.
 *
 * Where an entry is to be applied that depends on damaged keys, others have applied it already: a state of before it is
 * not to be had. Then the replica is `blocked`, and the whole state is fetched from one that is beyond it, and installed as
 * a raft snapshot is (`snapshots.ts`).
 */
import { assert } from '../base/assert.ts';
import { CorruptionError, DiskError, EnvelopeError } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Random } from '../io/random.ts';
import type { Index } from '../log/entry.ts';
import type { MendPlace, Store } from '../lsm/store.ts';
import type { Borders } from '../lsm/table.ts';
import type { NodeId } from '../raft/message.ts';
import type { RangeChunk, RangeFetch, SnapshotMessage } from './snapshot_codec.ts';
import { SnapshotFetch } from './snapshot_fetch.ts';
import { SnapshotFileCursor, type SnapshotIdentity } from './snapshot_file.ts';

export interface TableMenderOptions {
  readonly store: Store;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where what is fetched goes, and where a whole state goes. */
  readonly directory: string;
  readonly wholePath: string;
  readonly bytesPerSecondMax: number;
  /** There is no other member, nor will one come without this one. */
  readonly isAlone: () => boolean;
  /** Who can be asked, the likeliest first. */
  readonly peers: () => readonly NodeId[];
  readonly send: (to: NodeId, message: SnapshotMessage) => void;
  /** A raft snapshot is being fetched or installed. */
  readonly isBusy: () => boolean;
  readonly leads: () => boolean;
  /** A whole state may be fetched now. */
  readonly mayRebuild: () => boolean;
  /** Who cannot read all of its keys is not the one to lead. */
  readonly handOver: () => void;
  /** Tables are about to be replaced: nothing may be held for others of what is older. */
  readonly releaseHeld: () => void;
  /** A whole state has been fetched. */
  readonly install: (identity: SnapshotIdentity, atLeast: Index) => void;
  /** What may be applied has changed. */
  readonly onProgress: () => void;
  readonly onFailure: (error: Error) => void;
}

/** What the mender does; for people. */
export type MenderPhase = 'idle' | 'asking' | 'catching-up' | 'fetching' | 'building';

/** One attempt: at one range, from one peer. */
interface Attempt {
  /** Null: everything. */
  readonly range: Borders | null;
  readonly peer: NodeId;
  readonly request: number;
  /** What comes must reach so far. */
  readonly askedAt: Index;
  readonly fetch: SnapshotFetch;
  /** Of the state that comes; null: not known yet. */
  index: Index | null;
  place: MendPlace | null;
  isClosing: boolean;
  isFetched: boolean;
  isBuilding: boolean;
  bytes: number;
}

/** Nothing is applied while a peer is asked: who does not answer soon is left. */
const ASK_MS = 300;
/** Without a chunk for so long a fetch is given up. */
const STALL_MS = 5000;
const PAUSE_MS = 500;
const HAND_OVER_PAUSE_MS = 2000;
const RETRY_MS = 500;
const UNLIMITED = Number.POSITIVE_INFINITY;

export class TableMender {
  readonly #options: TableMenderOptions;
  readonly #path: string;
  #attempt: Attempt | null = null;
  #timer: Timer | null = null;
  /** Not before the timer has run out. */
  #isPausing = false;
  #hasDamage: boolean;
  #isBlocked = false;
  #mustRebuild = false;
  /** Whose state may take the place of this one's; null: anybody's. */
  #sources: readonly NodeId[] | null = null;
  #attempts = 0;
  #nextHandOverMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Tables mended, and whole states fetched, since the start. */
  mended = 0;
  rebuilt = 0;

  constructor(options: TableMenderOptions) {
    this.#options = options;
    this.#path = `${options.directory}/mend`;
    this.#hasDamage = options.store.quarantined.length > 0;
  }

  /** What may be applied. */
  get applyLimit(): Index {
    if (this.#isBlocked || this.#mustRebuild) return this.#options.store.appliedIndex;
    const attempt = this.#attempt;
    if (attempt === null || attempt.range === null || attempt.isClosing) return UNLIMITED;
    return attempt.index ?? attempt.askedAt;
  }

  /** The next entry can't be applied: it depends on what is damaged. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** What the store holds is not to be shown to anybody. */
  get mustRebuild(): boolean {
    return this.#mustRebuild;
  }

  get phase(): MenderPhase {
    const attempt = this.#attempt;
    if (attempt === null) return 'idle';
    if (attempt.isBuilding) return 'building';
    if (attempt.index === null) return 'asking';
    return attempt.range !== null && !attempt.isClosing ? 'catching-up' : 'fetching';
  }

  /** Bytes of records fetched by the attempt under way. */
  get fetchedBytes(): number {
    return this.#attempt?.bytes ?? 0;
  }

  onDamage(): void {
    this.#hasDamage = true;
    this.#options.onProgress();
  }

  /** The next entry depends on damaged keys. */
  block(): void {
    if (this.#isBlocked) return;
    rarely('an entry depends on what is damaged');
    this.#isBlocked = true;
    this.#hasDamage = true;
    // A range that is closed already will be there before a whole state could.
    if (this.#attempt !== null && !this.#attempt.isClosing) this.#abandon();
    this.#options.onProgress();
  }

  /**
   * What the store holds is not to be used: nothing is applied until it has been replaced as a whole.
   * @param sources By the state of one of these; null: of anybody. Left out: of whom it was to be so far.
   */
  rebuild(sources: readonly NodeId[] | null = this.#sources): void {
    this.#mustRebuild = true;
    this.#sources = sources;
    this.#abandon();
    this.#options.onProgress();
  }

  /** Once in each turn, behind what was applied in it. */
  review(nowMs: number): void {
    if (this.#stopped) return;
    const { leads, handOver, isBusy } = this.#options;
    if ((this.#hasDamage || this.#mustRebuild) && nowMs >= this.#nextHandOverMs && leads()) {
      this.#nextHandOverMs = nowMs + HAND_OVER_PAUSE_MS;
      rarely('a leader hands over because of damage');
      handOver();
    }
    if (isBusy()) {
      // It brings all of the state, or makes room for another attempt.
      if (this.#attempt !== null) this.#giveUp();
      return;
    }
    if (this.#attempt !== null) this.#closeTables(this.#attempt);
    else if (!this.#isPausing && this.#mayBegin) this.#begin();
  }

  /** @throws EnvelopeError `FORMAT` when the records are malformed. */
  onChunk(from: NodeId, chunk: RangeChunk): void {
    const attempt = this.#attempt;
    if (attempt === null || attempt.peer !== from || attempt.request !== chunk.request) return;
    const { request: _request, ...rest } = chunk;
    if (chunk.number === -1) {
      rarely('a replica cannot give out what another one lacks');
      this.#giveUp();
      return;
    }
    if (attempt.index === null) {
      if (chunk.index < attempt.askedAt) {
        this.#giveUp();
        return;
      }
      attempt.index = chunk.index;
      this.#options.onProgress();
    }
    attempt.bytes += chunk.records.length;
    this.#watch(STALL_MS);
    attempt.fetch.onChunk({ ...rest, type: 'chunk' });
  }

  onPeerReset(peer: NodeId): void {
    if (this.#attempt?.peer === peer) this.#attempt.fetch.ask();
  }

  /** All tables are about to be replaced by a raft snapshot. */
  onInstall(): void {
    this.#abandon();
    this.#options.releaseHeld();
  }

  onInstalled(): void {
    this.#isBlocked = false;
    this.#mustRebuild = false;
    this.#sources = null;
    this.#hasDamage = this.#options.store.quarantined.length > 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#abandon();
    this.#timer?.cancel();
  }

  get #mayBegin(): boolean {
    return this.#mustRebuild ? this.#options.mayRebuild() : this.#hasDamage;
  }

  #begin(): void {
    const { store, disk, clock, directory, wholePath, bytesPerSecondMax, random, isAlone } = this.#options;
    const [damaged] = store.quarantined;
    if (damaged === undefined && !this.#mustRebuild) {
      // It is gone by other ways.
      this.#hasDamage = false;
      if (this.#isBlocked) this.#unblock();
      return;
    }
    const isWhole = this.#isBlocked || this.#mustRebuild || damaged === undefined;
    const candidates = this.#candidates();
    const peer = candidates[this.#attempts++ % candidates.length];
    if (peer === undefined) {
      if (isWhole && isAlone()) this.#giveUpForGood(damaged?.damage ?? null);
      else this.#pause();
      return;
    }
    const range = isWhole ? null : { low: damaged.low, end: damaged.end };
    const request = random.below(2 ** 32);
    const atLeast = store.appliedIndex + (this.#isBlocked ? 1 : 0);
    const fetch = new SnapshotFetch({
      disk,
      clock,
      path: isWhole ? wholePath : this.#path,
      directory,
      from: peer,
      send: (to, message) => {
        assert(message.type === 'fetch', 'a fetch asks');
        this.#options.send(to, rangeFetchOf(range, request, atLeast, message.number, message.after));
      },
      bytesPerSecondMax,
      retryMs: RETRY_MS,
      done: (identity) => this.#onFetched(identity),
      onFailure: (error) => this.#onError(error),
    });
    this.#attempt = {
      range,
      peer,
      request,
      askedAt: atLeast,
      fetch,
      index: null,
      place: null,
      isClosing: false,
      isFetched: false,
      isBuilding: false,
      bytes: 0,
    };
    this.#watch(ASK_MS);
    fetch.ask();
  }

  /** Where none of the sources is a member any more, anybody. */
  #candidates(): readonly NodeId[] {
    const peers = this.#options.peers();
    const sources = peers.filter((peer) => this.#sources?.includes(peer) === true);
    return sources.length > 0 ? sources : peers;
  }

  /** What is asked for is applied: from here on tables are for what comes behind it. */
  #closeTables(attempt: Attempt): void {
    const { store, releaseHeld, onProgress } = this.#options;
    const { index, range } = attempt;
    if (range === null || index === null || attempt.isClosing || store.appliedIndex < index) return;
    assert(store.appliedIndex === index, 'nothing is applied behind what is fetched', { index });
    attempt.isClosing = true;
    releaseHeld();
    store.beginMend((outcome) => {
      if (this.#attempt !== attempt) return;
      if (!outcome.ok) {
        this.#onError(outcome.error);
        return;
      }
      attempt.place = outcome.value;
      this.#build(attempt);
    });
    onProgress();
  }

  #onFetched(identity: SnapshotIdentity): void {
    const attempt = this.#attempt;
    assert(attempt !== null, 'what is fetched was asked for');
    attempt.isFetched = true;
    if (attempt.range !== null) {
      this.#build(attempt);
      return;
    }
    rarely('a whole state is fetched in place of a damaged one');
    this.rebuilt++;
    this.#abandon();
    this.#options.install(identity, attempt.askedAt);
  }

  #build(attempt: Attempt): void {
    const { store, disk, logger } = this.#options;
    const { range, place, isFetched } = attempt;
    if (range === null || place === null || !isFetched) return;
    attempt.isBuilding = true;
    this.#watch(UNLIMITED);
    const cursor = new SnapshotFileCursor(disk, this.#path);
    store.mend(range, place, cursor, (error) => {
      cursor.close();
      if (this.#attempt !== attempt) return;
      if (error !== null) {
        this.#onError(error);
        return;
      }
      sometimes('a damaged table is mended');
      logger.log('info', 'table-mended', { from: attempt.peer, index: place.index, bytes: attempt.bytes });
      this.mended++;
      this.#abandon();
      this.#unblock();
    });
  }

  #unblock(): void {
    this.#isBlocked = false;
    this.#options.onProgress();
  }

  /** As with an entry that a group of one cannot apply: to wait would be to wait for ever. */
  #giveUpForGood(damage: CorruptionError | null): void {
    rarely('the last member cannot be rebuilt');
    const why = damage?.message ?? 'the state of this node is not to be used';
    this.#options.onFailure(
      new EnvelopeError('CORRUPTION', `${why}; no other member is left who has a copy`),
    );
  }

  /** No space, or what was written is not what is read back: that may be otherwise the next time. */
  #onError(error: Error): void {
    if (error instanceof CorruptionError || (error instanceof DiskError && error.errno === 'ENOSPC'))
      this.#giveUp();
    else {
      this.#abandon();
      this.#options.onFailure(error);
    }
  }

  #giveUp(): void {
    this.#abandon();
    this.#pause();
    this.#options.onProgress();
  }

  #abandon(): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#attempt = null;
    this.#timer?.cancel();
    this.#isPausing = false;
    attempt.fetch.cancel();
    if (attempt.isClosing) this.#options.store.endMend();
    this.#removeFile();
  }

  #removeFile(): void {
    const { disk } = this.#options;
    try {
      if (disk.exists(this.#path)) disk.remove(this.#path);
    } catch (error) {
      // The next attempt writes it anew.
      if (!(error instanceof DiskError)) throw error;
    }
  }

  #pause(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#isPausing = true;
    this.#timer = this.#options.clock.after(PAUSE_MS, () => {
      this.#isPausing = false;
      this.#options.onProgress();
    });
  }

  /** Gives the attempt up unless this is called again in time. */
  #watch(ms: number): void {
    this.#timer?.cancel();
    if (ms === UNLIMITED) return;
    this.#timer = this.#options.clock.after(ms, () => {
      rarely('an attempt to mend a table stalls');
      this.#giveUp();
    });
  }
}

function rangeFetchOf(
  range: Borders | null,
  request: number,
  atLeast: Index,
  number: number,
  after: Uint8Array,
): RangeFetch {
  const low = range?.low ?? new Uint8Array(0);
  return { type: 'range-fetch', request, low, end: range?.end ?? null, atLeast, number, after };
}
