/** What a store's thread and the thread that writes its runs send each other. */
import { CorruptionError, DiskError, EnvelopeError } from '../base/errors.ts';
import type { Reads } from '../io/node/read_file.ts';
import type { BuildOrder } from '../lsm/run_builder.ts';

/** What the writing thread is started with. */
export interface WriterSettings {
  readonly reads: Reads;
}

/** The thread is to end when it has nothing left to do. */
export const END = 'end';

export interface BuildMessage {
  readonly id: number;
  readonly order: BuildOrder;
  /** A word of `Phase`, and how many steps were done: both threads change them atomically. */
  readonly phase: Int32Array;
}

/**
 * `Waiting` goes to `Begun` by the writer, or to `Cancelled` by the store, whoever is first. `Begun` goes to `Stopping` by the
 * store, or to `Ended` by the writer; `Stopping` to `Ended`. Nothing is written but in `Begun` and `Stopping`.
 */
export const Phase = { Waiting: 0, Begun: 1, Stopping: 2, Ended: 3, Cancelled: 4 } as const;

/** Of a build's shared words: the first is its phase. */
export const PHASE_WORDS = 2;
export const STEPS_WORD = 1;

export type BuildReply =
  | { readonly id: number; readonly type: 'built'; readonly numbers: readonly number[] }
  | { readonly id: number; readonly type: 'failed'; readonly error: SentError };

/** An error in a form that goes from thread to thread whole. */
export type SentError =
  | { readonly type: 'corruption'; readonly path: string; readonly offset: number; readonly message: string }
  | {
      readonly type: 'disk';
      readonly operation: string;
      readonly path: string;
      readonly errno: string;
      readonly message: string;
    }
  | { readonly type: 'other'; readonly code: string; readonly message: string };

export function sentError(error: unknown): SentError {
  if (error instanceof CorruptionError) {
    const { path, offset, message } = error;
    return { type: 'corruption', path, offset, message };
  }
  if (error instanceof DiskError) {
    const { operation, path, errno, message } = error;
    return { type: 'disk', operation, path, errno, message };
  }
  const code = error instanceof EnvelopeError ? error.code : 'INTERNAL';
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { type: 'other', code, message };
}

export function receivedError(sent: SentError): EnvelopeError {
  switch (sent.type) {
    case 'corruption': {
      const { path, offset, message } = sent;
      return new CorruptionError(
        path,
        offset,
        withoutHead(message, `corruption in ${path} at offset ${offset}: `),
      );
    }
    case 'disk': {
      const { operation, path, errno, message } = sent;
      return new DiskError(operation, path, errno, withoutHead(message, `${operation} ${path}: ${errno}: `));
    }
    case 'other':
      return new EnvelopeError(sent.code, sent.message);
  }
}

/** The constructors put it there again. */
function withoutHead(message: string, head: string): string {
  return message.startsWith(head) ? message.slice(head.length) : message;
}
