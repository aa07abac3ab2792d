/** What the store keeps of a key: versions, each with the sequence number of the log entry that wrote it. */
import type { Index } from '../log/entry.ts';

export const RecordKind = { Put: 1, Tombstone: 2 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/**
 * Goes through records in order: keys ascending and, in a memtable, versions of a key from new to old. Views are valid
 * until control returns to the event loop or the cursor moves. A new cursor stands nowhere (it is not valid) until it is told
 * to seek. After an error it must not be used further.
 */
export interface Cursor {
  /** False behind the last record; nothing else may be asked then. */
  readonly isValid: boolean;
  readonly key: Uint8Array;
  readonly sequence: Index;
  readonly kind: RecordKind;
  /** Empty for a tombstone. */
  readonly value: Uint8Array;
  next(): void;
  seekToFirst(): void;
  /** To the first record whose key is not below. */
  seek(key: Uint8Array): void;
}
