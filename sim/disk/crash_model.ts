/**
 * How much a crash takes. One of four shapes is drawn per crash for the whole disk, so that the extremes and the
 * orderly cases are as frequent as the chaotic one; independent draws alone would hardly ever keep or lose everything.
 * `tear-all` is for who asks for it: every unsynced sector ends somewhere inside, every rename is half done.
 */
import type { SimRandom } from '../random.ts';

export type CrashShape = 'lose-all' | 'keep-all' | 'keep-prefix' | 'keep-any' | 'tear-all';

/** What becomes of one unsynced write. */
export type Fate = 'kept' | 'lost' | 'torn';

const SHAPES: readonly CrashShape[] = ['lose-all', 'keep-all', 'keep-prefix', 'keep-any'];

export function drawCrashShape(random: SimRandom): CrashShape {
  return random.pick(SHAPES);
}

/** Fates for `count` unsynced writes in the order in which they were made. */
export function drawFates(count: number, shape: CrashShape, random: SimRandom): Fate[] {
  const fates = new Array<Fate>(count);
  const prefix = shape === 'keep-prefix' ? random.between(0, count) : 0;
  for (let i = 0; i < count; i++) {
    if (shape === 'keep-all') fates[i] = 'kept';
    else if (shape === 'lose-all') fates[i] = 'lost';
    else if (shape === 'tear-all') fates[i] = 'torn';
    else if (shape === 'keep-any') fates[i] = drawFate(random);
    else if (i < prefix) fates[i] = 'kept';
    else fates[i] = i === prefix && random.chance(500) ? 'torn' : 'lost';
  }
  return fates;
}

function drawFate(random: SimRandom): Fate {
  const draw = random.below(100);
  if (draw < 45) return 'kept';
  return draw < 80 ? 'lost' : 'torn';
}
