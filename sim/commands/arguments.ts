/** What the subcommands of the simulator share in reading their arguments. */
import { EnvelopeError } from '../../src/base/errors.ts';

/** Wrong usage: the message says what is wrong. */
export class UsageError extends EnvelopeError {
  constructor(message: string) {
    super('USAGE', message);
  }
}

/** A whole number below 10^9. @throws UsageError */
export function count(text: string | undefined, name: string, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} takes a whole number, not '${text}'`);
  return Number(text);
}
