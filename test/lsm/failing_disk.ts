/**
 * A disk of which one operation fails: the n-th. Reads and `list`, `exists`, `open` count as operations; a `sync` that
 * fails does so in its callback, and nothing that it covers is made durable by it.
 */
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';

type Done = (error: DiskError | null) => void;

export class FailingDisk implements Disk {
  readonly #disk: Disk;
  readonly #later: (task: () => void) => void;
  #left: number;
  hasFailed = false;

  /** @param nth From 1. */
  constructor(disk: Disk, nth: number, later: (task: () => void) => void) {
    this.#disk = disk;
    this.#left = nth;
    this.#later = later;
  }

  list(directory: string): string[] {
    this.#count('list', directory);
    return this.#disk.list(directory);
  }

  exists(path: string): boolean {
    this.#count('exists', path);
    return this.#disk.exists(path);
  }

  makeDirectory(path: string): void {
    this.#count('makeDirectory', path);
    this.#disk.makeDirectory(path);
  }

  open(path: string): ReadFile {
    this.#count('open', path);
    const file = this.#disk.open(path);
    return {
      path,
      size: file.size,
      view: (offset, length) => {
        this.#count('view', path);
        return file.view(offset, length);
      },
      close: () => file.close(),
    };
  }

  create(path: string): AppendFile {
    this.#count('create', path);
    return this.#wrap(this.#disk.create(path));
  }

  openAppend(path: string, position: number): AppendFile {
    this.#count('openAppend', path);
    return this.#wrap(this.#disk.openAppend(path, position));
  }

  preallocate(path: string, bytes: number, done: Done): void {
    if (!this.#countLater('preallocate', path, done)) this.#disk.preallocate(path, bytes, done);
  }

  rename(from: string, to: string): void {
    this.#count('rename', from);
    this.#disk.rename(from, to);
  }

  remove(path: string): void {
    this.#count('remove', path);
    this.#disk.remove(path);
  }

  syncDirectory(path: string, done: Done): void {
    if (!this.#countLater('syncDirectory', path, done)) this.#disk.syncDirectory(path, done);
  }

  #wrap(file: AppendFile): AppendFile {
    const { path } = file;
    return {
      path,
      get position() {
        return file.position;
      },
      get size() {
        return file.size;
      },
      append: (bytes) => {
        this.#count('append', path);
        file.append(bytes);
      },
      sync: (done) => {
        if (!this.#countLater('sync', path, done)) file.sync(done);
      },
      truncate: (size) => {
        this.#count('truncate', path);
        file.truncate(size);
      },
      view: (offset, length) => file.view(offset, length),
      close: () => file.close(),
    };
  }

  #count(operation: string, path: string): void {
    this.#left--;
    if (this.#left !== 0) return;
    this.hasFailed = true;
    throw new DiskError(operation, path, 'EIO', 'this one fails');
  }

  #countLater(operation: string, path: string, done: Done): boolean {
    this.#left--;
    if (this.#left !== 0) return false;
    this.hasFailed = true;
    this.#later(() => done(new DiskError(operation, path, 'EIO', 'this one fails')));
    return true;
  }
}
