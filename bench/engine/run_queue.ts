/**
 * How long this thread has been kept from running although it could have: by other threads of the machine, those of its own
 * process included. Linux counts it for each thread; without that a long turn of the event loop says little on a busy
 * machine.
 */
import { openSync, readSync } from 'node:fs';

const SCHEDSTAT = '/proc/thread-self/schedstat';
const TEXT_BYTES = 128;

export class RunQueue {
  readonly #fd: number;
  readonly #text = Buffer.alloc(TEXT_BYTES);

  /** Of the thread that calls it; null where the system does not tell. */
  static open(): RunQueue | null {
    try {
      return new RunQueue(openSync(SCHEDSTAT, 'r'));
    } catch {
      return null;
    }
  }

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Since the thread was started; some microseconds. */
  waitedMs(): number {
    const bytes = readSync(this.#fd, this.#text, 0, TEXT_BYTES, 0);
    // Nanoseconds on a processor, and waiting for one, and how often.
    return Number(this.#text.toString('latin1', 0, bytes).split(' ')[1]) / 1e6;
  }
}
