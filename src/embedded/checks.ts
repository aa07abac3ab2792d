/** What a caller hands in, looked at where a mistake would otherwise be silent, or would show somewhere else. */
import { EnvelopeError } from '../base/errors.ts';
import type { Condition } from '../kv/request.ts';
import type { Durability } from './engine.ts';
import type { Range } from './range.ts';

/** @throws EnvelopeError `INVALID`: a write that is taken for `buffered` by mistake would be told to last too early. */
export function checkedDurability(durability: Durability): Durability {
  if (durability === 'sync' || durability === 'buffered') return durability;
  throw new EnvelopeError('INVALID', `durability is sync or buffered, not ${told(durability)}`);
}

const BOUNDS: ReadonlySet<string> = new Set(['gt', 'gte', 'lt', 'lte', 'prefix']);
const SCAN_FIELDS: ReadonlySet<string> = new Set([...BOUNDS, 'limit', 'reverse', 'signal']);

/** @throws EnvelopeError `INVALID`: a bound whose name is not known would let the range be larger than it was meant to be. */
export function checkRange(range: Range<unknown>): void {
  if (typeof range !== 'object' || range === null) {
    throw new EnvelopeError('INVALID', `a range is an object, not ${told(range)}`);
  }
  for (const name in range) if (!SCAN_FIELDS.has(name)) throw unknownField('a range', name, SCAN_FIELDS);
}

/**
 * As `checkRange`, of keys that are to be deleted: a bound that is there must be one.
 * @throws EnvelopeError `INVALID`
 */
export function checkDeletedRange(range: Range<unknown>): void {
  checkRange(range);
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
export function checkLongWork({
  signal,
  onProgress,
}: {
  readonly signal?: unknown;
  readonly onProgress?: unknown;
}): void {
  if (signal !== undefined && !isSignal(signal)) {
    throw new EnvelopeError('INVALID', `signal is an AbortSignal, not ${told(signal)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new EnvelopeError('INVALID', `onProgress is a function, not ${told(onProgress)}`);
  }
}

/** By what is used of it: those of another realm, as a test's browser has, are as good. */
function isSignal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, throwIfAborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  const calls = [throwIfAborted, addEventListener, removeEventListener];
  return typeof aborted === 'boolean' && calls.every((call) => typeof call === 'function');
}

/** @throws EnvelopeError `INVALID` */
export function checkDirectory(directory: string): void {
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0')) return;
  throw new EnvelopeError(
    'INVALID',
    `the path of a directory is a string that is not empty, not ${told(directory)}`,
  );
}

export function unknownField(what: string, name: string, known: Iterable<string>): EnvelopeError {
  return new EnvelopeError('INVALID', `${what} has no '${name}': there are ${[...known].join(', ')}`);
}

/** Short, and of whatever was handed in. */
export function told(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}...` : value}'`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}
