/**
 * Every write that clients have asked for, by the entries that hold it. Simulated clients never ask for the same write
 * twice without a number (each value has a word of its own), so a value in a second entry means that the store has proposed it again. It
 * may do so only when the first entry can never take effect: when another has been committed in its place. Otherwise
 * both may, and a client that was told of one outcome may see two.
 */
import type { Write } from '../src/kv/request.ts';
import { decodeWrite } from '../src/kv/write_codec.ts';

export interface Place {
  readonly index: number;
  readonly term: number;
}

export class WriteLedger {
  readonly #places = new Map<string, Place[]>();

  /** The entries that have held the write of this value (of several values the first), in the order in which they appeared. */
  placesOf(bucket: string, key: string, value: string): readonly Place[] {
    return this.#places.get(nameOfWrite(bucket, key, value)) ?? [];
  }

  /**
   * Takes down an entry that has appeared in some node's log for the first time.
   *
   * @param committedTermAt The term of what is committed at an index; null: nothing yet.
   * @returns what is wrong with it; null: nothing.
   */
  onEntry(
    index: number,
    term: number,
    payload: Uint8Array,
    committedTermAt: (index: number) => number | null,
  ): string | null {
    const { write } = decodeWrite(payload);
    const isNumbered = write.type === 'session-write';
    const name = nameOf(isNumbered ? write.write : write);
    if (name === null) return null;
    const places = this.#places.get(name) ?? [];
    this.#places.set(name, places);
    const before = places.at(-1);
    places.push({ index, term });
    if (before === undefined || isNumbered) return null;
    const committed = committedTermAt(before.index);
    if (committed !== null && committed !== before.term) return null;
    return (
      `the write of ${name} is in entry ${index} of term ${term}, ` +
      `while entry ${before.index} of term ${before.term} may yet take effect or has done so`
    );
  }
}

/** Of a write that is unique: of one that brings a value. */
function nameOf(write: Write): string | null {
  switch (write.type) {
    case 'set':
    case 'set-if':
    case 'append':
      return nameOfWrite(write.bucket, latin1(write.key), latin1(write.value));
    case 'set-many':
      return nameOfWrite(write.bucket, latin1(write.keys[0]), latin1(write.values[0]));
    case 'transaction': {
      const [first] = write.success;
      return first?.type === 'set' ? nameOfWrite(first.bucket, latin1(first.key), latin1(first.value)) : null;
    }
    default:
      return null;
  }
}

function nameOfWrite(bucket: string, key: string, value: string): string {
  return `${bucket}/${key} ${value.slice(0, VALUE_CHARACTERS_MAX)}`;
}

/** The unique word stands within them. */
const VALUE_CHARACTERS_MAX = 40;

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, VALUE_CHARACTERS_MAX));
}
