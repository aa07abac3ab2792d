/** Open files of a simulated disk. */
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, ReadFile } from '../../src/io/disk.ts';
import type { Done, Drive } from './drive.ts';
import type { SimFile } from './file.ts';
import type { Life, SyncOwner } from './life.ts';

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

  /** Not where a read may fail, or views are watched: who is given all of the file asks for no more. */
  get mapped(): Uint8Array | null {
    this.#life.check();
    if (!this.#isOpen || this.#file.size < this.size || !this.#drive.mayMap) return null;
    return this.#file.isReadable(0, this.size) ? this.#file.view(0, this.size) : null;
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

/** After a failed sync, as the real one, it writes nothing more and vouches for nothing more. */
export class SimAppendFile implements AppendFile, SyncOwner {
  readonly path: string;
  failure: DiskError | null = null;
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
    this.#checkWritable('append');
    if (crash === 'partly') {
      this.#writePart(bytes, bytes.length);
      this.#life.crashInside();
    }
    const drive = this.#drive;
    const growth = this.#position + bytes.length - this.#file.size;
    if (growth > 0) {
      const free = drive.freeBytes();
      if (growth > free) {
        this.#writePart(bytes, bytes.length - (growth - free));
        drive.injure('full', this.path);
        throw new DiskError('append', this.path, 'ENOSPC', `no space for ${bytes.length} bytes`);
      }
    }
    if (drive.drawWriteError(this.path)) {
      this.#writePart(bytes, bytes.length);
      drive.injure('failed-write', this.path, this.#position, this.#position + bytes.length);
      throw new DiskError('append', this.path, 'EIO', `cannot write at offset ${this.#position}`);
    }
    drive.event(this.#life.labels.append, this.#file.number, this.#position, bytes);
    if (drive.armed.isEmpty || !this.#goesAstray(bytes)) this.#file.write(this.#position, bytes);
    this.#position += bytes.length;
    this.#life.end(crash);
  }

  sync(done: Done): void {
    const crash = this.#life.begin();
    if (!this.#isOpen) throw closed('sync', this.path);
    if (this.failure === null) this.#life.startSync(this.#file, 'sync', this.path, this, done);
    else this.#life.complete(done, this.failure);
    this.#life.end(crash);
  }

  truncate(size: number): void {
    const crash = this.#life.begin();
    this.#checkWritable('truncate');
    if (!Number.isInteger(size) || size < 0) {
      throw new DiskError('truncate', this.path, 'EINVAL', `${size} is not a size`);
    }
    if (size - this.#file.size > this.#drive.freeBytes()) {
      this.#drive.injure('full', this.path);
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

  #checkWritable(operation: string): void {
    if (!this.#isOpen) throw closed(operation, this.path);
    if (this.failure !== null) throw this.failure;
  }

  /** Whether the append is lost or lands elsewhere; then it is done with. */
  #goesAstray(bytes: Uint8Array): boolean {
    const drive = this.#drive;
    const fault = drive.armed.take('append', this.path);
    if (fault === null) return false;
    const { goes } = fault;
    this.#file.loseWrite(this.#position, bytes, goes === 'nowhere' ? fault.seen : 'at-crash');
    drive.injure('lost-write', this.path, this.#position, this.#position + bytes.length);
    if (goes !== 'nowhere') drive.misdirect(bytes, this.#file, this.#position, goes);
    return true;
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
  if (drive.drawReadError(path) || !file.isReadable(offset, end)) {
    if (!drive.isLookedAt) drive.injure('failed-read', path, offset, end);
    throw new DiskError('view', path, 'EIO', `cannot read ${length} bytes at offset ${offset}`);
  }
  return drive.lend(file.view(offset, end));
}

function closed(operation: string, path: string): DiskError {
  return new DiskError(operation, path, 'EBADF', 'the file has been closed');
}
