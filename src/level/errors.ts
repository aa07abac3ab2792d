/** Errors of the store, as the Level ecosystem names them. */
import { EnvelopeError, LimitError } from '../base/errors.ts';

export class LevelError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LevelError';
    this.code = code;
  }
}

/** A read that its signal has ended; named as web APIs name it. */
export function abortError(signal: AbortSignal): LevelError {
  const error = new LevelError('LEVEL_ABORTED', 'Operation has been aborted', { cause: signal.reason });
  error.name = 'AbortError';
  return error;
}

const CODES: Readonly<Record<string, string>> = {
  LOCKED: 'LEVEL_LOCKED',
  CORRUPTION: 'LEVEL_CORRUPTION',
  DISK: 'LEVEL_IO_ERROR',
  // Its disk has failed, or a sync of it.
  FAILED: 'LEVEL_IO_ERROR',
  CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
};

const LIMIT_CODES: Readonly<Record<string, string>> = {
  keyBytes: 'LEVEL_INVALID_KEY',
  valueBytes: 'LEVEL_INVALID_VALUE',
  batchBytes: 'LEVEL_INVALID_BATCH',
};

/** The same with a code that Level's users know, and the store's error as its cause; as it is when there is no such code. */
export function levelError(error: unknown): unknown {
  if (!(error instanceof EnvelopeError)) return error;
  const code = error instanceof LimitError ? LIMIT_CODES[error.limit] : CODES[error.code];
  return code === undefined ? error : new LevelError(code, error.message, { cause: error });
}
