/**
 * A snapshot: reads as of a sequence number, whatever is written since. While it is held, flushes and compactions keep the
 * versions that it can see; it holds no files of its own.
 */
import { EnvelopeError } from '../base/errors.ts';
import type { Index } from '../log/entry.ts';
import type { IteratorRange, StoreIterator } from './store_iterator.ts';
import type { ValuePlace } from './value_place.ts';

/** What a snapshot needs of its store. */
export interface SnapshotSource {
  findAt(key: Uint8Array, sequence: Index): ValuePlace | null;
  iteratorAt(range: IteratorRange, sequence: Index): StoreIterator;
  onSnapshotReleased(sequence: Index): void;
}

export class ReadSnapshot {
  /** Everything up to this log entry is seen, and nothing else. */
  readonly sequence: Index;
  readonly #source: SnapshotSource;
  #isHeld = true;

  constructor(source: SnapshotSource, sequence: Index) {
    this.#source = source;
    this.sequence = sequence;
  }

  /** As `Store.get`. */
  get(key: Uint8Array): Uint8Array | null {
    return this.find(key)?.view ?? null;
  }

  /** As `Store.find`. */
  find(key: Uint8Array): ValuePlace | null {
    this.#assertHeld();
    return this.#source.findAt(key, this.sequence);
  }

  has(key: Uint8Array): boolean {
    return this.find(key) !== null;
  }

  /** As `Store.getMany`. */
  getMany(keys: readonly Uint8Array[]): (Uint8Array | null)[] {
    return keys.map((key) => this.get(key));
  }

  /** As `Store.iterator`. It may outlive the snapshot. */
  iterator(range: IteratorRange = {}): StoreIterator {
    this.#assertHeld();
    return this.#source.iteratorAt(range, this.sequence);
  }

  /** Idempotent. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#source.onSnapshotReleased(this.sequence);
  }

  /** What it sees may be gone. @throws EnvelopeError `RELEASED` */
  #assertHeld(): void {
    if (!this.#isHeld) throw new EnvelopeError('RELEASED', 'the snapshot was released');
  }
}
