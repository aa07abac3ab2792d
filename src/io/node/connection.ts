/**
 * One TCP connection.
 *
 * Each event of the socket has one listener, made once; a packet costs no closure. Bytes go to the handler as Node read
 * them, in memory of their own: without the `onread` option Node gives each read a fresh piece.
 *
 * Closing in order takes care of two things. What is buffered is sent first, however long that takes as long as it gets
 * on. And the socket is read from until the other side closes too: closing with unread bytes makes the system reset the
 * connection, and what was sent last could be lost on its way to the reader. Both are bounded: a peer that takes nothing
 * for `STALL_MS`, or has taken all and does not close for `LINGER_MS`, is dropped.
 */
import type { Socket } from 'node:net';
import { assert } from '../../base/assert.ts';
import { EnvelopeError } from '../../base/errors.ts';
import type { Connection, ConnectionHandler } from '../network.ts';

/** Bytes buffered in the process beyond which `write` returns false. */
export const HIGH_WATER_BYTES = 64 * 1024;
/** After this long without a packet the system asks whether the peer is still there. */
export const KEEP_ALIVE_MS = 30_000;
export const LINGER_MS = 1000;
export const STALL_MS = 30_000;

type State = 'open' | 'closing' | 'closed';

export class NodeConnection implements Connection {
  readonly remote: string;
  readonly #socket: Socket;
  #handler: ConnectionHandler | null;
  #state: State = 'open';
  /** What `onClose` will tell. */
  #error: Error | null = null;
  /** While closing: ends a peer that does not do its part. */
  #patience: NodeJS.Timeout | null = null;
  /** `bufferedBytes` when patience was last renewed. */
  #bufferedBefore = 0;

  /** `handler` is null for an accepted connection, until `onConnection` has set it. */
  constructor(socket: Socket, remote: string, handler: ConnectionHandler | null) {
    this.#socket = socket;
    this.remote = remote;
    this.#handler = handler;
    socket.on('connect', () => this.#onOpen());
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('finish', () => this.#onFinish());
    socket.on('error', (error: Error) => this.#onError(error));
    socket.on('close', () => this.#onClose());
  }

  get handler(): ConnectionHandler {
    assert(this.#handler !== null, 'an accepted connection has a handler when onConnection returns');
    return this.#handler;
  }

  set handler(handler: ConnectionHandler) {
    this.#handler = handler;
  }

  get hasHandler(): boolean {
    return this.#handler !== null;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open' || bytes.length === 0) return true;
    return this.#socket.write(bytes);
  }

  pause(): void {
    if (this.#state === 'open') this.#socket.pause();
  }

  resume(): void {
    if (this.#state === 'open') this.#socket.resume();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#bufferedBefore = this.bufferedBytes;
    this.#patience = setTimeout(loseStalled, STALL_MS, this);
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#socket.destroy();
  }

  /** Called every `STALL_MS` while closing, until everything has been sent. */
  onPatienceOver(): void {
    const { bufferedBytes } = this;
    if (bufferedBytes > 0 && bufferedBytes < this.#bufferedBefore) {
      this.#bufferedBefore = bufferedBytes;
      this.#patience = setTimeout(loseStalled, STALL_MS, this);
    } else {
      this.destroy();
    }
  }

  #onOpen(): void {
    if (this.#state === 'open') this.handler.onOpen?.();
  }

  #onData(bytes: Buffer): void {
    // The same memory without what a Buffer does differently: its `slice` copies nothing, its `subarray` is slow.
    if (this.#state === 'open') {
      this.handler.onData(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    }
  }

  #onDrain(): void {
    if (this.#state === 'open') this.handler.onDrain?.();
  }

  #onEnd(): void {
    // While closing, the socket closes by itself once both directions have ended.
    if (this.#state === 'open') this.handler.onEnd?.();
  }

  /** Everything has been handed to the system, and the end behind it. */
  #onFinish(): void {
    if (this.#state !== 'closing') return;
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#patience = setTimeout(loseStalled, LINGER_MS, this);
  }

  #onError(error: Error): void {
    this.#error ??= error;
  }

  #onClose(): void {
    const isOurs = this.#state === 'closed';
    this.#state = 'closed';
    if (this.#patience !== null) clearTimeout(this.#patience);
    // The accepting side has not been told of a connection that it never took.
    this.#handler?.onClose(isOurs || this.#error === null ? null : this.#describe(this.#error));
  }

  #describe(error: Error): Error {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    return new EnvelopeError(code, `connection with ${this.remote}: ${message === '' ? code : message}`);
  }
}

function loseStalled(connection: NodeConnection): void {
  connection.onPatienceOver();
}
