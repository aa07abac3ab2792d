/** `envelopedb verify DIR`: reads all files of a store that nobody has open, and says what is damaged. */
import { type Damage, type Verification, verify } from '../inspect/verify.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockToRead } from '../io/node/directory_lock.ts';
import { describeKey } from './describe.ts';
import { Progress } from './progress.ts';
import { assertStore, offlineDisk } from './store_directory.ts';

/** @returns whether nothing is damaged. */
export function runVerify(directory: string): boolean {
  const disk = offlineDisk();
  assertStore(disk, directory);
  const unlock = lockToRead(directory);
  const progress = new Progress(process.stderr);
  try {
    const found = verify(disk, directory, {
      compressions: nodeCompressions,
      onProgress: (bytes, of) => progress.show('checking', bytes, of),
    });
    progress.end();
    process.stdout.write(describeVerification(directory, found));
    return found.damage.length === 0;
  } finally {
    progress.end();
    unlock();
  }
}

/** A line for each damaged place, and one for all. */
export function describeVerification(directory: string, found: Verification): string {
  const lines = found.damage.map(describeDamage);
  for (const path of found.leftovers) lines.push(`${path}: not in use, the next start removes it`);
  for (const path of found.unknown) lines.push(`${path}: not a file of a store, not checked`);
  const { damage, tables, logRecords, bytes } = found;
  const extent = `${tables} tables, ${logRecords} records of the log, ${bytes} bytes`;
  const places = damage.length === 1 ? 'place' : 'places';
  const verdict = damage.length === 0 ? 'every checksum holds' : `${damage.length} damaged ${places}`;
  lines.push(`${directory}: ${verdict} (${extent})`);
  return `${lines.join('\n')}\n`;
}

function describeDamage({ path, offset, what, keys }: Damage): string {
  const range = keys === null ? '' : `; keys ${describeKey(keys.from)} to ${describeKey(keys.to)}`;
  return `${path}: offset ${offset}: ${what}${range}`;
}
