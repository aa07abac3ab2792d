/** What commands that work on a store's directory, offline, have in common. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import { isStore } from '../inspect/verify.ts';
import { NodeDisk } from '../io/node/disk.ts';

/** Files are gone through once, and an error in reading one is an error, where a mapping would end the process. */
export function offlineDisk(): NodeDisk {
  return new NodeDisk({ reads: 'pread' });
}

/** @throws EnvelopeError `USAGE` */
export function assertStore(disk: NodeDisk, directory: string): void {
  if (!existsSync(directory)) throw new EnvelopeError('USAGE', `there is no directory ${directory}`);
  if (!statSync(directory).isDirectory())
    throw new EnvelopeError('USAGE', `${directory} is a file, not a store's directory`);
  if (isStore(disk, directory)) return;
  const nodes = readdirSync(directory).filter((name) => /^node-\d+$/.test(name));
  const hint =
    nodes.length === 0 ? '' : `; did you mean ${nodes.map((name) => `${directory}/${name}`).join(', ')}?`;
  throw new EnvelopeError('USAGE', `${directory} holds no store${hint}`);
}
