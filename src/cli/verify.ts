/** `envelopedb verify DIR`: reads all files of a store that nobody has open, and says what is damaged. */
import { existsSync, readdirSync } from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import { type Damage, isStore, type Verification, verify } from '../inspect/verify.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { describeKey } from './describe.ts';

/** @returns whether nothing is damaged. */
export function runVerify(directory: string): boolean {
  const disk = new NodeDisk({ reads: 'pread' });
  if (!existsSync(directory)) throw new EnvelopeError('USAGE', `there is no directory ${directory}`);
  if (!isStore(disk, directory)) {
    const nodes = readdirSync(directory).filter((name) => /^node-\d+$/.test(name));
    const hint =
      nodes.length === 0 ? '' : `; did you mean ${nodes.map((name) => `${directory}/${name}`).join(', ')}?`;
    throw new EnvelopeError('USAGE', `${directory} holds no store${hint}`);
  }
  const unlock = lockDirectory(directory);
  try {
    const found = verify(disk, directory, process.stderr.isTTY ? showProgress() : undefined);
    process.stdout.write(describeVerification(directory, found));
    return found.damage.length === 0;
  } finally {
    unlock();
  }
}

/** A line for each damaged place, and one for all. */
export function describeVerification(directory: string, found: Verification): string {
  const lines = found.damage.map(describeDamage);
  for (const path of found.leftovers) lines.push(`${path}: not in use, the next start removes it`);
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

function showProgress(): (bytes: number, of: number) => void {
  let shown = -1;
  return (bytes, of) => {
    const percent = of === 0 ? 100 : Math.floor((100 * bytes) / of);
    if (percent === shown) return;
    shown = percent;
    process.stderr.write(percent === 100 ? '\r\x1b[K' : `\rchecking ${percent} %`);
  };
}
