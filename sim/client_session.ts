/**
 * The session of a simulated client that repeats its writes until they are answered, at whatever node, under the numbers
 * that they had at first: each must take effect once.
 */
import { TIME_MS_MAX } from '../src/kv/request.ts';
import type { Operation, OperationKind } from './check/history.ts';

/** A numbered write. */
export interface OnceWrite {
  readonly operation: Operation;
  readonly bucket: number;
  readonly words: readonly string[];
  /** How often it was sent. */
  attempts: number;
}

/** Of what a session is asked to do once; `exec` ends a transaction that is queued on a connection. */
const ONCE: ReadonlySet<OperationKind> = new Set([
  'set',
  'delete',
  'cas',
  'setnx',
  'increment',
  'append',
  'getset',
  'mset',
  'txn',
  'drop',
]);
/** For ever: the server knows no later time. */
const IDLE_MS = TIME_MS_MAX;
/** As the server's window: a write that is this far behind the newest cannot be repeated any more. */
const WINDOW = 64;
const BACK_OFF_MS = 10;
const BACK_OFF_DOUBLINGS_MAX = 9;

export class ClientSession {
  #id: string | null = null;
  #count = 0;
  /** Sent and not answered, on connections that have ended or with an outcome that was not known: in order. */
  #unanswered: OnceWrite[] = [];

  get isOpen(): boolean {
    return this.#id !== null;
  }

  get hasUnanswered(): boolean {
    return this.#unanswered.length > 0;
  }

  /** For how long to wait at most before asking again: longer each time, or repetitions alone would fill a slow log. */
  get backOffMsMax(): number {
    const attempts = Math.max(0, ...this.#unanswered.map((write) => write.attempts));
    return BACK_OFF_MS << Math.min(attempts, BACK_OFF_DOUBLINGS_MAX);
  }

  /** What opens one; asked for again when the answer was lost. */
  get opening(): readonly string[] {
    return ['SESSION', 'OPEN', 'PX', String(IDLE_MS)];
  }

  onOpened(id: string): void {
    this.#id = id;
  }

  /** Null: it is asked without a number. */
  number(operation: Operation, bucket: number, words: readonly string[]): OnceWrite | null {
    if (this.#id === null || !ONCE.has(operation.kind)) return null;
    const numbered = ['SESSION', 'DO', this.#id, String(++this.#count), ...words];
    return { operation, bucket, words: numbered, attempts: 1 };
  }

  /** It is to be asked again. */
  keep(write: OnceWrite): void {
    this.#unanswered.push(write);
  }

  /** What is to be asked again now, in order. */
  takeUnanswered(): OnceWrite[] {
    const taken = this.#unanswered.slice(0, WINDOW >> 1);
    this.#unanswered = this.#unanswered.slice(taken.length);
    for (const write of taken) {
      write.attempts++;
      write.operation.isRepeated = true;
    }
    return taken;
  }
}
