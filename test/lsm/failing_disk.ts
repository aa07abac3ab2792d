/**
 * A disk of which one operation fails: the n-th. Reads and `list`, `exists`, `open` count as operations; a `sync` that
 * fails does so in its callback, and nothing that it covers is made durable by it. Some tests let only what changes the
 * disk count, or only what takes space, which then fails with ENOSPC.
 *
 * Reads that fail once are tried again: where they are to fail, `readsFailForGood` has them fail whenever that file is read
 * from then on.
 */
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';

export type Counted = 'everything' | 'changes' | 'space';

const CHANGES: ReadonlySet<string> = new Set(['create', 'append', 'truncate', 'rename', 'remove']);

type Done = (error: DiskError | null) => void;

export class FailingDisk implements Disk {
  readonly #disk: Disk;
  readonly #later: (task: () => void) => void;
  #left: number;
  readonly #counted: Counted;
  hasFailed = false;
  readsFailForGood = false;
  /** The file of which a read has failed. */
  #unreadable = '';

  /** @param nth From 1. */
  constructor(disk: Disk, nth: number, later: (task: () => void) => void, counted: Counted = 'everything') {
    this.#disk = disk;
    this.#counted = counted;
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
      mapped: null,
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

  link(from: string, to: string): void {
    this.#count('link', from);
    this.#disk.link(from, to);
  }

  renameDirectory(from: string, to: string): void {
    this.#count('renameDirectory', from);
    this.#disk.renameDirectory(from, to);
  }

  removeDirectory(path: string): void {
    this.#count('removeDirectory', path);
    this.#disk.removeDirectory(path);
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
    if (this.#counted !== 'everything' && !CHANGES.has(operation)) return;
    if (this.#counted === 'space' && operation !== 'append' && operation !== 'create') return;
    this.#left--;
    const isRead = operation === 'open' || operation === 'view';
    if (this.#left !== 0 && !(isRead && path === this.#unreadable)) return;
    this.hasFailed = true;
    if (isRead && this.readsFailForGood) this.#unreadable = path;
    throw new DiskError(operation, path, this.#counted === 'space' ? 'ENOSPC' : 'EIO', 'this one fails');
  }

  #countLater(operation: string, path: string, done: Done): boolean {
    if (this.#counted === 'space') return false;
    this.#left--;
    if (this.#left !== 0) return false;
    this.hasFailed = true;
    this.#later(() => done(new DiskError(operation, path, 'EIO', 'this one fails')));
    return true;
  }
}
