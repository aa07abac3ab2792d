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

/** Damages up to three places before the last marker; returns whether it has done anything. */
export function rotLog(disk: SimDisk, random: SimRandom): boolean {
  const records = recordsIn(disk);
  const segments = segmentsOf(disk);
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

function segmentsOf(disk: SimDisk): string[] {
  return disk
    .files()
    .filter((path) => path.startsWith(`${LOG_DIRECTORY}/`) && path.endsWith('.log') && disk.sizeOf(path) > 0)
    .sort();
}
