/**
 * What can be read of a group's log, damaged or not: which entries there are and where, and which are lost.
 *
 * As recovery does (`log/recovery.ts`), it takes a bad place for the end of the log when nothing behind attests that it
 * was durable: nobody has been told of what was there. Any other bad place is passed over. The entries between the last
 * one before it and the first one behind it are lost.
 */
import { lastNonZero } from '../codec/zeros.ts';
import type { Disk, ReadFile } from '../io/disk.ts';
import type { EntryKind, GroupId, Index } from '../log/entry.ts';
import { RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES, RecordKind } from '../log/record.ts';
import { RecordReader } from '../log/record_reader.ts';
import {
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentNumbers,
  segmentPath,
} from '../log/segment_header.ts';
import { SegmentScan } from '../log/segment_scan.ts';
import { readAround } from './read_around.ts';

/** More entries than this are not missing between two that are there: then one of the two is not of this log. */
const GAP_MAX = 1 << 24;

/** Entries `from` to `to`, both included; `to` null: nobody knows how many. */
export interface LostEntries {
  readonly from: Index;
  readonly to: Index | null;
  readonly path: string;
  readonly offset: number;
  readonly what: string;
}

interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly kind: EntryKind;
  readonly payloadBytes: number;
}

interface Bad {
  readonly path: string;
  readonly offset: number;
  readonly what: string;
}

export interface LogSalvage {
  /** The first index that the log knows of; 0: none. What is before was removed, or a snapshot stands for it. */
  readonly firstIndex: Index;
  /** 0: none. */
  readonly lastIndex: Index;
  readonly lost: readonly LostEntries[];
  /** Bad places with nothing in them that is missed: of markers, of other groups, of what was void. */
  readonly harmless: readonly Bad[];
  /** Null: it is lost. The payload is a copy. @throws DiskError */
  readonly entry: (index: Index) => { readonly kind: EntryKind; readonly payload: Uint8Array } | null;
  /** How many are there; no log is without one. */
  readonly segments: number;
}

/** @throws EnvelopeError `LOG_FORMAT` on what a later version wrote; DiskError */
export function salvageLog(disk: Disk, directory: string, group: GroupId): LogSalvage {
  return new Salvage(disk, directory, group).run();
}

class Salvage {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #group: GroupId;
  readonly #places = new Map<Index, Place>();
  #lost: LostEntries[] = [];
  readonly #harmless: Bad[] = [];
  /** A bad place whose loss shows by the index of the next entry. */
  #bad: Bad | null = null;
  #firstIndex: Index = 0;
  #lastIndex: Index = 0;
  /** The segment read last, for entries that are read one after the other. */
  #open: { readonly segment: number; readonly bytes: Uint8Array } | null = null;

  constructor(disk: Disk, directory: string, group: GroupId) {
    this.#disk = disk;
    this.#directory = directory;
    this.#group = group;
  }

  run(): LogSalvage {
    const names = this.#disk.exists(this.#directory) ? this.#disk.list(this.#directory) : [];
    const numbers = segmentNumbers(names);
    let expected = numbers[0] ?? 0;
    for (const number of numbers) {
      if (number !== expected) this.#note(this.#path(expected), 0, 'a segment of the log is missing');
      this.#readSegment(number, numbers[0], number === numbers.at(-1), numbers.includes(number + 1));
      expected = number + 1;
    }
    if (this.#bad !== null) {
      this.#lost.push({ from: this.#lastIndex + 1, to: null, ...this.#bad });
    }
    return {
      firstIndex: this.#firstIndex,
      lastIndex: this.#lastIndex,
      lost: this.#lost,
      harmless: this.#harmless,
      entry: (index) => this.#entry(index),
      segments: numbers.length,
    };
  }

  #readSegment(number: number, first: number, isLast: boolean, hasNext: boolean): void {
    const path = this.#path(number);
    const bytes = this.#read(number);
    const scan = new SegmentScan(path, number, bytes);
    const header = readSegmentHeader(path, bytes);
    if (header === null) {
      // Of one that was only being begun nothing is attested: see `recovery.ts`.
      const isDurable = !isLast || (number > 1 && number === first);
      if (!isDurable && scan.findAttestation(SEGMENT_HEADER_BYTES, 0) === null) return;
      this.#harmless.push({ path, offset: 0, what: 'the segment header is not intact' });
    }
    const nextHeader = hasNext ? this.#headerOf(number + 1) : null;
    const end = nextHeader?.previousEnd ?? bytes.length;
    this.#readRecords(scan, bytes, isLast, Math.min(end, bytes.length), nextHeader !== null);
    if (end > bytes.length) this.#note(path, bytes.length, 'the end of the segment is missing');
  }

  /** @param isEndKnown The next segment says where this one ends. */
  #readRecords(
    scan: SegmentScan,
    bytes: Uint8Array,
    isLast: boolean,
    end: number,
    isEndKnown: boolean,
  ): void {
    const reader = new RecordReader(bytes, scan.segment, 0);
    let offset = SEGMENT_HEADER_BYTES;
    while (offset < end) {
      const result = reader.read(offset);
      if (result !== 'intact') {
        if (isLast && scan.findAttestation(offset, offset) === null) return;
        // Behind the last record there are zeros only.
        if (!isEndKnown && lastNonZero(bytes, offset) === offset) return;
      }
      if (result === 'header') {
        this.#note(scan.path, offset, 'a record of the log is not intact');
        const next = nextHeader(bytes, reader, offset + RECORD_ALIGNMENT_BYTES, end);
        if (next === null) return;
        offset = next;
        continue;
      }
      reader.assertUnderstood(scan.path, offset);
      this.#take(reader, scan, offset, result === 'intact');
      offset += reader.bytes;
    }
  }

  #take(reader: RecordReader, scan: SegmentScan, offset: number, isIntact: boolean): void {
    const { recordKind, index, payloadBytes } = reader;
    const bad = {
      path: scan.path,
      offset,
      what: `the payload of entry ${index} does not match its checksum`,
    };
    if (reader.group !== this.#group || recordKind === RecordKind.Marker) {
      if (!isIntact) this.#harmless.push(bad);
      return;
    }
    if (recordKind === RecordKind.Reset) {
      this.#places.clear();
      this.#lost = [];
      this.#forgive();
      this.#firstIndex = index + 1;
      this.#lastIndex = index;
      return;
    }
    if (this.#firstIndex === 0) this.#begin(scan.segment, index);
    if (index > this.#lastIndex + GAP_MAX || index < 1) {
      this.#note(scan.path, offset, `entry ${index} cannot follow entry ${this.#lastIndex}`);
      return;
    }
    if (index > this.#lastIndex + 1) this.#lose(this.#lastIndex + 1, index - 1);
    else this.#forgive();
    if (index <= this.#lastIndex) this.#supersede(index);
    if (isIntact) {
      const kind = reader.entryKind as EntryKind;
      this.#places.set(index, { segment: scan.segment, offset, kind, payloadBytes });
    } else this.#lost.push({ from: index, to: index, ...bad });
    this.#lastIndex = index;
  }

  /** The first entry that is met: of a log whose beginning was removed, any index. */
  #begin(segment: number, index: Index): void {
    this.#firstIndex = segment === 1 ? 1 : index;
    this.#lastIndex = this.#firstIndex - 1;
  }

  /** Entries from an index on are void. */
  #supersede(index: Index): void {
    // Whichever are fewer: those that are void, or those that are known.
    if (this.#lastIndex - index < this.#places.size) {
      for (let at = index; at <= this.#lastIndex; at++) this.#places.delete(at);
    } else for (const at of this.#places.keys()) if (at >= index) this.#places.delete(at);
    this.#lost = this.#lost.filter(({ from }) => from < index);
    this.#firstIndex = Math.min(this.#firstIndex, index);
  }

  #lose(from: Index, to: Index): void {
    const bad = this.#bad ?? { path: this.#directory, offset: 0, what: 'entries of the log are missing' };
    this.#lost.push({ from, to, ...bad });
    this.#bad = null;
  }

  /** Of several with no entry between them the first is told. */
  #note(path: string, offset: number, what: string): void {
    this.#bad ??= { path, offset, what };
  }

  /** What is behind a bad place follows what is before it: no entry was in it. */
  #forgive(): void {
    if (this.#bad !== null) this.#harmless.push(this.#bad);
    this.#bad = null;
  }

  #entry(index: Index): { readonly kind: EntryKind; readonly payload: Uint8Array } | null {
    const place = this.#places.get(index);
    if (place === undefined) return null;
    const { segment, offset, kind, payloadBytes } = place;
    if (this.#open?.segment !== segment) this.#open = { segment, bytes: this.#read(segment) };
    const start = offset + RECORD_HEADER_BYTES;
    return { kind, payload: this.#open.bytes.slice(start, start + payloadBytes) };
  }

  #headerOf(number: number): { readonly previousEnd: number } | null {
    const path = this.#path(number);
    return this.#with(path, (file) => {
      return readSegmentHeader(path, readAround(file, 0, Math.min(file.size, SEGMENT_HEADER_BYTES)));
    });
  }

  #read(number: number): Uint8Array {
    return this.#with(this.#path(number), (file) => readAround(file, 0, file.size));
  }

  #with<T>(path: string, use: (file: ReadFile) => T): T {
    const file = this.#disk.open(path);
    try {
      return use(file);
    } finally {
      file.close();
    }
  }

  #path(number: number): string {
    return segmentPath(this.#directory, number);
  }
}

function nextHeader(bytes: Uint8Array, reader: RecordReader, from: number, end: number): number | null {
  for (let at = from; at + RECORD_HEADER_BYTES <= end; at += RECORD_ALIGNMENT_BYTES) {
    if (bytes[at] !== 0 && reader.readHeader(at)) return at;
  }
  return null;
}
