/**
 * The floor's disk: one file of zeros, written in place and synced, one sync in flight, everything that has come meanwhile
 * in the next. At its end it starts over: the floor keeps nothing, it only does the work.
 */
import { closeSync, fdatasync, fsyncSync, openSync, writeSync } from 'node:fs';

const FILE_BYTES = 16 * 1024 * 1024;

export class Journal {
  readonly #fd: number;
  #position = 0;
  #pending: Buffer[] = [];
  #pendingUpTo = 0;
  #isSyncing = false;
  readonly #onSynced: (upTo: number) => void;

  /** `onSynced` gets the highest number that is durable. */
  constructor(path: string, onSynced: (upTo: number) => void) {
    this.#onSynced = onSynced;
    this.#fd = openSync(path, 'w');
    writeSync(this.#fd, Buffer.alloc(FILE_BYTES), 0, FILE_BYTES, 0);
    fsyncSync(this.#fd);
  }

  append(bytes: Buffer, number: number): void {
    this.#pending.push(bytes);
    this.#pendingUpTo = number;
  }

  flush(): void {
    if (this.#isSyncing || this.#pending.length === 0) return;
    const bytes = this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending);
    const upTo = this.#pendingUpTo;
    this.#pending = [];
    if (this.#position + bytes.length > FILE_BYTES) this.#position = 0;
    writeSync(this.#fd, bytes, 0, bytes.length, this.#position);
    this.#position += bytes.length;
    this.#isSyncing = true;
    fdatasync(this.#fd, (error) => {
      if (error !== null) throw error;
      this.#isSyncing = false;
      this.flush();
      this.#onSynced(upTo);
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
