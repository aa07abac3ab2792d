/** What the index would take that a store of hash tables keeps: all keys in memory, each with a place in a file. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { KEY_BYTES } from './data.ts';

/** More keys take no less each. */
const MEASURED_KEYS_MAX = 500_000;

/** Bytes of a `Map` from keys, as strings of one byte a character, to numbers, for each key; measured. */
export function fullIndexBytesPerKey(keys: number): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const count = Math.min(keys, MEASURED_KEYS_MAX);
  collect();
  const before = process.memoryUsage().heapUsed;
  const index = new Map<string, number>();
  for (let n = 0; n < count; n++) index.set(String(n).padStart(KEY_BYTES, '0').slice(0), 116 * n);
  collect();
  const bytes = process.memoryUsage().heapUsed - before;
  // So that it is there until then.
  if (index.size !== count) throw new Error('keys differ');
  return bytes / count;
}
