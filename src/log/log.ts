/**
 * The log: the one thing that makes writes durable. All groups of a node share it, and its syncs.
 *
 * Appends gather in a batch. `flush` writes the batch with one append to the file and starts one sync; while that is in
 * flight the next batch gathers, and is written when it has completed (group commit). As no batch is written before the
 * sync of the one before has completed, each starts by attesting that all before it is durable: with a marker, or, at
 * the start of a segment, with the segment's header. Recovery tells damage from a torn tail by these (`recovery.ts`). A
 * log that has nothing to write leaves a marker, unsynced, a moment after its last sync.
 *
 * A segment is full when a batch has reached or crossed its end; the next batch goes to a new one. So the sync that
 * covers the last batch of a segment seals it.
 *
 * A failed write or sync is final: the disk may have dropped what it covered, and trying again would only hide that.
 */

import { assert } from '../base/assert.ts';
import { DiskError, EnvelopeError, type Outcome } from '../base/errors.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { BatchBuffer } from './batch_buffer.ts';
import type { Entry, GroupId, Index, Term } from './entry.ts';
import { EntryReader } from './entry_reader.ts';
import { type EntryStorage, GroupLog } from './group_log.ts';
import { GroupState, type Place } from './group_state.ts';
import { type OpenedLog, openSegments } from './opening.ts';
import { FENCE_PAYLOAD_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, recordBytes } from './record.ts';
import { RecordWriter } from './record_writer.ts';
import { SealedSegments } from './sealed_segments.ts';
import { SEGMENT_HEADER_BYTES, segmentPath, writeSegmentHeader } from './segment_header.ts';
import { SegmentRow } from './segment_row.ts';
import { SpareSegment } from './spare_segment.ts';

export interface LogOptions {
  readonly disk: Disk;
  /** Made if it is missing. Nothing else may write to it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Size from which on a segment is full; it may exceed it by one batch and a marker. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Recently written bytes kept in memory, for reading. Default 8 MiB. */
  readonly cacheBytes?: number;
  /** Whether segments are allocated ahead of their use. Default `ahead`. */
  readonly preallocate?: 'ahead' | 'never';
  /**
   * What becomes of damage: the log does not open (default), or it opens, and the groups say what they can't read
   * (`GroupLog.damage`). The latter is for who can fetch entries from elsewhere, and waits with what needs them.
   */
  readonly damage?: 'refuse' | 'name';
}

/** A damaged entry whose second record waits to be durable. */
interface Mending {
  readonly state: GroupState;
  readonly index: Index;
  readonly term: Term;
  readonly place: Place;
}

export interface LogStatistics {
  readonly segments: number;
  /** Bytes written to all segments, headers and markers included. */
  readonly bytes: number;
  /** Syncs completed since the log was opened. */
  readonly syncs: number;
  /** Entries in all segments, superseded ones and those that wait for a flush included. */
  readonly records: number;
}

const MIB = 1024 * 1024;
const SEGMENT_BYTES_DEFAULT = 16 * MIB;
const SEGMENT_BYTES_MIN = 64;
const CACHE_BYTES_DEFAULT = 8 * MIB;
/** How long after a sync a log with nothing to write leaves its marker: a busy one has written a batch by then. */
const MARKER_DELAY_MS = 5;

export class Log {
  readonly #options: LogOptions;
  readonly #segmentBytes: number;
  readonly #states: Map<GroupId, GroupState>;
  /** A group that is not known may have had entries that nobody can name any more. */
  readonly #hasGaps: boolean;
  /** Why what is not known of a group may be there all the same. */
  readonly #gone: EnvelopeError | null;
  readonly #logs = new Map<GroupId, GroupLog>();
  readonly #storage: EntryStorage;
  readonly #batch: BatchBuffer;
  readonly #writer = new RecordWriter();
  readonly #spare: SpareSegment;
  readonly #sealed: SealedSegments;
  readonly #segments: SegmentRow;
  readonly #reader: EntryReader;

  /** Number and file of the segment that is written to. */
  #segment: number;
  #file: AppendFile;
  /** The log ends in an attestation of all before it, so that the next batch needs none. */
  #endsAttested: boolean;
  /** And that attestation has been synced. */
  #endIsDurable: boolean;
  #spareWasAsked = false;

  #stateOfLife: 'open' | 'closing' | 'closed' = 'open';
  #failure: Error | null = null;
  readonly #closeListeners: ((error: Error | null) => void)[] = [];

  /** Syncs that have not called back: of the file, and of the directory for a new segment. */
  #syncsAwaited = 0;
  #flushIsWanted = false;
  /** Batches written so far. */
  #batches = 0;
  /** Groups with entries or a reset in the batch being gathered, and in the one being synced. */
  #batchGroups: GroupState[] = [];
  #writtenGroups: GroupState[] = [];
  #batchMends: Mending[] = [];
  #writtenMends: Mending[] = [];
  #markerTimer: Timer | null = null;

  #syncs = 0;
  #records: number;

  /**
   * Called once, later than any call that caused it, when a write or a sync has failed. From then on `append` and `flush`
   * throw, and nothing more becomes durable; what is in the log can still be read.
   */
  onFailure: (error: Error) => void = ignore;

  /** Called each time that nothing has been written for some milliseconds, when all that was written before is durable. */
  onRest: () => void = ignore;

  private constructor(options: LogOptions, segmentBytes: number, spare: SpareSegment, opened: OpenedLog) {
    const { recovered } = opened;
    this.#options = options;
    this.#segmentBytes = segmentBytes;
    this.#spare = spare;
    this.#states = recovered.groups;
    this.#hasGaps = recovered.hasGaps;
    this.#gone = recovered.gone;
    this.#storage = {
      append: (state, entry) => this.#append(state, entry),
      read: (state, index) => this.#reader.read(state, index),
      readEntries: (state, from, toExclusive, maxBytes) =>
        this.#reader.readEntries(state, from, toExclusive, maxBytes),
      reset: (state, index, term) => this.#reset(state, index, term),
      mend: (state, entry) => this.#mend(state, entry),
      fence: (state, term) => this.#fence(state, term),
      compacted: () => this.#segments.removeUseless(),
      bytes: () => this.#segments.bytes + this.#file.position,
      firstSegmentWithin: (bytes) => this.#segments.firstWithin(bytes, this.#file.position),
    };
    this.#batch = new BatchBuffer(options.cacheBytes ?? CACHE_BYTES_DEFAULT);
    this.#sealed = new SealedSegments(options.disk, options.directory);
    this.#segment = opened.segment;
    this.#file = opened.file;
    this.#endsAttested = recovered.endsAttested;
    this.#endIsDurable = recovered.endsAttested;
    const { disk, directory, clock, logger, damage = 'refuse' } = options;
    this.#segments = new SegmentRow(
      {
        disk,
        directory,
        clock,
        logger,
        sealed: this.#sealed,
        firstNeeded: () => this.#firstNeeded(),
        onFailure: (error) => this.#onRemovalFailed(error),
      },
      recovered.firstSegment,
      recovered.sealedEnds,
    );
    this.#reader = new EntryReader({
      directory,
      logger,
      damage,
      batch: this.#batch,
      sealed: this.#sealed,
      current: () => ({ segment: this.#segment, file: this.#file }),
    });
    this.#records = recovered.records;
    for (const state of this.#states.values()) state.durableIndex = state.lastIndex;
    this.#planMarker();
  }

  /**
   * Opens the log in a directory, a new one if there is none: reads it all, cuts a torn tail, and makes what it has
   * read durable. `done` is called later, with the log, or with a `CorruptionError` on damage, a `DiskError`, or an
   * `EnvelopeError` of the code `LOG_FORMAT` when a later version of the program wrote the log.
   */
  static open(options: LogOptions, done: (outcome: Outcome<Log>) => void): void {
    const { disk, clock, logger, directory, preallocate = 'ahead' } = options;
    const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
    assert(segmentBytes >= SEGMENT_BYTES_MIN, 'a segment has room for its header and a record', {
      segmentBytes,
    });
    const spare = new SpareSegment({ disk, logger, directory, segmentBytes, preallocate });
    const { damage = 'refuse' } = options;
    openSegments({ disk, clock, logger, directory, spare, damage }, (outcome) => {
      if (!outcome.ok) done(outcome);
      else done({ ok: true, value: new Log(options, segmentBytes, spare, outcome.value) });
    });
  }

  /**
   * The log of one group, the same object each time. A group not seen before is empty.
   * @throws DiskError `EIO`, CorruptionError when the group may have entries that the disk did not give when the log was opened, or
   * that stand in a segment which is missing.
   */
  group(id: GroupId): GroupLog {
    let log = this.#logs.get(id);
    if (log !== undefined) return log;
    assert(id >>> 0 === id, 'a group id is an unsigned 32-bit integer', { id });
    let state = this.#states.get(id);
    if (state === undefined) {
      if (this.#hasGaps && this.#gone !== null) throw this.#gone;
      state = new GroupState(id);
      state.isOpen = this.#hasGaps;
      this.#states.set(id, state);
    }
    log = new GroupLog(state, this.#storage);
    this.#logs.set(id, log);
    return log;
  }

  /** The groups that have entries, ascending. */
  groups(): GroupId[] {
    const ids: GroupId[] = [];
    for (const state of this.#states.values()) if (state.lastIndex > 0) ids.push(state.group);
    return ids.sort((a, b) => a - b);
  }

  /**
   * Writes what was appended, as one write, and starts to sync it. While a sync is in flight it only takes note: the
   * completion writes everything appended by then. A write that fails is reported through `onFailure`.
   */
  flush(): void {
    this.#assertUsable();
    if (this.#batch.batchBytes === 0) return;
    if (this.#syncsAwaited > 0) this.#flushIsWanted = true;
    else this.#writeBatch();
  }

  statistics(): LogStatistics {
    return {
      segments: this.#segment - this.#segments.first + 1,
      bytes: this.#segments.bytes + this.#file.position,
      syncs: this.#syncs,
      records: this.#records,
    };
  }

  /**
   * Makes durable what was appended, flushed or not, and closes the files. From the call on nothing can be appended.
   * `done` is called later, with the error if the log has failed, before or in the course of it.
   */
  close(done: (error: Error | null) => void): void {
    this.#closeListeners.push(done);
    if (this.#stateOfLife === 'closed') this.#reportClosed();
    if (this.#stateOfLife !== 'open') return;
    this.#stateOfLife = 'closing';
    this.#markerTimer?.cancel();
    this.#continueClosing();
  }

  #append(state: GroupState, entry: Entry): void {
    this.#assertUsable();
    const { index, term, payload } = entry;
    const objection = state.objection(index, term);
    if (objection !== null) assert(false, objection);
    if (payload.length > PAYLOAD_BYTES_MAX) {
      assert(false, 'a payload is at most 1 GiB', { bytes: payload.length });
    }
    const batch = this.#batch;
    if (batch.batchBytes === 0) this.#beginBatch();
    const at = batch.reserve(recordBytes(payload.length));
    const offset = batch.offsetOf(at);
    const termBefore = state.termAt(index - 1);
    this.#writer.writeEntry(batch.target, at, batch.segment, offset, state.group, entry, termBefore);
    state.append(index, term, batch.segment, offset, payload.length);
    this.#records++;
    this.#addToBatch(state);
  }

  #reset(state: GroupState, index: Index, term: Term): void {
    this.#assertUsable();
    const batch = this.#batch;
    if (batch.batchBytes === 0) this.#beginBatch();
    const at = batch.reserve(RECORD_HEADER_BYTES);
    const offset = batch.offsetOf(at);
    this.#writer.writeReset(batch.target, at, batch.segment, offset, { group: state.group, index, term });
    state.reset(index, term, batch.segment);
    state.resetBatch = this.#batches + 1;
    this.#addToBatch(state);
  }

  #addToBatch(state: GroupState): void {
    if (state.isInBatch) return;
    state.isInBatch = true;
    this.#batchGroups.push(state);
  }

  /** Writes a damaged entry again. It counts as mended when that is durable. */
  #mend(state: GroupState, entry: Entry): void {
    this.#assertUsable();
    const { index, term, payload } = entry;
    assert(state.holes.has(index) && state.termAt(index) === term, 'only what is damaged is mended', {
      index,
      term,
    });
    if (state.mending.has(index)) return;
    state.mending.add(index);
    const batch = this.#batch;
    if (batch.batchBytes === 0) this.#beginBatch();
    const at = batch.reserve(recordBytes(payload.length));
    const { segment } = batch;
    const offset = batch.offsetOf(at);
    this.#writer.writeMend(batch.target, at, segment, offset, state.group, entry);
    const place = { segment, offset, payloadBytes: payload.length };
    this.#batchMends.push({ state, index, term, place });
    this.#records++;
  }

  #fence(state: GroupState, term: Term): void {
    this.#assertUsable();
    const batch = this.#batch;
    if (batch.batchBytes === 0) this.#beginBatch();
    const at = batch.reserve(recordBytes(FENCE_PAYLOAD_BYTES));
    const offset = batch.offsetOf(at);
    const { segment } = batch;
    const { group, lastIndex, lastTerm } = state;
    this.#writer.writeFence(batch.target, at, segment, offset, { group, index: lastIndex, term }, lastTerm);
    state.fence(term, segment);
  }

  #onRemovalFailed(error: Error): void {
    if (this.#failure !== null || this.#stateOfLife === 'closed') return;
    this.#fail(error);
    this.onFailure(error);
  }

  /** Number of the first segment with something that a group needs; never beyond the one that is written to. Null: none is removed any more. */
  #firstNeeded(): number | null {
    if (this.#stateOfLife !== 'open' || this.#failure !== null) return null;
    let needed = this.#segment;
    for (const { baseSegment, isFenced, fenceSegment } of this.#states.values()) {
      if (baseSegment > 0) needed = Math.min(needed, baseSegment);
      if (isFenced) needed = Math.min(needed, fenceSegment);
    }
    return needed;
  }

  /**
   * Starts a batch with an attestation. It is made now and true when it is written, which is after the sync in flight
   * has completed: where the batch will stand is known already.
   */
  #beginBatch(): void {
    const { position } = this.#file;
    if (position >= this.#segmentBytes) {
      this.#batch.begin(this.#segment + 1, 0);
      const at = this.#batch.reserve(SEGMENT_HEADER_BYTES);
      const header = { segment: this.#segment + 1, previousEnd: position };
      writeSegmentHeader(this.#batch.target, at, header);
      return;
    }
    this.#batch.begin(this.#segment, position);
    if (!this.#endsAttested) this.#addMarker(position);
  }

  #addMarker(offset: number): void {
    const at = this.#batch.reserve(RECORD_HEADER_BYTES);
    this.#writer.writeMarker(this.#batch.target, at, this.#segment, offset);
  }

  #writeBatch(): void {
    assert(this.#syncsAwaited === 0, 'one sync is in flight at a time');
    this.#flushIsWanted = false;
    this.#batches++;
    this.#writtenGroups = this.#batchGroups;
    this.#batchGroups = [];
    this.#writtenMends = this.#batchMends;
    this.#batchMends = [];
    for (const state of this.#writtenGroups) {
      state.isInBatch = false;
      state.writtenIndex = state.lastIndex;
    }
    this.#endsAttested = false;
    this.#endIsDurable = false;
    try {
      const isNewSegment = this.#batch.segment !== this.#segment;
      if (isNewSegment) this.#beginSegment();
      this.#file.append(this.#batch.takeBatch());
      this.#sync();
      if (isNewSegment) {
        // Records are no more durable than the name of their file.
        this.#syncsAwaited++;
        this.#options.disk.syncDirectory(this.#options.directory, this.#onSynced);
      }
      this.#prepareSpare();
    } catch (error) {
      this.#failInCall(error);
    }
  }

  #beginSegment(): void {
    const sealedBytes = this.#file.position;
    this.#file.close();
    this.#file = this.#spare.openSegment(segmentPath(this.#options.directory, this.#batch.segment));
    this.#segments.seal(sealedBytes);
    this.#segment = this.#batch.segment;
    this.#spareWasAsked = false;
  }

  /** Asks for the next segment's file once, when this one is half full. */
  #prepareSpare(): void {
    if (this.#spareWasAsked || this.#file.position * 2 < this.#segmentBytes) return;
    this.#spareWasAsked = true;
    this.#spare.prepare();
  }

  #sync(): void {
    this.#syncsAwaited++;
    this.#file.sync(this.#onSynced);
  }

  readonly #onSynced = (error: Error | null): void => {
    if (this.#failure !== null) return;
    if (error !== null) {
      this.#fail(error);
      this.onFailure(error);
      return;
    }
    this.#syncsAwaited--;
    if (this.#syncsAwaited === 0) this.#onBatchDurable();
  };

  #onBatchDurable(): void {
    this.#syncs++;
    this.#endIsDurable = this.#endsAttested;
    const advanced = this.#writtenGroups;
    this.#writtenGroups = [];
    let count = 0;
    for (const state of advanced) {
      const isReset = state.resetBatch === this.#batches;
      if (isReset) state.resetBatch = 0;
      else if (state.writtenIndex <= state.durableIndex) continue;
      state.durableIndex = state.writtenIndex;
      advanced[count++] = state;
    }
    if (this.#writtenMends.length > 0) count = this.#takeMends(advanced, count);
    // The disk works on the next batch while the news of this one spreads.
    if (this.#flushIsWanted) this.#writeBatch();
    for (let i = 0; i < count; i++) this.#logs.get(advanced[i].group)?.onDurable(advanced[i].readableIndex);
    this.#continueClosing();
    this.#planMarker();
  }

  /** Of the first `count` of `advanced` it is known that they have got further; those that are mended join them. */
  #takeMends(advanced: GroupState[], count: number): number {
    const mends = this.#writtenMends;
    this.#writtenMends = [];
    let end = count;
    for (const { state, index, term, place } of mends) {
      state.mending.delete(index);
      if (!state.mend(index, term, place)) continue;
      let at = 0;
      while (at < end && advanced[at] !== state) at++;
      if (at === end) advanced[end++] = state;
    }
    return end;
  }

  #planMarker(): void {
    if (this.#markerTimer !== null || !this.#wantsMarker()) return;
    this.#markerTimer = this.#options.clock.after(MARKER_DELAY_MS, () => {
      this.#markerTimer = null;
      if (!this.#wantsMarker()) return;
      this.#writeMarker();
      if (this.#failure !== null) return;
      // A segment is sealed, its last marker included, before the next one is begun.
      if (this.#file.position >= this.#segmentBytes) this.#syncMarker();
      this.onRest();
    });
  }

  /** Everything written is durable and nothing says so. */
  #wantsMarker(): boolean {
    if (this.#failure !== null || this.#stateOfLife !== 'open') return false;
    return this.#syncsAwaited === 0 && this.#batch.batchBytes === 0 && !this.#endsAttested;
  }

  #writeMarker(): void {
    const { position } = this.#file;
    this.#batch.begin(this.#segment, position);
    this.#addMarker(position);
    this.#endsAttested = true;
    try {
      this.#file.append(this.#batch.takeBatch());
    } catch (error) {
      this.#failInCall(error);
    }
  }

  #assertUsable(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#stateOfLife !== 'open') throw new EnvelopeError('LOG_CLOSED', 'the log is closed');
  }

  /** A failure inside a call that may come from anywhere: who listens hears of it when that call is over. */
  #failInCall(error: unknown): void {
    if (!(error instanceof DiskError)) throw error;
    this.#fail(error);
    this.#options.clock.later(() => this.onFailure(error));
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#markerTimer?.cancel();
    this.#options.logger.log('error', 'log-failed', { path: this.#file.path, why: error.message });
    this.#continueClosing();
  }

  /** Does what is next for closing; called again whenever something it waits for has happened. */
  #continueClosing(): void {
    if (this.#stateOfLife !== 'closing') return;
    if (this.#failure === null) {
      if (this.#syncsAwaited > 0) return;
      if (this.#batch.batchBytes > 0) {
        this.#writeBatch();
        return;
      }
      if (!this.#endIsDurable) {
        if (!this.#endsAttested) this.#writeMarker();
        if (this.#failure === null) this.#syncMarker();
        return;
      }
    }
    this.#spare.whenSettled(() => this.#finishClosing());
  }

  #syncMarker(): void {
    try {
      this.#sync();
    } catch (error) {
      this.#failInCall(error);
    }
  }

  #finishClosing(): void {
    if (this.#stateOfLife === 'closed') return;
    this.#stateOfLife = 'closed';
    this.#file.close();
    this.#sealed.close();
    try {
      this.#spare.clear();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // The next start removes it.
    }
    this.#reportClosed();
  }

  #reportClosed(): void {
    this.#options.clock.later(() => {
      for (const listener of this.#closeListeners.splice(0)) listener(this.#failure);
    });
  }
}

function ignore(): void {}
