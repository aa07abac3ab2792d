/**
 * The errors of the project. Each has a stable `code` for programs and a message for people that says what
 * happened, where, and where possible what to do.
 */
export class EnvelopeError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An invariant of the program does not hold: a defect of ours, never of the input. */
export class AssertionError extends EnvelopeError {
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(invariant: string, details?: Readonly<Record<string, unknown>>) {
    super('ASSERTION', `does not hold: ${invariant}${details === undefined ? '' : ` ${describe(details)}`}`);
    this.details = details;
  }
}

/** Bytes on a disk are not what was written there. Names the file and the offset of the first bad byte range. */
export class CorruptionError extends EnvelopeError {
  readonly path: string;
  /** Byte offset of the damaged record, block or structure in the file. */
  readonly offset: number;

  constructor(path: string, offset: number, what: string) {
    super('CORRUPTION', `corruption in ${path} at offset ${offset}: ${what}`);
    this.path = path;
    this.offset = offset;
  }
}

/** An operation of the disk failed: EIO, ENOSPC, a missing file and the like. */
export class DiskError extends EnvelopeError {
  readonly path: string;
  readonly operation: string;
  /** The system's error name, for example `ENOSPC`. */
  readonly errno: string;

  constructor(operation: string, path: string, errno: string, message: string) {
    super('DISK', `${operation} ${path}: ${errno}: ${message}`);
    this.path = path;
    this.operation = operation;
    this.errno = errno;
  }
}

/** An input is longer than a configured limit. The message names the limit. */
export class LimitError extends EnvelopeError {
  readonly limit: string;

  constructor(limit: string, message: string) {
    super('LIMIT', message);
    this.limit = limit;
  }
}

/** A result that its caller must branch on, for completions that carry a value. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Error };

function describe(details: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(details, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
  } catch {
    return '(details cannot be printed)';
  }
}

/** What was thrown, which need not be an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
