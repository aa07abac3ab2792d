/** Damages a log where it is known to have been durable: nowhere else can damage be told from what a crash leaves. */
import { RECORD_HEADER_BYTES, RecordKind } from '../../src/log/record.ts';
import { RecordReader } from '../../src/log/record_reader.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment_header.ts';
import type { SimDisk } from '../disk.ts';
import type { SimRandom } from '../random.ts';
import { LOG_DIRECTORY } from './damage_group.ts';

const SECTOR_BYTES = 512;
const LATE_ENTRIES = 12;
const TAIL_SECTORS = 6;
/** How often all that was durable from there on in a segment is lost. */
const FROM_HERE_PERMILLE = 150;

interface FoundRecord {
  readonly path: string;
  readonly offset: number;
  readonly kind: number;
  readonly index: number;
  readonly payloadBytes: number;
}

/** The records of each segment up to the first whose header is not intact: behind it nothing is known. */
function recordsIn(disk: SimDisk): FoundRecord[] {
  const found: FoundRecord[] = [];
  for (const path of segmentsOf(disk)) {
    const segment = Number.parseInt(path.slice(-10), 10);
    const reader = new RecordReader(disk.readRaw(path), segment, 0);
    for (let offset = SEGMENT_HEADER_BYTES; reader.readHeader(offset); offset += reader.bytes) {
      const { recordKind: kind, index, payloadBytes } = reader;
      found.push({ path, offset, kind, index, payloadBytes });
    }
  }
  return found;
}

/** Changes a byte of the payload of the last record of this entry; returns whether there is one. */
export function rotEntry(disk: SimDisk, index: number): boolean {
  const record = recordsIn(disk).findLast((one) => one.kind === RecordKind.Entry && one.index === index);
  if (record === undefined || record.payloadBytes === 0) return false;
  disk.flipByte(record.path, record.offset + RECORD_HEADER_BYTES);
  return true;
}

/** As `rotEntry`, in its header: what stood there can't be told any more. */
export function rotName(disk: SimDisk, index: number): void {
  // From back to front: behind a header that is damaged nothing is found.
  const record = recordsIn(disk).findLast((one) => one.kind === RecordKind.Entry && one.index === index);
  if (record !== undefined) disk.flipByte(record.path, record.offset + RECORD_HEADER_BYTES - 1);
}

/**
 * Damages up to three places before the last marker; returns whether it has done anything.
 * @param durableIndex Of a log that is in use: a crash may take back what attests anything, unless something stands behind
 * that is durable, an entry up to this one. Infinity: its process has ended.
 */
export function rotLog(
  disk: SimDisk,
  random: SimRandom,
  durableIndex: number = Number.POSITIVE_INFINITY,
): boolean {
  const places = durablePlaces(disk, durableIndex);
  let done = false;
  for (let left = random.between(1, 3); left > 0 && places.length > 0; left--) {
    const { path, limit } = random.pick(places);
    if (limit === 0) continue;
    const at = random.below(limit);
    const sectorEnd = at - (at % SECTOR_BYTES) + SECTOR_BYTES;
    done = true;
    if (random.chance(FROM_HERE_PERMILLE)) loseBetween(disk, path, at, limit);
    else if (sectorEnd > limit || random.chance(600)) disk.flipByte(path, at);
    else disk.loseSector(path, at);
  }
  return done;
}

/** The last whole sectors before the last marker are lost: the log knows that there was more, and not what. */
export function loseTail(disk: SimDisk, random: SimRandom): void {
  const last = durablePlaces(disk).at(-1);
  if (last !== undefined && last.limit > 0) {
    const from = Math.max(0, last.limit - 1 - random.below(TAIL_SECTORS * SECTOR_BYTES));
    loseBetween(disk, last.path, from, last.limit);
  }
}

/** A byte of one of the last entries before the last marker changes. */
export function rotLateEntry(disk: SimDisk, random: SimRandom): void {
  const last = durablePlaces(disk).at(-1);
  const entries = recordsIn(disk).filter(
    ({ path, kind, offset, payloadBytes }) =>
      path === last?.path && kind === RecordKind.Entry && offset < last.limit && payloadBytes > 0,
  );
  if (entries.length === 0) return;
  const { path, offset } = random.pick(entries.slice(-LATE_ENTRIES));
  disk.flipByte(path, offset + RECORD_HEADER_BYTES);
}

/** How far each segment is known to have been durable. */
function durablePlaces(
  disk: SimDisk,
  durableIndex: number = Number.POSITIVE_INFINITY,
): { readonly path: string; readonly limit: number }[] {
  let records = recordsIn(disk);
  let segments = segmentsOf(disk);
  if (durableIndex !== Number.POSITIVE_INFINITY) {
    const isDurable = ({ kind, index }: FoundRecord): boolean =>
      kind === RecordKind.Entry && index <= durableIndex;
    records = records.slice(0, records.findLastIndex(isDurable) + 1);
    const path = records.at(-1)?.path ?? '';
    segments = segments.filter((segment) => segment <= path);
  }
  const lastPath = segments.at(-1) ?? '';
  const marker = records.findLast(({ path, kind }) => path === lastPath && kind === RecordKind.Marker);
  const places = segments.slice(0, -1).map((path) => ({ path, limit: disk.sizeOf(path) }));
  if (marker !== undefined) places.push({ path: lastPath, limit: marker.offset });
  return places;
}

/** The names of what stood there are lost as well. */
function loseBetween(disk: SimDisk, path: string, at: number, limit: number): void {
  for (let sector = at - (at % SECTOR_BYTES); sector + SECTOR_BYTES <= limit; sector += SECTOR_BYTES) {
    disk.loseSector(path, sector);
  }
}

/** Their paths, ascending. */
export function segmentsOf(disk: SimDisk): string[] {
  return disk
    .files()
    .filter((path) => path.startsWith(`${LOG_DIRECTORY}/`) && path.endsWith('.log') && disk.sizeOf(path) > 0)
    .sort();
}
