/** `envelopedb repair DIR`: makes a new store of what can be read of a damaged one, and says what is lost. */
import { runCopy } from '../backup/locked_target.ts';
import { withoutSlash } from '../backup/paths.ts';
import { EnvelopeError } from '../base/errors.ts';
import type { KeySpan, Loss } from '../inspect/loss.ts';
import { isNodeDirectory, type Repair, repairStore } from '../inspect/repair.ts';
import { NodeClock } from '../io/node/clock.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockToRead } from '../io/node/directory_lock.ts';
import { describeKey } from './describe.ts';
import { Progress } from './progress.ts';
import { assertStore, offlineDisk } from './store_directory.ts';

export interface RepairCommand {
  readonly directory: string;
  /** Empty: `DIRECTORY.repaired`. */
  readonly to: string;
  /** Empty: an embedded store, unless the directory is that of a node. */
  readonly as: '' | 'store' | 'server';
  readonly log: 'around' | 'until';
}

export interface RepairOutcome {
  readonly text: string;
  readonly isLossless: boolean;
}

/** @throws EnvelopeError, DiskError */
export async function runRepair(command: RepairCommand): Promise<RepairOutcome> {
  const disk = offlineDisk();
  const directory = withoutSlash(command.directory);
  const to = command.to === '' ? `${directory}.repaired` : command.to;
  assertStore(disk, directory);
  const isNode = isNodeDirectory(disk, directory);
  if (isNode && command.as === '') throw nodeError(directory);
  const unlock = lockToRead(directory);
  const progress = new Progress(process.stderr);
  try {
    const repair = await runCopy(disk, { source: directory, path: to }, (target) => {
      return repairStore(disk, directory, target, {
        compressions: nodeCompressions,
        clock: new NodeClock(),
        as: command.as === '' ? 'store' : command.as,
        log: command.log,
        onProgress: (bytes, of) => progress.show('reading', bytes, of),
      });
    });
    progress.end();
    const isLossless = repair.losses.every(({ keys }) => keys === null);
    return { text: describeRepair(directory, to, repair, isNode), isLossless };
  } finally {
    progress.end();
    unlock();
  }
}

function nodeError(directory: string): EnvelopeError {
  return new EnvelopeError(
    'USAGE',
    [
      `${directory} is that of a node: it has a term and a vote, and a repaired node would have forgotten what it has acknowledged and for whom it has voted.`,
      'Of a cluster whose other nodes run: replace the node (docs/operations.md, Replace a node whose disk is lost).',
      'Of a standalone server: --as server. To get at the data of a node that is left over alone: --as store makes an embedded store of it, which is no node.',
    ].join('\n'),
  );
}

export function describeRepair(directory: string, to: string, repair: Repair, isNode: boolean): string {
  const { losses, notes, tablesRead, recordsKept, entriesKept } = repair;
  const lines = losses.map(describeLoss);
  lines.push(...notes);
  if (isNode)
    lines.push('the last writes of a node may never have been committed: they are in it all the same');
  const lost = losses.filter(({ keys }) => keys !== null).length;
  const places = lost === 1 ? 'place' : 'places';
  const verdict = lost === 0 ? 'nothing is lost' : `something is lost, or may be, in ${lost} ${places}`;
  const extent = `${recordsKept} keys of ${tablesRead} tables, and ${entriesKept} entries of the log behind them`;
  lines.push(`${to}: ${verdict} (${extent}); ${directory} is as it was`);
  return `${lines.join('\n')}\n`;
}

function describeLoss({ path, offset, what, effect, keys }: Loss): string {
  return `${path}: offset ${offset}: ${what}; ${effect}${describeSpan(keys)}`;
}

function describeSpan(keys: KeySpan | null): string {
  if (keys === null || (keys.from === null && keys.to === null)) return '';
  const from = keys.from === null ? 'the first' : describeKey(keys.from);
  const to = keys.to === null ? 'the last' : describeKey(keys.to);
  return `; keys ${from} to ${to}`;
}
