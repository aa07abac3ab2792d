/**
 * Keeps two processes from opening one data directory. The lock is a file `LOCK` that names its holder (process id and
 * start time); one whose holder is gone, as after a crash, is taken over.
 */
import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { EnvelopeError } from '../../base/errors.ts';

const ATTEMPTS_MAX = 5;

/** @throws EnvelopeError `LOCKED`, naming the process that holds the directory. */
export function lockDirectory(directory: string): void {
  const path = `${directory}/LOCK`;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (tryCreate(path)) {
      process.on('exit', () => release(path));
      return;
    }
    const holder = readHolder(path);
    if (holder !== null && isAlive(holder)) {
      throw new EnvelopeError('LOCKED', `${directory} is in use by process ${holder.pid} (see ${path})`);
    }
    remove(path);
  }
  throw new EnvelopeError('LOCKED', `${path} cannot be taken: other processes keep taking it`);
}

interface Holder {
  readonly pid: number;
  /** Clock ticks since boot, from /proc; empty where that does not exist. Tells a reused process id apart. */
  readonly startedAt: string;
}

function tryCreate(path: string): boolean {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, `${process.pid} ${startTime(process.pid)}\n`);
    closeSync(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
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
