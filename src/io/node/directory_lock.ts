/**
 * Keeps two processes of one machine from opening one data directory. The lock is a file `LOCK` that names its holder
 * (process id and start time); one whose holder is gone, as after a crash, is taken over.
 *
 * Two steps are made so that processes that start together do not trip over each other. The file appears with its
 * contents, by a hard link to a finished one: nobody ever sees a lock that does not say yet whose it is. And a lock is
 * taken over by renaming it aside and looking again: only one of two can rename it, and whoever finds that he has moved
 * a lock that another had just taken puts it back.
 *
 * Process ids say nothing across machines or containers: a directory that those share needs another guard.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { EnvelopeError } from '../../base/errors.ts';

const ATTEMPTS_MAX = 5;

/** Paths of the locks that this process holds: it lets go of them when it exits. */
const held = new Set<string>();

function releaseAll(): void {
  for (const path of held) release(path);
}

/**
 * Takes the directory for this process, until it exits.
 *
 * @returns lets go of it sooner.
 * @throws EnvelopeError `LOCKED`, naming the process that holds the directory.
 */
export function lockDirectory(directory: string): () => void {
  const path = `${directory}/LOCK`;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (tryCreate(path)) {
      // One listener for all: Node warns of a leak when there are more than ten.
      if (held.size === 0) process.on('exit', releaseAll);
      held.add(path);
      return () => {
        if (held.delete(path) && held.size === 0) process.off('exit', releaseAll);
        release(path);
      };
    }
    const holder = readHolder(path);
    if (holder !== null && isAlive(holder)) throw lockedError(directory, path, holder);
    moveAside(path);
  }
  throw new EnvelopeError('LOCKED', `${path} cannot be taken: other processes keep taking it`);
}

interface Holder {
  readonly pid: number;
  /** Clock ticks since boot, from /proc; empty where that does not exist. Tells a reused process id apart. */
  readonly startedAt: string;
}

function tryCreate(path: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${process.pid} ${startTime(process.pid)}\n`);
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // No hard links on this file system: exclusive creation does, with a moment in which the file is empty.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return tryCreateWithoutLink(path);
    throw error;
  } finally {
    remove(draft);
  }
}

function tryCreateWithoutLink(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${startTime(process.pid)}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a lock without a living holder out of the way. */
function moveAside(path: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    // Another process was faster, and there may be a new lock: look again.
    return;
  }
  const holder = readHolder(aside);
  if (holder !== null && isAlive(holder)) putBack(aside, path);
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

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Not ours to signal is alive all the same.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const startedAt = startTime(holder.pid);
  return startedAt === '' || holder.startedAt === '' || startedAt === holder.startedAt;
}

function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; field 22 is the twentieth behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
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
