/**
 * One side of a simulated connection, as TCP in an operating system would hold it: it opens, takes bytes from the
 * process into a bounded window and a buffer behind it, keeps what has arrived until the process takes it, ends each
 * direction by itself, and closes.
 *
 * The network's part of an event (a piece arrives, a window opens) happens even while the process is paused. The
 * process's part (a callback) goes through its gate, one callback an event, and never from inside a call.
 */
import { AssertionError, EnvelopeError } from '../../src/base/errors.ts';
import { Queue } from '../../src/base/queue.ts';
import { concatBytes } from '../../src/codec/bytes.ts';
import type { Connection, ConnectionHandler } from '../../src/io/network.ts';
import type { Holdings, SimProcess } from '../process.ts';
import { type Channel, makePieces, makeSignal, type Piece } from './channel.ts';
import type { PairWeather } from './weather.ts';

/** A connection that broke or did not come about; `code` is the system's error name. */
export class SimNetworkError extends EnvelopeError {
  constructor(code: string, remote: string) {
    // Where in the simulator it comes from helps nobody, and finding that out costs more than all the rest.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(code, `${code}: connection with ${remote}`);
    Error.stackTraceLimit = limit;
  }
}

/** A closed connection takes and drops what still arrives, until the other side closes too or this has passed. */
const LINGER_US = 1_000_000;

const UNSET_HANDLER: ConnectionHandler = {
  onData: () => {
    throw new AssertionError('a handler is set before onConnection returns');
  },
  onClose: () => {},
};

/** What the endpoint's connection wants to know of it. */
export interface EndpointOwner {
  /** The endpoint has closed, whatever the reason. */
  onEndpointClosed(): void;
}

export class Endpoint implements Connection {
  readonly remote: string;
  handler: ConnectionHandler;
  readonly process: SimProcess;
  readonly #weather: PairWeather;
  readonly #owner: EndpointOwner;
  readonly #generation: number;
  readonly #holdings: Holdings;
  readonly #out: Channel;
  readonly #in: Channel;
  #peer: Endpoint | null = null;
  #state: 'connecting' | 'open' | 'closed';
  /** The process has called `close`. */
  #wantsEnd = false;
  #hasSentEnd = false;
  #hasTakenEnd = false;
  #closeError: Error | null = null;
  /** Written, and beyond the window. */
  readonly #outbox = new Queue<Piece>();
  #bufferedBytes = 0;
  /** `write` has returned false: `onDrain` is owed. */
  #owesDrain = false;
  /** Arrived, and not yet taken by the process. */
  readonly #inbox = new Queue<Piece>();
  #isReadPaused = false;
  #takeIsPlanned = false;

  constructor(parts: {
    readonly weather: PairWeather;
    readonly owner: EndpointOwner;
    readonly process: SimProcess;
    readonly generation: number;
    readonly remote: string;
    readonly out: Channel;
    readonly in: Channel;
    /** Null on the accepting side, whose `onConnection` sets it. */
    readonly handler: ConnectionHandler | null;
  }) {
    this.remote = parts.remote;
    this.process = parts.process;
    this.handler = parts.handler ?? UNSET_HANDLER;
    this.#weather = parts.weather;
    this.#owner = parts.owner;
    this.#generation = parts.generation;
    this.#holdings = parts.process.holdings;
    this.#holdings.connections++;
    this.#out = parts.out;
    this.#in = parts.in;
    this.#state = parts.handler === null ? 'open' : 'connecting';
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get isConnecting(): boolean {
    return this.#state === 'connecting';
  }

  setPeer(peer: Endpoint): void {
    this.#peer = peer;
  }

  write(bytes: Uint8Array): boolean {
    // Ignored, and nothing to wait for.
    if (this.#state === 'closed' || this.#wantsEnd || !this.#isCurrent()) return true;
    if (bytes.length > 0) {
      makePieces(this.#weather, this.#out, bytes, this.#putOut);
      this.#pump();
    }
    if (this.#bufferedBytes <= this.#weather.faults.highWaterBytes) return true;
    this.#owesDrain = true;
    return false;
  }

  pause(): void {
    if (!this.#wantsEnd) this.#isReadPaused = true;
  }

  resume(): void {
    if (!this.#isReadPaused) return;
    this.#isReadPaused = false;
    this.#planTake();
  }

  close(): void {
    if (this.#state === 'closed' || this.#wantsEnd || !this.#isCurrent()) return;
    this.#wantsEnd = true;
    this.#isReadPaused = false;
    this.#pump();
    this.#planTake();
    this.#weather.scheduler.after(LINGER_US, this.#onLingered);
  }

  destroy(): void {
    if (this.#state === 'closed' || !this.#isCurrent()) return;
    const { faults, faultRandom, scheduler } = this.#weather;
    const wasOpen = this.#state === 'open';
    this.#shut(null);
    if (wasOpen && faultRandom.chance(faults.destroyResetPermille)) this.#out.send(makeSignal('reset'));
    else if (!this.#hasSentEnd) this.#out.send(makeSignal(wasOpen ? 'end' : 'reset'));
    scheduler.soon(this.#tellClosed);
  }

  /** The connection breaks, as far as this side can see. */
  fail(code: string): void {
    if (this.#state === 'closed') return;
    this.#shut(new SimNetworkError(code, this.remote));
    this.#tellClosed();
  }

  /** As `fail`, when bytes could not be brought to the other side for too long. */
  onStalled(): void {
    if (this.#state === 'closed') return;
    // Given up: the other side must not see a gap, so it sees nothing more, or a reset.
    this.#out.clear();
    this.fail('ETIMEDOUT');
  }

  /** The process is gone. What it had handed to the operating system may still arrive. */
  onProcessCrash(): void {
    if (this.#state === 'closed') return;
    const { faults, faultRandom } = this.#weather;
    const hadSentEnd = this.#hasSentEnd;
    const isComplete = this.#outbox.size === 0;
    this.#shut(null);
    const draw = faultRandom.below(1000);
    if (draw < faults.crashResetPermille) {
      this.#out.dropTail();
      this.#out.send(makeSignal('reset'));
    } else if (isComplete && draw < faults.crashResetPermille + faults.crashEndPermille) {
      if (!hadSentEnd) this.#out.send(makeSignal('end'));
    } else {
      this.#out.dropTail();
    }
  }

  /** The network has brought a piece to this side. */
  onArrive(piece: Piece): void {
    if (this.#state === 'closed') {
      // Nobody is here: whoever sends is told so.
      if (piece.kind === 'data' || piece.kind === 'open') this.#out.send(makeSignal('reset'));
      return;
    }
    if (piece.kind === 'reset') {
      this.fail('ECONNRESET');
      return;
    }
    if (piece.kind === 'open') {
      this.#state = 'open';
      this.#pump();
    }
    this.#inbox.push(piece);
    if (this.#takeIsPlanned || this.#isWithheld()) return;
    this.#takeIsPlanned = true;
    this.process.runAs(this.#generation, this.#take);
  }

  /** Fills the window from the buffer; the end follows the last byte. */
  #pump(): void {
    if (this.#state !== 'open') return;
    const { windowBytes } = this.#weather.faults;
    while (this.#outbox.size > 0 && this.#out.outstandingBytes < windowBytes) {
      const piece = this.#outbox.shift();
      if (piece === null) break;
      this.#bufferedBytes -= piece.bytes.length;
      this.#out.send(piece);
    }
    if (this.#outbox.size > 0) return;
    if (this.#owesDrain) {
      this.#owesDrain = false;
      this.#weather.scheduler.soon(this.#tellDrained);
    }
    if (this.#wantsEnd && !this.#hasSentEnd) {
      this.#hasSentEnd = true;
      this.#out.send(makeSignal('end'));
      if (this.#hasTakenEnd) this.#closeInOrder();
    }
  }

  readonly #onLingered = (): void => {
    if (this.#state !== 'closed') this.destroy();
  };

  #isCurrent(): boolean {
    return this.process.generation === this.#generation;
  }

  /** True when the process does not want what comes next. */
  #isWithheld(): boolean {
    return this.#isReadPaused && this.#inbox.first?.kind !== 'open';
  }

  #planTake(): void {
    if (this.#takeIsPlanned || this.#inbox.size === 0 || this.#isWithheld()) return;
    this.#takeIsPlanned = true;
    this.#weather.scheduler.soon(this.#takeInProcess);
  }

  readonly #putOut = (piece: Piece): void => {
    this.#outbox.push(piece);
    this.#bufferedBytes += piece.bytes.length;
  };

  readonly #takeInProcess = (): void => {
    this.process.runAs(this.#generation, this.#take);
  };

  /** Hands the next piece to the process. */
  readonly #take = (): void => {
    this.#takeIsPlanned = false;
    if (this.#state === 'closed' || this.#isWithheld()) return;
    const piece = this.#inbox.shift();
    if (piece === null) return;
    if (piece.kind === 'data') this.#takeData(piece);
    else if (piece.kind === 'open') this.handler.onOpen?.();
    else this.#takeEnd();
    this.#planTake();
  };

  #takeData(piece: Piece): void {
    let { bytes } = piece;
    const { faults, faultRandom } = this.#weather;
    if (this.#inbox.first?.kind === 'data' && faultRandom.chance(faults.mergePermille)) {
      const parts = [bytes];
      while (this.#inbox.first?.kind === 'data') {
        const next = this.#inbox.shift();
        if (next !== null) parts.push(next.bytes);
      }
      bytes = concatBytes(parts);
    }
    this.#in.outstandingBytes -= bytes.length;
    // The sender may fill the window again.
    const peer = this.#peer;
    if (peer !== null && peer.#outbox.size > 0) peer.#pump();
    if (!this.#wantsEnd) this.handler.onData(bytes);
  }

  #takeEnd(): void {
    this.#hasTakenEnd = true;
    if (!this.#wantsEnd) this.handler.onEnd?.();
    if (this.#hasSentEnd) this.#closeInOrder();
  }

  #closeInOrder(): void {
    if (this.#state === 'closed') return;
    this.#shut(null);
    this.#weather.scheduler.soon(this.#tellClosed);
  }

  #shut(error: Error | null): void {
    this.#state = 'closed';
    this.#holdings.connections--;
    this.#closeError = error;
    this.#outbox.clear();
    this.#bufferedBytes = 0;
    this.#inbox.clear();
    this.#owner.onEndpointClosed();
  }

  readonly #tellClosed = (): void => {
    this.process.runAs(this.#generation, this.#callOnClose);
  };

  readonly #callOnClose = (): void => {
    this.handler.onClose(this.#closeError);
  };

  readonly #tellDrained = (): void => {
    this.process.runAs(this.#generation, this.#callOnDrain);
  };

  readonly #callOnDrain = (): void => {
    if (this.#state !== 'closed') this.handler.onDrain?.();
  };
}
