/**
 * A simulated disk: the machine's, outliving its processes. Processes work on it through `attach`; the world crashes it,
 * damages it and looks into it here.
 *
 * What is modelled, and where:
 * - `disk/file.ts`: content, syncs and what a crash does to unsynced sectors;
 * - `disk/namespace.ts`: names and what a crash does to unsynced ones;
 * - `disk/attached_disk.ts`, `disk/handles.ts`: the seam itself, with its errors and injected faults;
 * - `disk/faults.ts`: the rates.
 *
 * A crash forgets everything that no completed sync covers, or keeps it, or anything between; what was synced stays.
 */
import { assert } from '../src/base/assert.ts';
import type { Disk } from '../src/io/disk.ts';
import { AttachedDisk } from './disk/attached_disk.ts';
import { drawCrashShape } from './disk/crash_model.ts';
import { Drive } from './disk/drive.ts';
import type { DiskFaults } from './disk/faults.ts';
import { SECTOR_BYTES, type SimFile } from './disk/file.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

export type { DiskFaults } from './disk/faults.ts';

export interface SimDiskOptions {
  readonly scheduler: Scheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  /** What is left out is off, see `NO_DISK_FAULTS`. */
  readonly faults: Partial<DiskFaults>;
}

export class SimDisk {
  readonly #drive: Drive;

  constructor(options: SimDiskOptions) {
    this.#drive = new Drive(options.scheduler, options.random, options.trace, options.faults);
  }

  /** The disk as the present life of the process sees it. */
  attach(process: SimProcess): Disk {
    return new AttachedDisk(this.#drive, process);
  }

  /** Changes some faults from now on. */
  setFaults(faults: Partial<DiskFaults>): void {
    this.#drive.faults = { ...this.#drive.faults, ...faults };
  }

  /** The process crashes inside its n-th next operation that changes the disk, n from 1. */
  crashInsideAfter(operation: number): void {
    this.#drive.crashInsideAfter = operation;
  }

  /** From now on each sync takes `factor` times as long. */
  setSlowness(factor: number): void {
    this.#drive.slowness = factor;
  }

  /** The machine stops: what is not durable is kept, lost or torn; syncs under way never call back. */
  crash(): void {
    const drive = this.#drive;
    drive.crashInsideAfter = 0;
    const shape = drawCrashShape(drive.crashRandom);
    drive.named('disk-crash', shape, ++drive.epoch, 0);
    drive.names.crash(shape, drive.crashRandom);
    for (const [, file] of drive.names.entries()) file.crash(shape, drive.crashRandom);
  }

  /** Paths of all files, by directory in order of making, then by name. */
  files(): string[] {
    return [...this.#drive.names.entries()].map(([path]) => path);
  }

  /** A copy of the present content. */
  readRaw(path: string): Uint8Array {
    const file = this.#file(path);
    return file.view(0, file.size).slice();
  }

  /** Rot: inverts one bit of the byte at `offset`, on the platter as well. Which one, the seed decides. */
  flipByte(path: string, offset: number): void {
    const file = this.#file(path);
    assert(offset < file.size, 'only bytes of the file can rot', { path, offset, size: file.size });
    const bit = this.#drive.crashRandom.below(8);
    this.#drive.named('disk-rot', path, offset, bit);
    file.flipBit(offset, bit);
  }

  /** A lost write: the sector around `offset` holds zeros, as if what the disk acknowledged had never come to it. */
  loseSector(path: string, offset: number): void {
    this.#drive.named('disk-lost-write', path, offset, 0);
    this.#file(path).damageSector(offset, new Uint8Array(SECTOR_BYTES));
  }

  /** A misdirected write: the sector around `offset` holds what belongs to the sector around `from`. */
  misdirectSector(path: string, from: number, offset: number): void {
    const file = this.#file(path);
    this.#drive.named('disk-misdirected', path, from, offset);
    file.damageSector(offset, file.sector(from));
  }

  /** Reads that touch the sector at `offset` fail with EIO until it is written again. */
  breakSector(path: string, offset: number): void {
    this.#drive.named('disk-bad-sector', path, offset, 0);
    this.#file(path).breakSector(offset);
  }

  #file(path: string): SimFile {
    const file = this.#drive.names.file(path);
    assert(file !== null, 'the file exists', { path });
    return file;
  }
}
