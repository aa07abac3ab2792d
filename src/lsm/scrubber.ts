/**
 * Reads through all tables at a set rate, over and over, to find what has rotted while there may still be another copy of
 * it: each block and each record against its checksum, and what is kept in memory (filter, index, range tombstones,
 * properties, footer) against the disk.
 *
 * A pass goes through the tables in the order of their numbers. It holds none: one that is gone meanwhile is passed over.
 */
import { CorruptionError } from '../base/errors.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Table } from './table.ts';
import type { Version } from './version.ts';

const TICK_MS = 100;

export interface ScrubberOptions {
  readonly clock: Clock;
  /** Above 0. */
  readonly bytesPerSecond: number;
  readonly version: () => Version;
  /** Once for each table. */
  readonly onDamage: (table: Table, error: CorruptionError) => void;
  /** The disk could not be read; that may pass. */
  readonly onDiskError: (table: Table, error: unknown) => void;
}

export class Scrubber {
  readonly #options: ScrubberOptions;
  #timer: Timer;
  #lastMs: number;
  /** Bytes that may be read; below 0 when a block took more than there was. */
  #budget = 0;
  /** Where the pass is. */
  #table = 0;
  #block = 0;
  /** The table there, as long as the version is this one. */
  #current: Table | null = null;
  #version: Version | null = null;
  readonly #damaged = new Set<number>();
  bytes = 0;
  passes = 0;

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#lastMs = options.clock.monotonicMs();
    this.#timer = options.clock.after(TICK_MS, this.#tick);
  }

  stop(): void {
    this.#timer.cancel();
  }

  readonly #tick = (): void => {
    const { clock, bytesPerSecond } = this.#options;
    const nowMs = clock.monotonicMs();
    // What a pause has left unread is not made up for: that would be a burst.
    const elapsedMs = Math.min(nowMs - this.#lastMs, 2 * TICK_MS);
    this.#lastMs = nowMs;
    this.#budget = Math.min(this.#budget, 0) + (elapsedMs * bytesPerSecond) / 1000;
    while (this.#budget > 0 && this.#step()) {
      // Block by block.
    }
    this.#timer = clock.after(TICK_MS, this.#tick);
  };

  /** One block, or the rest of a table; false at the end of a pass. */
  #step(): boolean {
    const table = this.#tableAtHand();
    if (table === null) {
      // Where there was nothing to read there was no pass.
      if (this.#table > 0) this.passes++;
      this.#table = 0;
      this.#block = 0;
      return false;
    }
    let bytes = 0;
    try {
      const { reader } = table;
      bytes = this.#block < reader.blocks ? reader.verifyRecords(this.#block) : reader.verifySections();
      this.#block++;
      if (this.#block > reader.blocks) this.#goOnBehind(table);
    } catch (error) {
      this.#goOnBehind(table);
      if (error instanceof CorruptionError) {
        this.#damaged.add(table.number);
        this.#options.onDamage(table, error);
      } else this.#options.onDiskError(table, error);
    }
    this.bytes += bytes;
    this.#budget -= bytes;
    return true;
  }

  /** The table with the lowest number that is not behind where the pass is. */
  #tableAtHand(): Table | null {
    const version = this.#options.version();
    if (version === this.#version && this.#current?.number === this.#table) return this.#current;
    let found: Table | null = null;
    for (const { table } of version.placed()) {
      const { number, damage } = table;
      if (number < this.#table || damage !== null || this.#damaged.has(number)) continue;
      if (found === null || number < found.number) found = table;
    }
    if (found !== null && found.number !== this.#table) {
      this.#table = found.number;
      this.#block = 0;
    }
    this.#version = version;
    this.#current = found;
    return found;
  }

  #goOnBehind(table: Table): void {
    this.#table = table.number + 1;
    this.#block = 0;
  }
}
