/**
 * Plants a known bug in this process: a source that has yet to be loaded is loaded with the one changed text in its
 * place. So a run that the bug makes fail can be looked at like any other. Threads started later do not have the bug.
 */
import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../commands/arguments.ts';
import { plantIn } from '../model/planting.ts';
import { MUTANTS } from './index.ts';
import type { Mutant } from './mutant.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** @throws UsageError when there is none of that name */
export function findMutant(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found === undefined)
    throw new UsageError(`no planted bug '${name}'; npm run mutants -- --list names them`);
  return found;
}

/** @throws Error when the mutant's text does not stand in its file exactly once */
export function plant(mutant: Mutant): void {
  const path = join(ROOT, mutant.file);
  const source = plantIn(readFileSync(path, 'utf8'), mutant);
  register('../../scripts/typescript_hooks.mjs', import.meta.url, { data: { path, source } });
}
