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
  const iterator = engine.iterator(userRange, moment);
  try {
    while (iterator.next()) {
      if (live(iterator.value(), moment.timeMs) === null) continue;
      const { bucket, end } = bucketOf(iterator.key());
      names.push(bucket);
      iterator.seek(end);
    }
    return names;
  } finally {
    iterator.close();
  }
}
