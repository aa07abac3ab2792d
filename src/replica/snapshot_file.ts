/**
 * A fetched snapshot, until it is installed: a file of frames (`codec/frame.ts`). The first holds index and term, then
 * each holds a chunk of records, and an empty one ends it. It also outlives the installation: should power fail between
 * the store's change and the log's, its first frame says how to mend the log.
 */
import { CorruptionError } from '../base/errors.ts';
import { compareBytes } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import { FRAME_HEADER_BYTES, writeFrame } from '../codec/frame.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { AppendFile, Disk, ReadFile } from '../io/disk.ts';
import type { Index, Term } from '../log/entry.ts';
import { type Cursor, RecordKind } from '../lsm/record.ts';
import { RecordUnpacker } from './snapshot_codec.ts';

export interface SnapshotIdentity {
  readonly index: Index;
  readonly term: Term;
}

const EMPTY = new Uint8Array(0);

/** Makes the file anew, with its first frame. @throws DiskError */
export function createSnapshotFile(disk: Disk, path: string, { index, term }: SnapshotIdentity): AppendFile {
  if (disk.exists(path)) disk.remove(path);
  const file = disk.create(path);
  const head = new Uint8Array(2 * VARINT_BYTES_MAX);
  const end = writeVarint(head, writeVarint(head, 0, index), term);
  file.append(writeFrame(head.subarray(0, end)));
  return file;
}

export function appendChunk(file: AppendFile, records: Uint8Array): void {
  if (records.length > 0) file.append(writeFrame(records));
}

/** What is appended is whole. */
export function endSnapshotFile(file: AppendFile): void {
  file.append(writeFrame(EMPTY));
}

/** What a complete file holds; null when there is none, or a crash has left a part of one. */
export function readSnapshotIdentity(disk: Disk, path: string): SnapshotIdentity | null {
  if (!disk.exists(path)) return null;
  const file = disk.open(path);
  try {
    const head = frameAt(file, 0);
    if (head === null) return null;
    const reader = new VarintReader(head.body);
    const identity = { index: reader.read(), term: reader.read() };
    for (let at = head.end; ; ) {
      const frame = frameAt(file, at);
      if (frame === null) return null;
      if (frame.body.length === 0) return identity;
      at = frame.end;
    }
  } finally {
    file.close();
  }
}

/** The records of a complete file. Close it. */
export class SnapshotFileCursor implements Cursor {
  readonly kind = RecordKind.Put;
  readonly #file: ReadFile;
  #at = 0;
  #chunk: RecordUnpacker | null = null;

  constructor(disk: Disk, path: string) {
    this.#file = disk.open(path);
  }

  get isValid(): boolean {
    return this.#chunk !== null;
  }

  get key(): Uint8Array {
    return this.#chunk?.key ?? EMPTY;
  }

  get sequence(): Index {
    return this.#chunk?.sequence ?? 0;
  }

  get value(): Uint8Array {
    return this.#chunk?.value ?? EMPTY;
  }

  seekToFirst(): void {
    this.#at = this.#frame(0).end;
    this.#openChunk();
  }

  next(): void {
    if (this.#chunk?.next() !== true) this.#openChunk();
  }

  /** O(records): only a reader that goes from the first to the last is expected. */
  seek(key: Uint8Array): void {
    this.seekToFirst();
    while (this.isValid && compareBytes(this.key, key) < 0) this.next();
  }

  close(): void {
    this.#file.close();
  }

  #openChunk(): void {
    const { body, end } = this.#frame(this.#at);
    this.#at = end;
    // A copy: the cursor rests between turns.
    this.#chunk = body.length === 0 ? null : new RecordUnpacker(body.slice());
    this.#chunk?.next();
  }

  #frame(at: number): { readonly body: Uint8Array; readonly end: number } {
    const frame = frameAt(this.#file, at);
    if (frame === null)
      throw new CorruptionError(this.#file.path, at, 'a part of a fetched snapshot is damaged');
    return frame;
  }
}

/** The frame at an offset, its body a view; null when it is not intact. */
function frameAt(file: ReadFile, at: number): { readonly body: Uint8Array; readonly end: number } | null {
  if (at + FRAME_HEADER_BYTES > file.size) return null;
  const header = file.view(at, FRAME_HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const length = view.getUint32(0, true);
  const checksum = view.getUint32(4, true);
  const end = at + FRAME_HEADER_BYTES + length;
  if (end > file.size) return null;
  // Zeros, as a crash may leave them, are an empty frame with the checksum of no bytes.
  const body = length === 0 ? EMPTY : file.view(at + FRAME_HEADER_BYTES, length);
  return crc32(body) === checksum ? { body, end } : null;
}
