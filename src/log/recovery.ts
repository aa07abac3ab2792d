/**
 * Reads a log's segments back and decides, at the first bad place, between a torn tail and damage.
 *
 * A crash may keep, lose or tear every unsynced sector by itself, so intact records behind a bad place prove nothing
 * by themselves. What proves something is an attestation, written only after a sync had completed:
 * - a marker behind the bad place, intact, that says the bad place was durable when the marker was written;
 * - a later segment, which is only begun when the one before is durable as a whole.
 * With an attestation the bytes were durable once and are not what was written: damage, an error, never cut.
 * Without one, nothing behind the bad place was ever reported durable: a torn tail, cut by `Log`.
 *
 * Damage is an error; or, where it is asked for, named (`damage: 'name'`). Then
 * - an entry whose header is intact and whose payload is not becomes a hole: its group knows it and cannot read it;
 * - where a header is lost, reading goes on at the next intact one. What stood between the two may have been anything, of
 *   any group: `gap_resolution.ts` says what each group can still know.
 *
 * What the disk refuses to read (EIO) after some tries counts as damage as long as nothing is forgotten by that: where
 * the entries are known by name, or by their neighbours. Otherwise it is the error, since the disk may give it next time.
 * So with a segment whose file is missing between two others: somebody may put it back.
 *
 * A last segment whose header is not intact and of which nothing is attested was being created when the crash came; it
 * is begun again. Records are looked for at every multiple of eight behind a bad place; an intact header's payload is
 * stepped over, since what lies in a payload is not part of the log.
 */
import { CorruptionError, DiskError, type EnvelopeError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { readStubbornly } from '../base/read_error.ts';
import type { Disk } from '../io/disk.ts';
import type { EntryKind, GroupId, Index } from './entry.ts';
import { Gaps } from './gap_resolution.ts';
import { GroupState } from './group_state.ts';
import { type Readable, viewReadable } from './readable.ts';
import { RECORD_ALIGNMENT_BYTES, RecordKind } from './record.ts';
import {
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentNumbers,
  segmentPath,
} from './segment_header.ts';
import { type ScanEnd, SegmentScan } from './segment_scan.ts';

/** More segments that are missing are another directory's, or no log. */
const MISSING_MAX = 1000;

export interface RecoveredLog {
  readonly groups: Map<GroupId, GroupState>;
  /** Number of the last segment; 0 when there is none. */
  readonly segment: number;
  /** Number of the first segment; those before it were removed. */
  readonly firstSegment: number;
  /** Where the last segment goes on: behind its last record, or 0 when its header must be written again. */
  readonly position: number;
  /** Bytes from `position` up to here may not be zero and must be made so before anything is written behind them. */
  readonly dirtyEnd: number;
  /** Where the segment before the last one ends. */
  readonly previousEnd: number;
  /** The log ends in a marker or a segment header: nothing stands behind its last attestation. */
  readonly endsAttested: boolean;
  /** Entries read, superseded ones included. */
  readonly records: number;
  /** The ends of all segments before the last. */
  readonly sealedEnds: number[];
  /** In the order of the log; none unless damage is to be named. */
  readonly damage: readonly CorruptionError[];
  /** Records may be missing that nobody can name: a group that is not in `groups` may have had entries. */
  readonly hasGaps: boolean;
  /**
   * A part could not be read, or its file is missing, which counts as damage: a group that is not in `groups` may be all
   * there.
   */
  readonly gone: EnvelopeError | null;
}

/** What becomes of damage. */
export type DamageMode = 'refuse' | 'name';

/**
 * Reads every segment in `directory`, at once and to the end.
 * @throws CorruptionError on damage, of which only some can be named; EnvelopeError `LOG_FORMAT` on what a later version
 * wrote; DiskError.
 */
export function recoverLog(disk: Disk, directory: string, mode: DamageMode = 'refuse'): RecoveredLog {
  return new Recovery(disk, directory, mode).run();
}

class Recovery {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #mode: DamageMode;
  readonly #damage: CorruptionError[] = [];
  readonly #gaps = new Gaps();
  /** By segment, where sectors can't be read. */
  readonly #unreadable = new Map<number, Readable>();
  /** Segments that stood between others, and whose files are not there. */
  readonly #missing = new Set<number>();
  readonly #groups = new Map<GroupId, GroupState>();
  #records = 0;
  #firstSegment = 1;
  /** Groups whose log begins where the segments that are left begin. */
  readonly #guessed = new Set<GroupId>();
  /** The last record read in the segment at hand is a marker, or there is none. */
  #endsAttested = true;

  constructor(disk: Disk, directory: string, mode: DamageMode) {
    this.#disk = disk;
    this.#directory = directory;
    this.#mode = mode;
  }

  run(): RecoveredLog {
    try {
      return this.#recover();
    } catch (error) {
      if (error instanceof CorruptionError) this.#assertNothingIsGone();
      throw error;
    }
  }

  #recover(): RecoveredLog {
    const numbers = segmentNumbers(this.#disk.list(this.#directory));
    this.#noteMissing(numbers);
    const last = numbers[numbers.length - 1] ?? 0;
    this.#firstSegment = numbers[0] ?? 1;
    let previousEnd = 0;
    const sealedEnds: number[] = [];
    for (let number = this.#firstSegment; number < last; number++) {
      if (this.#missing.has(number)) {
        previousEnd = this.#skipMissing(number);
        sealedEnds.push(0);
        continue;
      }
      previousEnd = this.#readSealed(number, previousEnd, last);
      sealedEnds.push(previousEnd);
    }
    const tail = last === 0 ? { position: 0, dirtyEnd: 0 } : this.#readLast(last, previousEnd);
    let isForgetting = false;
    for (const state of this.#groups.values()) {
      this.#gaps.onEnd(state);
      isForgetting ||= state.isOpen;
    }
    if (isForgetting) this.#assertNothingIsGone();
    return {
      groups: this.#groups,
      damage: this.#damage,
      hasGaps: this.#gaps.count > 0,
      gone: this.#whatIsGone,
      segment: last,
      firstSegment: this.#firstSegment,
      ...tail,
      previousEnd,
      endsAttested: this.#endsAttested,
      records: this.#records,
      sealedEnds,
    };
  }

  /** Segments are removed from the front only. @throws CorruptionError when there are too many for a mishap. */
  #noteMissing(numbers: readonly number[]): void {
    for (let i = 1; i < numbers.length; i++) {
      for (let number = numbers[i - 1] + 1; number < numbers[i]; number++) {
        this.#missing.add(number);
        if (this.#missing.size > MISSING_MAX) throw this.#missingError(number);
      }
    }
  }

  #missingError(number: number): CorruptionError {
    let next = number + 1;
    while (this.#missing.has(next)) next++;
    const what = `the segment is missing, while ${segmentName(next)} is there`;
    return new CorruptionError(this.#path(number), 0, what);
  }

  /** Returns its end, as the next segment tells. That there is a gap was noted at the end of the segment before it. */
  #skipMissing(number: number): number {
    this.#onDamage(this.#missingError(number));
    sometimes('a segment of the log is missing');
    return this.#headerOf(number + 1)?.previousEnd ?? 0;
  }

  /** Null: it is not intact, or the segment is missing. */
  #headerOf(number: number): SegmentHeader | null {
    if (this.#missing.has(number)) return null;
    const path = this.#path(number);
    return this.#read(number, SEGMENT_HEADER_BYTES, (bytes) => readSegmentHeader(path, bytes));
  }

  /** Reads a segment that others follow; returns its end. */
  #readSealed(number: number, previousEnd: number, last: number): number {
    const path = this.#path(number);
    const nextPath = this.#path(number + 1);
    const next = this.#headerOf(number + 1);
    const isNextMissing = this.#missing.has(number + 1);
    if (next === null && !isNextMissing && number + 1 < last) this.#onDamage(damagedHeader(nextPath));
    return this.#read(number, Number.POSITIVE_INFINITY, (bytes) => {
      this.#checkHeader(path, readSegmentHeader(path, bytes), number, previousEnd);
      const scan = new SegmentScan(path, number, bytes);
      if (next !== null) {
        const why = `the next segment attests all below offset ${next.previousEnd}`;
        const end = this.#readRecords(scan, next.previousEnd, (bad) => scan.damage(bad, why));
        if (end.offset === next.previousEnd) return end.offset;
        const what = `records end at ${end.offset}, not at ${next.previousEnd} as the next segment says`;
        throw new CorruptionError(path, end.offset, what);
      }
      // The next segment was never begun, or its header is damaged: this one is whole all the same, and nothing but zeros
      // ends it.
      const end = this.#readRecords(scan, bytes.length, (bad) =>
        scan.lastNonZero(bad.offset) > bad.offset ? scan.damage(bad, 'a later segment exists') : null,
      );
      // Zeros may be what is left of records, when the header that told their end is lost.
      if (this.#mode === 'name' && this.#isBegun(number + 1, last)) this.#gaps.onGap();
      else this.#assertReadable(number, end.offset);
      return end.offset;
    });
  }

  /** Whether a segment whose header is not intact had one: others follow it, or it attests itself. */
  #isBegun(number: number, last: number): boolean {
    if (number < last) return true;
    const path = this.#path(number);
    return this.#read(
      number,
      Number.POSITIVE_INFINITY,
      (bytes) => new SegmentScan(path, number, bytes).findAttestation(SEGMENT_HEADER_BYTES, 0) !== null,
    );
  }

  #readLast(number: number, previousEnd: number): { position: number; dirtyEnd: number } {
    const path = this.#path(number);
    return this.#read(number, Number.POSITIVE_INFINITY, (bytes) => {
      const scan = new SegmentScan(path, number, bytes);
      const header = readSegmentHeader(path, bytes);
      if (header === null) {
        // Only segments before one that is durable are removed.
        const isDurable = number > 1 && (number === this.#firstSegment || this.#missing.has(number - 1));
        if (!isDurable && scan.findAttestation(SEGMENT_HEADER_BYTES, 0) === null) {
          this.#assertReadable(number, 0);
          this.#endsAttested = true;
          return { position: 0, dirtyEnd: scan.lastNonZero(0) };
        }
      }
      this.#checkHeader(path, header, number, previousEnd);
      const end = this.#readRecords(scan, bytes.length, (bad) => {
        const marker = scan.findAttestation(bad.offset, bad.offset);
        return marker === null ? null : scan.damage(bad, `the marker at offset ${marker} attests it`);
      });
      this.#assertReadable(number, end.offset);
      return { position: end.offset, dirtyEnd: scan.lastNonZero(end.offset) };
    });
  }

  /**
   * Takes in the records up to the first place that is bad and not damage, `limit` at the latest.
   * @param damageAt What is wrong at a bad place, if it is damage; null: the records end there.
   */
  #readRecords(
    scan: SegmentScan,
    limit: number,
    damageAt: (bad: ScanEnd) => CorruptionError | null,
  ): ScanEnd {
    const { reader } = scan;
    let offset = SEGMENT_HEADER_BYTES;
    this.#endsAttested = true;
    while (offset < limit) {
      const result = reader.read(offset);
      if (result !== 'header') reader.assertUnderstood(scan.path, offset);
      if (result !== 'intact') {
        const bad = { offset, problem: result };
        const damage = damageAt(bad);
        if (damage === null) return bad;
        this.#onDamage(damage);
        // Looking for what attests it has moved the reader.
        if (result === 'header') {
          this.#gaps.onGap();
          offset = Math.min(limit, scan.findRecord(offset + RECORD_ALIGNMENT_BYTES) ?? limit);
          continue;
        }
        reader.readHeader(offset);
      }
      this.#takeRecord(scan, offset, result === 'intact');
      this.#endsAttested = reader.recordKind === RecordKind.Marker;
      scan.before = offset;
      offset += reader.bytes;
    }
    return { offset, problem: 'none' };
  }

  #takeRecord(scan: SegmentScan, offset: number, isIntact: boolean): void {
    const { recordKind } = scan.reader;
    if (recordKind === RecordKind.Entry) this.#takeEntry(scan, offset, isIntact);
    else if (recordKind === RecordKind.Reset) this.#takeReset(scan);
    else if (recordKind === RecordKind.Fence) this.#takeFence(scan, offset, isIntact);
    // A damaged mend has mended nothing.
    else if (recordKind === RecordKind.Mend && isIntact) this.#takeMend(scan, offset);
  }

  #takeEntry(scan: SegmentScan, offset: number, isIntact: boolean): void {
    const { group, index, term, payloadBytes, entryKind, termBefore } = scan.reader;
    const { segment } = scan;
    const state = this.#stateOf(group);
    this.#records++;
    if (this.#guessed.has(group) && index === 1) {
      // All that was seen before it is superseded: nothing came before.
      this.#guessed.delete(group);
      state.reset(0, 0, segment);
      this.#gaps.onCertain(state);
    } else if (this.#isBase(state, index)) {
      // What came before was removed with its segments. This entry itself serves as what the next ones follow.
      this.#guessed.add(group);
      state.reset(index, term, segment);
      this.#gaps.onCertain(state);
      return;
    }
    const place = { segment, offset, payloadBytes };
    if (!this.#gaps.isCertain(state) && !this.#gaps.resolve(state, { index, term, termBefore }, place))
      return;
    const objection = state.objection(index, term);
    if (objection !== null) throw new CorruptionError(scan.path, offset, `records are missing: ${objection}`);
    if (isIntact) state.append(index, term, segment, offset, payloadBytes);
    else state.appendDamaged(index, term, place, entryKind as EntryKind);
  }

  #takeMend({ reader, segment }: SegmentScan, offset: number): void {
    const { group, index, term, payloadBytes } = reader;
    this.#records++;
    this.#stateOf(group).mend(index, term, { segment, offset, payloadBytes });
  }

  #takeFence({ reader, segment }: SegmentScan, offset: number, isIntact: boolean): void {
    const { group, index, term } = reader;
    const state = this.#stateOf(group);
    const isKnown = isIntact && this.#gaps.resolveFence(state, index, reader.fencedTerm(offset));
    state.fence(term, segment);
    // The log that was fenced off is not what is left of it now.
    state.isOpen = !isKnown;
  }

  /** What can't be read may have been durable: it is no torn tail. @throws DiskError */
  #assertReadable(number: number, end: number): void {
    const unreadable = this.#unreadable.get(number);
    if (unreadable !== undefined && unreadable.error !== null && unreadable.unreadableEnd > end)
      throw unreadable.error;
  }

  /**
   * What the disk does not give is not forgotten because of that: it may give it the next time, and a file may be put back.
   * @throws DiskError, CorruptionError
   */
  #assertNothingIsGone(): void {
    const error = this.#whatIsGone;
    if (error !== null) throw error;
  }

  get #whatIsGone(): EnvelopeError | null {
    for (const [number, { error, unreadableEnd }] of this.#unreadable) {
      if (error === null) continue;
      const what = `a sector before offset ${unreadableEnd} cannot be read, and what is there cannot be had from elsewhere: try again; when that does not help, replace the disk, and the node`;
      return new DiskError(error.operation, this.#path(number), error.errno, what);
    }
    const [missing] = this.#missing;
    if (missing === undefined) return null;
    const what =
      'the segment is missing, and its neighbours do not tell what it held: put the file back, or replace the node';
    return new CorruptionError(this.#path(missing), 0, what);
  }

  /** @throws CorruptionError `damage`, unless damage is to be named. */
  #onDamage(damage: CorruptionError): void {
    if (this.#mode === 'refuse') throw damage;
    this.#damage.push(damage);
  }

  #takeReset(scan: SegmentScan): void {
    const { group, index, term } = scan.reader;
    const state = this.#stateOf(group);
    state.reset(index, term, scan.segment);
    this.#gaps.onCertain(state);
    this.#guessed.delete(group);
  }

  /**
   * The first entry of a group, when segments before it were removed; or one that supersedes it, from before the first
   * that was seen. Only what is committed is removed, so behind the last such entry the log is whole.
   */
  #isBase(state: GroupState, index: Index): boolean {
    if (this.#firstSegment === 1 || index === 1) return false;
    return state.lastIndex === 0 || (this.#guessed.has(state.group) && index < state.firstIndex);
  }

  #stateOf(group: GroupId): GroupState {
    let state = this.#groups.get(group);
    if (state === undefined) {
      state = new GroupState(group);
      this.#groups.set(group, state);
      this.#gaps.onFirst(state);
    }
    return state;
  }

  /** The first segment that is there says itself where the one before it ended. */
  #checkHeader(path: string, header: SegmentHeader | null, number: number, previousEnd: number): void {
    const isFirstLeft = number > 1 && number === this.#firstSegment;
    try {
      checkHeader(path, header, number, isFirstLeft ? (header?.previousEnd ?? 0) : previousEnd);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      // That the header is lost of which the segment before had need was told there.
      if (this.#damage.at(-1)?.message !== error.message) this.#onDamage(error);
    }
  }

  /** Hands the first `bytesMax` bytes of a segment to `use`; they are not valid any more when it has returned. */
  #read<T>(number: number, bytesMax: number, use: (bytes: Uint8Array) => T): T {
    const file = this.#disk.open(this.#path(number));
    try {
      const bytes = Math.min(file.size, bytesMax);
      if (bytes === 0) return use(new Uint8Array(0));
      if (this.#mode === 'refuse') return use(readStubbornly(() => file.view(0, bytes)));
      const readable = viewReadable(file, bytes);
      if (readable.error !== null) this.#unreadable.set(number, readable);
      return use(readable.bytes);
    } finally {
      file.close();
    }
  }

  #path(number: number): string {
    return segmentPath(this.#directory, number);
  }
}

function checkHeader(path: string, header: SegmentHeader | null, number: number, previousEnd: number): void {
  if (header === null) throw damagedHeader(path);
  if (header.segment !== number) {
    throw new CorruptionError(path, 0, `the segment header is that of segment ${header.segment}`);
  }
  if (header.previousEnd !== previousEnd) {
    const what = `the segment header says that the segment before ends at ${header.previousEnd}, not ${previousEnd}`;
    throw new CorruptionError(path, 0, what);
  }
}

function damagedHeader(path: string): CorruptionError {
  return new CorruptionError(path, 0, 'the segment header is not intact');
}
