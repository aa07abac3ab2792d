/**
 * The network seam: ordered byte streams between addresses.
 *
 * Promises, those of TCP: bytes arrive in order, without gaps and without repeats, as long as the connection
 * lasts; it may break at any time, on one side before the other, and what was written last may then be lost
 * without a word. Message borders are not kept. The checksum is weak: whoever must know checks the bytes.
 * Callbacks come on the same thread, never from inside the call that caused them. After `onClose` no other
 * callback follows.
 */
export interface Network {
  /**
   * Accepts connections on an address. `port` 0 picks a free one. `onConnection` must set the connection's
   * handler before it returns.
   */
  listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ): Listener;
  /** Starts to connect; `handler.onOpen` or `handler.onClose` tells how it went. */
  connect(address: Address, handler: ConnectionHandler): Connection;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Listener {
  /** The port listened on; 0 until it is known. */
  readonly port: number;
  /** Stops accepting; connections already accepted live on. Idempotent. */
  close(): void;
}

export interface ConnectionHandler {
  /** Only for outgoing connections: bytes written before this wait for it. */
  onOpen?(): void;
  /** The bytes are the handler's to keep; they are never reused, and nobody may write to them. */
  onData(bytes: Uint8Array): void;
  /** What was buffered beyond the high-water mark has left; sent after `write` returned false. */
  onDrain?(): void;
  /** The peer has finished sending. The connection can still write until `close`. */
  onEnd?(): void;
  /** The connection is gone, in order (null) or with an error. The last callback. */
  onClose(error: Error | null): void;
}

export interface Connection {
  /** For people and logs: `host:port` of the other side. */
  readonly remote: string;
  handler: ConnectionHandler;
  /** Bytes accepted by `write` that have not left yet. */
  readonly bufferedBytes: number;
  /**
   * Queues bytes; they belong to the connection from here on and nobody may change them. Returns false when more
   * is buffered than the high-water mark: a polite caller waits for `onDrain`. Ignored after `close`.
   */
  write(bytes: Uint8Array): boolean;
  /** Stops, and starts again, the delivery of `onData`; TCP then slows the sender down. */
  pause(): void;
  resume(): void;
  /** Sends what is buffered, then closes in order. */
  close(): void;
  /** Closes at once; what is buffered is dropped. */
  destroy(): void;
}
