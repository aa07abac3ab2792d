/**
 * TCP: listeners and connections over `node:net`. `connection.ts` holds what a connection does.
 *
 * Failures get the system's error name as their code and say which address they are about: what Node says of a failed
 * connection or listener does not always.
 */
import { createServer, type Server, Socket } from 'node:net';
import { assert } from '../../base/assert.ts';
import { EnvelopeError, toError } from '../../base/errors.ts';
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../network.ts';
import { HIGH_WATER_BYTES, KEEP_ALIVE_MS, NodeConnection } from './connection.ts';

/** Of both sides. Given to the constructor: Node sets them when the connection is there, whatever way it comes. */
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  highWaterMark: HIGH_WATER_BYTES,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
};

export class NodeNetwork implements Network {
  /** `onError` may also come after the port is known, when accepting fails. */
  listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ): Listener {
    return new NodeListener(address, onConnection, onError);
  }

  connect(address: Address, handler: ConnectionHandler): Connection {
    const socket = new Socket(SOCKET_OPTIONS);
    const connection = new NodeConnection(socket, formatAddress(address.host, address.port), handler);
    try {
      socket.connect({ host: address.host, port: address.port });
    } catch (error) {
      // An address that Node refuses to try, such as port 70000: told later, as any other failure.
      socket.destroy(toError(error));
    }
    return connection;
  }
}

class NodeListener implements Listener {
  readonly #server: Server;
  readonly #name: string;
  readonly #onConnection: (connection: Connection) => void;
  readonly #onError: (error: Error) => void;
  #isClosed = false;

  constructor(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ) {
    this.#name = formatAddress(address.host, address.port);
    this.#onConnection = onConnection;
    this.#onError = onError;
    this.#server = createServer(SOCKET_OPTIONS);
    this.#server.on('connection', (socket: Socket) => this.#accept(socket));
    this.#server.on('error', (error: Error) => this.#fail(error));
    // Closed before the address was looked up, it begins to listen all the same on some versions of Node.
    this.#server.on('listening', () => {
      if (this.#isClosed) this.#server.close();
    });
    try {
      this.#server.listen(address.port, address.host);
    } catch (error) {
      // An address that Node refuses to try.
      setImmediate(() => this.#fail(error));
    }
  }

  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const connection = new NodeConnection(
      socket,
      formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0),
      null,
    );
    if (this.#isClosed) {
      // It was in the queue of the listener that is no more.
      connection.handler = NOBODY;
      connection.destroy();
      return;
    }
    this.#onConnection(connection);
    assert(connection.hasHandler, 'an accepted connection has a handler when onConnection returns');
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    const advice = ADVICE[code] ?? message;
    this.#onError(new EnvelopeError(code, `cannot listen on ${this.#name}: ${code}: ${advice}`));
  }
}

const NOBODY: ConnectionHandler = { onData: () => {}, onClose: () => {} };

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use: stop the process that holds it, or choose another port',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'this user may not listen on the port',
  ENOTFOUND: 'the name of the host is not known',
};

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
