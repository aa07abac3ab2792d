/** Damages a log where it is known to have been durable: nowhere else can damage be told from what a crash leaves. */
import { RECORD_HEADER_BYTES, RecordKind } from '../../src/log/record.ts';
import { RecordReader } from '../../src/log/record_reader.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment_header.ts';
import type { SimDisk } from '../disk.ts';
import type { SimRandom } from '../random.ts';
import { LOG_DIRECTORY } from './damage_group.ts';

const SECTOR_BYTES = 512;

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
  const paths = marker === undefined ? segments.slice(0, -1) : segments;
  let done = false;
  for (let places = random.between(1, 3); places > 0 && paths.length > 0; places--) {
    const path = random.pick(paths);
    const limit = path === lastPath ? (marker?.offset ?? 0) : disk.sizeOf(path);
    if (limit === 0) continue;
    const at = random.below(limit);
    const sectorEnd = at - (at % SECTOR_BYTES) + SECTOR_BYTES;
    done = true;
    if (sectorEnd > limit || random.chance(600)) disk.flipByte(path, at);
    else disk.loseSector(path, at);
  }
  return done;
}

/** Their paths, ascending. */
export function segmentsOf(disk: SimDisk): string[] {
  return disk
    .files()
    .filter((path) => path.startsWith(`${LOG_DIRECTORY}/`) && path.endsWith('.log') && disk.sizeOf(path) > 0)
    .sort();
}
