/**
 * Immutable files: mapped where that is possible, read piece by piece otherwise. Both are read within the call; a page
 * that is not in memory makes it wait for the device.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import type { ReadFile } from '../disk.ts';
import { closeQuietly, readRange } from './descriptor.ts';
import { attempt, checkRange, closedError, toDiskError } from './disk_error.ts';
import { type Mapping, mapFile } from './mmap.ts';
import type { DirectSource, PageCache } from './page_cache.ts';

/**
 * How immutable files are read that are opened for `random` access. `auto` maps them, and falls back to `pread` for a file that cannot be mapped (see
 * `mapFile`: no `koffi`, more than 2 GiB, too many mappings). `mmap` refuses such a file instead; `pread` never maps.
 * `direct` reads past the system's cache into one of its own (`page_cache.ts`), and falls back to `pread` where the file
 * system cannot.
 */
export type Reads = 'auto' | 'mmap' | 'pread' | 'direct';

/** @param cache For `direct`. */
export function openReadFile(path: string, reads: Reads, cache: PageCache | null): ReadFile {
  if (reads === 'direct' && cache !== null) return openDirect(path, cache);
  const fd = attempt('open', path, () => openSync(path, 'r'));
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new DiskError('open', path, 'EISDIR', 'this is a directory');
    // What cannot be mapped because it is empty needs no mapping.
    if (reads === 'pread' || reads === 'direct' || stat.size === 0) return new PreadFile(path, fd, stat.size);
    const outcome = mapFile(fd, stat.size);
    if (outcome.ok) {
      closeSync(fd);
      return new MappedFile(path, outcome.mapping);
    }
    if (reads === 'auto') return new PreadFile(path, fd, stat.size);
    throw new DiskError('open', path, outcome.errno, outcome.message);
  } catch (error) {
    closeQuietly(fd);
    throw toDiskError('open', path, error);
  }
}

function openDirect(path: string, cache: PageCache): ReadFile {
  const plain = attempt('open', path, () => openSync(path, 'r'));
  try {
    const stat = fstatSync(plain);
    if (stat.isDirectory()) throw new DiskError('open', path, 'EISDIR', 'this is a directory');
    if (stat.size === 0) return new PreadFile(path, plain, 0);
    const direct = openPastCache(path);
    if (direct === null) {
      cache.noteFallback();
      return new PreadFile(path, plain, stat.size);
    }
    const file = new DirectFile({ id: cache.nextId(), path, fd: direct, size: stat.size }, cache);
    // A file system may take the flag and refuse to read: better to know it now.
    if (!file.canRead()) {
      file.close();
      cache.noteFallback();
      return new PreadFile(path, plain, stat.size);
    }
    closeSync(plain);
    return file;
  } catch (error) {
    closeQuietly(plain);
    throw toDiskError('open', path, error);
  }
}

/** Null: this system or file system does not. */
function openPastCache(path: string): number | null {
  const flag: number | undefined = constants.O_DIRECT;
  if (flag === undefined) return null;
  try {
    return openSync(path, constants.O_RDONLY | flag);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return null;
    throw error;
  }
}

class DirectFile implements ReadFile {
  readonly mapped = null;
  readonly path: string;
  readonly size: number;
  readonly #source: DirectSource;
  readonly #cache: PageCache;
  #isOpen = true;

  constructor(source: DirectSource, cache: PageCache) {
    this.path = source.path;
    this.size = source.size;
    this.#source = source;
    this.#cache = cache;
  }

  /** Reads the last page, where whoever opens a table begins. */
  canRead(): boolean {
    try {
      this.#cache.view(this.#source, this.size - 1, 1);
      return true;
    } catch (error) {
      if (error instanceof DiskError && error.errno === 'EINVAL') return false;
      throw error;
    }
  }

  view(offset: number, length: number): Uint8Array {
    if (!this.#isOpen) throw closedError('view', this.path);
    checkRange(this.path, offset, length, this.size);
    return this.#cache.view(this.#source, offset, length);
  }

  close(): void {
    if (this.#isOpen) closeQuietly(this.#source.fd);
    this.#isOpen = false;
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

  get mapped(): Uint8Array | null {
    return this.#mapping === null ? null : this.#mapping.bytes;
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#mapping === null) throw closedError('view', this.path);
    checkRange(this.path, offset, length, this.size);
    return this.#mapping.bytes.subarray(offset, offset + length);
  }

  close(): void {
    this.#mapping?.close();
    this.#mapping = null;
  }
}

class PreadFile implements ReadFile {
  readonly mapped = null;
  readonly path: string;
  readonly size: number;
  /** Null when closed. */
  #fd: number | null;

  constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.size = size;
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#fd === null) throw closedError('view', this.path);
    checkRange(this.path, offset, length, this.size);
    return readRange(this.path, this.#fd, offset, length);
  }

  close(): void {
    if (this.#fd !== null) closeQuietly(this.#fd);
    this.#fd = null;
  }
}
