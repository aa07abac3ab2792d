import { AssertionError } from './errors.ts';

/**
 * States an invariant where it is relied upon. Stays on in production: a broken invariant stops the
 * operation before it can turn into a wrong answer.
 *
 * @param details Values that help to find the cause; printed as JSON behind the message.
 * @throws AssertionError when `condition` is false.
 */
export function assert(
  condition: boolean,
  invariant: string,
  details?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AssertionError(invariant, details);
}

/** For the default branch of a switch over a discriminated union: a compile error when a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError('every case is handled', { value });
}
