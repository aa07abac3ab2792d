/** Puts a planted bug into a source text. */
import type { Mutant } from '../mutants/mutant.ts';

/** @throws Error when the text that the mutant replaces does not stand in `source` exactly once. */
export function plantIn(source: string, mutant: Mutant): string {
  if (source.split(mutant.find).length !== 2) {
    throw new Error(
      `the mutant ${mutant.name} no longer fits ${mutant.file}: its text must stand there exactly once`,
    );
  }
  return source.replace(mutant.find, () => mutant.replace);
}
