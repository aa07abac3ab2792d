/** What the subcommands of the simulator share in reading their arguments and the files that these name. */
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { EnvelopeError } from '../../src/base/errors.ts';

const COUNT_MAX = 999_999_999;

/** Wrong usage: the message says what is wrong. */
export class UsageError extends EnvelopeError {
  constructor(message: string) {
    super('USAGE', message);
  }
}

/** A whole number from `min` to 999,999,999. @throws UsageError */
export function count(text: string | undefined, name: string, fallback: number, min = 0): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text) || Number(text) < min)
    throw new UsageError(`--${name} takes a whole number from ${min} to ${COUNT_MAX}, not '${text}'`);
  return Number(text);
}

/** An option that would be passed over is a mistake of who gave it. @throws UsageError that names the first one */
export function refuse(
  values: Readonly<Record<string, unknown>>,
  names: readonly string[],
  why: string,
): void {
  const given = names.find((name) => values[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} ${why}`);
}

/** The text of a file. @throws UsageError that names it when it cannot be read */
export function readInput(file: string): string {
  return readNamed(file, () => readFileSync(file, 'utf8'));
}

const STANDARD_INPUT = 0;

/** The bytes of a file, or with - for it of standard input. @throws UsageError that names it when it cannot be read */
export function readBytes(file: string): Uint8Array {
  return readNamed(file, () => readFileSync(file === '-' ? STANDARD_INPUT : file));
}

function readNamed<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${messageOf(error)}`);
  }
}

/** Before a run that may take long: what comes of it can be written there. Leaves no trace. @throws UsageError */
export function expectWritable(file: string | undefined): void {
  if (file === undefined) return;
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (isNew) rmSync(file);
  } catch (error) {
    throw new UsageError(`cannot write ${file === '' ? 'a file without a name' : file}: ${messageOf(error)}`);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
