/** What the numbers among a store's options may be: a number beyond is an error that names it, not a store that misbehaves. */
import { EnvelopeError } from '../base/errors.ts';

const MIB = 1024 * 1024;
const ANY = Number.POSITIVE_INFINITY;

/** Both ends are allowed. All but an endless one are integers. */
const LIMITS: Readonly<Record<string, readonly [number, number]>> = {
  memtableBytes: [0, 1024 * MIB],
  blockBytes: [1, 64 * MIB],
  restartInterval: [1, ANY],
  filterBitsPerKey: [0, 1000],
  immutableMemtablesMax: [1, ANY],
  mergeAtTables: [1, ANY],
  tableBytes: [1, 1024 * MIB],
  levelBytes: [1, ANY],
  levelGrowth: [1, ANY],
  slowAtRuns: [0, ANY],
  stopAtRuns: [0, ANY],
  slowAtDebtBytes: [0, ANY],
  stopAtDebtBytes: [0, ANY],
  stepBytes: [1, ANY],
  outOfSpaceRetryMs: [0, ANY],
  blockCacheBytes: [0, ANY],
  scrubBytesPerSecond: [0, ANY],
};

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  compaction: ['levelled', 'size-tiered'],
  damagedTables: ['refuse', 'quarantine'],
};

/** @throws EnvelopeError `INVALID` when a number is out of its range, or a choice is none of those that there are. */
export function checkOptions(options: Readonly<Record<string, unknown>>): void {
  for (const [name, [least, most]] of Object.entries(LIMITS)) {
    const value = options[name];
    if (isWithin(value, least, most)) continue;
    const end = most === ANY ? 'or more' : `to ${most}`;
    throw new EnvelopeError('INVALID', `${name} is a whole number, ${least} ${end}, not ${String(value)}`);
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = options[name];
    if (typeof value === 'string' && choices.includes(value)) continue;
    throw new EnvelopeError('INVALID', `${name} is one of ${choices.join(', ')}, not ${String(value)}`);
  }
}

function isWithin(value: unknown, least: number, most: number): boolean {
  if (typeof value !== 'number' || !(value >= least && value <= most)) return false;
  return Number.isSafeInteger(value) || value === ANY;
}
