/**
 * `envelopedb backup DIR TO` and `envelopedb restore FROM DIR`: copy the directory of a store that is not running, check
 * the copy, and let it appear as a whole.
 */
import { runCopy } from '../backup/locked_target.ts';
import { withoutSlash } from '../backup/paths.ts';
import { copyStore, type StoreCopy } from '../inspect/store_copy.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockToRead } from '../io/node/directory_lock.ts';
import { describeBytes, Progress } from './progress.ts';
import { assertStore, offlineDisk } from './store_directory.ts';

const OF_A_NODE =
  "this is a node's directory: where others belong to its group, a backup is one of them all, made while none of them runs (docs/operations.md, Back up and restore)";

/** @returns what to print. @throws EnvelopeError, CorruptionError, DiskError */
export async function runBackup(directory: string, to: string): Promise<string> {
  return describe(to, await copyTo('backup', directory, to));
}

/** @returns what to print. @throws EnvelopeError, CorruptionError, DiskError */
export async function runRestore(from: string, directory: string): Promise<string> {
  const copy = await copyTo('restore', from, directory);
  const doubt = copy.hasList
    ? ''
    : `${from}: no list of files came with it: that none is missing was not checked\n`;
  return `${doubt}${describe(directory, copy)}`;
}

async function copyTo(purpose: 'backup' | 'restore', from: string, to: string): Promise<StoreCopy> {
  const disk = offlineDisk();
  const source = withoutSlash(from);
  assertStore(disk, source);
  const unlock = lockToRead(source);
  const progress = new Progress(process.stderr);
  try {
    return await runCopy(disk, { source, path: to }, (target) => {
      return copyStore(disk, source, target, {
        purpose,
        compressions: nodeCompressions,
        onProgress: progress.show,
      });
    });
  } finally {
    progress.end();
    unlock();
  }
}

function describe(to: string, { files, bytes, tables, logRecords, isNode, unknown }: StoreCopy): string {
  const lines = unknown.map((name) => `${name}: does not belong to a store, and was not copied`);
  if (isNode) lines.push(OF_A_NODE);
  const extent = `${files} files, ${describeBytes(bytes)}, ${tables} tables, ${logRecords} records of the log`;
  lines.push(`${to}: complete, every checksum holds (${extent})`);
  return `${lines.join('\n')}\n`;
}
