/**
 * Keeps two processes of one machine from opening one data directory. The lock is a file `LOCK` that names its holder
 * (process id and start time); one whose holder is gone, as after a crash, is taken over.
 *
 * Two steps are made so that processes that start together do not trip over each other. The file appears with its
 * contents, by a hard link to a finished one: nobody ever sees a lock that does not say yet whose it is. And a lock is
 * taken over by renaming it aside and looking again: only one of two can rename it, and whoever finds that he has moved
 * a lock that another had just taken puts it back.
 *
 * A thread of this process that has ended without letting go, as a terminated worker does, has left a lock that names a
 * living process. Its holder keeps the file open as long as it lives, and Node closes what a thread has opened when that
 * ends: a lock of this process that none of its descriptors is open on has no holder.
 *
 * Process ids say nothing across machines or containers: a directory that those share needs another guard.
 */
import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { threadId } from 'node:worker_threads';
import { DiskError, EnvelopeError } from '../../base/errors.ts';
import { attempt, toDiskError } from './disk_error.ts';

const ATTEMPTS_MAX = 5;

/**
 * The descriptors of the locks that this thread holds, and the paths of their files: it lets go of them when it exits. A
 * path is there twice when a directory was removed under its holder, and has been taken again.
 */
const held = new Map<number, string>();

function releaseAll(): void {
  for (const path of held.values()) release(path);
}

/**
 * Takes the directory for this process, until it exits.
 *
 * @returns lets go of it sooner.
 * @throws EnvelopeError `LOCKED`, naming the process that holds the directory; DiskError
 */
export function lockDirectory(directory: string): () => void {
  const path = `${directory}/LOCK`;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const descriptor = tryCreate(path);
    if (descriptor !== null) {
      // One listener for all: Node warns of a leak when there are more than ten.
      if (held.size === 0) process.on('exit', releaseAll);
      held.set(descriptor, path);
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        held.delete(descriptor);
        if (held.size === 0) process.off('exit', releaseAll);
        if (![...held.values()].includes(path)) release(path);
        closeSync(descriptor);
      };
    }
    const holder = readHolder(path);
    if (holder !== null && isAlive(holder, path)) throw lockedError(directory, path, holder);
    moveAside(path);
  }
  throw new EnvelopeError('LOCKED', `${path} cannot be taken: other processes keep taking it`);
}

/**
 * As `lockDirectory`; a directory that nobody may write to, as a backup may be, is nobody's to open either.
 * @throws EnvelopeError `LOCKED`
 */
export function lockToRead(directory: string): () => void {
  try {
    return lockDirectory(directory);
  } catch (error) {
    if (error instanceof DiskError && ['EROFS', 'EACCES', 'EPERM'].includes(error.errno)) return () => {};
    throw error;
  }
}

interface Holder {
  readonly pid: number;
  /** Clock ticks since boot, from /proc; empty where that does not exist. Tells a reused process id apart. */
  readonly startedAt: string;
}

/** @returns the descriptor of the lock's file; null: there is a lock. @throws DiskError */
function tryCreate(path: string): number | null {
  const draft = `${path}.${process.pid}.${threadId}`;
  const descriptor = attempt('lock', path, () => openSync(draft, 'w'));
  try {
    attempt('lock', path, () => writeFileSync(descriptor, holderText()));
    linkSync(draft, path);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return null;
    // No hard links on this file system: exclusive creation does, with a moment in which the file is empty.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return tryCreateWithoutLink(path);
    throw toDiskError('lock', path, error);
  } finally {
    remove(draft);
  }
}

function tryCreateWithoutLink(path: string): number | null {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null;
    throw toDiskError('lock', path, error);
  }
  attempt('lock', path, () => writeFileSync(descriptor, holderText()));
  return descriptor;
}

function holderText(): string {
  return `${process.pid} ${processState(process.pid)?.startedAt ?? ''}\n`;
}

/** Takes a lock without a living holder out of the way. */
function moveAside(path: string): void {
  const aside = `${path}.stale.${process.pid}.${threadId}`;
  try {
    renameSync(path, aside);
  } catch {
    // Another process was faster, and there may be a new lock: look again.
    return;
  }
  const holder = readHolder(aside);
  if (holder !== null && isAlive(holder, aside)) putBack(aside, path);
  remove(aside);
}

function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch {
    // Taken by a third process in between, or no hard links: whoever comes next sees what is there.
  }
}

function lockedError(directory: string, path: string, holder: Holder): EnvelopeError {
  return new EnvelopeError('LOCKED', `${directory} is in use by process ${holder.pid} (see ${path})`);
}

function readHolder(path: string): Holder | null {
  try {
    const [pid, startedAt] = readFileSync(path, 'utf8').trim().split(' ');
    const number = Number(pid);
    return Number.isSafeInteger(number) && number > 0 ? { pid: number, startedAt: startedAt ?? '' } : null;
  } catch {
    return null;
  }
}

/** @param path Where its lock is now. */
function isAlive(holder: Holder, path: string): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Not ours to signal is alive all the same.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const state = processState(holder.pid);
  if (state === null) return true;
  if (holder.startedAt !== '' && state.startedAt !== holder.startedAt) return false;
  if (state.hasEnded) return false;
  return holder.pid !== process.pid || isOpenHere(path);
}

/** Whether this process has the file open; so does one of whose descriptors the system does not tell. */
function isOpenHere(path: string): boolean {
  try {
    const { dev, ino } = statSync(path);
    return readdirSync('/dev/fd').some((descriptor) => {
      try {
        const file = fstatSync(Number(descriptor));
        return file.ino === ino && file.dev === dev;
      } catch {
        // That of the listing itself.
        return false;
      }
    });
  } catch {
    return true;
  }
}

interface ProcessState {
  readonly startedAt: string;
  /** It is dead, all its threads are, and their files are closed, but its parent has not asked how it ended. */
  readonly hasEnded: boolean;
}

/** Null: the system does not tell, or the process is gone. */
function processState(pid: number): ProcessState | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; behind it are field 3 and those that follow.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isZombie = fields[0] === 'Z' || fields[0] === 'X';
    const hasEnded = isZombie && readdirSync(`/proc/${pid}/task`).length <= 1;
    return { startedAt: fields[19] ?? '', hasEnded };
  } catch {
    return null;
  }
}

function release(path: string): void {
  const holder = readHolder(path);
  if (holder?.pid === process.pid) remove(path);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}
