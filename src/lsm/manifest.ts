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

import { assert } from '../base/assert.ts';
import { CorruptionError, EnvelopeError, toError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { compareBytes, concatBytes } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { VarintReader, varintSize, writeVarint } from '../codec/varint.ts';
import type { AppendFile } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import { readUint32, writeUint32 } from './bytes.ts';
import { placeSeed } from './table_format.ts';

const RECORD_HEADER_BYTES = 9;
/** More than this is not an edit. */
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
const LEVELS_MAX = 64;
/** Kind 1 was an edit without levels and key ranges. */
export const ManifestRecord = { Seal: 2, Edit: 3 } as const;
const EMPTY = new Uint8Array(0);

/** A table, where it stands, and what keys `[low, end)` it is about. */
export interface TableEntry {
  readonly number: number;
  readonly level: number;
  /** In level 0, the age of its run: a higher one is newer. */
  readonly run: number;
  readonly low: Uint8Array;
  readonly end: Uint8Array;
}

/** A change of the store's state, or, as the first of a file, the whole of it. */
export interface VersionEdit {
  readonly flushedIndex: Index;
  /** The lowest number that no file has been given yet. */
  readonly nextFile: number;
  /** Added after `removed`: a table that is in both has moved. */
  readonly added: readonly TableEntry[];
  readonly removed: readonly number[];
}

export interface ManifestState {
  readonly flushedIndex: Index;
  readonly nextFile: number;
  /** By number. */
  readonly tables: readonly TableEntry[];
}

/**
 * Appends edits, one at a time. What the disk has no space for can be tried again: an append that fails leaves the
 * position, so the next one overwrites what it may have left. A sync that fails is final.
 */
export class ManifestWriter {
  readonly #file: AppendFile;
  readonly #number: number;
  /** Records of the edit at hand that are not durable yet. */
  #pending: { readonly kind: number; readonly payload: Uint8Array }[] = [];

  /** Takes over an empty file. `number` is that of its name. */
  constructor(file: AppendFile, number: number) {
    this.#file = file;
    this.#number = number;
  }

  /** The edit is valid when `done` has come without an error. An error is final, unless it says ENOSPC: see `resume`. */
  append(edit: VersionEdit, done: (error: Error | null) => void): void {
    assert(this.#pending.length === 0, 'edits are appended one at a time');
    this.#pending = [
      { kind: ManifestRecord.Edit, payload: encodeEdit(edit) },
      { kind: ManifestRecord.Seal, payload: EMPTY },
    ];
    this.resume(done);
  }

  /** Goes on with the edit that `append` had no space for. */
  resume(done: (error: Error | null) => void): void {
    const [next] = this.#pending;
    if (next === undefined) {
      done(null);
      return;
    }
    try {
      this.#file.append(encodeRecord(next.kind, next.payload, placeSeed(this.#number, this.#file.position)));
      this.#file.sync((error) => {
        if (error !== null) {
          done(error);
          return;
        }
        this.#pending.shift();
        this.resume(done);
      });
    } catch (error) {
      done(toError(error));
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
  const tables = new Map<number, TableEntry>();
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
      for (const table of edit.added) tables.set(table.number, table);
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
  return { flushedIndex, nextFile, tables: [...tables.values()].sort((a, b) => a.number - b.number) };
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

/** The record of manifest `number` at an offset; null when none that is intact begins there. The payload is a view. */
export function recordAt(
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
  const parts = [varint(edit.flushedIndex), varint(edit.nextFile), varint(edit.added.length)];
  for (const { number, level, run, low, end } of edit.added) {
    parts.push(varint(number), varint(level), varint(run), varint(low.length), low, varint(end.length), end);
  }
  parts.push(varint(edit.removed.length), ...edit.removed.map(varint));
  return concatBytes(parts);
}

function varint(number: number): Uint8Array {
  const bytes = new Uint8Array(varintSize(number));
  writeVarint(bytes, 0, number);
  return bytes;
}

/** @throws CorruptionError */
export function decodeEdit(payload: Uint8Array, path: string, at: number): VersionEdit {
  const reader = new VarintReader(payload);
  const read = (): number => {
    const value = reader.read();
    if (value < 0) throw new CorruptionError(path, at, 'an edit of the manifest is malformed');
    return value;
  };
  const readKey = (): Uint8Array => {
    const length = read();
    const start = reader.offset;
    if (start + length > payload.length)
      throw new CorruptionError(path, at, 'a key of the manifest is cut short');
    reader.offset = start + length;
    return payload.slice(start, reader.offset);
  };
  const readTable = (): TableEntry => {
    const table = { number: read(), level: read(), run: read(), low: readKey(), end: readKey() };
    if (table.level >= LEVELS_MAX || compareBytes(table.low, table.end) >= 0) {
      throw new CorruptionError(path, at, `what the manifest says of table ${table.number} makes no sense`);
    }
    return table;
  };
  const readList = <T>(readOne: () => T): T[] => {
    const count = read();
    if (count > payload.length) throw new CorruptionError(path, at, 'an edit of the manifest is malformed');
    return Array.from({ length: count }, readOne);
  };
  const edit = {
    flushedIndex: read(),
    nextFile: read(),
    added: readList(readTable),
    removed: readList(read),
  };
  if (reader.offset !== payload.length)
    throw new CorruptionError(path, at, 'an edit of the manifest is too long');
  return edit;
}
