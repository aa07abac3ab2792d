/** Files that are small, or of few structures: manifest, `CURRENT`, term and vote, a fetched snapshot, marks of a node. */
import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { FRAME_HEADER_BYTES } from '../codec/frame.ts';
import { VarintReader } from '../codec/varint.ts';
import { readUint32 } from '../lsm/bytes.ts';
import { decodeEdit, ManifestRecord, readManifest, recordAt, type TableEntry } from '../lsm/manifest.ts';
import { readCurrent } from '../lsm/store_files.ts';
import { readVotes } from '../replica/hard_state_file.ts';
import { RecordUnpacker } from '../replica/snapshot_codec.ts';
import { FrameKind } from '../replica/snapshot_file.ts';
import { damageAt, damaged, type Fields, type InspectOptions, type Item, part, record } from './item.ts';
import { agreeingIn, BROKEN_IDENTITY, BROKEN_ODD, identityIn } from './mark_files.ts';

/** @param number Its checksums hold for this number alone. See `docs/formats/manifest.md`. */
export function* inspectManifest(path: string, bytes: Uint8Array, number: number): Generator<Item> {
  yield part('file', 0, { path, kind: 'manifest', number, bytes: bytes.length });
  let at = 0;
  while (at < bytes.length) {
    const found = recordAt(bytes, at, number);
    if (found === null) {
      let next = at + 1;
      while (next < bytes.length && recordAt(bytes, next, number) === null) next++;
      yield damageAt(at, 'a record that is not intact', { bytes: next - at });
      at = next;
      continue;
    }
    if (found.kind === ManifestRecord.Seal) yield record('seal', at, {});
    else if (found.kind === ManifestRecord.Edit) yield inspectEdit(found.payload, path, at);
    else yield damageAt(at, `a record of unknown kind ${found.kind}`);
    at = found.end;
  }
  try {
    const { flushedIndex, nextFile, tables } = readManifest(bytes, path, number);
    yield part('state', bytes.length, { flushedIndex, nextFile, tables: tables.map(tableFields) });
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    yield error instanceof CorruptionError ? damaged(error) : damageAt(0, error.message);
  }
}

function inspectEdit(payload: Uint8Array, path: string, at: number): Item {
  try {
    const { flushedIndex, nextFile, added, removed } = decodeEdit(payload, path, at);
    const changes = { added: added.map(tableFields), removed: removed.map((table) => ({ table })) };
    return record('edit', at, { flushedIndex, nextFile, ...changes });
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return damaged(error);
  }
}

function tableFields({ number, level, run, low, end }: TableEntry): Fields {
  return { table: number, level, run, from: low, to: end };
}

export function* inspectCurrent(path: string, bytes: Uint8Array): Generator<Item> {
  yield part('file', 0, { path, kind: 'current', bytes: bytes.length });
  try {
    yield part('current', 0, { manifest: readCurrent(bytes, path) });
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    yield damaged(error);
  }
}

export function* inspectVotes(path: string, bytes: Uint8Array): Generator<Item> {
  yield part('file', 0, { path, kind: 'term-and-vote', bytes: bytes.length });
  try {
    for (const { offset, record: found } of readVotes(bytes, path)) {
      if (found === null) {
        yield damageAt(offset, 'a record of term and vote is not intact');
        continue;
      }
      const { group, node, generation, term, vote } = found;
      yield record('vote', offset, { group, node, generation, term, vote: vote ?? 'none' });
    }
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    yield damaged(error);
  }
}

/** @param member The file's name names it. */
export function* inspectIdentity(path: string, bytes: Uint8Array, member: number): Generator<Item> {
  yield part('file', 0, { path, kind: 'identity-of-member', bytes: bytes.length });
  const identity = identityIn(bytes, member);
  yield identity === null ? damageAt(0, BROKEN_IDENTITY) : part('identity', 0, { node: member, identity });
}

export function* inspectOdd(path: string, bytes: Uint8Array): Generator<Item> {
  yield part('file', 0, { path, kind: 'odd-one-out', bytes: bytes.length });
  const agreeing = agreeingIn(bytes);
  yield agreeing === null
    ? damageAt(0, BROKEN_ODD)
    : part('odd', 0, { agreeing: agreeing.map((node) => ({ node })) });
}

/** A snapshot that was fetched from another node, frame by frame. Frames behind a damaged one cannot be found. */
export function* inspectSnapshot(path: string, bytes: Uint8Array, options: InspectOptions): Generator<Item> {
  yield part('file', 0, { path, kind: 'fetched-snapshot', bytes: bytes.length });
  let checksum = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = at + FRAME_HEADER_BYTES <= bytes.length ? readUint32(bytes, at) : 0;
    const start = at + FRAME_HEADER_BYTES;
    const body = bytes.subarray(start, start + length);
    if (length === 0 || start + length > bytes.length || crc32(body) !== readUint32(bytes, at + 4)) {
      yield damageAt(at, 'a frame that is not intact, or cut off', { bytes: bytes.length - at });
      return;
    }
    const content = body.subarray(1);
    if (body[0] === FrameKind.Head) {
      const reader = new VarintReader(content);
      yield part('head', at, { index: reader.read(), term: reader.read() });
    } else if (body[0] === FrameKind.Records) {
      yield part('records', at, { bytes: content.length });
      yield* inspectRecords(content, at, options);
    } else if (body[0] === FrameKind.End) {
      const isRight = content.length === 4 && readUint32(content, 0) === checksum;
      if (isRight) yield part('end', at);
      else yield damageAt(at, 'the checksum of all frames does not match: one is missing');
    } else yield damageAt(at, `a frame of unknown kind ${body[0]}`);
    checksum = crc32(body, checksum);
    at = start + length;
  }
}

function* inspectRecords(packed: Uint8Array, at: number, { values }: InspectOptions): Generator<Item> {
  try {
    const records = new RecordUnpacker(packed);
    while (records.next()) {
      const { key, sequence, value } = records;
      const fields: Fields = { sequence, key, valueBytes: value.length };
      yield record('put', at, values === 'shown' ? { ...fields, value } : fields);
    }
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    yield damageAt(at, error.message);
  }
}
