/** Runs a copy on the real disk, its target locked from before its first file is made until it is durable. */
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import { EnvelopeError } from '../base/errors.ts';
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

/** Its real path, of which the last parts need not exist. */
function realPathOf(path: string): string {
  let there = resolve(path);
  while (!existsSync(there)) there = dirname(there);
  return resolve(realpathSync(there), relative(there, resolve(path)));
}

/** @throws EnvelopeError `INVALID`: it would be among the files that are copied, and be taken for one of them later. */
function assertOutside(source: string, path: string): void {
  const within = realPathOf(source);
  const target = realPathOf(path);
  if (target !== within && !target.startsWith(within === sep ? sep : within + sep)) return;
  throw new EnvelopeError(
    'INVALID',
    `${path} lies in ${source}, which is copied: name a directory outside of it`,
  );
}

/**
 * @param source The directory of the store that is copied.
 * @param make Fills the target and gives it its name; or throws, having discarded it.
 * @param whyStop Asked between steps; an error ends the copy.
 * @throws EnvelopeError `INVALID`: the target lies in the source; `EXISTS`; `LOCKED` when the same copy is being made already;
 * what `make` throws
 */
export async function runCopy<T>(
  disk: NodeDisk,
  { source, path }: { readonly source: string; readonly path: string },
  make: (target: Target) => Steps<T>,
  whyStop: () => Error | null = () => null,
): Promise<T> {
  assertOutside(source, path);
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
