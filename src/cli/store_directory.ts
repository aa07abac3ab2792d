/** What commands that work on a store's directory, offline, have in common. */
import { existsSync, readdirSync } from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import { isStore } from '../inspect/verify.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';

/** Files are gone through once, and an error in reading one is an error, where a mapping would end the process. */
export function offlineDisk(): NodeDisk {
  return new NodeDisk({ reads: 'pread' });
}

/** @throws EnvelopeError `USAGE` */
export function assertStore(disk: NodeDisk, directory: string): void {
  if (!existsSync(directory)) throw new EnvelopeError('USAGE', `there is no directory ${directory}`);
  if (isStore(disk, directory)) return;
  const nodes = readdirSync(directory).filter((name) => /^node-\d+$/.test(name));
  const hint =
    nodes.length === 0 ? '' : `; did you mean ${nodes.map((name) => `${directory}/${name}`).join(', ')}?`;
  throw new EnvelopeError('USAGE', `${directory} holds no store${hint}`);
}

/**
 * As `lockDirectory`; a directory that nobody may write to, as a backup may be, is nobody's to open either.
 * @throws EnvelopeError `LOCKED`
 */
export function lockToRead(directory: string): () => void {
  try {
    return lockDirectory(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return () => {};
    throw error;
  }
}
