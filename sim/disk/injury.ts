/**
 * What a fault has done to a disk, told to the world at the moment in which it happens: a fault that was armed may
 * strike much later, or never.
 */

export type InjuryKind =
  /** An operation failed with EIO; nothing that was durable is harmed. */
  | 'failed-read'
  | 'failed-write'
  /** What the sync covered may be gone at the next crash, or is gone already, whatever later syncs say. */
  | 'failed-sync'
  /** An operation found no space; nothing is harmed. */
  | 'full'
  /** Bits of the range have changed. */
  | 'rot'
  /** The range was written and synced, and holds what was there before, at the latest after the next crash. */
  | 'lost-write'
  /** The range holds what belongs elsewhere. */
  | 'overwritten'
  /** The range cannot be read. */
  | 'bad-sector'
  | 'lost-name'
  /** The whole disk is gone; `path` is empty. */
  | 'wiped';

export interface Injury {
  readonly kind: InjuryKind;
  readonly path: string;
  /** The range [start, end) of the file, in bytes; empty where the kind has none. */
  readonly start: number;
  readonly end: number;
}
