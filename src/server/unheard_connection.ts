/** A connection by which nothing has come yet: its first byte tells who speaks. */
import type { Connection, ConnectionHandler } from '../io/network.ts';

export interface UnheardOptions {
  /** Monotonic, in milliseconds. */
  readonly acceptedAtMs: number;
  /** What goes on with the connection, and is handed what has come. */
  readonly handlerFor: (firstByte: number) => ConnectionHandler;
  readonly onClose: (connection: Connection) => void;
}

export class UnheardConnection implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: UnheardOptions;

  constructor(connection: Connection, options: UnheardOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** As `Session.isExpected`: whoever has connected a moment ago is about to ask. */
  isExpected(sinceMs: number, busyMs: number): boolean {
    return this.#options.acceptedAtMs >= sinceMs - busyMs;
  }

  onData(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const handler = this.#options.handlerFor(bytes[0]);
    this.#connection.handler = handler;
    handler.onData(bytes);
  }

  onEnd(): void {
    this.#connection.destroy();
  }

  onClose(): void {
    this.#options.onClose(this.#connection);
  }
}
