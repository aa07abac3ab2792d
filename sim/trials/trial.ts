/** What all trials have in common: how one is run, and how what it comes by is told. */
import { setRareProbe } from '../../src/base/rare.ts';
import { InvariantViolation } from '../invariants.ts';
import type { SimRandom } from '../random.ts';

/** Told of each `sometimes` of `src/base/rare.ts` that is reached. */
export type Mark = (name: string) => void;

const TAKEN_PERMILLE = 300;
const EACH_PERMILLE = 200;
const OFTEN_PERMILLE = 500;

/**
 * Runs one trial during which some of `maybes`, see `src/base/rare.ts`, are taken now and then.
 * @param often Every other time they can be, these are.
 */
export function runTrial(
  random: SimRandom,
  mark: Mark = () => {},
  maybes: readonly string[],
  trial: () => void,
  often: readonly string[] = [],
): string | null {
  const draws = random.fork('maybes');
  const taken = new Set(maybes.filter(() => draws.chance(TAKEN_PERMILLE)));
  const permilleOf = (name: string): number => {
    if (often.includes(name)) return OFTEN_PERMILLE;
    return taken.has(name) ? EACH_PERMILLE : 0;
  };
  setRareProbe({ sometimes: mark, maybe: (name) => draws.chance(permilleOf(name)) });
  try {
    trial();
    return null;
  } catch (error) {
    if (error instanceof InvariantViolation) return error.message;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    setRareProbe(null);
  }
}
