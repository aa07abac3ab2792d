/** `verify` for a program: on the real disk, beside its other work. */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { checkDirectory, checkFields, checkLongWork, checkObject } from '../base/arguments.ts';
import { EnvelopeError } from '../base/errors.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockToRead } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { isStore, type Verification, verifyInSteps } from './verify.ts';

/** How long blocks are checked before the rest of the process gets its turn. */
const TURN_MS = 2;

export interface VerifyOptions {
  /** Ends it with its reason. */
  readonly signal?: AbortSignal;
  /** Told after each block of a table, and after the log. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
}

const OPTIONS: ReadonlySet<string> = new Set(['signal', 'onProgress']);

/**
 * Checks every byte of a store that nobody has open; changes nothing. All damage is in the answer. The event loop has its
 * turns, but for the time that reading the log takes.
 * @throws EnvelopeError `MISSING` when there is no store, `INVALID` that names an option and what it may be, `LOCKED` when it is
 * open, `LOG_FORMAT`; DiskError
 */
export async function verifyStore(directory: string, options: VerifyOptions = {}): Promise<Verification> {
  checkDirectory(directory);
  checkObject('options are', options);
  checkFields('verifyStore', options, OPTIONS);
  const { signal, onProgress } = options;
  checkLongWork(options);
  const disk = new NodeDisk({ reads: 'pread' });
  if (!existsSync(directory) || !isStore(disk, directory)) {
    throw new EnvelopeError('MISSING', `${directory} holds no store`);
  }
  signal?.throwIfAborted();
  const unlock = lockToRead(directory);
  const steps = verifyInSteps(disk, directory, {
    compressions: nodeCompressions,
    onProgress: (bytes, totalBytes) => onProgress?.({ bytes, totalBytes }),
  });
  try {
    let beganMs = performance.now();
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (performance.now() - beganMs < TURN_MS) continue;
      await setImmediate();
      signal?.throwIfAborted();
      beganMs = performance.now();
    }
  } finally {
    // Ended before its end it lets go of the table that is open.
    steps.return(undefined as never);
    unlock();
  }
}
