/**
 * Damage in the files of a directory beside its log and its tables: identities, the mark of the odd one out, what was
 * fetched from other nodes, the list of a backup. See `docs/formats.md`.
 */
import { readList } from '../backup/file_list.ts';
import { LIST } from '../backup/paths.ts';
import { CorruptionError } from '../base/errors.ts';
import { fromUtf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { FRAME_HEADER_BYTES } from '../codec/frame.ts';
import type { Disk, ReadFile } from '../io/disk.ts';
import { readUint32 } from '../lsm/bytes.ts';
import { FrameKind } from '../replica/snapshot_file.ts';
import { agreeingIn, BROKEN_IDENTITY, BROKEN_ODD, identityIn } from './mark_files.ts';
import { readAround } from './read_around.ts';

/** Longer ones are none of these files: what stands in them is not read. */
const SMALL_BYTES_MAX = 64 * 1024;
/** The frame that ends what was fetched: its kind and a checksum of all bodies before it. */
const END_BODY_BYTES = 5;

/** `unfinished`: a crash has cut off its making, and nothing uses it. */
export type Finding =
  | { readonly type: 'damage'; readonly error: CorruptionError }
  | { readonly type: 'unfinished' };

/**
 * @param name Of a file in the directory that is neither the log's nor the tables', nor term and vote.
 * @returns null: it is whole. @throws DiskError
 */
export function findingIn(disk: Disk, directory: string, name: string): Finding | null {
  const path = `${directory}/${name}`;
  const file = disk.open(path);
  try {
    if (name === 'snapshot' || name === 'mend') return checkFetched(file);
    const member = /^identity-(\d+)$/.exec(name)?.[1];
    if (member !== undefined) return checkIdentity(file, Number(member));
    if (name === 'odd') return checkOdd(file);
    if (name.endsWith('.json')) return checkJson(file, name);
  } finally {
    file.close();
  }
  return name === LIST ? checkList(disk, directory) : null;
}

function checkIdentity(file: ReadFile, member: number): Finding | null {
  const bytes = small(file);
  if (bytes !== null && identityIn(bytes, member) !== null) return null;
  return damage(file, 0, BROKEN_IDENTITY);
}

function checkOdd(file: ReadFile): Finding | null {
  const bytes = small(file);
  return bytes !== null && agreeingIn(bytes) !== null ? null : damage(file, 0, BROKEN_ODD);
}

function checkJson(file: ReadFile, name: string): Finding | null {
  const fields = name === 'identity.json' ? ['identity', 'node', 'cluster'] : ['identity'];
  try {
    const found = JSON.parse(fromUtf8(small(file) ?? new Uint8Array(0))) as Record<string, unknown> | null;
    if (fields.every((field) => Number.isSafeInteger(found?.[field]) && Number(found?.[field]) >= 0))
      return null;
  } catch {
    // Told below.
  }
  return damage(file, 0, `it does not hold the whole numbers ${fields.join(', ')} as JSON`);
}

function checkList(disk: Disk, directory: string): Finding | null {
  try {
    readList(disk, directory);
    return null;
  } catch (error) {
    if (error instanceof CorruptionError) return { type: 'damage', error };
    throw error;
  }
}

/** Frame by frame. One that has its end is whole or damaged; one that has none was not fetched to its end. */
function checkFetched(file: ReadFile): Finding | null {
  const hasEnd = endsWithEnd(file);
  let checksum = 0;
  for (let at = 0; at < file.size; ) {
    const body = frameAt(file, at);
    const end = at + FRAME_HEADER_BYTES + (body?.length ?? 0);
    if (body === null) {
      if (!hasEnd && !isFollowed(file, at)) return { type: 'unfinished' };
      return damage(file, at, 'a frame of what was fetched is not intact');
    }
    if ((at === 0) !== (body[0] === FrameKind.Head)) return damage(file, at, 'a frame is not in its place');
    if (body[0] === FrameKind.End) {
      const isRight = body.length === END_BODY_BYTES && readUint32(body, 1) === checksum;
      if (!isRight) return damage(file, at, 'the checksum of all frames does not match');
      return end === file.size ? null : damage(file, end, 'there are bytes behind its end');
    }
    checksum = crc32(body, checksum);
    at = end;
  }
  return { type: 'unfinished' };
}

function endsWithEnd(file: ReadFile): boolean {
  const at = file.size - FRAME_HEADER_BYTES - END_BODY_BYTES;
  const body = at < 0 ? null : frameAt(file, at);
  return body !== null && body.length === END_BODY_BYTES && body[0] === FrameKind.End;
}

/** Whether another frame stands behind the one at `at`, which is not intact: then no crash has cut it off. */
function isFollowed(file: ReadFile, at: number): boolean {
  if (at + FRAME_HEADER_BYTES > file.size) return false;
  const next = at + FRAME_HEADER_BYTES + readUint32(readAround(file, at, FRAME_HEADER_BYTES), 0);
  return frameAt(file, next) !== null;
}

/** The body of the frame at an offset, null when it is not intact. A copy. */
function frameAt(file: ReadFile, at: number): Uint8Array | null {
  if (at + FRAME_HEADER_BYTES > file.size) return null;
  const header = readAround(file, at, FRAME_HEADER_BYTES);
  const length = readUint32(header, 0);
  if (length === 0 || at + FRAME_HEADER_BYTES + length > file.size) return null;
  const body = readAround(file, at + FRAME_HEADER_BYTES, length);
  return crc32(body) >>> 0 === readUint32(header, 4) ? body : null;
}

function small(file: ReadFile): Uint8Array | null {
  return file.size > SMALL_BYTES_MAX ? null : readAround(file, 0, file.size);
}

function damage(file: ReadFile, offset: number, what: string): Finding {
  return { type: 'damage', error: new CorruptionError(file.path, offset, what) };
}
