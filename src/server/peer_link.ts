/**
 * The outgoing half of the talk with one peer: dials, greets, queues frames and sends those of one turn together,
 * redials with back-off when the connection breaks. Nothing is kept for a peer that is not connected: Raft repeats
 * what matters, and a forwarded request must fail rather than arrive late.
 *
 * Liveness: the link pings while it is open; a peer that has not answered for `SILENCE_MS` is taken for gone, because a
 * half-open connection would otherwise swallow everything for minutes.
 *
 * A peer that stops says as its last word which request it has read last. That holds for this very connection, so it is
 * told along with its end, or not at all.
 */
import { sometimes } from '../base/rare.ts';
import { concatBytes } from '../codec/bytes.ts';
import { FrameReader } from '../codec/frame.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Logger } from '../io/logger.ts';
import type { Address, Connection, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import type { NodeId } from '../raft/message.ts';
import type { LastRead } from './last_read.ts';
import { decodePeerFrame, encodePeerFrame, type Hello, type PeerFrame, PREAMBLE } from './peer_protocol.ts';

export interface PeerLinkOptions {
  readonly self: NodeId;
  readonly peer: NodeId;
  readonly address: Address;
  /** How this node greets. */
  readonly hello: Hello;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The peer will never listen to this node, and says why. */
  readonly onRefused: (why: string) => void;
  /** The link has opened: what was sent over an earlier connection may be lost. */
  readonly onUp: () => void;
  /**
   * The link was lost, or its buffer overflowed and was dropped.
   * @param lastRead Null: how far the peer has read is not known.
   */
  readonly onDown: (lastRead: LastRead | null) => void;
}

const PING_MS = 1000;
const SILENCE_MS = 3000;
const REDIAL_MIN_MS = 50;
const REDIAL_MAX_MS = 1000;
/** More unsent bytes than this: the peer does not keep up, and the connection is given up. */
const BUFFER_BYTES_MAX = 128 * 1024 * 1024;
/** Room for a goodbye about some thousands of groups. */
const CONTROL_FRAME_BYTES_MAX = 64 * 1024;

const PING = encodePeerFrame({ kind: 'ping' });

export class PeerLink {
  readonly #options: PeerLinkOptions;
  #connection: Connection | null = null;
  #isUp = false;
  #closed = false;
  #frames: Uint8Array[] = [];
  #flushIsPlanned = false;
  #redialMs = REDIAL_MIN_MS;
  #timer: Timer | null = null;
  #heardAtMs = 0;
  #hurriedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  start(): void {
    this.#dial();
  }

  /**
   * The peer is there: it has spoken to this node. A link that waits before it dials again need not, nor one whose dialling
   * has begun when nobody was there to answer. Not more than once a second: two that let each other in, and throw each
   * other out, would go on without a pause.
   */
  hurry(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#closed || this.#isUp || nowMs - this.#hurriedAtMs < REDIAL_MAX_MS) return;
    sometimes('a link dials since its peer has spoken');
    this.#hurriedAtMs = nowMs;
    const hanging = this.#connection;
    // What becomes of it is of no interest any more.
    this.#connection = null;
    hanging?.destroy();
    this.#dial();
  }

  /** Returns whether the frame was taken; false: certainly not sent. */
  send(frame: PeerFrame): boolean {
    if (!this.#isUp) return false;
    this.#frames.push(encodePeerFrame(frame));
    if (!this.#flushIsPlanned) {
      this.#flushIsPlanned = true;
      this.#options.clock.later(this.#flush);
    }
    return true;
  }

  /** @param how `in-order`: what was sent, answers among it, still leaves. */
  close(how: 'in-order' | 'at-once'): void {
    if (how === 'in-order') this.#flush();
    this.#closed = true;
    this.#timer?.cancel();
    const connection = this.#connection;
    // Nothing that becomes of it is of interest any more.
    this.#connection = null;
    if (how === 'in-order' && this.#isUp) connection?.close();
    else connection?.destroy();
    this.#lost(null);
  }

  #dial(): void {
    if (this.#closed) return;
    const reader = new FrameReader(CONTROL_FRAME_BYTES_MAX);
    const connection = this.#options.network.connect(this.#options.address, {
      onOpen: () => {
        if (connection === this.#connection) this.#onOpen();
      },
      onData: (bytes) => {
        if (connection === this.#connection) this.#onData(reader, bytes);
      },
      onEnd: () => connection.destroy(),
      onClose: () => {
        if (connection === this.#connection) this.#onClose();
      },
    });
    this.#connection = connection;
    this.#setTimer(SILENCE_MS, this.#giveUpDialling);
  }

  #onOpen(): void {
    const { self, peer, clock } = this.#options;
    this.#isUp = true;
    this.#heardAtMs = clock.monotonicMs();
    const hello = encodePeerFrame(this.#options.hello);
    this.#connection?.write(concatBytes([PREAMBLE, hello]));
    this.#options.logger.log('debug', 'peer-link-up', { node: self, peer });
    this.#setTimer(PING_MS, this.#pingSoon);
    this.#options.onUp();
  }

  #onData(reader: FrameReader, bytes: Uint8Array): void {
    this.#heardAtMs = this.#options.clock.monotonicMs();
    // Only an answer proves that the peer takes us; a connection that it closes at once must not be retried in a hurry.
    this.#redialMs = REDIAL_MIN_MS;
    reader.push(bytes);
    for (let frame = this.#next(reader); frame !== null; frame = this.#next(reader)) {
      if (frame.kind === 'refused') this.#options.onRefused(frame.why);
      else if (frame.kind === 'goodbye') {
        sometimes('a peer says goodbye');
        this.#drop(frame.lastRead);
        return;
      }
    }
  }

  /** Null: nothing more has come whole, or what has come is damaged, and the connection dropped. */
  #next(reader: FrameReader): PeerFrame | null {
    try {
      const body = reader.next();
      return body === null ? null : decodePeerFrame(body);
    } catch {
      this.#drop(null);
      return null;
    }
  }

  #onClose(): void {
    this.#connection = null;
    this.#lost(null);
    if (this.#closed) return;
    const delayMs = this.#redialMs + this.#options.random.below(this.#redialMs);
    this.#redialMs = Math.min(2 * this.#redialMs, REDIAL_MAX_MS);
    this.#setTimer(delayMs, () => this.#dial());
  }

  /** Ends a connection that is of no use any more; its `onClose` redials. */
  #drop(lastRead: LastRead | null): void {
    this.#connection?.destroy();
    this.#lost(lastRead);
  }

  #lost(lastRead: LastRead | null): void {
    this.#frames = [];
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#options.logger.log('debug', 'peer-link-down', {
      node: this.#options.self,
      peer: this.#options.peer,
    });
    this.#options.onDown(lastRead);
  }

  readonly #flush = (): void => {
    this.#flushIsPlanned = false;
    const connection = this.#connection;
    if (!this.#isUp || connection === null || this.#frames.length === 0) return;
    const bytes = this.#frames.length === 1 ? this.#frames[0] : concatBytes(this.#frames);
    this.#frames = [];
    connection.write(bytes);
    if (connection.bufferedBytes > BUFFER_BYTES_MAX) this.#drop(null);
  };

  readonly #giveUpDialling = (): void => {
    if (!this.#isUp) this.#connection?.destroy();
  };

  /**
   * Behind whatever has come: after a sleep of the process the timer is seen first, a goodbye may have come long ago, and a
   * write to a connection that has ended can cost what has not been read of it.
   */
  readonly #pingSoon = (): void => {
    const connection = this.#connection;
    this.#options.clock.later(() => {
      if (connection === this.#connection) this.#ping();
    });
  };

  readonly #ping = (): void => {
    const { clock } = this.#options;
    if (!this.#isUp || this.#connection === null) return;
    if (clock.monotonicMs() - this.#heardAtMs > SILENCE_MS) {
      this.#drop(null);
      return;
    }
    this.#connection.write(PING);
    this.#setTimer(PING_MS, this.#pingSoon);
  };

  #setTimer(delayMs: number, task: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, task);
  }
}
