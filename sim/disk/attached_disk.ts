/**
 * A simulated disk as one life of a process sees it. When the life ends, or the machine crashes, this object and every
 * file opened through it are dead: each call throws `SimCrash`, and no callback arrives.
 *
 * What a call does to the disk happens at once; what completes later is planned as an event. The disk does its part
 * of it even when the process is paused or gone (as long as the machine is up), only the callback goes through the
 * process's gate.
 */
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';
import type { SimProcess } from '../process.ts';
import type { Done, Drive } from './drive.ts';
import type { SimFile } from './file.ts';
import { SimAppendFile, SimReadFile } from './handles.ts';
import { Life } from './life.ts';
import { type Directory, namesIn, type Place } from './namespace.ts';

export class AttachedDisk implements Disk {
  readonly #drive: Drive;
  readonly #life: Life;

  constructor(drive: Drive, process: SimProcess) {
    this.#drive = drive;
    this.#life = new Life(drive, process);
  }

  list(directory: string): string[] {
    this.#life.check();
    const found = this.#drive.names.directory(directory);
    if (found === null) throw this.#missing('list', `${directory}/`, directory);
    return namesIn(found);
  }

  exists(path: string): boolean {
    this.#life.check();
    return this.#drive.names.file(path) !== null || this.#drive.names.directory(path) !== null;
  }

  makeDirectory(path: string): void {
    const crash = this.#life.begin();
    if (this.#drive.names.file(path) !== null) {
      throw new DiskError('makeDirectory', path, 'EEXIST', 'a file has this name');
    }
    if (this.#fileOnTheWay(path)) throw this.#missing('makeDirectory', path);
    this.#drive.named(this.#life.labels.makeDirectory, path, 0, 0);
    this.#drive.names.makeDirectory(path);
    this.#life.end(crash);
  }

  open(path: string): ReadFile {
    this.#life.check();
    return new SimReadFile(this.#life, this.#drive, this.#existing('open', path), path);
  }

  create(path: string): AppendFile {
    const crash = this.#life.begin();
    const place = this.#free('create', path);
    const file = this.#drive.makeFile();
    this.#drive.named(this.#life.labels.create, path, file.number, 0);
    this.#drive.names.set(place, file);
    this.#life.end(crash);
    return new SimAppendFile(this.#life, this.#drive, file, path, 0);
  }

  openAppend(path: string, position: number): AppendFile {
    this.#life.check();
    const file = this.#existing('openAppend', path);
    if (!Number.isInteger(position) || position < 0 || position > file.size) {
      throw new DiskError(
        'openAppend',
        path,
        'EINVAL',
        `position ${position} lies outside ${file.size} bytes`,
      );
    }
    return new SimAppendFile(this.#life, this.#drive, file, path, position);
  }

  preallocate(path: string, bytes: number, done: Done): void {
    const crash = this.#life.begin();
    let place: Place;
    try {
      if (!Number.isSafeInteger(bytes) || bytes < 0) {
        throw new DiskError('preallocate', path, 'EINVAL', `${bytes} is not a size`);
      }
      place = this.#free('preallocate', path);
      if (bytes > this.#drive.freeBytes()) {
        this.#drive.injure('full', path);
        throw new DiskError('preallocate', path, 'ENOSPC', `no space for ${bytes} bytes`);
      }
    } catch (error) {
      this.#life.complete(done, asDiskError(error));
      return;
    }
    const file = this.#drive.makeFile();
    this.#drive.named(this.#life.labels.preallocate, path, file.number, bytes);
    this.#drive.names.set(place, file);
    file.allocate(bytes);
    this.#life.startSync(file, 'preallocate', path, { failure: null }, done);
    this.#life.end(crash);
  }

  rename(from: string, to: string): void {
    const crash = this.#life.begin();
    // In the order in which a kernel looks.
    const source = this.#place('rename', from);
    const target = this.#drive.names.locate(to);
    if (target === null) throw this.#missing('rename', to, from);
    const file = this.#existing('rename', from);
    if (this.#drive.names.directory(to) !== null) throw isDirectory('rename', from);
    this.#drive.named(this.#life.labels.rename, `${from} ${to}`, file.number, 0);
    // POSIX: renaming a name to itself does nothing.
    if (source.directory !== target.directory || source.name !== target.name) {
      this.#drive.names.rename(source, target, file);
    }
    this.#life.end(crash);
  }

  remove(path: string): void {
    const crash = this.#life.begin();
    const file = this.#existing('remove', path);
    this.#drive.named(this.#life.labels.remove, path, file.number, 0);
    this.#drive.names.unset(this.#place('remove', path));
    this.#life.end(crash);
  }

  link(from: string, to: string): void {
    const crash = this.#life.begin();
    // In the order in which a kernel looks.
    const { names } = this.#drive;
    const file = names.file(from);
    if (file === null && names.directory(from) === null) throw this.#missing('link', from);
    const place = names.locate(to);
    if (place === null) throw this.#missing('link', to, from);
    if (this.exists(to)) throw new DiskError('link', from, 'EEXIST', `to ${to}: the name is taken`);
    if (file === null) throw new DiskError('link', from, 'EPERM', 'a directory has one name');
    this.#drive.named(this.#life.labels.link, `${from} ${to}`, file.number, 0);
    names.set(place, file);
    this.#life.end(crash);
  }

  renameDirectory(from: string, to: string): void {
    const crash = this.#life.begin();
    const operation = 'renameDirectory';
    const { names } = this.#drive;
    this.#existingDirectory(operation, from);
    const source = names.locate(from);
    const target = names.locate(to);
    if (source === null || source.directory !== target?.directory || source.name === target.name) {
      throw new DiskError(operation, from, 'EINVAL', `${to} is not another name in the same directory`);
    }
    if (names.file(to) !== null) throw new DiskError(operation, to, 'EEXIST', 'a file has this name');
    if (names.directory(to) !== null) this.#removeDirectory(operation, to);
    this.#drive.named(this.#life.labels.renameDirectory, `${from} ${to}`, 0, 0);
    names.renameDirectory(source, target);
    this.#life.end(crash);
  }

  removeDirectory(path: string): void {
    const crash = this.#life.begin();
    this.#removeDirectory('removeDirectory', path);
    this.#life.end(crash);
  }

  #removeDirectory(operation: string, path: string): void {
    const directory = this.#existingDirectory(operation, path);
    const place = this.#drive.names.locate(path);
    if (place === null || namesIn(directory).length > 0) {
      // As the real disk does, whatever it was to be removed for.
      throw new DiskError('removeDirectory', path, 'ENOTEMPTY', 'the directory is not empty');
    }
    this.#drive.named(this.#life.labels.removeDirectory, path, 0, 0);
    this.#drive.names.removeDirectory(place);
  }

  #existingDirectory(operation: string, path: string): Directory {
    const found = this.#drive.names.directory(path);
    if (found !== null) return found;
    if (this.#drive.names.file(path) === null) throw this.#missing(operation, path);
    throw new DiskError(operation, path, 'ENOTDIR', 'this is a file');
  }

  syncDirectory(path: string, done: Done): void {
    const crash = this.#life.begin();
    const directory = this.#drive.names.directory(path);
    if (directory === null) {
      this.#life.complete(done, this.#missing('syncDirectory', path));
      return;
    }
    const drive = this.#drive;
    const mark = drive.names.startSync();
    drive.named(this.#life.labels.syncDirectory, path, mark, 0);
    const fails = drive.drawSyncError(path) !== null;
    this.#life.whenSynced(() => {
      if (fails) drive.names.failSync(directory, mark);
      else drive.names.land(directory, mark);
      if (fails) drive.injure('failed-sync', path);
      const error = fails ? new DiskError('syncDirectory', path, 'EIO', 'the sync has failed') : null;
      this.#life.arrive(done, error);
    });
    this.#life.end(crash);
  }

  #existing(operation: string, path: string): SimFile {
    const file = this.#drive.names.file(path);
    if (file !== null) return file;
    throw this.#drive.names.directory(path) === null
      ? this.#missing(operation, path)
      : isDirectory(operation, path);
  }

  #place(operation: string, path: string): Place {
    const place = this.#drive.names.locate(path);
    if (place === null) throw this.#missing(operation, path);
    return place;
  }

  /** Why there is nothing under the path: a file on the way to it is told from a directory that is missing. */
  #missing(operation: string, path: string, shown = path): DiskError {
    if (this.#fileOnTheWay(path)) {
      return new DiskError(operation, shown, 'ENOTDIR', 'a part of the path is a file');
    }
    return new DiskError(operation, shown, 'ENOENT', 'no such file or directory');
  }

  #fileOnTheWay(path: string): boolean {
    for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1)) {
      if (this.#drive.names.file(path.slice(0, at)) !== null) return true;
    }
    return false;
  }

  #free(operation: string, path: string): Place {
    const place = this.#place(operation, path);
    if (this.exists(path)) throw new DiskError(operation, path, 'EEXIST', 'the name is taken');
    return place;
  }
}

function isDirectory(operation: string, path: string): DiskError {
  return new DiskError(operation, path, 'EISDIR', 'this is a directory');
}

function asDiskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}
