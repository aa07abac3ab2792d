/** Which buckets there are: nobody keeps a list of them, their names are the beginnings of keys. */
import { bucketOf, userRange } from '../kv/key_space.ts';
import { type Engine, live, type Moment } from './engine.ts';

/**
 * The buckets that hold a key, in the order of their names' bytes. Of each only the beginning is looked at, up to the first
 * key that has not expired.
 * @throws CorruptionError, DiskError; EnvelopeError `CLOSED`
 */
export function bucketNames(engine: Engine, moment: Moment): string[] {
  const names: string[] = [];
  for (let from: Uint8Array | null = userRange.gte; from !== null; ) {
    const found = firstBucket(engine, moment, from);
    if (found !== null) names.push(found.bucket);
    from = found?.end ?? null;
  }
  return names;
}

/** Of the first key from this one on. */
function firstBucket(
  engine: Engine,
  moment: Moment,
  gte: Uint8Array,
): { readonly bucket: string; readonly end: Uint8Array } | null {
  const iterator = engine.iterator({ gte, lt: userRange.lt }, moment);
  try {
    while (iterator.next())
      if (live(iterator.value(), moment.timeMs) !== null) return bucketOf(iterator.key());
    return null;
  } finally {
    iterator.close();
  }
}
