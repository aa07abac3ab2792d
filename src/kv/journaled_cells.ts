/** The store, with a note in the journal of every user's key that is written. */
import { ChangeKind, type Journal } from './journal.ts';
import { isUserKey } from './key_space.ts';
import type { KeyValueStore } from './key_value_store.ts';
import type { Cells } from './live_keys.ts';

export class JournaledCells implements Cells {
  readonly #store: KeyValueStore;
  readonly #journal: Journal;

  constructor(store: KeyValueStore, journal: Journal) {
    this.#store = store;
    this.#journal = journal;
  }

  get(key: Uint8Array): Uint8Array | null {
    return this.#store.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#store.put(key, value);
    this.#note(key);
  }

  delete(key: Uint8Array): void {
    this.#store.delete(key);
    this.#note(key);
  }

  /** The store's last entry is the one being applied. */
  #note(key: Uint8Array): void {
    if (isUserKey(key)) this.#journal.add(this.#store.appliedIndex, ChangeKind.Key, key);
  }
}
