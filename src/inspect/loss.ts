/** What a repair could not bring over, and what that means for the keys of the store. */

/** Store keys; null: no border. Both are included. */
export interface KeySpan {
  readonly from: Uint8Array | null;
  readonly to: Uint8Array | null;
}

export interface Loss {
  readonly path: string;
  /** In bytes, of where the damaged structure begins. */
  readonly offset: number;
  readonly what: string;
  /** What has become of it, for people. */
  readonly effect: string;
  /** Keys that may not hold what they held; null: none, all that was there could be made again. */
  readonly keys: KeySpan | null;
}

export const ANY_KEY: KeySpan = { from: null, to: null };
