/**
 * The change feed: which keys of a bucket have changed since a revision, and what they hold now.
 *
 * A feed that is read from time to time, each time from where the last answer ended, learns of every key that has changed,
 * and of its newest value; values that were replaced in between are passed over. So a copy that is kept up with a feed
 * ends up equal. A page tells nothing that is newer than where it ends: a key that has changed again behind that is left
 * to a later page. So of a key nothing older is ever told behind something newer.
 */
import type { Index } from '../log/entry.ts';
import { nameOf } from './draft.ts';
import { type Change, ChangeKind, type Journal } from './journal.ts';
import { bucketPrefix } from './key_space.ts';
import type { LiveKeys } from './live_keys.ts';
import { ANSWER_BYTES_MAX, errorResult, ITEM_BYTES, type LongRead, type Result } from './request.ts';

const NO_VALUE: Result = { type: 'value', value: null };
const DROP: Result = { type: 'value', value: new TextEncoder().encode('drop') };
const SET: Result = { type: 'value', value: new TextEncoder().encode('set') };
const DELETE: Result = { type: 'value', value: new TextEncoder().encode('delete') };
/** What an answer may hold beyond its limit is one entry's changes, so this is kept well below the largest answer. */
const PAGE_BYTES = ANSWER_BYTES_MAX / 4;

interface Found {
  readonly revision: Index;
  readonly kind: ChangeKind;
  readonly key: Uint8Array;
  /** The key is known not to have been written again since. */
  isLast: boolean;
}

/**
 * The revision up to which the answer tells all, and the changes: each is a list of revision, `set`, `delete` or `drop`, key
 * and value. Of an entry it tells all changes or none. With fewer changes than its limit, and less than a page of bytes, it
 * has told all.
 *
 * @param appliedIndex The store holds what was written up to here.
 */
export function readFeed(
  keys: LiveKeys,
  journal: Journal,
  appliedIndex: Index,
  read: Extract<LongRead, { type: 'feed' }>,
): Result {
  const { bucket, prefix, limit } = read;
  const since = read.since ?? appliedIndex;
  if (since < journal.start) {
    return errorResult(
      'invalid',
      `changes behind revision ${since} are not kept any more, only those behind ${journal.start}: read the keys anew and feed from there`,
    );
  }
  if (since > appliedIndex) {
    return errorResult('invalid', `revision ${since} is in the future: the last is ${appliedIndex}`);
  }
  const start = bucketPrefix(bucket);
  /** By key, in the order of their last changes. */
  const changes = new Map<string, Found>();
  let through = appliedIndex;
  let last = since;
  journal.since(since, (change) => {
    if (change.revision > last && changes.size >= limit) {
      leaveToLater(keys, bucket, changes);
      if (changes.size >= limit) {
        through = last;
        return 'end';
      }
    }
    last = change.revision;
    const key = keyOf(change, start, prefix);
    if (key === null) return 'more';
    const name = change.kind === ChangeKind.Drop ? '' : `k${nameOf(key)}`;
    changes.delete(name);
    changes.set(name, { revision: change.revision, kind: change.kind, key, isLast: false });
    return 'more';
  });
  return answer(keys, bucket, [...changes.values()], through);
}

/** Takes out the keys that have been written again behind what was looked through: the journal has them there as well. */
function leaveToLater(keys: LiveKeys, bucket: string, changes: Map<string, Found>): void {
  for (const [name, change] of changes) {
    if (change.isLast || change.kind === ChangeKind.Drop) continue;
    const found = keys.find(bucket, change.key);
    if (found !== null && found.revision > change.revision) changes.delete(name);
    else change.isLast = true;
  }
}

function answer(keys: LiveKeys, bucket: string, changes: readonly Found[], whole: Index): Result {
  const items: Result[] = [];
  let bytes = 0;
  let through = whole;
  for (const [at, { revision, kind, key }] of changes.entries()) {
    const before = changes[at - 1];
    if (bytes > PAGE_BYTES && before !== undefined && before.revision < revision) {
      through = before.revision;
      break;
    }
    const found = kind === ChangeKind.Drop ? null : keys.find(bucket, key);
    bytes += 4 * ITEM_BYTES + key.length + (found?.length ?? 0);
    if (bytes > ANSWER_BYTES_MAX) {
      return errorResult(
        'invalid',
        `the changes of revision ${revision} are longer than ${ANSWER_BYTES_MAX} bytes (max answer bytes)`,
      );
    }
    const word = kind === ChangeKind.Drop ? DROP : found === null ? DELETE : SET;
    items.push({
      type: 'list',
      items: [
        { type: 'count', count: found?.revision ?? revision },
        word,
        kind === ChangeKind.Drop ? NO_VALUE : { type: 'value', value: key },
        found === null ? NO_VALUE : { type: 'value', value: found.copy() },
      ],
    });
  }
  return {
    type: 'list',
    items: [
      { type: 'count', count: through },
      { type: 'list', items },
    ],
  };
}

/** The user's key, as a copy, if the change is one of the bucket and the prefix; of a drop the empty one. */
function keyOf(change: Change, start: Uint8Array, prefix: Uint8Array): Uint8Array | null {
  const { key, kind } = change;
  if (!startsWith(key, 0, start)) return null;
  if (kind === ChangeKind.Drop) return key.slice(start.length);
  return startsWith(key, start.length, prefix) ? key.slice(start.length) : null;
}

function startsWith(bytes: Uint8Array, offset: number, prefix: Uint8Array): boolean {
  if (bytes.length < offset + prefix.length) return false;
  for (let at = 0; at < prefix.length; at++) if (bytes[offset + at] !== prefix[at]) return false;
  return true;
}
