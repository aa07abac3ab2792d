/**
 * A copy of a bucket that is kept up by its change feed alone (`src/kv/feed.ts`), through one life of a state machine. It
 * must be what the bucket is behind each entry. A feed may be refused only when a snapshot has come since it was last
 * read: then what there is is taken anew.
 */
import { fromUtf8 } from '../../src/codec/bytes.ts';
import type { Result } from '../../src/kv/request.ts';
import type { StateMachine } from '../../src/kv/state_machine.ts';
import type { Index } from '../../src/log/entry.ts';
import type { SimRandom } from '../random.ts';

const EVERYTHING = new Uint8Array(0);
const LIMITS = [1, 2, 100];

type State = ReadonlyMap<string, string>;

export class FeedCopy {
  readonly #machine: StateMachine;
  readonly #bucket: string;
  readonly #random: SimRandom;
  #copy: Map<string, string>;
  /** Told up to this revision. */
  #through: Index;

  /** @param state What the bucket holds now, behind the entry `appliedIndex`. */
  constructor(machine: StateMachine, bucket: string, random: SimRandom, appliedIndex: Index, state: State) {
    this.#machine = machine;
    this.#bucket = bucket;
    this.#random = random;
    this.#through = appliedIndex;
    this.#copy = new Map(state);
  }

  /**
   * Reads on, up to the entry `appliedIndex`, behind which the bucket holds `state`.
   *
   * @param mayBeRefused A snapshot has come since the last time.
   * @throws Error what is wrong with the feed.
   */
  follow(appliedIndex: Index, state: State, mayBeRefused: boolean): void {
    while (this.#through < appliedIndex) {
      const page = this.#read();
      if (page === null) {
        if (!mayBeRefused) throw new Error(`the feed from revision ${this.#through} is refused`);
        this.#through = appliedIndex;
        this.#copy = new Map(state);
        return;
      }
      if (page.through <= this.#through || page.through > appliedIndex)
        throw new Error(`a feed from revision ${this.#through} ends at ${page.through}`);
      this.#through = page.through;
      for (const [key, value] of page.changes) {
        if (value === null) this.#copy.delete(key);
        else this.#copy.set(key, value);
      }
    }
    const copied = [...this.#copy].sort().join(' ');
    const held = [...state].sort().join(' ');
    if (copied !== held) throw new Error(`a copy by the feed is ${copied} at entry ${appliedIndex}: ${held}`);
  }

  /** Null: refused. */
  #read(): { readonly through: Index; readonly changes: [string, string | null][] } | null {
    const limit = this.#random.pick(LIMITS);
    const answer = this.#machine.readLong(
      { type: 'feed', bucket: this.#bucket, since: this.#through, prefix: EVERYTHING, limit },
      0,
    );
    if (answer === 'due' || !('type' in answer)) throw new Error('a feed is answered at once');
    if (answer.type === 'error' && answer.code === 'invalid') return null;
    const [through, changes] = itemsOf(answer);
    if (through?.type !== 'count') throw new Error(`a feed is answered ${JSON.stringify(answer)}`);
    return { through: through.count, changes: itemsOf(changes).map(changeOf) };
  }
}

function changeOf(change: Result): [string, string | null] {
  const [, , key, value] = itemsOf(change);
  if (key?.type !== 'value' || key.value === null || value?.type !== 'value')
    throw new Error(`a feed tells ${JSON.stringify(change)}`);
  return [fromUtf8(key.value), value.value === null ? null : fromUtf8(value.value)];
}

function itemsOf(result: Result | undefined): readonly Result[] {
  if (result?.type !== 'list') throw new Error(`a feed is answered ${JSON.stringify(result)}`);
  return result.items;
}
