/**
 * The real disk. Each kind of file has a room of its own: `append_file.ts` for what is written, `read_file.ts` and
 * `mmap.ts` for what no longer changes, `preallocate.ts` for what will be written.
 *
 * Writes are in the page cache when `append` returns: the process may be killed then, but the machine may not. Only a
 * sync waits for the device, on Node's thread pool. On macOS Node's `fsync` and `fdatasync` flush the drive's own cache
 * as well (`F_FULLFSYNC`).
 */
import {
  close,
  fstatSync,
  fsync,
  linkSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DiskError } from '../../base/errors.ts';
import type { Access, AppendFile, Disk, ReadFile } from '../disk.ts';
import { type Done, NodeAppendFile } from './append_file.ts';
import { closeQuietly } from './descriptor.ts';
import { attempt, toDiskError } from './disk_error.ts';
import { canMap } from './mmap.ts';
import { PageCache } from './page_cache.ts';
import { preallocateFile } from './preallocate.ts';
import { openReadFile, type Reads } from './read_file.ts';
import { removeFile } from './removal.ts';

export interface NodeDiskOptions {
  readonly reads: Reads;
  /** For `direct`: how much memory the pages of files may take, in bytes; 64 MiB unless said otherwise. */
  readonly pageCacheBytes?: number;
}

const PAGE_CACHE_BYTES = 64 * 1024 * 1024;

export class NodeDisk implements Disk {
  readonly #reads: Reads;
  /** Null: the disk has none of its own. */
  readonly pageCache: PageCache | null;

  constructor(options: NodeDiskOptions) {
    this.#reads = options.reads;
    this.pageCache =
      options.reads === 'direct' ? new PageCache(options.pageCacheBytes ?? PAGE_CACHE_BYTES) : null;
    // What maps files is loaded now: it would hold up the first flush for ten milliseconds and more.
    if (options.reads === 'auto' || options.reads === 'mmap') canMap();
  }

  list(directory: string): string[] {
    return attempt('list', directory, () => readdirSync(directory)).sort();
  }

  exists(path: string): boolean {
    // Not `existsSync`, to which a directory that may not be searched is a file that does not exist.
    try {
      statSync(path);
      return true;
    } catch (error) {
      const failure = toDiskError('exists', path, error);
      if (failure.errno === 'ENOENT' || failure.errno === 'ENOTDIR') return false;
      throw failure;
    }
  }

  makeDirectory(path: string): void {
    attempt('makeDirectory', path, () => mkdirSync(path, { recursive: true }));
  }

  open(path: string, access: Access = 'in-order'): ReadFile {
    return openReadFile(path, access === 'random' ? this.#reads : 'pread', this.pageCache);
  }

  create(path: string): AppendFile {
    const fd = attempt('create', path, () => openSync(path, 'wx+'));
    return new NodeAppendFile(path, fd, 0, 0);
  }

  openAppend(path: string, position: number): AppendFile {
    const fd = attempt('openAppend', path, () => openSync(path, 'r+'));
    try {
      const { size } = fstatSync(fd);
      if (!Number.isSafeInteger(position) || position < 0 || position > size) {
        const message = `position ${position} does not lie within ${size} bytes`;
        throw new DiskError('openAppend', path, 'EINVAL', message);
      }
      return new NodeAppendFile(path, fd, position, size);
    } catch (error) {
      closeQuietly(fd);
      throw toDiskError('openAppend', path, error);
    }
  }

  preallocate(path: string, bytes: number, done: Done): void {
    preallocateFile(path, bytes, done);
  }

  rename(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      throw toDiskError('rename', from, error, `to ${to}: `);
    }
  }

  remove(path: string): void {
    attempt('remove', path, () => removeFile(path));
  }

  link(from: string, to: string): void {
    try {
      linkSync(from, to);
    } catch (error) {
      throw toDiskError('link', from, error, `to ${to}: `);
    }
  }

  renameDirectory(from: string, to: string): void {
    const target = resolve(to);
    const isFromDirectory = attempt('renameDirectory', from, () => statSync(from)).isDirectory();
    if (!isFromDirectory) throw new DiskError('renameDirectory', from, 'ENOTDIR', 'this is a file');
    if (dirname(resolve(from)) !== dirname(target) || resolve(from) === target) {
      throw new DiskError(
        'renameDirectory',
        from,
        'EINVAL',
        `${to} is not another name in the same directory`,
      );
    }
    if (this.exists(to)) {
      if (!statSync(to).isDirectory()) {
        throw new DiskError('renameDirectory', to, 'EEXIST', 'a file has this name');
      }
      // Not only where renaming replaces empty directories: whoever has put something there meanwhile is told so.
      this.removeDirectory(to);
    }
    try {
      renameSync(from, to);
    } catch (error) {
      throw toDiskError('renameDirectory', from, error, `to ${to}: `);
    }
  }

  removeDirectory(path: string): void {
    attempt('removeDirectory', path, () => rmdirSync(path));
  }

  /** Some file systems cannot sync directories and say `EINVAL`: names are not safe on those, so it is an error here. */
  syncDirectory(path: string, done: Done): void {
    open(path, 'r', (openError, fd) => {
      if (openError !== null) {
        done(toDiskError('syncDirectory', path, openError));
        return;
      }
      fsync(fd, (error) => {
        close(fd, () => done(error === null ? null : directoryError(path, error)));
      });
    });
  }
}

function directoryError(path: string, error: NodeJS.ErrnoException): DiskError {
  if (error.code !== 'EINVAL') return toDiskError('syncDirectory', path, error);
  const message = 'this file system cannot sync directories, so that files could vanish: keep data elsewhere';
  return new DiskError('syncDirectory', path, 'EINVAL', message);
}
