/** Reads segments that are no longer written to. A few stay open: who lags reads along. */
import type { Disk, ReadFile } from '../io/disk.ts';
import { segmentPath } from './segment_header.ts';

const OPEN_FILES_MAX = 8;

export class SealedSegments {
  readonly #disk: Disk;
  readonly #directory: string;
  /** By number, the least recently used first. */
  readonly #files = new Map<number, ReadFile>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** A view that is valid until the next call. @throws DiskError */
  view(segment: number, offset: number, bytes: number): Uint8Array {
    let file = this.#files.get(segment);
    if (file === undefined) file = this.#disk.open(segmentPath(this.#directory, segment));
    else this.#files.delete(segment);
    this.#files.set(segment, file);
    if (this.#files.size > OPEN_FILES_MAX) this.#closeOldest();
    return file.view(offset, bytes);
  }

  /** The segment is about to be removed. */
  forget(segment: number): void {
    this.#files.get(segment)?.close();
    this.#files.delete(segment);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #closeOldest(): void {
    for (const [segment, file] of this.#files) {
      this.#files.delete(segment);
      file.close();
      return;
    }
  }
}
