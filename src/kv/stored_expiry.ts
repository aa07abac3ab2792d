/**
 * By what rule the state machine's records expire, for a store that drops them by itself: keys of users, and the entries of
 * the index of expiries whose time has come.
 *
 * For the embedded store, which never sweeps. The nodes of a cluster must not use it. Their sweep deletes what has expired
 * by an entry of the log, which the change feed tells of, and goes on from key to key by what is there: it must be the same
 * on every replica at that entry, whatever each of them has compacted by then. Sessions are left to the sweep too,
 * which finds their answers by them.
 */
import { CorruptionError } from '../base/errors.ts';
import type { ExpiryRule } from '../lsm/expiry.ts';
import { isExpiryKey, isUserKey, parseExpiryKey, timeKey } from './key_space.ts';
import { decodeStored, mayExpire, NEVER } from './stored_value.ts';

export const storedExpiry: ExpiryRule = {
  timeIn: (get) => {
    const time = get(timeKey);
    return time === null ? 0 : decodeStored(time).expiresAtMs;
  },
  expiresAtMs: (key, value) => {
    if (isUserKey(key)) return mayExpire(value) ? expiryOf(value) : NEVER;
    return isExpiryKey(key) ? parseExpiryKey(key).expiresAtMs : NEVER;
  },
};

/** What is no value stays: whoever reads it is told. */
function expiryOf(value: Uint8Array): number {
  try {
    return decodeStored(value).expiresAtMs;
  } catch (error) {
    if (error instanceof CorruptionError) return NEVER;
    throw error;
  }
}
