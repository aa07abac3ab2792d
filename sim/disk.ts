/**
 * A simulated disk: the machine's, outliving its processes. Processes work on it through `attach`; the world crashes it,
 * damages it and looks into it here.
 *
 * What is modelled, and where:
 * - `disk/file.ts`: content, syncs and what a crash does to unsynced sectors;
 * - `disk/namespace.ts`: names and what a crash does to unsynced ones;
 * - `disk/attached_disk.ts`, `disk/handles.ts`: the seam itself, with its errors and injected faults;
 * - `disk/faults.ts`: faults by rates; `disk/armed.ts`: faults that strike once;
 * - `disk/injury.ts`: what the world is told of the faults that have struck.
 *
 * A crash forgets everything that no completed sync covers, or keeps it, or anything between; what was synced stays,
 * unless a fault has taken it: `failSync`, `loseWrite`, `misdirectWrite`, or damage done here and now (`flipByte` and
 * what follows it).
 */
import { assert } from '../src/base/assert.ts';
import type { Disk } from '../src/io/disk.ts';
import type { Aim, Seen } from './disk/armed.ts';
import { AttachedDisk } from './disk/attached_disk.ts';
import { type CrashShape, drawCrashShape } from './disk/crash_model.ts';
import { type CrashPoint, Drive } from './disk/drive.ts';
import type { DiskFaults } from './disk/faults.ts';
import { SECTOR_BYTES, type SimFile } from './disk/file.ts';
import type { Injury, InjuryKind } from './disk/injury.ts';
import type { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

export type { Aim, Seen } from './disk/armed.ts';
export type { CrashShape } from './disk/crash_model.ts';
export type { DiskFaults } from './disk/faults.ts';
export { type FileKind, fileKindOf } from './disk/file_kind.ts';
export type { Injury, InjuryKind } from './disk/injury.ts';

export interface SimDiskOptions {
  readonly scheduler: Scheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  /** What is left out is off, see `NO_DISK_FAULTS`. */
  readonly faults: Partial<DiskFaults>;
  /** Told of each fault at the moment in which it strikes. */
  readonly onInjury?: (injury: Injury) => void;
}

/** What a crash does to what is not durable; left out: drawn. */
export interface CrashShapes {
  readonly content?: CrashShape;
  readonly names?: CrashShape;
}

export class SimDisk {
  readonly #drive: Drive;

  constructor(options: SimDiskOptions) {
    this.#drive = new Drive(options.scheduler, options.random, options.trace, options.faults);
    if (options.onInjury !== undefined) this.#drive.onInjury = options.onInjury;
  }

  /** The disk as the present life of the process sees it. */
  attach(process: SimProcess): Disk {
    return new AttachedDisk(this.#drive, process);
  }

  /** While the world itself reads through a node's code no fault of an operation strikes; damage is found all the same. */
  setLookedAt(isLookedAt: boolean): void {
    this.#drive.isLookedAt = isLookedAt;
  }

  /** Changes some faults from now on. */
  setFaults(faults: Partial<DiskFaults>): void {
    this.#drive.faults = { ...this.#drive.faults, ...faults };
  }

  /** The process crashes inside its n-th next operation that changes the disk, n from 1; 0: it does not. */
  crashInsideAfter(operation: number): void {
    this.crashInside({ after: operation });
  }

  /** As `crashInsideAfter`, at a place in the operation: `partly` through what can be done in part. Left out: drawn. */
  crashInside({ after, at }: { readonly after: number; readonly at?: CrashPoint }): void {
    this.#drive.crashInsideAfter = after;
    this.#drive.crashInsideAt = at ?? null;
  }

  /**
   * A sync fails with EIO, and its pages are marked clean: a later sync of a file that is opened anew succeeds, and what
   * the failed one covered is lost all the same, unless a later write to the same sector takes it along.
   */
  failSync({ seen, ...aim }: Aim & { readonly seen: Seen }): void {
    this.#drive.armed.arm({ what: 'sync', seen }, aim);
  }

  /** A read fails with EIO; the next one of the same bytes does not. */
  failRead(aim: Aim): void {
    this.#drive.armed.arm({ what: 'read' }, aim);
  }

  /** An append fails with EIO after writing a part, the whole or nothing: a short write. */
  failWrite(aim: Aim): void {
    this.#drive.armed.arm({ what: 'write' }, aim);
  }

  /** An append is acknowledged and synced and never comes to the platter (Bairavasundaram et al., FAST 2008). */
  loseWrite({ seen, ...aim }: Aim & { readonly seen: Seen }): void {
    this.#drive.armed.arm({ what: 'append', goes: 'nowhere', seen }, aim);
  }

  /** An append is lost as by `loseWrite`, `at-crash`, and written over the start of some sector of a file at once. */
  misdirectWrite({ onto, ...aim }: Aim & { readonly onto: 'same-file' | 'other-file' }): void {
    this.#drive.armed.arm({ what: 'append', goes: onto }, aim);
  }

  /** From now on nothing but `leftBytes` more fit; `restoreSpace` ends it. */
  fill(leftBytes: number): void {
    this.#drive.fullAtBytes = this.#drive.usedBytes() + leftBytes;
    this.#drive.named('disk-full', '', this.#drive.fullAtBytes, 0);
  }

  restoreSpace(): void {
    this.#drive.fullAtBytes = Number.MAX_SAFE_INTEGER;
  }

  /** As `fill`, for `us` microseconds of virtual time. */
  fullFor(us: number, leftBytes: number): void {
    this.fill(leftBytes);
    const { fullAtBytes } = this.#drive;
    this.#drive.scheduler.after(us, () => {
      // Unless it has been filled again since.
      if (this.#drive.fullAtBytes === fullAtBytes) this.restoreSpace();
    });
  }

  /** Nothing is armed any more, there is space, syncs are as fast as ever. Damage stays. */
  heal(): void {
    this.#drive.armed.clear();
    this.crashInsideAfter(0);
    this.restoreSpace();
    this.setSlowness(1);
  }

  /** From now on each sync takes `factor` times as long. */
  setSlowness(factor: number): void {
    this.#drive.slowness = factor;
    this.#drive.slownessSet++;
  }

  /** From now on, for `us` microseconds, each sync takes `factor` times as long. */
  slow(factor: number, us: number): void {
    this.setSlowness(factor);
    const { slownessSet } = this.#drive;
    this.#drive.scheduler.after(us, () => {
      if (this.#drive.slownessSet === slownessSet) this.setSlowness(1);
    });
  }

  /** The machine stops: what is not durable is kept, lost or torn; syncs under way never call back. */
  crash(shapes: CrashShapes = {}): void {
    const drive = this.#drive;
    drive.crashInsideAfter = 0;
    const shape = drawCrashShape(drive.crashRandom);
    const { content = shape, names = shape } = shapes;
    drive.named('disk-crash', content === names ? content : `${content}, names ${names}`, ++drive.epoch, 0);
    drive.names.crash(names, drive.crashRandom);
    for (const [, file] of drive.names.entries()) file.crash(content, drive.crashRandom);
  }

  /** The whole disk is lost, and an empty one in its place. Whoever works on it finds that the machine has crashed. */
  wipe(): void {
    const drive = this.#drive;
    drive.armed.clear();
    drive.crashInsideAfter = 0;
    drive.named('disk-wiped', '', ++drive.epoch, 0);
    drive.names.wipe();
    drive.injure('wiped', '');
  }

  /**
   * A disk of another world with what the worst crash would leave on this one, if it came now: what is durable, and
   * nothing else. Nothing changes here, and nothing must while that disk is used: the bytes are shared until written to.
   */
  survivor(options: SimDiskOptions): SimDisk {
    const survivor = new SimDisk(options);
    const { names } = survivor.#drive;
    for (const path of this.#drive.names.durableDirectories()) names.makeDirectory(path);
    for (const [path, file] of this.#drive.names.durableEntries()) {
      const place = names.locate(path);
      assert(place !== null, 'directories come first', { path });
      names.set(place, survivor.#drive.takeOver(file));
    }
    survivor.crash({ content: 'keep-all', names: 'keep-all' });
    return survivor;
  }

  /** Paths of all files, by directory in order of making, then by name. */
  files(): string[] {
    return [...this.#drive.names.entries()].map(([path]) => path);
  }

  /** In bytes. */
  sizeOf(path: string): number {
    return this.#file(path).size;
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
    this.#drive.injure('rot', path, offset, offset + 1);
  }

  /** A lost write, long after: the sector around `offset` holds zeros, as if what was acknowledged had never come to it. */
  loseSector(path: string, offset: number): void {
    this.#drive.named('disk-lost-write', path, offset, 0);
    this.#file(path).damage(offset, new Uint8Array(SECTOR_BYTES));
    this.#injureSector('lost-write', path, offset);
  }

  /** A misdirected write, long after: the sector around `offset` holds what belongs to the sector around `from`. */
  misdirectSector(path: string, from: number, offset: number): void {
    const file = this.#file(path);
    this.#drive.named('disk-misdirected', path, from, offset);
    file.damage(offset, file.sector(from));
    this.#injureSector('overwritten', path, offset);
  }

  /** Reads that touch the sector at `offset` fail with EIO until it is written again. */
  breakSector(path: string, offset: number): void {
    this.#drive.named('disk-bad-sector', path, offset, 0);
    this.#file(path).breakSector(offset);
    this.#injureSector('bad-sector', path, offset);
  }

  /** The name is gone for good, as if it had never been given; who has the file open goes on with it. */
  loseName(path: string): void {
    const { names } = this.#drive;
    const place = names.locate(path);
    assert(place !== null && names.file(path) !== null, 'the file exists', { path });
    this.#drive.named('disk-lost-name', path, 0, 0);
    names.lose(place);
    this.#drive.injure('lost-name', path);
  }

  #injureSector(kind: InjuryKind, path: string, offset: number): void {
    const start = offset - (offset % SECTOR_BYTES);
    this.#drive.injure(kind, path, start, Math.min(start + SECTOR_BYTES, this.#file(path).size));
  }

  #file(path: string): SimFile {
    const file = this.#drive.names.file(path);
    assert(file !== null, 'the file exists', { path });
    return file;
  }
}
