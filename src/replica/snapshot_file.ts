/**
 * A fetched snapshot, until it is installed: a file of frames (`codec/frame.ts`). The first holds index and term, then
 * each holds a chunk of records; the last holds a checksum of all before it, so that none can be missing. It also outlives the installation: should power fail between
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

/** The first byte of each frame's body. No body is empty: zeros, as a lost write leaves them, are never a frame. */
export const FrameKind = { Head: 1, Records: 2, End: 3 } as const;
const CHECKSUM_BYTES = 4;
const EMPTY = new Uint8Array(0);

/** Writes a file anew. @throws DiskError */
export class SnapshotFileWriter {
  readonly file: AppendFile;
  /** Of all bodies so far. */
  #checksum = 0;

  constructor(disk: Disk, path: string, { index, term }: SnapshotIdentity) {
    if (disk.exists(path)) disk.remove(path);
    this.file = disk.create(path);
    const head = new Uint8Array(2 * VARINT_BYTES_MAX);
    const end = writeVarint(head, writeVarint(head, 0, index), term);
    this.#append(FrameKind.Head, head.subarray(0, end));
  }

  append(records: Uint8Array): void {
    if (records.length > 0) this.#append(FrameKind.Records, records);
  }

  /** What was appended is whole. */
  end(): void {
    const checksum = new Uint8Array(CHECKSUM_BYTES);
    new DataView(checksum.buffer).setUint32(0, this.#checksum, true);
    this.#append(FrameKind.End, checksum);
  }

  #append(kind: number, content: Uint8Array): void {
    const body = new Uint8Array(1 + content.length);
    body[0] = kind;
    body.set(content, 1);
    this.#checksum = crc32(body, this.#checksum);
    this.file.append(writeFrame(body));
  }
}

/** What a complete file holds; null when there is none, or a crash has left a part of one. */
export function readSnapshotIdentity(disk: Disk, path: string): SnapshotIdentity | null {
  if (!disk.exists(path)) return null;
  const file = disk.open(path);
  try {
    const frames = new Frames(file);
    const head = frames.next();
    if (head === null || head[0] !== FrameKind.Head) return null;
    const reader = new VarintReader(head.subarray(1));
    const identity = { index: reader.read(), term: reader.read() };
    for (;;) {
      const body = frames.next();
      if (body === null) return null;
      if (body[0] === FrameKind.End) return identity;
    }
  } finally {
    file.close();
  }
}

/** The bodies of a file's frames, one after the other. */
class Frames {
  readonly #file: ReadFile;
  #checksum = 0;
  at = 0;

  constructor(file: ReadFile) {
    this.#file = file;
  }

  /** A view; null when the frame is not intact, or it ends a file of which something is missing. */
  next(): Uint8Array | null {
    const body = bodyAt(this.#file, this.at);
    if (body === null) return null;
    if (body[0] === FrameKind.End && checksumIn(body) !== this.#checksum) return null;
    this.#checksum = crc32(body, this.#checksum);
    this.at += FRAME_HEADER_BYTES + body.length;
    return body;
  }
}

/** The records of a complete file. Close it. */
export class SnapshotFileCursor implements Cursor {
  readonly kind = RecordKind.Put;
  readonly #file: ReadFile;
  #frames: Frames;
  #chunk: RecordUnpacker | null = null;

  constructor(disk: Disk, path: string) {
    this.#file = disk.open(path);
    this.#frames = new Frames(this.#file);
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
    this.#frames = new Frames(this.#file);
    this.#nextFrame();
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
    const body = this.#nextFrame();
    // A copy: the cursor rests between turns.
    this.#chunk = body[0] === FrameKind.End ? null : new RecordUnpacker(body.slice(1));
    this.#chunk?.next();
  }

  #nextFrame(): Uint8Array {
    const { at } = this.#frames;
    const body = this.#frames.next();
    if (body === null)
      throw new CorruptionError(this.#file.path, at, 'a part of a fetched snapshot is damaged');
    return body;
  }
}

/** The body of the frame at an offset, as a view; null when it is not intact. */
function bodyAt(file: ReadFile, at: number): Uint8Array | null {
  if (at + FRAME_HEADER_BYTES > file.size) return null;
  const header = file.view(at, FRAME_HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const length = view.getUint32(0, true);
  const checksum = view.getUint32(4, true);
  if (length === 0 || at + FRAME_HEADER_BYTES + length > file.size) return null;
  const body = file.view(at + FRAME_HEADER_BYTES, length);
  return crc32(body) === checksum ? body : null;
}

function checksumIn(end: Uint8Array): number | null {
  if (end.length !== 1 + CHECKSUM_BYTES) return null;
  return new DataView(end.buffer, end.byteOffset, end.byteLength).getUint32(1, true);
}
