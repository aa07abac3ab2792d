/**
 * The content of one simulated file: what a process sees now (`data`) and what a crash leaves (`#durable`), with the
 * writes that make the difference.
 *
 * Writes are remembered as byte ranges. Starting a sync moves the ranges into a flight together with a copy of their
 * bytes, so that what is written while the sync is under way is not covered; when the flight lands, the copy is put into
 * the durable image. Landing implies that all earlier flights of the file have landed, as a later sync covers what an
 * earlier one does. A failed flight puts its ranges among the forgotten: no later sync covers them.
 *
 * A crash decides sector by sector (512 bytes) over everything that isn't in the durable image, then about the size.
 */
import { assert } from '../../src/base/assert.ts';
import type { SimRandom } from '../random.ts';
import { type CrashShape, drawFates } from './crash_model.ts';

export const SECTOR_BYTES = 512;
const CAPACITY_MIN_BYTES = 256;

/** Bytes [start, end) of a file. */
interface Range {
  start: number;
  end: number;
}

interface CopiedRange {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** A sync under way: the content of the file when it was started, as far as it wasn't durable. */
export interface Flight {
  readonly ranges: readonly CopiedRange[];
  readonly size: number;
  /** The smallest size of the file since the flight before: the durable bytes behind it were cut off. */
  readonly lowSize: number;
  state: 'flying' | 'landed' | 'failed';
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
  /** Covered by a failed sync only. */
  #forgotten: Range[] = [];
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
    const end = offset + bytes.length;
    if (end > this.#data.length) this.#reserve(end);
    this.#data.set(bytes, offset);
    if (end > this.#size) this.#size = end;
    this.#markDirty(offset, end);
    if (this.#badSectors !== null) this.#healSectors(offset, end);
  }

  /** Makes `bytes` zero bytes of a file that is still empty; they are durable when the next sync lands. */
  allocate(bytes: number): void {
    assert(this.#size === 0, 'space is allocated before anything is written', { size: this.#size });
    this.#data = new Uint8Array(bytes);
    this.#size = bytes;
  }

  truncate(size: number): void {
    if (size < this.#size) {
      this.#data.fill(0, size, this.#size);
      this.#dirty = cutRanges(this.#dirty, size);
      this.#forgotten = cutRanges(this.#forgotten, size);
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
    const ranges: CopiedRange[] = [];
    for (const { start, end } of this.#dirty) ranges.push({ start, bytes: this.#data.slice(start, end) });
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
      if (first === flight) return;
    }
  }

  /** The sync has failed: its pages are marked clean and nobody will write them. */
  failSync(flight: Flight): void {
    if (flight.state !== 'flying') return;
    flight.state = 'failed';
    this.#flights.splice(this.#flights.indexOf(flight), 1);
    for (const { start, bytes } of flight.ranges) {
      const end = Math.min(start + bytes.length, this.#size);
      if (start < end) this.#forgotten.push({ start, end });
    }
    if (flight.lowSize < this.#lowSize) this.#lowSize = flight.lowSize;
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
    this.#data[offset] ^= 1 << bit;
    if (offset < this.#durableSize) this.#durable[offset] ^= 1 << bit;
  }

  /** Replaces the content of the sector around `offset`, in the durable image too, by `bytes` (as far as they fit). */
  damageSector(offset: number, bytes: Uint8Array): void {
    const start = offset - (offset % SECTOR_BYTES);
    const length = Math.min(SECTOR_BYTES, bytes.length);
    const end = Math.min(start + length, this.#size);
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
    for (const { start, bytes } of flight.ranges) this.#durable.set(bytes, start);
    this.#durableSize = flight.size;
  }

  /** Every range of bytes within one sector that may differ from the durable image, each once, oldest write first. */
  #unsyncedSectors(): Range[] {
    const ranges: Range[] = [...this.#forgotten];
    for (const flight of this.#flights) {
      for (const { start, bytes } of flight.ranges) ranges.push({ start, end: start + bytes.length });
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
    this.#forgotten = [];
    this.#lowSize = this.#size;
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

function cutRanges(ranges: readonly Range[], size: number): Range[] {
  const kept: Range[] = [];
  for (const { start, end } of ranges) if (start < size) kept.push({ start, end: Math.min(end, size) });
  return kept;
}
