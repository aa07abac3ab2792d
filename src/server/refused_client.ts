/** A client that is one too many: it is told so, in words of both dialects, and its connection is closed. */
import { utf8 } from '../codec/bytes.ts';
import type { Connection, ConnectionHandler } from '../io/network.ts';

export class RefusedClient implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #onClose: (connection: Connection) => void;

  constructor(connection: Connection, connectionsMax: number, onClose: (connection: Connection) => void) {
    this.#connection = connection;
    this.#onClose = onClose;
    connection.write(utf8(`-ERR too many connections: this node takes ${connectionsMax} at a time\r\n`));
    connection.close();
  }

  onData(): void {}

  onEnd(): void {}

  onClose(): void {
    this.#onClose(this.#connection);
  }
}
