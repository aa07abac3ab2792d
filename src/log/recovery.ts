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
 * A last segment whose header is not intact and of which nothing is attested was being created when the crash came; it
 * is begun again. Records are looked for at every multiple of eight behind a bad place; an intact header's payload is
 * stepped over, since what lies in a payload is not part of the log.
 */
import { CorruptionError } from '../base/errors.ts';
import type { Disk } from '../io/disk.ts';
import type { GroupId, Index } from './entry.ts';
import { GroupState } from './group_state.ts';
import { RecordKind } from './record.ts';
import {
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentNumbers,
} from './segment_header.ts';
import { type ScanEnd, SegmentScan } from './segment_scan.ts';

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
}

/**
 * Reads every segment in `directory`, at once and to the end.
 * @throws CorruptionError on damage; EnvelopeError `LOG_FORMAT` on what a later version wrote; DiskError.
 */
export function recoverLog(disk: Disk, directory: string): RecoveredLog {
  return new Recovery(disk, directory).run();
}

class Recovery {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #groups = new Map<GroupId, GroupState>();
  #records = 0;
  #firstSegment = 1;
  /** Groups whose log begins where the segments that are left begin. */
  readonly #guessed = new Set<GroupId>();
  /** The last record read in the segment at hand is a marker, or there is none. */
  #endsAttested = true;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  run(): RecoveredLog {
    const numbers = segmentNumbers(this.#disk.list(this.#directory));
    this.#checkNoneIsMissing(numbers);
    const last = numbers[numbers.length - 1] ?? 0;
    this.#firstSegment = numbers[0] ?? 1;
    let previousEnd = 0;
    const sealedEnds: number[] = [];
    for (let number = this.#firstSegment; number < last; number++) {
      previousEnd = this.#readSealed(number, previousEnd, last);
      sealedEnds.push(previousEnd);
    }
    const tail = last === 0 ? { position: 0, dirtyEnd: 0 } : this.#readLast(last, previousEnd);
    return {
      groups: this.#groups,
      segment: last,
      firstSegment: this.#firstSegment,
      ...tail,
      previousEnd,
      endsAttested: this.#endsAttested,
      records: this.#records,
      sealedEnds,
    };
  }

  #checkNoneIsMissing(numbers: readonly number[]): void {
    for (let i = 1; i < numbers.length; i++) {
      const expected = numbers[i - 1] + 1;
      if (numbers[i] === expected) continue;
      const found = segmentName(numbers[i]);
      throw new CorruptionError(this.#path(expected), 0, `the segment is missing, while ${found} is there`);
    }
  }

  /** Reads a segment that others follow; returns its end. */
  #readSealed(number: number, previousEnd: number, last: number): number {
    const path = this.#path(number);
    const nextPath = this.#path(number + 1);
    const next = this.#read(number + 1, SEGMENT_HEADER_BYTES, (bytes) => readSegmentHeader(nextPath, bytes));
    if (next === null && number + 1 < last) throw damagedHeader(nextPath);
    return this.#read(number, Number.POSITIVE_INFINITY, (bytes) => {
      this.#checkHeader(path, readSegmentHeader(path, bytes), number, previousEnd);
      const scan = new SegmentScan(path, number, bytes);
      const end = this.#readRecords(scan, next === null ? bytes.length : next.previousEnd);
      if (next !== null) {
        if (end.offset === next.previousEnd) return end.offset;
        throw scan.damage(end, `the next segment attests all below offset ${next.previousEnd}`);
      }
      // A crash kept the next segment from being begun: this one is whole all the same, and nothing but zeros ends it.
      if (end.problem !== 'none' && scan.lastNonZero(end.offset) > end.offset) {
        throw scan.damage(end, 'a later segment exists');
      }
      return end.offset;
    });
  }

  #readLast(number: number, previousEnd: number): { position: number; dirtyEnd: number } {
    const path = this.#path(number);
    return this.#read(number, Number.POSITIVE_INFINITY, (bytes) => {
      const scan = new SegmentScan(path, number, bytes);
      const header = readSegmentHeader(path, bytes);
      if (header === null) {
        // Only segments before one that is durable are removed.
        const isDurable = number > 1 && number === this.#firstSegment;
        if (isDurable || scan.findAttestation(SEGMENT_HEADER_BYTES, 0) !== null) throw damagedHeader(path);
        this.#endsAttested = true;
        return { position: 0, dirtyEnd: scan.lastNonZero(0) };
      }
      this.#checkHeader(path, header, number, previousEnd);
      const end = this.#readRecords(scan, bytes.length);
      const marker = scan.findAttestation(end.offset, end.offset);
      if (marker !== null) throw scan.damage(end, `the marker at offset ${marker} attests it`);
      return { position: end.offset, dirtyEnd: scan.lastNonZero(end.offset) };
    });
  }

  /** Takes in the records up to the first bad place, `limit` at the latest. */
  #readRecords(scan: SegmentScan, limit: number): ScanEnd {
    const { reader } = scan;
    let offset = SEGMENT_HEADER_BYTES;
    this.#endsAttested = true;
    while (offset < limit) {
      const result = reader.read(offset);
      if (result === 'header') return { offset, problem: 'header' };
      reader.assertUnderstood(scan.path, offset);
      if (result === 'payload') return { offset, problem: 'payload' };
      if (reader.recordKind === RecordKind.Entry) this.#takeEntry(scan, offset);
      else if (reader.recordKind === RecordKind.Reset) this.#takeReset(scan);
      this.#endsAttested = reader.recordKind === RecordKind.Marker;
      scan.before = offset;
      offset += reader.bytes;
    }
    return { offset, problem: 'none' };
  }

  #takeEntry(scan: SegmentScan, offset: number): void {
    const { group, index, term, payloadBytes } = scan.reader;
    const state = this.#stateOf(group);
    if (this.#isBase(state, index)) {
      // What came before was removed with its segments. This entry itself serves as what the next ones follow.
      this.#guessed.add(group);
      state.reset(index, term, scan.segment);
      this.#records++;
      return;
    }
    const objection = state.objection(index, term);
    if (objection !== null) throw new CorruptionError(scan.path, offset, `records are missing: ${objection}`);
    state.append(index, term, scan.segment, offset, payloadBytes);
    this.#records++;
  }

  #takeReset(scan: SegmentScan): void {
    const { group, index, term } = scan.reader;
    this.#stateOf(group).reset(index, term, scan.segment);
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
    }
    return state;
  }

  /** The first segment that is there says itself where the one before it ended. */
  #checkHeader(
    path: string,
    header: SegmentHeader | null,
    number: number,
    previousEnd: number,
  ): asserts header is SegmentHeader {
    const isFirstLeft = number > 1 && number === this.#firstSegment;
    checkHeader(path, header, number, isFirstLeft ? (header?.previousEnd ?? 0) : previousEnd);
  }

  /** Hands the first `bytesMax` bytes of a segment to `use`; they are not valid any more when it has returned. */
  #read<T>(number: number, bytesMax: number, use: (bytes: Uint8Array) => T): T {
    const file = this.#disk.open(this.#path(number));
    try {
      const bytes = Math.min(file.size, bytesMax);
      return use(bytes === 0 ? new Uint8Array(0) : file.view(0, bytes));
    } finally {
      file.close();
    }
  }

  #path(number: number): string {
    return `${this.#directory}/${segmentName(number)}`;
  }
}

function checkHeader(
  path: string,
  header: SegmentHeader | null,
  number: number,
  previousEnd: number,
): asserts header is SegmentHeader {
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
