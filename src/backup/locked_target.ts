/** Runs a copy on the real disk, its target locked from before its first file is made until it is durable. */
import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { NodeClock } from '../io/node/clock.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import type { NodeDisk } from '../io/node/disk.ts';
import { runSteps, type Steps } from './steps.ts';
import { Target } from './target.ts';

/** Makes the names of new directories durable: of `first` and of those between it and `path`, which is itself by now. */
async function syncParents(disk: NodeDisk, path: string, first: string): Promise<void> {
  for (let at = dirname(path); at.length >= first.length; at = dirname(at)) {
    await new Promise<void>((done, fail) => {
      disk.syncDirectory(dirname(at), (error) => (error === null ? done() : fail(error)));
    });
  }
}

/**
 * @param make Fills the target and gives it its name; or throws, having discarded it.
 * @param whyStop Asked between steps; an error ends the copy.
 * @throws EnvelopeError `EXISTS`; `LOCKED` when the same copy is being made already; what `make` throws
 */
export async function runCopy<T>(
  disk: NodeDisk,
  path: string,
  make: (target: Target) => Steps<T>,
  whyStop: () => Error | null = () => null,
): Promise<T> {
  const target = new Target(disk, path);
  target.assertFree();
  const made = mkdirSync(target.partial, { recursive: true });
  const unlock = lockDirectory(target.partial);
  let isDone = false;
  try {
    const steps = make(target);
    const result = await new Promise<T>((resolve, reject) => {
      runSteps(steps, new NodeClock(), whyStop, (outcome) => {
        if (outcome.ok) resolve(outcome.value);
        else reject(outcome.error);
      });
    });
    isDone = true;
    if (made !== undefined) await syncParents(disk, resolve(target.partial), resolve(made));
    return result;
  } finally {
    unlock();
    // With its directory the lock has got another name.
    if (isDone) disk.remove(`${target.path}/LOCK`);
    else if (disk.list(target.partial).length === 0) disk.removeDirectory(target.partial);
  }
}
