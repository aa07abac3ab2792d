/**
 * What a client may ask of the state machine, and what it answers: the words that sessions, routers and nodes
 * exchange, free of any dialect. `Write`s travel through the Raft log, `Read`s run behind a read barrier.
 *
 * A result is final: whatever a client chose about the form of its answer (seconds or milliseconds, the old value or a
 * status) is part of the request, so that the results of a transaction need no second look.
 */

/** Bucket names are 1 to 255 bytes of UTF-8 without NUL, space and control characters. */
export const DEFAULT_BUCKET = 'default';
export const BUCKET_BYTES_MAX = 255;
/** What a value may grow to; the same on every replica, whatever a node accepts on its connections. */
export const VALUE_BYTES_MAX = 16 * 1024 * 1024;
/**
 * Bytes of the values that the commands of one transaction change or look into as a whole, each time that they do: all
 * replicas do it in one turn.
 */
export const TRANSACTION_VALUE_BYTES_MAX = 2 * VALUE_BYTES_MAX;
/**
 * Bytes of the values that one command may meet, whatever it asks of them: each is read through, since its checksum is
 * checked, in one turn.
 */
export const MET_BYTES_MAX = 16 * VALUE_BYTES_MAX;
/** Bytes of one answer: of its values, and so many more for each. */
export const ANSWER_BYTES_MAX = 24 * 1024 * 1024;
export const ITEM_BYTES = 16;
/** Points in time are milliseconds since the Unix epoch, below this (in the year 5138). */
export const TIME_MS_MAX = 1e14;

/** What a write does about the time at which its key expires. */
export type Expiry =
  | { readonly type: 'never' }
  /** As it was. */
  | { readonly type: 'keep' }
  | ExpiryTime;

export type ExpiryTime =
  /** From the time of the log entry on. */
  { readonly type: 'after'; readonly ms: number } | { readonly type: 'at'; readonly ms: number };

/** What must hold for a write to happen. A key without a value has revision 0. */
export type Condition =
  | { readonly type: 'always' }
  | { readonly type: 'absent' }
  | { readonly type: 'present' }
  | { readonly type: 'value'; readonly value: Uint8Array }
  | { readonly type: 'revision'; readonly revision: number };

/** A comparison that a transaction begins with. A missing key has no value: every comparison of it is false but `!=`. */
export type Guard =
  | ({ readonly type: 'value'; readonly is: '=' | '!='; readonly value: Uint8Array } & OfKey)
  | ({
      readonly type: 'revision';
      readonly is: '=' | '!=' | '<' | '>';
      readonly revision: number;
    } & OfKey);

interface OfKey {
  readonly bucket: string;
  readonly key: Uint8Array;
}

interface OfKeys {
  readonly bucket: string;
  readonly keys: readonly Uint8Array[];
}

/** Writes of named keys, each of which does all or nothing. */
export type PointWrite =
  | ({ readonly type: 'set'; readonly value: Uint8Array } & OfKey)
  /** Deletes keys; the result counts those that were there. */
  | ({ readonly type: 'delete' } & OfKeys)
  | ({
      readonly type: 'set-if';
      readonly value: Uint8Array;
      readonly condition: Condition;
      readonly expiry: Expiry;
      /**
       * `status`: OK, or no value when the condition did not hold; `flag`: 1 or 0; `old`: the value before, whether or not
       * it was replaced; `revision`: the revision written, or no value.
       */
      readonly answer: 'status' | 'flag' | 'old' | 'revision';
    } & OfKey)
  | ({ readonly type: 'get-delete' } & OfKey)
  /** Reads a value and changes only when it expires. */
  | ({ readonly type: 'get-expire'; readonly expiry: Expiry } & OfKey)
  /** Adds to a decimal integer of 64 bits, signed. A missing key counts as 0. */
  | ({ readonly type: 'add'; readonly by: bigint } & OfKey)
  | ({ readonly type: 'append'; readonly value: Uint8Array } & OfKey)
  /** `keys[i]` gets `values[i]`. */
  | ({
      readonly type: 'set-many';
      readonly values: readonly Uint8Array[];
      readonly condition: 'always' | 'all-absent';
    } & OfKeys)
  | ({
      readonly type: 'expire';
      readonly expiry: ExpiryTime;
      readonly when: 'always' | 'never-expires' | 'expires' | 'later' | 'sooner';
    } & OfKey)
  | ({ readonly type: 'persist' } & OfKey)
  | ({ readonly type: 'json-set'; readonly path: string; readonly json: string } & OfKey)
  | ({ readonly type: 'json-delete'; readonly path: string } & OfKey)
  /** `by` is a JSON number. */
  | ({ readonly type: 'json-add'; readonly path: string; readonly by: string } & OfKey);

/** Reads of named keys: cheap, and answered at once. */
export type PointRead =
  | ({ readonly type: 'get' } & OfKey)
  | ({ readonly type: 'json-get'; readonly path: string } & OfKey)
  /** Counts the given keys that exist; one named twice counts twice, as in Redis. */
  | ({ readonly type: 'exists' } & OfKeys)
  | ({ readonly type: 'get-many' } & OfKeys)
  /** Revision and value; nothing when there is no such key. */
  | ({ readonly type: 'get-revision' } & OfKey)
  /** The revisions of keys, 0 for a missing one. */
  | ({ readonly type: 'revisions' } & OfKeys)
  | ({ readonly type: 'length' } & OfKey)
  /** What Redis calls the type of a value: there is one, `string`, or `none`. */
  | ({ readonly type: 'kind' } & OfKey)
  /** When a key expires; -1: never, -2: there is no such key. */
  | ({ readonly type: 'expiry'; readonly from: 'now' | 'epoch'; readonly unit: 's' | 'ms' } & OfKey);

/** Reads that may pass over many keys: done in steps. */
export type LongRead =
  | { readonly type: 'list-buckets' }
  /** Counts the keys of a bucket. */
  | { readonly type: 'count'; readonly bucket: string }
  /** All keys that begin with `prefix`. */
  | { readonly type: 'keys'; readonly bucket: string; readonly prefix: Uint8Array }
  /**
   * A page of keys or entries that are not below `from`, and below `to` (null: no end), in order: the key to go on at
   * (null: that was all), and the page. That key is the next `from`; of a descending page, which begins at the end, it is
   * the next `to`.
   */
  | {
      readonly type: 'range';
      readonly bucket: string;
      readonly from: Uint8Array;
      readonly to: Uint8Array | null;
      readonly prefix: Uint8Array;
      readonly limit: number;
      readonly answer: 'keys' | 'entries';
      readonly order: 'ascending' | 'descending';
    }
  /** What has changed behind the revision `since` (null: the last one) among the keys that begin with `prefix`. */
  | {
      readonly type: 'feed';
      readonly bucket: string;
      readonly since: number | null;
      readonly prefix: Uint8Array;
      readonly limit: number;
    };

export type Point = PointWrite | PointRead;

export interface Transaction {
  readonly type: 'transaction';
  readonly guards: readonly Guard[];
  /** Done when all guards hold; else `failure` is. */
  readonly success: readonly Point[];
  readonly failure: readonly Point[];
}

/** What a session may ask to have done once. */
export type OnceWrite = PointWrite | Transaction | { readonly type: 'drop-bucket'; readonly bucket: string };

export type Write =
  | OnceWrite
  /** Answers the number of a new session, which is gone when it has not been used for `idleMs`. */
  | { readonly type: 'session-open'; readonly idleMs: number }
  | { readonly type: 'session-close'; readonly session: number }
  /** Carried out once, however often it comes: a repetition gets the answer of the first. */
  | {
      readonly type: 'session-write';
      readonly session: number;
      readonly number: number;
      readonly write: OnceWrite;
    }
  /**
   * Deletes the keys that are not below `from`, and below `to` (null: no end): all or none, and whatever their number by one
   * record.
   */
  | {
      readonly type: 'delete-range';
      readonly bucket: string;
      readonly from: Uint8Array;
      readonly to: Uint8Array | null;
    }
  /** Puts and deletes keys of any buckets, in order, whatever is there: all or none. `edits`: see `batch.ts`. */
  | { readonly type: 'batch'; readonly edits: Uint8Array }
  /** Moves the time of the state machine on and sweeps some of what has expired or was dropped. Leaders ask for it. */
  | { readonly type: 'tick' };

/**
 * What a read may rest on:
 * - `linearizable`, the default: a round of messages confirms that the leader still leads;
 * - `lease`: the same promise, without the round while the leader holds a lease; as good as the declared bound on how
 *   much clocks drift;
 * - `stale`: what the node that was asked has applied. It may miss the latest writes, but none that is older than a bound.
 */
export type ReadTerms = { readonly consistency: 'linearizable' | 'lease' } | StaleTerms;

/** A node that cannot prove that it keeps to these refuses the read. */
export interface StaleTerms {
  readonly consistency: 'stale';
  /** Everything that was acknowledged so long before the read was asked for is in its answer; from 1. */
  readonly maxAgeMs: number;
  /** What was written up to this revision is in the answer, however new it is; 0: nothing in particular. */
  readonly minRevision: number;
  /** Whether the answer is preceded by the revision that it was read at: all that was written up to there is in it. */
  readonly answer: 'plain' | 'with-revision';
}

export const DEFAULT_MAX_AGE_MS = 10_000;

/** Without terms it is linearizable. */
export type Read = (PointRead | LongRead) & { readonly terms?: ReadTerms };

/**
 * Asked of whoever leads the group, about the group itself. A change is decided when it is committed, and as final, and as
 * uncertain, as a write.
 */
export type Administration =
  | { readonly type: 'member-list' }
  | { readonly type: 'member-add'; readonly address: string; readonly identity: number }
  | { readonly type: 'member-remove'; readonly id: number }
  | { readonly type: 'member-promote'; readonly id: number }
  | { readonly type: 'member-transfer'; readonly id: number };

export type Request = Write | Read | Administration;

export type Result =
  | { readonly type: 'ok' }
  /** `null`: no such key. The bytes are the receiver's. */
  | { readonly type: 'value'; readonly value: Uint8Array | null }
  | { readonly type: 'count'; readonly count: number }
  | { readonly type: 'integer'; readonly value: bigint }
  | { readonly type: 'word'; readonly word: string }
  | { readonly type: 'names'; readonly names: readonly string[] }
  | { readonly type: 'list'; readonly items: readonly Result[] }
  /** In place of a list. */
  | { readonly type: 'nothing' }
  | {
      readonly type: 'transaction';
      readonly branch: 'success' | 'failure';
      readonly results: readonly Result[];
    }
  | { readonly type: 'error'; readonly code: ErrorCode; readonly message: string };

/**
 * - `invalid`: the request can never succeed as it is (no such field, not JSON);
 * - `aborted`: a command of a transaction failed, and none was carried out;
 * - `unavailable`: not executed, and it is safe to try again (no leader);
 * - `overloaded`: not executed, too much is waiting already;
 * - `unknown`: a write whose outcome cannot be told: it may take effect, now or later, or never;
 * - `corruption`: bytes on a disk are damaged; the message names file and offset;
 * - `internal`: a defect or a failed disk.
 */
export type ErrorCode =
  | 'invalid'
  | 'aborted'
  | 'unavailable'
  | 'overloaded'
  | 'unknown'
  | 'corruption'
  | 'internal';

const POINT_WRITES: ReadonlySet<Request['type']> = new Set<PointWrite['type']>([
  'set',
  'delete',
  'set-if',
  'get-delete',
  'get-expire',
  'add',
  'append',
  'set-many',
  'expire',
  'persist',
  'json-set',
  'json-delete',
  'json-add',
]);

const POINT_READS: ReadonlySet<Request['type']> = new Set<PointRead['type']>([
  'get',
  'json-get',
  'exists',
  'get-many',
  'get-revision',
  'revisions',
  'length',
  'kind',
  'expiry',
]);

const LONG_READS: ReadonlySet<Request['type']> = new Set<LongRead['type']>([
  'list-buckets',
  'count',
  'keys',
  'range',
  'feed',
]);

const ADMINISTRATION: ReadonlySet<Request['type']> = new Set<Administration['type']>([
  'member-list',
  'member-add',
  'member-remove',
  'member-promote',
  'member-transfer',
]);

const ONCE_WRITES: ReadonlySet<Request['type']> = new Set([...POINT_WRITES, 'transaction', 'drop-bucket']);

const ALL: ReadonlySet<string> = new Set<string>([
  ...ONCE_WRITES,
  ...POINT_READS,
  ...LONG_READS,
  ...ADMINISTRATION,
  'session-open',
  'session-close',
  'session-write',
  'delete-range',
  'batch',
  'tick',
] satisfies Request['type'][]);

/** Whether it may change something: if its answer is lost, its outcome is not known. */
export function isWrite(request: Request): request is Write | Administration {
  return !POINT_READS.has(request.type) && !LONG_READS.has(request.type);
}

export function isAdministration(request: Request): request is Administration {
  return ADMINISTRATION.has(request.type);
}

export function isMembershipChange({ type }: Administration): boolean {
  return type !== 'member-list' && type !== 'member-transfer';
}

export function isRequestType(type: string): type is Request['type'] {
  return ALL.has(type);
}

export function isLongRead(request: Read): request is LongRead {
  return LONG_READS.has(request.type);
}

export function isPoint(request: Request): request is Point {
  return POINT_WRITES.has(request.type) || POINT_READS.has(request.type);
}

/** Also of a write that names no bucket yet. */
export function isPointWrite(request: { readonly type: Request['type'] }): request is PointWrite {
  return POINT_WRITES.has(request.type);
}

export function isOnceWrite(request: Request): request is OnceWrite {
  return ONCE_WRITES.has(request.type);
}

export function sameTerms(a: ReadTerms | undefined, b: ReadTerms | undefined): boolean {
  if (a === b) return true;
  if (a?.consistency === 'stale' && b?.consistency === 'stale') {
    return a.maxAgeMs === b.maxAgeMs && a.minRevision === b.minRevision && a.answer === b.answer;
  }
  return (a?.consistency ?? 'linearizable') === (b?.consistency ?? 'linearizable');
}

export function errorResult(code: ErrorCode, message: string): Result {
  return { type: 'error', code, message };
}
