/** TCP. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../network.ts';

const KEEP_ALIVE_MS = 30_000;
const LINGER_MS = 1000;

export class NodeNetwork implements Network {
  listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ): Listener {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      onConnection(new NodeConnection(socket, IDLE));
    });
    server.on('error', onError);
    server.listen(address.port, address.host);
    return new NodeListener(server);
  }

  connect(address: Address, handler: ConnectionHandler): Connection {
    const socket = connect({ host: address.host, port: address.port, allowHalfOpen: true, noDelay: true });
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const connection = new NodeConnection(socket, handler, `${address.host}:${address.port}`);
    socket.on('connect', () => connection.handler.onOpen?.());
    return connection;
  }
}

class NodeListener implements Listener {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  close(): void {
    this.#server.close();
  }
}

/** Until the one who accepted a connection has set its handler. */
const IDLE: ConnectionHandler = { onData: () => {}, onClose: () => {} };

class NodeConnection implements Connection {
  handler: ConnectionHandler;
  readonly remote: string;
  readonly #socket: Socket;
  #error: Error | null = null;
  #isClosing = false;

  constructor(socket: Socket, handler: ConnectionHandler, remote?: string) {
    this.#socket = socket;
    this.handler = handler;
    this.remote = remote ?? `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    socket.on('data', (bytes) => this.handler.onData(bytes));
    socket.on('drain', () => this.handler.onDrain?.());
    socket.on('end', () => this.handler.onEnd?.());
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('close', () => this.handler.onClose(this.#error));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    return this.#isClosing || this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    // Closing with unread bytes would reset the connection, and the other side might lose what was sent last: its bytes
    // are taken and dropped until it closes too, for a while.
    const socket = this.#socket;
    const { handler } = this;
    this.handler = {
      onData: () => {},
      onEnd: () => socket.destroy(),
      onClose: (error) => handler.onClose(error),
    };
    socket.resume();
    socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.#isClosing = true;
    this.#socket.destroy();
  }
}
