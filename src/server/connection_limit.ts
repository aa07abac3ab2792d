/**
 * How many connections a node takes. Each costs a file descriptor, which its files need as well, so there is a limit; but
 * clients must not keep the other nodes out by being many.
 *
 * Who is there is known from the first byte that comes. So a few more than the limit are let in to be heard. A client among
 * them is told that it is one too many, and goes; another node stays. Whoever of them has said nothing yet, or has been told
 * and does not go, makes room for the next: nodes speak at once.
 */
import type { Connection } from '../io/network.ts';

/** Beyond the limit: other nodes. */
const PEERS_SPARE = 16;
/** Beyond both: who has not been heard yet, or is to go. */
const PASSING_MAX = 32;

export class ConnectionLimit implements Iterable<Connection> {
  readonly max: number;
  readonly #all = new Set<Connection>();
  /** Those that count for nothing, oldest first. */
  readonly #passing = new Set<Connection>();

  /** @param max Connections at a time, those of other nodes counted. */
  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.values();
  }

  /** Takes in one by which nothing has come yet; it has a handler. */
  add(connection: Connection): void {
    const isFull = this.#taken >= this.max;
    this.#all.add(connection);
    if (!isFull) return;
    this.#passing.add(connection);
    const [oldest] = this.#passing;
    if (this.#passing.size <= PASSING_MAX || oldest === undefined) return;
    this.delete(oldest);
    oldest.destroy();
  }

  /** Whether who is heard may stay. */
  admits(connection: Connection, who: 'client' | 'peer'): boolean {
    if (!this.#passing.has(connection)) return true;
    if (this.#taken >= this.max + (who === 'peer' ? PEERS_SPARE : 0)) return false;
    this.#passing.delete(connection);
    return true;
  }

  /** It is gone. Idempotent. */
  delete(connection: Connection): void {
    this.#all.delete(connection);
    this.#passing.delete(connection);
  }

  get #taken(): number {
    return this.#all.size - this.#passing.size;
  }
}
