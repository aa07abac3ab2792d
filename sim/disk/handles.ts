/** Open files of a simulated disk. */
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, ReadFile } from '../../src/io/disk.ts';
import type { Done, Drive } from './drive.ts';
import type { SimFile } from './file.ts';
import type { Life } from './life.ts';

export class SimReadFile implements ReadFile {
  readonly path: string;
  readonly size: number;
  readonly #life: Life;
  readonly #drive: Drive;
  readonly #file: SimFile;
  #isOpen = true;

  constructor(life: Life, drive: Drive, file: SimFile, path: string) {
    this.#life = life;
    this.#drive = drive;
    this.#file = file;
    this.path = path;
    this.size = file.size;
    life.holdings.files++;
  }

  view(offset: number, length: number): Uint8Array {
    this.#life.check();
    if (!this.#isOpen) throw closed('view', this.path);
    return viewRange(
      this.#drive,
      this.#file,
      this.path,
      Math.min(this.size, this.#file.size),
      offset,
      length,
    );
  }

  close(): void {
    if (this.#isOpen) this.#life.holdings.files--;
    this.#isOpen = false;
  }
}

export class SimAppendFile implements AppendFile {
  readonly path: string;
  readonly #life: Life;
  readonly #drive: Drive;
  readonly #file: SimFile;
  #position: number;
  #isOpen = true;

  constructor(life: Life, drive: Drive, file: SimFile, path: string, position: number) {
    this.#life = life;
    this.#drive = drive;
    this.#file = file;
    this.path = path;
    this.#position = position;
    life.holdings.files++;
  }

  get position(): number {
    return this.#position;
  }

  get size(): number {
    return this.#file.size;
  }

  append(bytes: Uint8Array): void {
    const crash = this.#life.beginPartial();
    if (!this.#isOpen) throw closed('append', this.path);
    if (crash === 'before') {
      this.#writePart(bytes, bytes.length);
      this.#life.crashInside();
    }
    const drive = this.#drive;
    const growth = this.#position + bytes.length - this.#file.size;
    if (growth > 0) {
      const free = drive.freeBytes();
      if (growth > free) {
        this.#writePart(bytes, bytes.length - (growth - free));
        throw new DiskError('append', this.path, 'ENOSPC', `no space for ${bytes.length} bytes`);
      }
    }
    if (drive.drawWriteError()) {
      this.#writePart(bytes, bytes.length);
      throw new DiskError('append', this.path, 'EIO', `cannot write at offset ${this.#position}`);
    }
    drive.event(this.#life.labels.append, this.#file.number, this.#position, bytes);
    this.#file.write(this.#position, bytes);
    this.#position += bytes.length;
    this.#life.end(crash);
  }

  sync(done: Done): void {
    const crash = this.#life.begin();
    if (!this.#isOpen) throw closed('sync', this.path);
    this.#life.startSync(this.#file, 'sync', this.path, done);
    this.#life.end(crash);
  }

  truncate(size: number): void {
    const crash = this.#life.begin();
    if (!this.#isOpen) throw closed('truncate', this.path);
    if (!Number.isInteger(size) || size < 0) {
      throw new DiskError('truncate', this.path, 'EINVAL', `${size} is not a size`);
    }
    if (size - this.#file.size > this.#drive.freeBytes()) {
      throw new DiskError('truncate', this.path, 'ENOSPC', `no space for ${size} bytes`);
    }
    this.#drive.event(this.#life.labels.truncate, this.#file.number, size);
    this.#file.truncate(size);
    this.#position = Math.min(this.#position, size);
    this.#life.end(crash);
  }

  view(offset: number, length: number): Uint8Array {
    this.#life.check();
    if (!this.#isOpen) throw closed('view', this.path);
    return viewRange(this.#drive, this.#file, this.path, this.#file.size, offset, length);
  }

  close(): void {
    if (this.#isOpen) this.#life.holdings.files--;
    this.#isOpen = false;
  }

  /** Writes a drawn prefix, of at most `most` bytes, of what a failing append was given. */
  #writePart(bytes: Uint8Array, most: number): void {
    const part = bytes.subarray(0, this.#drive.drawPart(Math.max(0, most)));
    this.#drive.event(this.#life.labels.append, this.#file.number, this.#position, part);
    this.#file.write(this.#position, part);
  }
}

function viewRange(
  drive: Drive,
  file: SimFile,
  path: string,
  size: number,
  offset: number,
  length: number,
): Uint8Array {
  const end = offset + length;
  if (!(offset >= 0 && length >= 0 && end <= size && Number.isInteger(end) && Number.isInteger(offset))) {
    throw new DiskError('view', path, 'EINVAL', `${length} bytes at offset ${offset} are not within ${size}`);
  }
  if (drive.drawReadError() || !file.isReadable(offset, end)) {
    throw new DiskError('view', path, 'EIO', `cannot read ${length} bytes at offset ${offset}`);
  }
  return drive.lend(file.view(offset, end));
}

function closed(operation: string, path: string): DiskError {
  return new DiskError(operation, path, 'EBADF', 'the file has been closed');
}
