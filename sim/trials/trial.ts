/** What all trials have in common: how one is run, and how what it comes by is told. */
import { setRareProbe } from '../../src/base/rare.ts';
import { InvariantViolation } from '../invariants.ts';
import type { SimRandom } from '../random.ts';

/** Told of each `sometimes` of `src/base/rare.ts` that is reached. */
export type Mark = (name: string) => void;

const TAKEN_PERMILLE = 300;
const EACH_PERMILLE = 200;

/** Runs one trial during which some of `maybes`, see `src/base/rare.ts`, are taken now and then. */
export function runTrial(
  random: SimRandom,
  mark: Mark = () => {},
  maybes: readonly string[],
  trial: () => void,
): string | null {
  const draws = random.fork('maybes');
  const taken = new Set(maybes.filter(() => draws.chance(TAKEN_PERMILLE)));
  setRareProbe({ sometimes: mark, maybe: (name) => taken.has(name) && draws.chance(EACH_PERMILLE) });
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
