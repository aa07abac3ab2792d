/**
 * The configurations that the log holds: the latest that is known to be committed, and all that follow it. The last of
 * them is in force. When the log loses entries to another leader, their configurations go with them.
 */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';
import { type Configuration, isVoter, UNKNOWN_CONFIGURATION } from './configuration.ts';
import type { NodeId } from './message.ts';

export class Memberships {
  /** By ascending index; never empty. All but the first may still be replaced. */
  #configurations: readonly Configuration[];
  /** Of the entry that holds each; 0: the group was founded with it. */
  #indices: readonly Index[];

  /** @param index The configuration is that of this index, or of one before it. */
  constructor(configuration: Configuration, index: Index) {
    this.#configurations = [configuration];
    this.#indices = [index];
  }

  get current(): Configuration {
    const current = this.#configurations.at(-1);
    assert(current !== undefined, 'a configuration is in force');
    return current;
  }

  /** Of the first of `all`, or an index behind that. */
  get firstIndex(): Index {
    return this.#indices[0] ?? 0;
  }

  get currentIndex(): Index {
    return this.#indices.at(-1) ?? 0;
  }

  /** From the committed one on, oldest first. */
  get all(): readonly Configuration[] {
    return this.#configurations;
  }

  /** Whether the node votes in the configuration in force, or in one that may come back into force. */
  mayVote(id: NodeId): boolean {
    for (const configuration of this.#configurations) if (isVoter(configuration, id)) return true;
    return false;
  }

  /** The log has got an entry that says so, at its end. */
  add(index: Index, configuration: Configuration): void {
    assert(index > this.currentIndex, 'configurations follow each other', {
      index,
      current: this.currentIndex,
    });
    this.#configurations = [...this.#configurations, configuration];
    this.#indices = [...this.#indices, index];
  }

  /** Which configuration it was that was not known at the start; without effect once a later one is committed. */
  learn(configuration: Configuration): void {
    const [first, ...rest] = this.#configurations;
    if (first === UNKNOWN_CONFIGURATION) this.#configurations = [configuration, ...rest];
  }

  /** The log has lost what it held from `index` on. */
  truncate(index: Index): void {
    let kept = this.#indices.length;
    while (kept > 1 && (this.#indices[kept - 1] ?? 0) >= index) kept--;
    if (kept === this.#indices.length) return;
    this.#configurations = this.#configurations.slice(0, kept);
    this.#indices = this.#indices.slice(0, kept);
  }

  onCommit(index: Index): void {
    let gone = 0;
    while (gone + 1 < this.#indices.length && (this.#indices[gone + 1] ?? 0) <= index) gone++;
    if (gone === 0) return;
    this.#configurations = this.#configurations.slice(gone);
    this.#indices = this.#indices.slice(gone);
  }
}
