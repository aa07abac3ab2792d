/** What the options of a scenario must hold beside its counts of machines and clients: those that are missing are plain. */
import { NO_FAULTS, PLAIN_SURROUNDINGS, PLAIN_TUNING, PLAIN_WORKLOAD, type WorldOptions } from './options.ts';

const PLAIN = {
  tuning: PLAIN_TUNING,
  surroundings: PLAIN_SURROUNDINGS,
  faults: NO_FAULTS,
  workload: PLAIN_WORKLOAD,
  damage: 'recoverable',
  powerCutPermille: 0,
};
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  damage: ['recoverable', 'unrecoverable'],
  wallClocks: ['together', 'apart'],
  ownership: ['watched', 'trusted'],
};
/** Null stands for: none, no limit. */
const NULLABLE: ReadonlySet<string> = new Set(['clockDriftPpmMax', 'logTailEntries']);
/** What is left out is the production code's. */
const OPTIONAL: ReadonlySet<string> = new Set(['logBytesMax', 'appendEntriesMax', 'appendsPerTurnMax']);

/** Returns which field is wrong, and how, or null. */
export function optionsProblem(options: WorldOptions): string | null {
  for (const [name, permille] of Object.entries(options.maybes)) {
    if (!isCount(permille)) return `\`options.maybes.${name}\` is not a whole number`;
  }
  return problemIn({ ...options }, PLAIN, 'options');
}

function problemIn(value: Readonly<Record<string, unknown>>, plain: object, path: string): string | null {
  for (const [name, usual] of Object.entries(plain)) {
    const problem = fieldProblem(name, value[name], usual, `${path}.${name}`);
    if (problem !== null) return problem;
  }
  return null;
}

function fieldProblem(name: string, value: unknown, usual: unknown, path: string): string | null {
  const texts = TEXTS[name];
  if (texts !== undefined)
    return texts.includes(value as string) ? null : `\`${path}\` is not one of ${texts.join(', ')}`;
  if (typeof usual === 'object' && usual !== null) {
    if (typeof value !== 'object' || value === null) return `\`${path}\` is not an object`;
    return problemIn(value as Record<string, unknown>, usual, path);
  }
  const isLeftOut = (value === null && NULLABLE.has(name)) || (value === undefined && OPTIONAL.has(name));
  return isLeftOut || isCount(value) ? null : `\`${path}\` is not a whole number`;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
