/**
 * The disk seam: append-only files while they are written, immutable files afterwards.
 *
 * Every call but the ones with a `done` callback completes before it returns. Reads are synchronous; writes
 * are buffered by the disk; only durability is asynchronous. Paths are strings with `/` between the parts.
 *
 * What is promised about durability, and nothing more:
 * - bytes appended to a file are durable once a `sync` that was started after the append has called back
 *   without an error; a crash before that may keep, lose or tear any of them, in any order;
 * - a file's name (after `create`, `preallocate`, `link`, `rename`, `remove`) is durable once a `syncDirectory` of its
 *   directory that was started after it has called back without an error; before that a crash may keep or
 *   undo it, each name by itself;
 * - a failed sync is final for that file: what it covered may be lost although later syncs succeed, so nobody
 *   may retry it.
 *
 * Every failing call throws a `DiskError`, or hands one to its callback. Callbacks come later, never before
 * the call has returned, on the same thread.
 */
import type { DiskError } from '../base/errors.ts';

/**
 * How a file is going to be read. `random`: short pieces at any place, again and again; it may be mapped into memory. But
 * where the device cannot give a page of a mapping, the system ends the process. `in-order`, the default: it is read, and
 * what the device cannot give is a `DiskError` of that read.
 */
export type Access = 'in-order' | 'random';

export interface Disk {
  /** Names (not paths) of the entries of a directory, sorted by code unit. */
  list(directory: string): string[];
  exists(path: string): boolean;
  /** Makes the directory and its missing parents; an existing one is fine. */
  makeDirectory(path: string): void;
  /** Opens a file whose bytes no longer change (or whose appending end is in other hands). */
  open(path: string, access?: Access): ReadFile;
  /** Makes an empty file for appending. Throws `DiskError` with `EEXIST` when the name is taken. */
  create(path: string): AppendFile;
  /**
   * Opens an existing file for appending at `position` bytes from its start (0 <= position <= size). What the
   * file holds behind the position stays there until it is overwritten or truncated.
   */
  openAppend(path: string, position: number): AppendFile;
  /**
   * Makes a file of `bytes` zero bytes, space allocated and contents durable when `done` is called; the
   * name needs `syncDirectory` as ever. Appending over allocated zeros makes a sync cheaper than growing a file.
   */
  preallocate(path: string, bytes: number, done: (error: DiskError | null) => void): void;
  /** Replaces `to` if it exists; atomic for readers and, by name, at a crash. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /**
   * Gives a file whose bytes no longer change a second name; its bytes go with its last name. Throws `EEXIST` when the name
   * is taken, and `EXDEV`, `EPERM`, `EMLINK`, `ENOTSUP` or `ENOSYS` where this file cannot have another name there: then a
   * copy is the way.
   */
  link(from: string, to: string): void;
  /**
   * Gives a directory another name beside its old one, with all that is in it. Atomic, and durable with the next sync of the
   * directory that both names are in; until then a crash leaves one of them. `to` does not exist, or is an empty directory
   * that is replaced; else `EEXIST` (a file) or `ENOTEMPTY`. `EINVAL` when it would move to another directory.
   */
  renameDirectory(from: string, to: string): void;
  /** `ENOTEMPTY` unless it is empty. A crash may undo it until the directory that it was in is synced. */
  removeDirectory(path: string): void;
  syncDirectory(path: string, done: (error: DiskError | null) => void): void;
}

export interface ReadFile {
  readonly path: string;
  /** Size in bytes when it was opened. */
  readonly size: number;
  /**
   * All bytes of the file, where the disk has them in memory at no cost, under the rules of `view`; null where it has not,
   * and once closed. Ask for it anew in each turn. It saves who reads many short pieces the making of views.
   */
  readonly mapped: Uint8Array | null;
  /**
   * The bytes `[offset, offset + length)`. A view of the disk's own memory where that is possible, so: never
   * write to it, and do not use it after `close` or after control has returned to the event loop, unless a
   * copy was made. Throws `DiskError` when the range cannot be read (`EIO`) or lies outside the file (`EINVAL`).
   */
  view(offset: number, length: number): Uint8Array;
  /** Idempotent. Views taken before must no longer be used. */
  close(): void;
}

export interface AppendFile {
  readonly path: string;
  /** Where the next append goes, in bytes from the start. */
  readonly position: number;
  /** Size of the file in bytes; larger than `position` in a preallocated file. */
  readonly size: number;
  /**
   * Writes at `position` and advances it. The bytes are copied or written before the call returns: the caller
   * keeps the buffer. On an error (`ENOSPC`, `EIO`) the position stays and any part may have been written.
   */
  append(bytes: Uint8Array): void;
  /** Starts a sync that covers every append before this call. Several may be under way. */
  sync(done: (error: DiskError | null) => void): void;
  /** Cuts or zero-extends the file to `size` bytes; `position` becomes at most `size`. Durable with the next sync. */
  truncate(size: number): void;
  /** As `ReadFile.view`; sees every append before the call. */
  view(offset: number, length: number): Uint8Array;
  /** Idempotent; does not sync. Syncs under way still call back. */
  close(): void;
}
