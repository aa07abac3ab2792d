/** What the store keeps of a key: versions, each with the sequence number of the log entry that wrote it. */
import type { Index } from '../log/entry.ts';
import type { ValuePlace } from './value_place.ts';

export const RecordKind = { Put: 1, Tombstone: 2 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** Every version is visible to who reads with this sequence number. */
export const ALL_VISIBLE: Index = Number.MAX_SAFE_INTEGER;

/**
 * Goes through records in order: keys ascending, versions of a key from new to old. Views are valid until control returns
 * to the event loop or the cursor moves; that of the key is until the cursor moves. A new cursor stands nowhere (it is not valid) until it is told to seek. After an
 * error it must not be used further.
 */
export interface Cursor {
  /** False behind the last record; nothing else may be asked then. */
  readonly isValid: boolean;
  readonly key: Uint8Array;
  readonly sequence: Index;
  readonly kind: RecordKind;
  /** Empty for a tombstone. */
  readonly value: Uint8Array;
  /** The checksum that it was written with (`recordCrc`), which nobody has compared; left out: it has none yet. */
  readonly crc?: number | undefined;
  /** Compares it. Left out as that is. @throws CorruptionError */
  verify?(): void;
  next(): void;
  seekToFirst(): void;
  /** To the first record whose key is not below. */
  seek(key: Uint8Array): void;
}

/**
 * A cursor that goes backwards too, from key to key: it always comes to stand on the newest version of a key, from where
 * `next` shows the older ones.
 */
export interface TwoWayCursor extends Cursor {
  /** As `value`, without a view. */
  placeValue(place: ValuePlace): void;
  /** To the newest version of the last key. */
  seekToLast(): void;
  /** To the newest version of the last key that is below; not valid when there is none. */
  seekBelow(key: Uint8Array): void;
}
