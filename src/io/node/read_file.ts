/**
 * Immutable files: mapped where that is possible, read piece by piece otherwise. Both are read within the call; a page
 * that is not in memory makes it wait for the device.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import type { ReadFile } from '../disk.ts';
import { closeQuietly, readRange } from './descriptor.ts';
import { attempt, checkRange, closedError, toDiskError } from './disk_error.ts';
import { type Mapping, mapFile } from './mmap.ts';

/**
 * How immutable files are read. `auto` maps them, and falls back to `pread` for a file that cannot be mapped (see
 * `mapFile`: no `koffi`, more than 2 GiB, too many mappings). `mmap` refuses such a file instead; `pread` never maps.
 */
export type Reads = 'auto' | 'mmap' | 'pread';

export function openReadFile(path: string, reads: Reads): ReadFile {
  const fd = attempt('open', path, () => openSync(path, 'r'));
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new DiskError('open', path, 'EISDIR', 'this is a directory');
    // What cannot be mapped because it is empty needs no mapping.
    if (reads === 'pread' || stat.size === 0) return new PreadFile(path, fd, stat.size);
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
