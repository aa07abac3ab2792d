/**
 * A file under appending: `pwrite` at a position of our own, `fdatasync` on the thread pool.
 *
 * Syncs of one file run one after the other; those asked for while one is under way share the next. That is the least
 * work for the device, and it is needed: the kernel reports lost pages to one `fdatasync` only, so of two side by side
 * one might vouch for what the other has just learned to be lost.
 *
 * A sync that failed is remembered. The kernel may have marked the lost pages clean, so nothing later can vouch for the
 * file: every later append and truncate throws that error, every later sync is answered with it.
 */
import { fdatasync, ftruncateSync } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import type { AppendFile } from '../disk.ts';
import { closeQuietly, readRange, writeSome } from './descriptor.ts';
import { checkRange, closedError, toDiskError } from './disk_error.ts';

export type Done = (error: DiskError | null) => void;

/** `fs.fdatasync`, or what stands in for it in a test of failing devices. */
export type SyncCall = (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => void;

export class NodeAppendFile implements AppendFile {
  readonly path: string;
  readonly #fd: number;
  readonly #syncCall: SyncCall;
  #position: number;
  #size: number;
  #isClosed = false;
  /** Of the first sync that failed. */
  #failure: DiskError | null = null;
  /** Those that the sync under way answers; null when none is under way. */
  #answered: Done[] | null = null;
  /** Those that the next sync answers. Empty unless one is under way. */
  #waiting: Done[] = [];

  /** Takes over the descriptor, opened for reading and writing. `position` and `size` are in bytes. */
  constructor(path: string, fd: number, position: number, size: number, syncCall: SyncCall = fdatasync) {
    this.path = path;
    this.#fd = fd;
    this.#position = position;
    this.#size = size;
    this.#syncCall = syncCall;
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
    try {
      while (written < bytes.length) {
        written += writeSome(this.#fd, bytes, written, this.#position + written);
      }
    } catch (error) {
      this.#size = Math.max(this.#size, this.#position + written);
      throw toDiskError('append', this.path, error);
    }
    this.#position += written;
    if (this.#position > this.#size) this.#size = this.#position;
  }

  sync(done: Done): void {
    if (this.#isClosed) throw closedError('sync', this.path);
    if (this.#failure !== null) {
      setImmediate(done, this.#failure);
      return;
    }
    this.#waiting.push(done);
    if (this.#answered === null) this.#startSync();
  }

  truncate(size: number): void {
    this.#check('truncate');
    // Node takes a negative size for zero.
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new DiskError('truncate', this.path, 'EINVAL', `${size} is not a size`);
    }
    try {
      ftruncateSync(this.#fd, size);
    } catch (error) {
      throw toDiskError('truncate', this.path, error);
    }
    this.#size = size;
    this.#position = Math.min(this.#position, size);
  }

  /** A copy: the file may be cut, and a mapping of bytes that are no more ends the process with SIGBUS. */
  view(offset: number, length: number): Uint8Array {
    if (this.#isClosed) throw closedError('view', this.path);
    checkRange(this.path, offset, length, this.#size);
    return readRange(this.path, this.#fd, offset, length);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Syncs under way need the descriptor, whose number must not become another file's before they end.
    if (this.#answered === null) closeQuietly(this.#fd);
  }

  #startSync(): void {
    this.#answered = this.#waiting;
    this.#waiting = [];
    this.#syncCall(this.#fd, this.#onSynced);
  }

  readonly #onSynced = (error: NodeJS.ErrnoException | null): void => {
    let answered = this.#answered ?? [];
    this.#answered = null;
    if (error !== null) {
      this.#failure = toDiskError('sync', this.path, error);
      answered = answered.concat(this.#waiting);
      this.#waiting = [];
    }
    if (this.#waiting.length > 0) this.#startSync();
    else if (this.#isClosed) closeQuietly(this.#fd);
    for (const done of answered) done(this.#failure);
  };

  #check(operation: string): void {
    if (this.#isClosed) throw closedError(operation, this.path);
    if (this.#failure !== null) throw this.#failure;
  }
}
