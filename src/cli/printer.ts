/** Lines to a stream that may end sooner than we do: `head` has read enough, a pager was left. */
import type { Writable } from 'node:stream';

/** Handed over in one piece. */
const CHUNK_CHARACTERS = 32 * 1024;

export class Printer {
  readonly #stream: Writable;
  #pending = '';
  #isRead = true;
  #failure: Error | null = null;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', this.#onError);
  }

  /** False: nobody reads any more. @throws Error when the stream fails for another reason */
  async line(text: string): Promise<boolean> {
    this.#pending += `${text}\n`;
    if (this.#pending.length >= CHUNK_CHARACTERS) await this.#flush();
    return this.#isRead;
  }

  async end(): Promise<void> {
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    if (!this.#isRead) return;
    await new Promise<void>((resolve) => {
      this.#stream.write(text, (error) => {
        if (error) this.#onError(error);
        resolve();
      });
    });
    if (this.#failure !== null) throw this.#failure;
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#isRead = false;
    if (error.code !== 'EPIPE') this.#failure = error;
  };
}
