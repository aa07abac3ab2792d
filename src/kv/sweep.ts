/**
 * Removes the bytes of what is gone already: keys that have expired, sessions, the remains of dropped buckets. A tick
 * sweeps a bounded number of them, in the order of the store's keys, so every replica removes the same at the same entry.
 *
 * The index of expiries is only ever added to by writes: a key that was overwritten or deleted since leaves its old entry
 * behind. So the sweep looks at the key itself and removes it only if that says the same.
 */
import type { Index } from '../log/entry.ts';
import {
  bucketOfDropKey,
  bucketRange,
  dropKey,
  dropRange,
  expiryRange,
  parseExpiryKey,
  sessionOfKey,
  timeKey,
} from './key_space.ts';
import type { KeyValueStore } from './key_value_store.ts';
import type { LiveKeys, MachineState } from './live_keys.ts';
import { forgetSession } from './sessions.ts';
import { decodeStored, encodeStored, NEVER } from './stored_value.ts';

const SWEPT_KEYS_MAX = 256;

/** What the store knows of the state beside the keys: as after a start. */
export function loadState(store: KeyValueStore): MachineState {
  const time = store.get(timeKey);
  const drops = new Map<string, Index>();
  const iterator = store.iterator(dropRange);
  try {
    while (iterator.next()) {
      drops.set(bucketOfDropKey(iterator.key().slice()), decodeStored(iterator.value()).revision);
    }
  } finally {
    iterator.close();
  }
  const nowMs = time === null ? 0 : decodeStored(time).expiresAtMs;
  return { nowMs, drops, nextDueMs: firstExpiry(store) };
}

/** Marks a bucket as dropped: what it holds up to this entry is gone, and swept from its first key on. */
export function dropBucket(keys: LiveKeys, bucket: string): void {
  keys.cells.put(dropKey(bucket), encodeStored(new Uint8Array(0), keys.revision, NEVER));
  keys.state.drops.set(bucket, keys.revision);
}

export function sweep(store: KeyValueStore, keys: LiveKeys): void {
  const left = sweepExpired(store, keys, SWEPT_KEYS_MAX);
  if (left > 0) sweepDropped(store, keys, left);
}

/** @returns how many keys may still be looked at. */
function sweepExpired(store: KeyValueStore, keys: LiveKeys, keysMax: number): number {
  const { nowMs } = keys.state;
  const due: Uint8Array[] = [];
  const iterator = store.iterator(expiryRange);
  try {
    while (due.length < keysMax && iterator.next()) {
      if (parseExpiryKey(iterator.key()).expiresAtMs > nowMs) break;
      due.push(iterator.key().slice());
    }
  } finally {
    iterator.close();
  }
  for (const entry of due) {
    store.delete(entry);
    sweepKey(store, keys, parseExpiryKey(entry).key);
  }
  keys.state.nextDueMs = firstExpiry(store);
  return keysMax - due.length;
}

function sweepKey(store: KeyValueStore, keys: LiveKeys, key: Uint8Array): void {
  const bytes = store.get(key);
  if (bytes === null) return;
  const { expiresAtMs } = decodeStored(bytes);
  if (expiresAtMs === NEVER) return;
  const session = sessionOfKey(key);
  if (expiresAtMs > keys.state.nowMs) {
    // Keys note every expiry that they are given; sessions only the first.
    if (session !== null) keys.remember(key, expiresAtMs);
  } else if (session !== null) forgetSession(store, session);
  else keys.cells.delete(key);
}

/** The marker of a drop holds the key at which its sweep goes on. */
function sweepDropped(store: KeyValueStore, keys: LiveKeys, keysMax: number): void {
  const { drops } = keys.state;
  // The same on every replica, whatever the order in which it has heard of them.
  const bucket = [...drops.keys()].sort()[0];
  const dropped = bucket === undefined ? undefined : drops.get(bucket);
  if (bucket === undefined || dropped === undefined) return;
  const marker = store.get(dropKey(bucket));
  const cursor = marker === null ? null : decodeStored(marker).copy();
  const range = bucketRange(bucket);
  const gone: Uint8Array[] = [];
  let last: Uint8Array | null = null;
  let seen = 0;
  const iterator = store.iterator({
    ...range,
    gte: cursor === null || cursor.length === 0 ? range.gte : cursor,
  });
  try {
    while (seen < keysMax && iterator.next()) {
      seen++;
      last = iterator.key().slice();
      if (decodeStored(iterator.value()).revision <= dropped) gone.push(last);
    }
  } finally {
    iterator.close();
  }
  for (const key of gone) store.delete(key);
  if (seen < keysMax || last === null) {
    store.delete(dropKey(bucket));
    drops.delete(bucket);
  } else {
    store.put(dropKey(bucket), encodeStored(last, dropped, NEVER));
  }
}

function firstExpiry(store: KeyValueStore): number {
  const iterator = store.iterator(expiryRange);
  try {
    return iterator.next() ? parseExpiryKey(iterator.key()).expiresAtMs : Number.POSITIVE_INFINITY;
  } finally {
    iterator.close();
  }
}
