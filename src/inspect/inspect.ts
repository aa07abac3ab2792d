/**
 * Tells what is in a file of a store, piece by piece. Damage is told with its offset, and what lies behind it is told all
 * the same, as far as it can be found. Changes nothing.
 *
 * What kind of file it is, its name says, and where that says nothing, its first or last bytes. A manifest without its
 * name cannot be read: its checksums hold for its number alone.
 */
import { EnvelopeError } from '../base/errors.ts';
import type { Disk, ReadFile } from '../io/disk.ts';
import { readUint32 } from '../lsm/bytes.ts';
import { inspectSegment } from './inspect_segment.ts';
import {
  inspectCurrent,
  inspectIdentity,
  inspectManifest,
  inspectOdd,
  inspectSnapshot,
  inspectVotes,
} from './inspect_small.ts';
import { inspectTable } from './inspect_table.ts';
import type { InspectOptions, Item } from './item.ts';
import { readAround } from './read_around.ts';
import { openParts } from './table_parts.ts';

/** "ELSG", "EHST" and "ETBL", the last at the end of a file. */
const SEGMENT_MAGIC = 0x47534c45;
const VOTE_MAGIC = 0x54534845;
const TABLE_MAGIC = 0x4c425445;

type Kind =
  | { readonly type: 'table' | 'segment'; readonly number: number | null }
  | { readonly type: 'manifest' | 'identity'; readonly number: number }
  | { readonly type: 'current' | 'votes' | 'snapshot' | 'odd' };

/**
 * The items are made one by one as they are asked for; a table is read block by block.
 * @throws EnvelopeError `USAGE` when it is no file of a store, `LOG_FORMAT` when a later version wrote it; DiskError.
 */
export function* inspect(disk: Disk, path: string, options: InspectOptions): Generator<Item> {
  const kind = kindOf(disk, path);
  if (kind.type === 'table') {
    const table = openParts(disk, path, kind.number, options.compressions);
    try {
      yield* inspectTable(table, options);
    } finally {
      table.close();
    }
    return;
  }
  const bytes = readWhole(disk, path);
  switch (kind.type) {
    case 'segment':
      yield* inspectSegment(path, bytes, kind.number, options);
      return;
    case 'manifest':
      yield* inspectManifest(path, bytes, kind.number);
      return;
    case 'current':
      yield* inspectCurrent(path, bytes);
      return;
    case 'votes':
      yield* inspectVotes(path, bytes);
      return;
    case 'identity':
      yield* inspectIdentity(path, bytes, kind.number);
      return;
    case 'odd':
      yield* inspectOdd(path, bytes);
      return;
    case 'snapshot':
      yield* inspectSnapshot(path, bytes, options);
  }
}

function kindOf(disk: Disk, path: string): Kind {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const known = kindByName(name);
  const file = disk.open(path);
  try {
    return known ?? kindByMagic(file);
  } finally {
    file.close();
  }
}

function kindByName(name: string): Kind | null {
  const [, word, digits] = /^(table|manifest|identity)-(\d+)$/.exec(name) ?? [];
  if (word === 'table' || word === 'manifest' || word === 'identity')
    return { type: word, number: Number(digits) };
  const segment = /^(\d{6,})\.log$/.exec(name)?.[1];
  if (segment !== undefined) return { type: 'segment', number: Number(segment) };
  if (name === 'CURRENT' || name === 'CURRENT.new') return { type: 'current' };
  if (/^vote-[ab](\.new)?$/.test(name)) return { type: 'votes' };
  if (name === 'odd') return { type: 'odd' };
  return name === 'snapshot' || name === 'mend' ? { type: 'snapshot' } : null;
}

function kindByMagic(file: ReadFile): Kind {
  if (file.size >= 4) {
    const first = readUint32(readAround(file, 0, 4), 0);
    if (first === SEGMENT_MAGIC) return { type: 'segment', number: null };
    if (first === VOTE_MAGIC) return { type: 'votes' };
    if (readUint32(readAround(file, file.size - 4, 4), 0) === TABLE_MAGIC)
      return { type: 'table', number: null };
  }
  throw new EnvelopeError(
    'USAGE',
    `${file.path} is no file of a store: these are table-N, manifest-N, CURRENT, N.log, vote-a, vote-b, snapshot, mend, identity-N and odd`,
  );
}

function readWhole(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path);
  try {
    return readAround(file, 0, file.size);
  } finally {
    file.close();
  }
}
