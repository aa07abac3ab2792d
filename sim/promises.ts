/**
 * Term and vote are durable before anything is said on the strength of them (the Raft paper, figure 2: "updated on
 * stable storage before responding"). Here what a node writes to its peers is read at the moment at which it is written,
 * while its disk is not up to date: a crash that would show the difference is rare, the words themselves are not.
 */
import { FrameReader } from '../src/codec/frame.ts';
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../src/io/network.ts';
import type { HardState } from '../src/raft/output.ts';
import { decodeMessage } from '../src/replica/message_codec.ts';
import { decodePeerFrame, PREAMBLE } from '../src/server/peer_protocol.ts';

const FRAME_BYTES_MAX = 64 * 1024 * 1024;

/** A network that shows what is written on connections that were dialled. The bytes are only lent. */
export class WatchedNetwork implements Network {
  readonly #network: Network;
  readonly #onWrite: (to: Address, bytes: Uint8Array) => void;

  constructor(network: Network, onWrite: (to: Address, bytes: Uint8Array) => void) {
    this.#network = network;
    this.#onWrite = onWrite;
  }

  listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ): Listener {
    return this.#network.listen(address, onConnection, onError);
  }

  connect(address: Address, handler: ConnectionHandler): Connection {
    return new WatchedConnection(this.#network.connect(address, handler), (bytes) =>
      this.#onWrite(address, bytes),
    );
  }
}

class WatchedConnection implements Connection {
  readonly #connection: Connection;
  readonly #onWrite: (bytes: Uint8Array) => void;

  constructor(connection: Connection, onWrite: (bytes: Uint8Array) => void) {
    this.#connection = connection;
    this.#onWrite = onWrite;
  }

  get remote(): string {
    return this.#connection.remote;
  }

  get handler(): ConnectionHandler {
    return this.#connection.handler;
  }

  set handler(handler: ConnectionHandler) {
    this.#connection.handler = handler;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  write(bytes: Uint8Array): boolean {
    this.#onWrite(bytes);
    return this.#connection.write(bytes);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  close(): void {
    this.#connection.close();
  }

  destroy(): void {
    this.#connection.destroy();
  }
}

/**
 * What these bytes say that is not durable; null: nothing.
 *
 * @param bytes Whole frames, as peers write them; the first begin with the preamble.
 * @param durable Term and vote as they are on the disk.
 * @param logTerm Of the last entry that is durable: a node that starts is in no earlier term than its log.
 */
export function prematurePromise(
  bytes: Uint8Array,
  to: number,
  durable: HardState,
  logTerm: number,
): string | null {
  const reader = new FrameReader(FRAME_BYTES_MAX);
  reader.push(bytes[0] === 0 && bytes[1] === PREAMBLE[1] ? bytes.slice(PREAMBLE.length) : bytes.slice());
  for (let body = reader.next(); body !== null; body = reader.next()) {
    const frame = decodePeerFrame(body);
    if (frame.kind !== 'raft') continue;
    const message = decodeMessage(frame.message);
    // Pre-votes promise nothing.
    if (message.type === 'pre-vote' || message.type === 'pre-vote-reply') continue;
    const isVote = message.type === 'vote-reply' && message.granted;
    const isKept = isVote
      ? message.term === durable.term && durable.vote === to
      : message.term <= Math.max(durable.term, logTerm);
    if (!isKept) {
      const what = `${message.type} of term ${message.term} to node ${to}`;
      return `${what}, while term ${durable.term} and vote ${durable.vote} are durable`;
    }
  }
  return null;
}
