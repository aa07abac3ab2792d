/** What a caller hands in, looked at where a mistake would otherwise be silent, or would show somewhere else. */
import { checkFields, checkObject, told } from '../base/arguments.ts';
import { EnvelopeError } from '../base/errors.ts';
import { utf8 } from '../codec/bytes.ts';
import { BUCKET_BYTES_MAX, type Condition, TIME_MS_MAX } from '../kv/request.ts';
import { isWellFormed } from './encoding.ts';
import type { Durability } from './engine.ts';
import type { Bounds, Range } from './range.ts';

/** @throws EnvelopeError `INVALID`: a write that is taken for `buffered` by mistake would be told to last too early. */
export function checkedDurability(durability: Durability): Durability {
  if (durability === 'sync' || durability === 'buffered') return durability;
  throw new EnvelopeError('INVALID', `durability is sync or buffered, not ${told(durability)}`);
}

const LONG_WORK = ['signal', 'onProgress'];
/** What each call takes. */
const OPTIONS = {
  put: new Set(['durability', 'ttlMs']),
  putIf: new Set(['durability', 'ttlMs']),
  delete: new Set(['durability']),
  deleteRange: new Set(['durability']),
  'Batch.put': new Set(['ttlMs']),
  write: new Set(['durability']),
  clear: new Set(['durability', ...LONG_WORK]),
  compact: new Set(LONG_WORK),
  backup: new Set(LONG_WORK),
} satisfies Record<string, ReadonlySet<string>>;

/** @throws EnvelopeError `INVALID` */
export function checkOptions(call: keyof typeof OPTIONS, options: object): void {
  checkObject('options are', options);
  checkFields(call, options, OPTIONS[call]);
}

const BOUND_NAMES = ['gt', 'gte', 'lt', 'lte', 'prefix'];
const BOUNDS: ReadonlySet<string> = new Set(BOUND_NAMES);
const RANGE_FIELDS: ReadonlySet<string> = new Set([...BOUND_NAMES, 'limit', 'reverse']);
const SCAN_FIELDS: ReadonlySet<string> = new Set([...RANGE_FIELDS, 'signal']);

/** Of a scan. @throws EnvelopeError `INVALID` as `checkRange`; a signal or a limit may still be none. */
export function checkScan(range: Range<unknown>): void {
  checkRange(range, SCAN_FIELDS);
}

/** Bounds alone. @throws EnvelopeError `INVALID` */
export function checkBounds(bounds: Bounds<unknown>): void {
  checkRange(bounds, BOUNDS);
}

/** @throws EnvelopeError `INVALID`: a bound whose name is not known would let the range be larger than it was meant to be. */
function checkRange(range: Range<unknown>, known: ReadonlySet<string>): void {
  checkObject('a range is', range);
  checkFields('a range', range, known);
  const { reverse } = range;
  if (reverse === undefined || typeof reverse === 'boolean') return;
  throw new EnvelopeError('INVALID', `reverse is true or false, not ${told(reverse)}`);
}

/**
 * Of keys that are to be deleted: a bound that is there must be one.
 * @throws EnvelopeError `INVALID`
 */
export function checkDeletedRange(range: Range<unknown>): void {
  checkRange(range, RANGE_FIELDS);
  for (const [name, value] of Object.entries(range)) {
    if (value !== undefined || !BOUNDS.has(name)) continue;
    throw new EnvelopeError('INVALID', `${name} is undefined: leave it out to delete without that bound`);
  }
}

/** @throws EnvelopeError `INVALID`: a condition that is none would never hold. */
export function checkCondition(condition: Pick<Condition, 'type'> & { readonly revision?: unknown }): void {
  const type: unknown = condition?.type;
  if (type === 'absent' || type === 'present' || type === 'value') return;
  if (type !== 'revision') {
    throw new EnvelopeError(
      'INVALID',
      `the type of a condition is absent, present, value or revision, not ${told(type)}`,
    );
  }
  const { revision } = condition;
  if (Number.isSafeInteger(revision) && Number(revision) >= 0) return;
  throw new EnvelopeError('INVALID', `revision is a whole number from 0 on, not ${told(revision)}`);
}

/** @throws EnvelopeError `INVALID` */
export function checkedTtlMs(ttlMs: number): number {
  if (Number.isSafeInteger(ttlMs) && ttlMs > 0 && ttlMs <= TIME_MS_MAX) return ttlMs;
  throw new EnvelopeError(
    'INVALID',
    `ttlMs is ${told(ttlMs)}: it is a whole number of milliseconds from 1 to ${TIME_MS_MAX}`,
  );
}

/** @throws EnvelopeError `INVALID` */
export function checkBucketName(name: string): void {
  if (typeof name !== 'string') {
    throw new EnvelopeError('INVALID', `a bucket's name is a string, not ${told(name)}`);
  }
  const bytes = utf8(name).length;
  const isClean = !/[\0-\x20\x7f]/.test(name) && isWellFormed(name);
  if (bytes >= 1 && bytes <= BUCKET_BYTES_MAX && isClean) return;
  throw new EnvelopeError(
    'INVALID',
    `a bucket's name has 1 to ${BUCKET_BYTES_MAX} bytes of UTF-8, and no spaces or control characters: '${name}'`,
  );
}
