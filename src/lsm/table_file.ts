/**
 * The file of a table as its reader sees it. A read that the disk refuses (EIO) is tried again; what it still refuses then
 * is an error of the disk, or, for who can have the table from elsewhere, damage of the table like any other.
 */
import { CorruptionError } from '../base/errors.ts';
import { isReadError, readStubbornly } from '../base/read_error.ts';
import type { Disk, ReadFile } from '../io/disk.ts';

/** What becomes of bytes that the disk does not give. */
export type Unreadable = 'error' | 'damage';

export class TableFile implements ReadFile {
  readonly path: string;
  readonly size: number;
  readonly #file: ReadFile;
  readonly #unreadable: Unreadable;

  /** @throws DiskError; CorruptionError when the disk refuses and that is damage. */
  static open(disk: Disk, path: string, unreadable: Unreadable): TableFile {
    try {
      return new TableFile(
        readStubbornly(() => disk.open(path, 'random')),
        unreadable,
      );
    } catch (error) {
      throw unreadable === 'damage' && isReadError(error) ? damageOf(path, 0, 'it cannot be opened') : error;
    }
  }

  private constructor(file: ReadFile, unreadable: Unreadable) {
    this.#file = file;
    this.#unreadable = unreadable;
    this.path = file.path;
    this.size = file.size;
  }

  get mapped(): Uint8Array | null {
    return this.#file.mapped;
  }

  /** As of any file. @throws DiskError; CorruptionError when the disk refuses and that is damage. */
  view(offset: number, length: number): Uint8Array {
    try {
      return this.#file.view(offset, length);
    } catch (error) {
      if (!isReadError(error)) throw error;
    }
    return this.#viewAgain(offset, length);
  }

  close(): void {
    this.#file.close();
  }

  #viewAgain(offset: number, length: number): Uint8Array {
    try {
      return readStubbornly(() => this.#file.view(offset, length));
    } catch (error) {
      if (this.#unreadable === 'error' || !isReadError(error)) throw error;
      throw damageOf(this.path, offset, `the disk does not give the ${length} bytes there`);
    }
  }
}

function damageOf(path: string, offset: number, what: string): CorruptionError {
  return new CorruptionError(path, offset, `${what}, however often it is asked (EIO)`);
}
