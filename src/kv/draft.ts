/** Writes that are not done yet, over cells that they would change: a transaction reads its own, and keeps or drops all. */
import type { Cells } from './live_keys.ts';

interface Change {
  readonly key: Uint8Array;
  /** Null: deleted. */
  readonly value: Uint8Array | null;
}

export class Draft implements Cells {
  readonly #under: Cells;
  readonly #changes = new Map<string, Change>();

  constructor(under: Cells) {
    this.#under = under;
  }

  get(key: Uint8Array): Uint8Array | null {
    const change = this.#changes.get(nameOf(key));
    return change === undefined ? this.#under.get(key) : change.value;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#changes.set(nameOf(key), { key: key.slice(), value: value.slice() });
  }

  delete(key: Uint8Array): void {
    this.#changes.set(nameOf(key), { key: key.slice(), value: null });
  }

  /** Does all of them, in the order in which the keys were first written. */
  commit(): void {
    for (const { key, value } of this.#changes.values()) {
      if (value === null) this.#under.delete(key);
      else this.#under.put(key, value);
    }
    this.#changes.clear();
  }
}

/** One character a byte: different keys have different names. */
export function nameOf(key: Uint8Array): string {
  let name = '';
  for (const byte of key) name += String.fromCharCode(byte);
  return name;
}
