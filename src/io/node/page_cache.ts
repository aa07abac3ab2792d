/**
 * A cache of file pages in memory of its own, of a fixed size, for files that are read past the system's cache (O_DIRECT).
 * Such reads want memory that begins where a page does, which a `Buffer` does not; that of a `WebAssembly.Memory` does.
 *
 * What is thrown out is chosen by the clock algorithm (Corbató, 1968): the hand goes round the frames, passes by once what
 * was used again since its last visit, and takes the first that was not. A page that is read once, as by a scan, counts as
 * not used: it is gone after one round, and what is read often stays.
 *
 * Views are of the frames themselves as long as that is safe: by the seam's contract they must stay right until control
 * returns to the event loop, so a frame that was handed out is left alone until then. When half of the frames are, what
 * is handed out is copied.
 */
import { readSync } from 'node:fs';
import { DiskError } from '../../base/errors.ts';
import { toDiskError } from './disk_error.ts';

/** Four blocks of a table, usually: fewer reads for neighbours, and little that nobody asked for. */
export const FRAME_BYTES: number = 16 * 1024;
/** Fewer would not do for a merge of some tables. */
const FRAMES_MIN = 16;
/** Longer pieces are read past the cache: sections of tables, which are kept elsewhere. */
const CACHED_BYTES_MAX = 4 * FRAME_BYTES;
/** What they are read into, a part at a time. */
const SCRATCH_BYTES = 256 * 1024;
const WASM_PAGE_BYTES = 64 * 1024;
/** More frames than a file can have: file and frame together make a key. */
const FRAMES_OF_FILE_MAX = 2 ** 24;
const FREE = -1;

/** As far as it is needed here; the types of Node leave it out. */
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (size: {
      readonly initial: number;
      readonly maximum: number;
    }) => { readonly buffer: ArrayBuffer };
  };
};

/** A file as it was opened: a later one with the same descriptor or path is another. */
export interface DirectSource {
  readonly id: number;
  readonly path: string;
  /** Opened with O_DIRECT. */
  readonly fd: number;
  readonly size: number;
}

export interface PageCacheStatistics {
  readonly budgetBytes: number;
  /** Looks at a page that was there, and that had to be read. */
  readonly hits: number;
  readonly misses: number;
  /** Bytes read from the disk, what passed the cache by included. */
  readonly readBytes: number;
  /** Files that could not be opened past the system's cache, and are read through it. */
  readonly fallbacks: number;
}

export class PageCache {
  readonly #frames: number;
  readonly #memory: Uint8Array;
  readonly #scratchAt: number;
  /** Frame of each page that is here. */
  readonly #byKey = new Map<number, number>();
  readonly #keys: Float64Array;
  /** Whether it was used again. */
  readonly #wasUsed: Uint8Array;
  /** In which turn of the event loop it was handed out last. */
  readonly #turns: Float64Array;
  #turn = 1;
  /** Frames handed out in this turn; while there are any, its end is waited for. */
  #handedOut = 0;
  #hand = 0;
  #files = 0;
  #hits = 0;
  #misses = 0;
  #readBytes = 0;
  #fallbacks = 0;

  /** @param budgetBytes Allocated at once, and a quarter of a MiB more; at least 256 KiB, at most 3 GiB. */
  constructor(budgetBytes: number) {
    this.#frames = Math.max(FRAMES_MIN, Math.floor(budgetBytes / FRAME_BYTES));
    this.#scratchAt = this.#frames * FRAME_BYTES;
    const pages = Math.ceil((this.#scratchAt + SCRATCH_BYTES) / WASM_PAGE_BYTES);
    this.#memory = new Uint8Array(new wasm.Memory({ initial: pages, maximum: pages }).buffer);
    this.#keys = new Float64Array(this.#frames).fill(FREE);
    this.#wasUsed = new Uint8Array(this.#frames);
    this.#turns = new Float64Array(this.#frames);
  }

  statistics(): PageCacheStatistics {
    return {
      budgetBytes: this.#scratchAt,
      hits: this.#hits,
      misses: this.#misses,
      readBytes: this.#readBytes,
      fallbacks: this.#fallbacks,
    };
  }

  /** For a file that is opened now. */
  nextId(): number {
    return this.#files++;
  }

  noteFallback(): void {
    this.#fallbacks++;
  }

  /**
   * The bytes `[offset, offset + length)` of the file, which lie within it: a view that is valid until control returns to
   * the event loop.
   * @throws DiskError
   */
  view(source: DirectSource, offset: number, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    if (length > CACHED_BYTES_MAX) return this.#readPast(source, offset, length);
    const first = Math.floor(offset / FRAME_BYTES);
    const within = offset - first * FRAME_BYTES;
    if (within + length <= FRAME_BYTES) {
      const frame = this.#frameOf(source, first);
      const start = frame * FRAME_BYTES + within;
      return this.#handOut(frame)
        ? this.#memory.subarray(start, start + length)
        : this.#memory.slice(start, start + length);
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const page = Math.floor(at / FRAME_BYTES);
      const start = at - page * FRAME_BYTES;
      const part = Math.min(length - done, FRAME_BYTES - start);
      const frameAt = this.#frameOf(source, page) * FRAME_BYTES + start;
      bytes.set(this.#memory.subarray(frameAt, frameAt + part), done);
      done += part;
    }
    return bytes;
  }

  /** False when enough frames have been handed out: this one may be needed again before the turn ends. */
  #handOut(frame: number): boolean {
    if (this.#turns[frame] === this.#turn) return true;
    if (2 * this.#handedOut >= this.#frames) return false;
    this.#turns[frame] = this.#turn;
    if (this.#handedOut++ === 0) setImmediate(this.#endTurn);
    return true;
  }

  readonly #endTurn = (): void => {
    this.#turn++;
    this.#handedOut = 0;
  };

  #frameOf(source: DirectSource, page: number): number {
    const key = source.id * FRAMES_OF_FILE_MAX + page;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      this.#hits++;
      this.#wasUsed[known] = 1;
      return known;
    }
    this.#misses++;
    const frame = this.#freeFrame();
    const offset = page * FRAME_BYTES;
    const wanted = Math.min(FRAME_BYTES, source.size - offset);
    this.#read(source, offset, frame * FRAME_BYTES, FRAME_BYTES, wanted);
    this.#keys[frame] = key;
    this.#byKey.set(key, frame);
    return frame;
  }

  /** Fewer than all are handed out, so the hand comes to one within two rounds. */
  #freeFrame(): number {
    for (;;) {
      const frame = this.#hand;
      this.#hand = (frame + 1) % this.#frames;
      if (this.#turns[frame] === this.#turn) continue;
      if (this.#wasUsed[frame] === 1) {
        this.#wasUsed[frame] = 0;
        continue;
      }
      // Whatever the read brings, the page that was here is not any more.
      if (this.#keys[frame] !== FREE) this.#byKey.delete(this.#keys[frame] ?? FREE);
      this.#keys[frame] = FREE;
      return frame;
    }
  }

  #readPast(source: DirectSource, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const start = at - (at % FRAME_BYTES);
      const skip = at - start;
      const part = Math.min(length - done, SCRATCH_BYTES - skip);
      this.#read(source, start, this.#scratchAt, SCRATCH_BYTES, skip + part);
      bytes.set(this.#memory.subarray(this.#scratchAt + skip, this.#scratchAt + skip + part), done);
      done += part;
    }
    return bytes;
  }

  /** Reads at least `wanted` bytes from `offset` on, and `most` where the file has so many. Both are of whole frames. */
  #read(source: DirectSource, offset: number, target: number, most: number, wanted: number): void {
    let done = 0;
    try {
      while (done < wanted) {
        const count = readSync(source.fd, this.#memory, target + done, most - done, offset + done);
        if (count === 0) {
          const message = `the file has been cut behind our back: it ends at offset ${offset + done}`;
          throw new DiskError('view', source.path, 'EIO', message);
        }
        done += count;
      }
    } catch (error) {
      throw toDiskError('view', source.path, error);
    }
    this.#readBytes += done;
  }
}
