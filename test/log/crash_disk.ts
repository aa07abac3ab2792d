/**
 * A disk in memory that can crash, with a clock that stands still between the steps of a test.
 *
 * Each file has a durable image and the writes that no completed sync covers; each name the bindings that no completed
 * directory sync covers. `crash` keeps, loses, zeroes or tears each unsynced sector, and each unsynced name, by itself.
 * `kill` ends the process alone: everything is there, but what was not durable still is not.
 * Views are overwritten as soon as control is back in the loop, so that whoever keeps one is found out.
 */
import { DiskError } from '../../src/base/errors.ts';
import type { Clock, Timer } from '../../src/io/clock.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';

export type Draw = (bound: number) => number;
export type Operation = 'append' | 'sync' | 'syncDirectory' | 'preallocate' | 'create' | 'view';

const SECTOR_BYTES = 512;

interface Write {
  readonly number: number;
  readonly offset: number;
  /** What was written; null for a change of size to `offset`. */
  readonly bytes: Uint8Array | null;
}

class Inode {
  durable = new Uint8Array(0);
  current = new Uint8Array(0);
  writes: Write[] = [];

  write(number: number, offset: number, bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.writes.push({ number, offset, bytes: copy });
    this.current = applyWrite(this.current, { number, offset, bytes: copy });
  }

  resize(number: number, size: number): void {
    this.writes.push({ number, offset: size, bytes: null });
    this.current = resized(this.current, size);
  }

  makeDurable(number: number): void {
    while (this.writes.length > 0 && this.writes[0].number <= number) {
      const write = this.writes.shift();
      if (write !== undefined) this.durable = applyWrite(this.durable, write);
    }
  }

  afterCrash(draw: Draw): Inode {
    const versions = [this.durable];
    for (const write of this.writes) versions.push(applyWrite(versions[versions.length - 1], write));
    const zeroed = this.writes.reduce(
      (image, write) =>
        applyWrite(image, write.bytes === null ? write : { ...write, bytes: write.bytes.map(() => 0) }),
      this.durable,
    );
    const size = versions[draw(versions.length)].length;
    const mode = draw(4);
    const survivor = new Uint8Array(size);
    for (let start = 0; start < size; start += SECTOR_BYTES) {
      const version = mode === 0 ? 0 : mode === 1 ? versions.length - 1 : draw(versions.length);
      const pick = versions[version];
      const other = draw(8) === 0 ? zeroed : versions[draw(versions.length)];
      const torn = mode >= 2 && draw(3) === 0 ? draw(SECTOR_BYTES + 1) : SECTOR_BYTES;
      for (let i = 0; i < SECTOR_BYTES && start + i < size; i++) {
        survivor[start + i] = (i < torn ? pick : other)[start + i] ?? 0;
      }
    }
    const inode = new Inode();
    inode.durable = survivor;
    inode.current = survivor;
    return inode;
  }
}

interface Binding {
  readonly number: number;
  readonly inode: Inode | null;
}

export class CrashDisk implements Disk {
  /** Bindings of each path, the durable one first. */
  #names = new Map<string, Binding[]>();
  #number = 0;
  #isDead = false;
  readonly #completions: (() => void)[] = [];
  #views: Uint8Array[] = [];
  /** Operations counted by kind. */
  readonly counts = new Map<Operation, number>();
  viewedBytes = 0;
  readonly #unreadable: { readonly path: string; readonly from: number; readonly to: number }[] = [];
  /** An operation of this kind fails when the count to it reaches zero. */
  readonly #failures = new Map<Operation, { after: number; errno: string }>();

  /** Lets the operation after the next `after` ones of its kind fail, and all later ones. */
  failFrom(operation: Operation, after: number, errno: string): void {
    this.#failures.set(operation, { after, errno });
  }

  /** Views that touch these bytes of the file fail from now on. */
  makeUnreadable(path: string, from: number, to: number): void {
    this.#unreadable.push({ path, from, to });
  }

  count(operation: Operation): number {
    return this.counts.get(operation) ?? 0;
  }

  /** Calls back what has completed first; false when nothing is under way. */
  completeNext(): boolean {
    const completion = this.#completions.shift();
    if (completion === undefined) return false;
    this.poisonViews();
    if (!this.#isDead) completion();
    return true;
  }

  poisonViews(): void {
    for (const view of this.#views) view.fill(0xdb);
    this.#views = [];
  }

  /** The disk as the next start of the machine finds it. This one is dead. */
  crash(draw: Draw): CrashDisk {
    const next = this.#successor();
    const inodes = new Map<Inode, Inode>();
    for (const [path, bindings] of this.#names) {
      const { inode } = bindings[draw(bindings.length)];
      if (inode === null) continue;
      const survivor = inodes.get(inode) ?? inode.afterCrash(draw);
      inodes.set(inode, survivor);
      next.#names.set(path, [{ number: 0, inode: survivor }]);
    }
    return next;
  }

  /** The disk as the next process finds it. This one is dead. */
  kill(): CrashDisk {
    const next = this.#successor();
    next.#names = this.#names;
    next.#number = this.#number;
    return next;
  }

  files(): string[] {
    return [...this.#names.keys()].filter((path) => this.exists(path)).sort();
  }

  /** A copy of what a file holds now. */
  contents(path: string): Uint8Array {
    return this.#find(path, 'contents').current.slice();
  }

  /** Replaces what a file holds, durably. */
  overwrite(path: string, bytes: Uint8Array): void {
    const inode = this.#find(path, 'overwrite');
    inode.writes = [];
    inode.durable = bytes.slice();
    inode.current = inode.durable;
  }

  /** Lets a byte rot under open files. */
  flipBit(path: string, offset: number): void {
    this.#find(path, 'flipBit').current[offset] ^= 1;
  }

  list(directory: string): string[] {
    const prefix = `${directory}/`;
    const paths = this.files().filter((path) => path.startsWith(prefix));
    return paths.map((path) => path.slice(prefix.length)).filter((name) => !name.includes('/'));
  }

  exists(path: string): boolean {
    return (this.#names.get(path)?.at(-1)?.inode ?? null) !== null;
  }

  makeDirectory(): void {}

  open(path: string): ReadFile {
    const inode = this.#find(path, 'open');
    const size = inode.current.length;
    return {
      path,
      size,
      mapped: null,
      view: (offset, length) => this.#view(path, inode, offset, length),
      close: () => {},
    };
  }

  create(path: string): AppendFile {
    this.#mayFail('create', path);
    if (this.exists(path)) throw new DiskError('create', path, 'EEXIST', 'the name is taken');
    const inode = new Inode();
    this.#bind(path, inode);
    return this.#appendFile(path, inode, 0);
  }

  openAppend(path: string, position: number): AppendFile {
    const inode = this.#find(path, 'openAppend');
    if (position > inode.current.length) throw new DiskError('openAppend', path, 'EINVAL', 'beyond the end');
    return this.#appendFile(path, inode, position);
  }

  preallocate(path: string, bytes: number, done: (error: DiskError | null) => void): void {
    const inode = new Inode();
    this.#bind(path, inode);
    inode.resize(++this.#number, bytes);
    this.#complete('preallocate', path, done, (number) => inode.makeDurable(number));
  }

  rename(from: string, to: string): void {
    const inode = this.#find(from, 'rename');
    this.#bind(from, null);
    this.#bind(to, inode);
  }

  remove(path: string): void {
    this.#find(path, 'remove');
    this.#bind(path, null);
  }

  link(): void {
    throw new Error('the log links no files');
  }

  renameDirectory(): void {
    throw new Error('the log renames no directories');
  }

  removeDirectory(): void {
    throw new Error('the log removes no directories');
  }

  syncDirectory(path: string, done: (error: DiskError | null) => void): void {
    this.#complete('syncDirectory', path, done, (number) => {
      for (const [name, bindings] of this.#names) {
        if (!name.startsWith(`${path}/`)) continue;
        while (bindings.length > 1 && bindings[1].number <= number) bindings.shift();
      }
    });
  }

  #appendFile(path: string, inode: Inode, start: number): AppendFile {
    const disk = this;
    let position = start;
    let isOpen = true;
    const checkOpen = (operation: string): void => {
      if (!isOpen || disk.#isDead) throw new Error(`${operation} on a closed file: ${path}`);
    };
    return {
      path,
      get position() {
        return position;
      },
      get size() {
        return inode.current.length;
      },
      append(bytes) {
        checkOpen('append');
        disk.#mayFail('append', path);
        inode.write(++disk.#number, position, bytes);
        position += bytes.length;
      },
      sync(done) {
        checkOpen('sync');
        disk.#complete('sync', path, done, (number) => inode.makeDurable(number));
      },
      truncate(size) {
        checkOpen('truncate');
        inode.resize(++disk.#number, size);
        position = Math.min(position, size);
      },
      view(offset, length) {
        checkOpen('view');
        return disk.#view(path, inode, offset, length);
      },
      close() {
        isOpen = false;
      },
    };
  }

  #complete(
    operation: Operation,
    path: string,
    done: (error: DiskError | null) => void,
    effect: (number: number) => void,
  ): void {
    const number = this.#number;
    const errno = this.#failureOf(operation);
    this.#completions.push(() => {
      if (errno !== null) {
        done(new DiskError(operation, path, errno, 'as the test wants it'));
        return;
      }
      effect(number);
      done(null);
    });
  }

  #mayFail(operation: Operation, path: string): void {
    const errno = this.#failureOf(operation);
    if (errno !== null) throw new DiskError(operation, path, errno, 'as the test wants it');
  }

  #failureOf(operation: Operation): string | null {
    this.counts.set(operation, this.count(operation) + 1);
    const failure = this.#failures.get(operation);
    if (failure === undefined) return null;
    return failure.after-- > 0 ? null : failure.errno;
  }

  #view(path: string, inode: Inode, offset: number, length: number): Uint8Array {
    this.#mayFail('view', path);
    if (this.#unreadable.some((bad) => bad.path === path && offset < bad.to && offset + length > bad.from))
      throw new DiskError('view', path, 'EIO', 'as the test wants it');
    if (offset + length > inode.current.length)
      throw new DiskError('view', path, 'EINVAL', 'outside the file');
    const view = inode.current.slice(offset, offset + length);
    this.viewedBytes += length;
    this.#views.push(view);
    return view;
  }

  #find(path: string, operation: string): Inode {
    const inode = this.#names.get(path)?.at(-1)?.inode ?? null;
    if (inode === null) throw new DiskError(operation, path, 'ENOENT', 'no such file');
    return inode;
  }

  #bind(path: string, inode: Inode | null): void {
    let bindings = this.#names.get(path);
    if (bindings === undefined) {
      bindings = [{ number: 0, inode: null }];
      this.#names.set(path, bindings);
    }
    bindings.push({ number: ++this.#number, inode });
  }

  #successor(): CrashDisk {
    this.#isDead = true;
    return new CrashDisk();
  }
}

export class ManualClock implements Clock {
  #nowMs = 0;
  #tasks: (() => void)[] = [];
  #timers: { atMs: number; task: () => void }[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  later(task: () => void): void {
    this.#tasks.push(task);
  }

  /** Ends the turn; false when nothing was waiting for that. */
  runTask(): boolean {
    const task = this.#tasks.shift();
    task?.();
    return task !== undefined;
  }

  /** Lets time pass up to the next timer; false when there is none. */
  runTimer(): boolean {
    const timer = this.#timers.sort((a, b) => a.atMs - b.atMs).shift();
    if (timer === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, timer.atMs);
    timer.task();
    return true;
  }
}

function applyWrite(image: Uint8Array, write: Write): Uint8Array<ArrayBuffer> {
  if (write.bytes === null) return resized(image, write.offset);
  const next = resized(image, Math.max(image.length, write.offset + write.bytes.length));
  next.set(write.bytes, write.offset);
  return next;
}

function resized(image: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(size);
  next.set(image.subarray(0, Math.min(size, image.length)));
  return next;
}
