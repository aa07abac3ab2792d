/**
 * The manifest says which tables make up the store and which part of the log they cover: a file of version edits, each
 * a checksummed record. `docs/formats/manifest.md` has every byte.
 *
 * Record: u32 length of the payload | u32 CRC of length, kind and payload | u8 kind | payload. The CRC is seeded with the
 * record's place, so that nothing but a record that was written there passes for one.
 *
 * An edit is synced, then a `seal` is appended and synced; only then the edit is acted upon. So a damaged record with an
 * intact one behind it is damage, while a damaged end is what a crash leaves of an edit or a seal that nobody has relied
 * on.
 */

import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { concatBytes } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { VarintReader, varintSize, writeVarint } from '../codec/varint.ts';
import type { AppendFile } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import { readUint32, writeUint32 } from './bytes.ts';
import { placeSeed } from './table_format.ts';

const RECORD_HEADER_BYTES = 9;
/** An edit lists tables by number: more than this is not an edit. */
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
const ManifestRecord = { Edit: 1, Seal: 2 } as const;
const EMPTY = new Uint8Array(0);

/** A change of the store's state, or, as the first of a file, the whole of it. */
export interface VersionEdit {
  readonly flushedIndex: Index;
  /** The lowest number that no file has been given yet. */
  readonly nextFile: number;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

export interface ManifestState {
  readonly flushedIndex: Index;
  readonly nextFile: number;
  /** Numbers of the tables, ascending: from old to new. */
  readonly tables: readonly number[];
}

/** Appends edits, one at a time. */
export class ManifestWriter {
  readonly #file: AppendFile;
  readonly #number: number;

  /** Takes over an empty file. `number` is that of its name. */
  constructor(file: AppendFile, number: number) {
    this.#file = file;
    this.#number = number;
  }

  /** The edit is valid when `done` has come without an error. An error is final. */
  append(edit: VersionEdit, done: (error: Error | null) => void): void {
    this.#appendRecord(ManifestRecord.Edit, encodeEdit(edit), (error) => {
      if (error === null) this.#appendRecord(ManifestRecord.Seal, EMPTY, done);
      else done(error);
    });
  }

  #appendRecord(kind: number, payload: Uint8Array, done: (error: Error | null) => void): void {
    try {
      this.#file.append(encodeRecord(kind, payload, placeSeed(this.#number, this.#file.position)));
      this.#file.sync(done);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  close(): void {
    this.#file.close();
  }
}

/**
 * The state after all edits of the manifest with this number.
 * @throws CorruptionError when a record that was once durable is damaged.
 */
export function readManifest(bytes: Uint8Array, path: string, number: number): ManifestState {
  const tables = new Set<number>();
  let flushedIndex: Index = 0;
  let nextFile = 1;
  let at = 0;
  let edits = 0;
  while (at < bytes.length) {
    const record = recordAt(bytes, at, number);
    if (record === null) {
      if (edits === 0 || hasRecordBehind(bytes, at, number)) {
        throw new CorruptionError(path, at, 'a record of the manifest is damaged');
      }
      sometimes('the manifest ends in a torn edit');
      break;
    }
    if (record.kind === ManifestRecord.Edit) {
      const edit = decodeEdit(record.payload, path, at);
      for (const table of edit.removed) {
        if (!tables.delete(table))
          throw new CorruptionError(path, at, `table ${table} is removed but was not there`);
      }
      for (const table of edit.added) tables.add(table);
      if (edit.flushedIndex < flushedIndex) {
        throw new CorruptionError(
          path,
          at,
          `the flushed index falls from ${flushedIndex} to ${edit.flushedIndex}`,
        );
      }
      flushedIndex = edit.flushedIndex;
      nextFile = edit.nextFile;
      edits++;
    } else if (record.kind !== ManifestRecord.Seal) {
      throw new EnvelopeError('FORMAT', `${path}: unknown kind of record ${record.kind} at offset ${at}`);
    }
    at = record.end;
  }
  if (edits === 0) throw new CorruptionError(path, 0, 'the manifest is empty');
  return { flushedIndex, nextFile, tables: [...tables].sort((a, b) => a - b) };
}

function encodeRecord(kind: number, payload: Uint8Array, seed: number): Uint8Array {
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  writeUint32(record, 0, payload.length);
  record[8] = kind;
  record.set(payload, RECORD_HEADER_BYTES);
  writeUint32(record, 4, recordChecksum(record, seed));
  return record;
}

/** Over everything but itself. */
function recordChecksum(record: Uint8Array, seed: number): number {
  return crc32(record.subarray(8), crc32(record.subarray(0, 4), seed));
}

function recordAt(
  bytes: Uint8Array,
  at: number,
  number: number,
): { readonly kind: number; readonly payload: Uint8Array; readonly end: number } | null {
  if (at + RECORD_HEADER_BYTES > bytes.length) return null;
  const length = readUint32(bytes, at);
  const end = at + RECORD_HEADER_BYTES + length;
  if (length > PAYLOAD_BYTES_MAX || end > bytes.length) return null;
  const record = bytes.subarray(at, end);
  if (recordChecksum(record, placeSeed(number, at)) !== readUint32(record, 4)) return null;
  return { kind: record[8], payload: record.subarray(RECORD_HEADER_BYTES), end };
}

/** Looks at every place: where the damaged record ends cannot be known. */
function hasRecordBehind(bytes: Uint8Array, damagedAt: number, number: number): boolean {
  for (let at = damagedAt + 1; at < bytes.length; at++) if (recordAt(bytes, at, number) !== null) return true;
  return false;
}

function encodeEdit(edit: VersionEdit): Uint8Array {
  const numbers = [
    edit.flushedIndex,
    edit.nextFile,
    edit.added.length,
    ...edit.added,
    edit.removed.length,
    ...edit.removed,
  ];
  return concatBytes(
    numbers.map((number) => {
      const bytes = new Uint8Array(varintSize(number));
      writeVarint(bytes, 0, number);
      return bytes;
    }),
  );
}

function decodeEdit(payload: Uint8Array, path: string, at: number): VersionEdit {
  const reader = new VarintReader(payload);
  const read = (): number => {
    const value = reader.read();
    if (value < 0) throw new CorruptionError(path, at, 'an edit of the manifest is malformed');
    return value;
  };
  const readList = (): number[] => {
    const count = read();
    if (count > payload.length) throw new CorruptionError(path, at, 'an edit of the manifest is malformed');
    return Array.from({ length: count }, read);
  };
  const edit = { flushedIndex: read(), nextFile: read(), added: readList(), removed: readList() };
  if (reader.offset !== payload.length)
    throw new CorruptionError(path, at, 'an edit of the manifest is too long');
  return edit;
}
