/**
 * Every write that clients have asked for, by the entries that hold it. Simulated clients never ask for the same write
 * twice (each value has a word of its own), so a value in a second entry means that the store has proposed it again. It
 * may do so only when the first entry can never take effect: when another has been committed in its place. Otherwise
 * both may, and a client that was told of one outcome may see two.
 */
import { decodeWrite } from '../src/kv/write_codec.ts';

export interface Place {
  readonly index: number;
  readonly term: number;
}

export class WriteLedger {
  readonly #places = new Map<string, Place>();

  /** The entry that has held last the write of this value, of several the first; null: none ever has. */
  placeOf(bucket: string, key: string, value: string): Place | null {
    return this.#places.get(nameOfWrite(bucket, key, value)) ?? null;
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
    const name = nameOf(payload);
    if (name === null) return null;
    const before = this.#places.get(name);
    this.#places.set(name, { index, term });
    if (before === undefined) return null;
    const committed = committedTermAt(before.index);
    if (committed !== null && committed !== before.term) return null;
    return (
      `the write of ${name} is in entry ${index} of term ${term}, ` +
      `while entry ${before.index} of term ${before.term} may yet take effect or has done so`
    );
  }
}

/** Of a write that is unique: of one that brings a value. */
function nameOf(payload: Uint8Array): string | null {
  const { write } = decodeWrite(payload);
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
