/**
 * The incoming half of the talk with a peer: checks the greeting, then hands over what the peer says. Answers pings on
 * the same connection, and says goodbye there; everything else goes out over our own link to that peer.
 */
import { sometimes } from '../base/rare.ts';
import { FrameReader } from '../codec/frame.ts';
import type { Logger, LogLevel } from '../io/logger.ts';
import type { Connection, ConnectionHandler } from '../io/network.ts';
import type { NodeId } from '../raft/message.ts';
import { ReadRequests } from './last_read.ts';
import { decodePeerFrame, encodePeerFrame, type Hello, type PeerFrame, PREAMBLE } from './peer_protocol.ts';

export interface Refusal {
  readonly why: string;
  /** `for-good`: the peer is told, since it is of no use to ask again. */
  readonly holds: 'for-good' | 'for-now' | 'for-a-moment';
}

export interface PeerAcceptorOptions {
  readonly self: NodeId;
  /** Why a peer is not let in; null: it is. */
  readonly refusalOf: (hello: Hello) => Refusal | null;
  readonly frameBytesMax: number;
  readonly logger: Logger;
  /** A peer has been let in. */
  readonly onGreeted: (from: NodeId) => void;
  /** May throw: a malformed message breaks the connection, anything else is the owner's to handle. */
  readonly onFrame: (from: NodeId, frame: PeerFrame) => void;
  /** @param from Who has spoken by it; null: nobody who was let in. */
  readonly onClose: (connection: Connection, from: NodeId | null) => void;
}

const PONG = encodePeerFrame({ kind: 'pong' });

export class PeerAcceptor implements ConnectionHandler {
  readonly #options: PeerAcceptorOptions;
  readonly #connection: Connection;
  readonly #reader: FrameReader;
  readonly #requests = new ReadRequests();
  #preambleSeen = 0;
  #from: NodeId | null = null;
  #isOpen = true;

  constructor(connection: Connection, options: PeerAcceptorOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#reader = new FrameReader(options.frameBytesMax);
  }

  onData(bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    let at = 0;
    while (this.#preambleSeen < PREAMBLE.length && at < bytes.length) {
      if (bytes[at++] !== PREAMBLE[this.#preambleSeen++]) {
        this.#refuse('its preamble is not that of this version');
        return;
      }
    }
    this.#reader.push(at === 0 ? bytes : bytes.subarray(at));
    while (this.#isOpen) {
      const frame = this.#next();
      if (frame === null) return;
      this.#onFrame(frame);
    }
  }

  onEnd(): void {
    this.#connection.destroy();
  }

  /**
   * Closes in order. Nothing more is read here, and the peer is told which request was the last that was: what is still on
   * its way need not be given up for lost.
   */
  close(): void {
    // Before that it might be anybody who speaks here.
    if (this.#isOpen && this.#preambleSeen === PREAMBLE.length) {
      this.#connection.write(encodePeerFrame({ kind: 'goodbye', lastRead: this.#requests.last }));
    }
    this.#isOpen = false;
    this.#connection.close();
  }

  onClose(): void {
    this.#isOpen = false;
    this.#options.onClose(this.#connection, this.#from);
  }

  /** A frame that is damaged or malformed ends the connection: behind it nothing can be trusted. */
  #next(): PeerFrame | null {
    try {
      const body = this.#reader.next();
      return body === null ? null : decodePeerFrame(body);
    } catch (error) {
      sometimes('a damaged frame ends a peer connection');
      this.#refuse(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  #onFrame(frame: PeerFrame): void {
    if (this.#from === null) {
      this.#greet(frame);
    } else if (frame.kind === 'ping') {
      this.#connection.write(PONG);
    } else if (frame.kind === 'request' && !this.#requests.note(frame.group, frame.id)) {
      this.#refuse(`its request ${frame.id} of group ${frame.group} follows one of a higher id`);
    } else {
      this.#options.onFrame(this.#from, frame);
    }
  }

  #greet(frame: PeerFrame): void {
    if (frame.kind !== 'hello') {
      this.#refuse('it did not greet');
      return;
    }
    const refusal = this.#options.refusalOf(frame);
    if (refusal === null) {
      this.#from = frame.from;
      this.#options.onGreeted(frame.from);
      return;
    }
    const { why, holds } = refusal;
    if (holds !== 'for-good') {
      // Once for each node that is new here, and nothing to look after.
      this.#refuse(why, holds === 'for-a-moment' ? 'debug' : 'warn');
      return;
    }
    this.#log(why);
    this.#isOpen = false;
    this.#connection.write(encodePeerFrame({ kind: 'refused', why }));
    this.#connection.close();
  }

  #refuse(why: string, level: LogLevel = 'warn'): void {
    this.#log(why, level);
    this.#isOpen = false;
    this.#connection.destroy();
  }

  #log(why: string, level: LogLevel = 'warn'): void {
    const { logger, self } = this.#options;
    logger.log(level, 'peer-refused', { node: self, remote: this.#connection.remote, why });
  }
}
