/** What callers hand in, looked at before it is used: an error names what is wrong, and what there is. */
import { EnvelopeError } from './errors.ts';

/** @throws EnvelopeError `INVALID` */
export function checkObject(what: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw new EnvelopeError('INVALID', `${what} an object, not ${told(value)}`);
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

/**
 * What nobody knows would be left out, a time to live for example.
 * @throws EnvelopeError `INVALID`
 */
export function checkFields(what: string, value: object, known: ReadonlySet<string>): void {
  for (const name in value) {
    if (known.has(name)) continue;
    throw new EnvelopeError('INVALID', `${what} has no '${name}': there are ${[...known].join(', ')}`);
  }
}

/** Short, and of whatever was handed in. */
export function told(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}...` : value}'`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}
