/**
 * The real disk: append-only files through `pwrite` and `fdatasync`, immutable files through `mmap` or `pread`.
 *
 * Writes go to the page cache before `append` returns; only `sync` waits for the device, on the thread pool. A sync
 * that failed is remembered: the kernel may have marked the lost pages clean, so nothing later can vouch for them.
 */
import {
  close as closeFile,
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  open as openFile,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlink,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../disk.ts';
import { type Mapping, mapFile } from './mmap.ts';

export interface NodeDiskOptions {
  /** `auto` maps files where that is possible and reads them otherwise. */
  readonly reads: 'auto' | 'mmap' | 'pread';
}

type Done = (error: DiskError | null) => void;

const ZERO_CHUNK_BYTES = 1024 * 1024;

export class NodeDisk implements Disk {
  readonly #reads: NodeDiskOptions['reads'];

  constructor(options: NodeDiskOptions) {
    this.#reads = options.reads;
  }

  list(directory: string): string[] {
    return attempt('list', directory, () => readdirSync(directory).sort());
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  makeDirectory(path: string): void {
    attempt('makeDirectory', path, () => mkdirSync(path, { recursive: true }));
  }

  open(path: string): ReadFile {
    const fd = attempt('open', path, () => openSync(path, 'r'));
    try {
      const size = attempt('open', path, () => fstatSync(fd).size);
      const mapping = this.#reads === 'pread' ? null : mapFile(fd, size);
      if (mapping !== null) {
        closeSync(fd);
        return new MappedFile(path, mapping);
      }
      if (this.#reads === 'mmap' && size > 0) {
        throw new DiskError('open', path, 'ENOTSUP', 'the file cannot be mapped');
      }
      return new PreadFile(path, fd, size);
    } catch (error) {
      closeQuietly(fd);
      throw error;
    }
  }

  create(path: string): AppendFile {
    return new NodeAppendFile(
      path,
      attempt('create', path, () => openSync(path, 'wx+')),
      0,
      0,
    );
  }

  openAppend(path: string, position: number): AppendFile {
    const fd = attempt('openAppend', path, () => openSync(path, 'r+'));
    const { size } = fstatSync(fd);
    if (!Number.isInteger(position) || position < 0 || position > size) {
      closeSync(fd);
      throw new DiskError('openAppend', path, 'EINVAL', `position ${position} lies outside ${size} bytes`);
    }
    return new NodeAppendFile(path, fd, position, size);
  }

  preallocate(path: string, bytes: number, done: Done): void {
    openFile(path, 'wx', (error, fd) => {
      if (error !== null) {
        done(toDiskError('preallocate', path, error));
        return;
      }
      const finish = (failure: NodeJS.ErrnoException | null): void => {
        closeFile(fd, (closeError) => {
          const cause = failure ?? closeError ?? null;
          if (cause === null) done(null);
          // What is left of it is of no use, and may be what fills the disk.
          else unlink(path, () => done(toDiskError('preallocate', path, cause)));
        });
      };
      writeZeros(fd, 0, bytes, (failure) => {
        if (failure === null) fdatasync(fd, (syncError) => finish(syncError));
        else finish(failure);
      });
    });
  }

  rename(from: string, to: string): void {
    attempt('rename', from, () => renameSync(from, to));
  }

  remove(path: string): void {
    attempt('remove', path, () => unlinkSync(path));
  }

  syncDirectory(path: string, done: Done): void {
    openFile(path, 'r', (error, fd) => {
      if (error !== null) {
        done(toDiskError('syncDirectory', path, error));
        return;
      }
      fsync(fd, (syncError) => {
        closeQuietly(fd);
        done(syncError === null ? null : toDiskError('syncDirectory', path, syncError));
      });
    });
  }
}

class MappedFile implements ReadFile {
  readonly path: string;
  readonly size: number;
  #mapping: Mapping | null;

  constructor(path: string, mapping: Mapping) {
    this.path = path;
    this.size = mapping.bytes.length;
    this.#mapping = mapping;
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#mapping === null) throw new DiskError('view', this.path, 'EBADF', 'the file is closed');
    checkRange(this.path, offset, length, this.size);
    return this.#mapping.bytes.subarray(offset, offset + length);
  }

  close(): void {
    this.#mapping?.close();
    this.#mapping = null;
  }
}

class PreadFile implements ReadFile {
  readonly path: string;
  readonly size: number;
  #fd: number;

  constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.size = size;
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#fd < 0) throw new DiskError('view', this.path, 'EBADF', 'the file is closed');
    checkRange(this.path, offset, length, this.size);
    return readExactly(this.path, this.#fd, offset, length);
  }

  close(): void {
    if (this.#fd >= 0) closeQuietly(this.#fd);
    this.#fd = -1;
  }
}

class NodeAppendFile implements AppendFile {
  readonly path: string;
  #fd: number;
  #position: number;
  #size: number;
  #failure: DiskError | null = null;
  #syncs = 0;
  #closed = false;

  constructor(path: string, fd: number, position: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.#position = position;
    this.#size = size;
  }

  get position(): number {
    return this.#position;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    this.#check('append');
    let written = 0;
    while (written < bytes.length) {
      written += attempt('append', this.path, () =>
        writeSync(this.#fd, bytes, written, bytes.length - written, this.#position + written),
      );
    }
    this.#position += written;
    this.#size = Math.max(this.#size, this.#position);
  }

  sync(done: Done): void {
    this.#check('sync');
    this.#syncs++;
    fdatasync(this.#fd, (error) => {
      this.#syncs--;
      if (error !== null) this.#failure ??= toDiskError('sync', this.path, error);
      if (this.#closed && this.#syncs === 0) closeQuietly(this.#fd);
      done(this.#failure);
    });
  }

  truncate(size: number): void {
    this.#check('truncate');
    attempt('truncate', this.path, () => ftruncateSync(this.#fd, size));
    this.#size = size;
    this.#position = Math.min(this.#position, size);
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#closed) throw new DiskError('view', this.path, 'EBADF', 'the file is closed');
    checkRange(this.path, offset, length, this.#size);
    return readExactly(this.path, this.#fd, offset, length);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // A sync under way still needs the descriptor, which must not be given to another file before.
    if (this.#syncs === 0) closeQuietly(this.#fd);
  }

  #check(operation: string): void {
    if (this.#closed) throw new DiskError(operation, this.path, 'EBADF', 'the file is closed');
    if (this.#failure !== null) throw this.#failure;
  }
}

function checkRange(path: string, offset: number, length: number, size: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new DiskError(
    'view',
    path,
    'EINVAL',
    `bytes ${offset} to ${offset + length} lie outside ${size} bytes`,
  );
}

function readExactly(path: string, fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = attempt('view', path, () => readSync(fd, bytes, done, length - done, offset + done));
    if (count === 0)
      throw new DiskError('view', path, 'EINVAL', `the file ends before offset ${offset + length}`);
    done += count;
  }
  return bytes;
}

function writeZeros(
  fd: number,
  at: number,
  end: number,
  done: (error: NodeJS.ErrnoException | null) => void,
): void {
  if (at >= end) {
    done(null);
    return;
  }
  const chunk = new Uint8Array(Math.min(ZERO_CHUNK_BYTES, end - at));
  write(fd, chunk, 0, chunk.length, at, (error, written) => {
    if (error !== null) done(error);
    else writeZeros(fd, at + written, end, done);
  });
}

function attempt<T>(operation: string, path: string, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw toDiskError(operation, path, error);
  }
}

function toDiskError(operation: string, path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new DiskError(operation, path, code ?? 'EIO', message);
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Nothing depends on a close: what matters was synced.
  }
}
