/**
 * The content of one simulated file: what a process sees now (`data`, the page cache) and what a crash leaves
 * (`#durable`, the platter), with the writes that make the difference.
 *
 * Writes are remembered as byte ranges. Starting a sync moves the ranges into a flight: what is written while the sync
 * is under way is not covered. When the flight lands, the bytes that its ranges had at the start are put into the durable
 * image. They are copied out only if something is about to change them, which an append never does. Landing implies that
 * all earlier flights of the file have landed, as a later sync covers what an earlier one does.
 *
 * Ranges can fall out of this: a failed flight puts its own among the forgotten, of which a crash may keep what it likes
 * but which no later sync covers; those of a lost write, or of a sync whose pages were marked clean, are ghosts, which a
 * crash takes for sure. Writing into a sector anew writes all of it again: that lays its ghosts.
 *
 * A crash decides sector by sector (512 bytes) over everything that isn't in the durable image, then about the size.
 */
import { assert } from '../../src/base/assert.ts';
import type { SimRandom } from '../random.ts';
import { type CrashShape, drawFates } from './crash_model.ts';
import { cutRanges, type Range, withinRange, withoutRange } from './ranges.ts';

export const SECTOR_BYTES = 512;
const CAPACITY_MIN_BYTES = 256;

/** Bytes [start, end) of a file as they were when a sync was started; null: as they still are. */
interface FlyingRange {
  readonly start: number;
  readonly end: number;
  bytes: Uint8Array | null;
}

/** What becomes of the ranges of a failed sync: see the head of this file. */
export type LostSync = 'forgotten' | 'ghosts' | 'reverted';

/** A sync under way: the content of the file when it was started, as far as it wasn't durable. */
export interface Flight {
  readonly ranges: readonly FlyingRange[];
  readonly size: number;
  /** The smallest size of the file since the flight before: the durable bytes behind it were cut off. */
  readonly lowSize: number;
  state: 'flying' | 'landed' | 'failed' | 'abandoned';
}

export class SimFile {
  /** Names the file in traces; a file has no other identity, its names come and go. */
  readonly number: number;
  /** The current content; only the first `size` bytes count, all behind them are zero. */
  #data: Uint8Array;
  #size = 0;
  #durable = new Uint8Array(0);
  #durableSize = 0;
  /** Written since the last sync was started, in the order of writing. */
  #dirty: Range[] = [];
  /** The smallest size since the last sync was started. */
  #lowSize = 0;
  /** Started and neither landed nor failed, oldest first. */
  #flights: Flight[] = [];
  /** No byte at or behind this place is part of a flight without a copy of it. */
  #flyingEnd = 0;
  /** Covered by a failed sync only. */
  #forgotten: Range[] = [];
  /** In memory alone, although everybody has been told that they are durable. Null: none, as nearly always. */
  #ghosts: Range[] | null = null;
  /** Both images are another file's: they are copied before anything changes. */
  #isBorrowed = false;
  /** Sectors that cannot be read. */
  #badSectors: Set<number> | null = null;

  constructor(number: number) {
    this.number = number;
    this.#data = new Uint8Array(0);
  }

  get size(): number {
    return this.#size;
  }

  /** True when a crash could change the content. */
  get isUnsynced(): boolean {
    return (
      this.#dirty.length > 0 ||
      this.#flights.length > 0 ||
      this.#forgotten.length > 0 ||
      this.#ghosts !== null ||
      this.#size !== this.#durableSize ||
      this.#lowSize !== this.#size
    );
  }

  /** The bytes [start, end), 0 <= start <= end <= size, without a copy. */
  view(start: number, end: number): Uint8Array {
    return this.#data.subarray(start, end);
  }

  write(offset: number, bytes: Uint8Array): void {
    assert(offset <= this.#size, 'a file has no holes', { offset, size: this.#size });
    this.#own();
    const end = offset + bytes.length;
    if (offset < this.#flyingEnd) this.#keepFlying(offset);
    if (end > this.#data.length) this.#reserve(end);
    this.#data.set(bytes, offset);
    if (end > this.#size) this.#size = end;
    this.#markDirty(offset, end);
    if (this.#ghosts !== null) this.#layGhosts(offset, end);
    if (this.#badSectors !== null) this.#healSectors(offset, end);
  }

  /** A write that is never done: it shows at a crash, or at once; the size of the file knows nothing of that. */
  loseWrite(offset: number, bytes: Uint8Array, seen: 'at-crash' | 'at-once'): void {
    this.#own();
    const end = offset + bytes.length;
    if (offset < this.#flyingEnd) this.#keepFlying(offset);
    this.#reserve(end);
    if (end > this.#size) this.#size = end;
    if (seen === 'at-once') return;
    this.#data.set(bytes, offset);
    this.#dirty = withoutRange(this.#dirty, offset, end);
    this.#addGhosts([{ start: offset, end }]);
  }

  /** Makes `bytes` zero bytes of a file that is still empty; they are durable when the next sync lands. */
  allocate(bytes: number): void {
    assert(this.#size === 0, 'space is allocated before anything is written', { size: this.#size });
    this.#data = new Uint8Array(bytes);
    this.#size = bytes;
  }

  truncate(size: number): void {
    this.#own();
    if (size < this.#size) {
      if (size < this.#flyingEnd) this.#keepFlying(size);
      this.#data.fill(0, size, this.#size);
      this.#dirty = cutRanges(this.#dirty, size);
      this.#forgotten = cutRanges(this.#forgotten, size);
      if (this.#ghosts !== null) this.#setGhosts(cutRanges(this.#ghosts, size));
      this.#size = size;
      if (size < this.#lowSize) this.#lowSize = size;
    } else if (size > this.#size) {
      const start = this.#size;
      this.#reserve(size);
      this.#size = size;
      this.#markDirty(start, size);
    }
  }

  startSync(): Flight {
    const ranges: FlyingRange[] = [];
    for (const { start, end } of this.#dirty) {
      ranges.push({ start, end, bytes: null });
      if (end > this.#flyingEnd) this.#flyingEnd = end;
    }
    const flight: Flight = { ranges, size: this.#size, lowSize: this.#lowSize, state: 'flying' };
    this.#dirty = [];
    this.#lowSize = this.#size;
    this.#flights.push(flight);
    return flight;
  }

  /** The sync has succeeded: what it covers is durable. */
  land(flight: Flight): void {
    // Landed already by a later one that overtook it.
    if (flight.state !== 'flying') return;
    for (;;) {
      const first = this.#flights.shift();
      assert(first !== undefined, 'a flying sync is among the flights of its file');
      first.state = 'landed';
      this.#makeDurable(first);
      if (this.#flights.length === 0) this.#flyingEnd = 0;
      if (first === flight) return;
    }
  }

  /** The sync has failed: its pages are marked clean and nobody will write them. */
  failSync(flight: Flight, lost: LostSync): void {
    if (flight.state !== 'flying') return;
    flight.state = 'failed';
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    const ranges: Range[] = [];
    for (const { start, end } of flight.ranges) ranges.push({ start, end });
    const left = cutRanges(ranges, this.#size);
    if (lost === 'forgotten') this.#forgotten.push(...left);
    else if (lost === 'reverted') this.#revert(left);
    else this.#makeGhosts(left);
    if (flight.lowSize < this.#lowSize) this.#lowSize = flight.lowSize;
  }

  /** Nobody does the sync: what it was to cover waits for another. */
  abandonSync(flight: Flight): void {
    if (flight.state !== 'flying') return;
    flight.state = 'abandoned';
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    const ranges: Range[] = [];
    for (const { start, end } of flight.ranges) ranges.push({ start, end });
    this.#dirty = [...cutRanges(ranges, this.#size), ...this.#dirty];
    if (flight.lowSize < this.#lowSize) this.#lowSize = flight.lowSize;
  }

  /**
   * A file of another disk with what the worst crash would leave now. Its bytes are this file's until they are written to,
   * so that this file must not change before the other one is done with.
   */
  survivor(number: number): SimFile {
    const survivor = new SimFile(number);
    const bytes = this.#durable.subarray(0, this.#durableSize);
    survivor.#data = bytes;
    survivor.#durable = bytes;
    survivor.#size = this.#durableSize;
    survivor.#durableSize = this.#durableSize;
    survivor.#lowSize = this.#durableSize;
    survivor.#isBorrowed = true;
    return survivor;
  }

  /** Replaces the content by one that a crash may leave. Handles and flights of before must no longer be used. */
  crash(shape: CrashShape, random: SimRandom): void {
    if (!this.isUnsynced) return;
    const sectors = this.#unsyncedSectors();
    const fates = drawFates(sectors.length, shape, random);
    this.#crashTruncation(shape, random);
    let keptEnd = this.#durableSize;
    if (this.#durable.length < this.#size) this.#durable = grown(this.#durable, this.#size);
    for (let i = 0; i < sectors.length; i++) {
      if (fates[i] === 'lost') continue;
      const { start, end: wholeEnd } = sectors[i];
      const end = fates[i] === 'torn' ? random.between(start, wholeEnd) : wholeEnd;
      this.#durable.set(this.#data.subarray(start, end), start);
      if (end > keptEnd) keptEnd = end;
    }
    const size = this.#drawSize(keptEnd, shape, random);
    this.#durable.fill(0, size);
    this.#durableSize = size;
    this.#restore();
  }

  /** Inverts a bit, in the durable image too: rot. */
  flipBit(offset: number, bit: number): void {
    this.#own();
    if (offset < this.#flyingEnd) this.#keepFlying(offset);
    this.#data[offset] ^= 1 << bit;
    if (offset < this.#durableSize) this.#durable[offset] ^= 1 << bit;
  }

  /** Replaces the content from the start of the sector around `offset` on, in the durable image too, as far as the file goes. */
  damage(offset: number, bytes: Uint8Array): void {
    this.#own();
    const start = offset - (offset % SECTOR_BYTES);
    const end = Math.min(start + bytes.length, this.#size);
    if (start < this.#flyingEnd) this.#keepFlying(start);
    this.#data.set(bytes.subarray(0, end - start), start);
    const durableEnd = Math.min(end, this.#durableSize);
    if (durableEnd > start) this.#durable.set(bytes.subarray(0, durableEnd - start), start);
  }

  /** A copy of the sector around `offset`, shorter at the end of the file. */
  sector(offset: number): Uint8Array {
    const start = offset - (offset % SECTOR_BYTES);
    return this.#data.slice(start, Math.min(start + SECTOR_BYTES, this.#size));
  }

  /** Makes the sector at `offset` unreadable until it is written again. */
  breakSector(offset: number): void {
    this.#badSectors ??= new Set();
    this.#badSectors.add(Math.floor(offset / SECTOR_BYTES));
  }

  isReadable(start: number, end: number): boolean {
    if (this.#badSectors === null || start === end) return true;
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(start / SECTOR_BYTES); sector <= last; sector++) {
      if (this.#badSectors.has(sector)) return false;
    }
    return true;
  }

  #healSectors(start: number, end: number): void {
    // A sector that is only partly overwritten would have to be read first, so it stays bad.
    const last = Math.floor(end / SECTOR_BYTES);
    for (let sector = Math.ceil(start / SECTOR_BYTES); sector < last; sector++)
      this.#badSectors?.delete(sector);
  }

  /** Copies out what flights cover from `start` on, before it changes. */
  #keepFlying(start: number): void {
    for (const { ranges } of this.#flights) {
      for (const range of ranges) {
        if (range.end > start) range.bytes ??= this.#data.slice(range.start, range.end);
      }
    }
    this.#flyingEnd = start;
  }

  #addGhosts(ranges: readonly Range[]): void {
    this.#setGhosts([...(this.#ghosts ?? []), ...ranges]);
  }

  #setGhosts(ranges: Range[]): void {
    this.#ghosts = ranges.length === 0 ? null : ranges;
  }

  /** But for what shares a sector with what was written since: that is going to be written. */
  #makeGhosts(ranges: readonly Range[]): void {
    this.#addGhosts(ranges);
    for (const { start, end } of [...this.#dirty]) this.#layGhosts(start, end);
    for (const flight of this.#flights) {
      for (const { start, end } of flight.ranges) this.#layGhosts(start, end);
    }
  }

  /** A write to [start, end) takes whole sectors from memory to the platter, and what else is in them with it. */
  #layGhosts(start: number, end: number): void {
    if (this.#ghosts === null || start === end) return;
    const low = start - (start % SECTOR_BYTES);
    const high = Math.min(Math.ceil(end / SECTOR_BYTES) * SECTOR_BYTES, this.#size);
    for (const ghost of withinRange(this.#ghosts, low, high)) this.#markDirty(ghost.start, ghost.end);
    this.#setGhosts(withoutRange(this.#ghosts, low, high));
  }

  /** Memory forgets what the ranges hold and shows what is on the platter, but for what was written since. */
  #revert(ranges: Range[]): void {
    let left = ranges;
    for (const { start, end } of this.#dirty) left = withoutRange(left, start, end);
    for (const flight of this.#flights) {
      for (const { start, end } of flight.ranges) left = withoutRange(left, start, end);
    }
    for (const { start, end } of left) {
      const known = Math.min(Math.max(start, this.#durableSize), end);
      this.#data.set(this.#durable.subarray(start, known), start);
      this.#data.fill(0, known, end);
    }
  }

  #own(): void {
    if (!this.#isBorrowed) return;
    this.#isBorrowed = false;
    this.#data = this.#data.slice();
    this.#durable = this.#durable.slice();
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#data.length) return;
    this.#data = grown(this.#data, Math.max(bytes, 2 * this.#data.length, CAPACITY_MIN_BYTES));
  }

  #markDirty(start: number, end: number): void {
    if (start === end) return;
    const dirty = this.#dirty;
    if (dirty.length > 0) {
      const last = dirty[dirty.length - 1];
      if (last.end === start) {
        last.end = end;
        return;
      }
    }
    dirty.push({ start, end });
  }

  #makeDurable(flight: Flight): void {
    if (flight.lowSize < this.#durableSize) {
      this.#durable.fill(0, flight.lowSize, this.#durableSize);
      this.#durableSize = flight.lowSize;
    }
    if (this.#durable.length < flight.size) {
      this.#durable = grown(this.#durable, Math.max(flight.size, this.#data.length));
    }
    for (const { start, end, bytes } of flight.ranges) {
      this.#durable.set(bytes ?? this.#data.subarray(start, end), start);
    }
    this.#durableSize = flight.size;
  }

  /** Every range of bytes within one sector that may differ from the durable image, each once, oldest write first. */
  #unsyncedSectors(): Range[] {
    const ranges: Range[] = [...this.#forgotten];
    for (const flight of this.#flights) {
      for (const { start, end } of flight.ranges) ranges.push({ start, end });
    }
    ranges.push(...this.#dirty);
    const bySector = new Map<number, Range>();
    for (const range of ranges) {
      const end = Math.min(range.end, this.#size);
      for (let start = range.start; start < end; ) {
        const sector = Math.floor(start / SECTOR_BYTES);
        const stop = Math.min(end, (sector + 1) * SECTOR_BYTES);
        const known = bySector.get(sector);
        if (known === undefined) bySector.set(sector, { start, end: stop });
        else {
          known.start = Math.min(known.start, start);
          known.end = Math.max(known.end, stop);
        }
        start = stop;
      }
    }
    return [...bySector.values()];
  }

  /** A truncation since the durable size was fixed is kept or lost as a whole. */
  #crashTruncation(shape: CrashShape, random: SimRandom): void {
    let lowSize = this.#lowSize;
    for (const flight of this.#flights) lowSize = Math.min(lowSize, flight.lowSize);
    if (lowSize >= this.#durableSize) return;
    if (shape === 'lose-all' || (shape !== 'keep-all' && random.chance(500))) return;
    this.#durable.fill(0, lowSize, this.#durableSize);
    this.#durableSize = lowSize;
  }

  #drawSize(keptEnd: number, shape: CrashShape, random: SimRandom): number {
    const low = this.#durableSize;
    const high = Math.max(low, this.#size);
    if (shape === 'lose-all') return low;
    if (shape === 'keep-all') return high;
    const draw = random.below(4);
    if (draw === 0) return random.between(low, high);
    if (draw === 1) return high;
    return Math.min(keptEnd, high);
  }

  #restore(): void {
    this.#size = this.#durableSize;
    this.#data = this.#durable.slice();
    this.#dirty = [];
    this.#flights = [];
    this.#flyingEnd = 0;
    this.#forgotten = [];
    this.#ghosts = null;
    this.#lowSize = this.#size;
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}
