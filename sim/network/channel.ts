/**
 * One direction of a simulated connection: pieces on their way, first in first out. A piece has a time of arrival that
 * is never before that of the piece ahead, and only the first has an event planned, so that a busy connection costs the
 * scheduler one entry.
 *
 * A blocked channel keeps what it has. Unblocked, it delivers all of it in order; or its sender has given up by then
 * and it is empty but for a reset. So the receiver always sees a prefix of what was written.
 */

import { Queue } from '../../src/base/queue.ts';
import { concatBytes } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import type { PairWeather } from './weather.ts';

export type PieceKind = 'open' | 'data' | 'end' | 'reset';

/** The largest piece that one read gives. */
const PIECE_BYTES_MAX = 64 * 1024;
const FRAGMENTS_MAX = 4;
const NO_BYTES = new Uint8Array(0);

export class Piece {
  readonly kind: PieceKind;
  readonly bytes: Uint8Array;
  /** Of `bytes` when they were written; 0 unless mutation is checked. */
  readonly checksum: number;
  arrivesAtUs = 0;

  constructor(kind: PieceKind, bytes: Uint8Array, checksum: number) {
    this.kind = kind;
    this.bytes = bytes;
    this.checksum = checksum;
  }
}

/** What a channel leads to and comes from. */
export interface ChannelEnds {
  /** A piece has arrived. */
  onArrive(channel: Channel, piece: Piece): void;
  /** Bytes have been blocked for so long that the sender gives up. */
  onStalled(channel: Channel): void;
  /** A piece isn't any more what was written. */
  onMutated(channel: Channel, piece: Piece): void;
}

export class Channel {
  /** `from>to`, host names. */
  readonly route: string;
  /** Bits may flip on this way. */
  readonly isNoisy: boolean;
  /** Bytes on their way or arrived and not yet taken by the receiver. */
  outstandingBytes = 0;
  readonly #weather: PairWeather;
  readonly #ends: ChannelEnds;
  readonly #connection: number;
  readonly #label: string;
  readonly #pieces = new Queue<Piece>();
  #lastArrivalUs = 0;
  #isPlanned = false;
  #isBlocked: boolean;
  /** Pieces go nowhere any more. */
  #isCut = false;
  /** Times that bytes came to a standstill: tells an old stall timer that it isn't meant. */
  #stalls = 0;
  #isStalled = false;

  constructor(
    weather: PairWeather,
    ends: ChannelEnds,
    connection: number,
    route: string,
    isBlocked: BlockedState,
  ) {
    this.#weather = weather;
    this.#ends = ends;
    this.#connection = connection;
    this.route = route;
    const [from, to] = route.split('>');
    this.isNoisy = weather.faults.mayFlip(from, to);
    this.#label = `deliver ${route}`;
    this.#isBlocked = isBlocked === 'blocked';
  }

  send(piece: Piece): void {
    if (this.#isCut) return;
    const nowUs = this.#weather.scheduler.nowUs;
    const arrivalUs = nowUs + this.#weather.drawLatencyUs();
    if (arrivalUs > this.#lastArrivalUs) this.#lastArrivalUs = arrivalUs;
    piece.arrivesAtUs = this.#lastArrivalUs;
    this.outstandingBytes += piece.bytes.length;
    this.#pieces.push(piece);
    if (piece.kind === 'data') this.#weather.probe?.onSend(this.#connection, this.route, piece.bytes);
    if (this.#isBlocked) this.#stall();
    else if (!this.#isPlanned) this.#plan(piece.arrivesAtUs);
  }

  block(): void {
    this.#isBlocked = true;
    if (this.#pieces.size > 0) this.#stall();
  }

  unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#isStalled = false;
    this.#stalls++;
    if (this.#pieces.size > 0 && !this.#isPlanned) {
      this.#plan(this.#weather.scheduler.nowUs + this.#weather.drawLatencyUs());
    }
  }

  /** Loses what is on its way. The sender must send nothing more but a reset. */
  clear(): void {
    this.#pieces.clear();
    this.#tellLost();
  }

  /** Loses a drawn number of the pieces sent last. The sender must send nothing more but a reset. */
  dropTail(): void {
    if (this.#pieces.size === 0) return;
    this.#pieces.truncate(this.#weather.faultRandom.between(0, this.#pieces.size));
    this.#tellLost();
  }

  /** Loses everything, now and in future. */
  cut(): void {
    this.#isCut = true;
    this.#pieces.clear();
    this.#tellLost();
  }

  #tellLost(): void {
    const { probe } = this.#weather;
    if (probe === null) return;
    let keptBytes = 0;
    for (let at = 0; at < this.#pieces.size; at++) keptBytes += this.#pieces.at(at)?.bytes.length ?? 0;
    probe.onLost(this.#connection, this.route, keptBytes);
  }

  #plan(atUs: number): void {
    this.#isPlanned = true;
    this.#weather.scheduler.at(atUs, this.#arrive);
  }

  readonly #arrive = (): void => {
    this.#isPlanned = false;
    if (this.#isBlocked) return;
    const piece = this.#pieces.shift();
    if (piece === null) return;
    this.#checkMutation(piece);
    const arrived = this.#isNextDue() ? this.#mergeDue(piece) : piece;
    const next = this.#pieces.first;
    if (next !== null) this.#plan(Math.max(next.arrivesAtUs, this.#weather.scheduler.nowUs));
    this.#weather.event(this.#label, this.#connection, arrived.bytes.length, arrived.bytes);
    this.#ends.onArrive(this, arrived);
  };

  #isNextDue(): boolean {
    const next = this.#pieces.first;
    return next !== null && next.kind === 'data' && next.arrivesAtUs <= this.#weather.scheduler.nowUs;
  }

  /** Joins to a piece those that have arrived by now as well, if the draw says so: one read gives them all. */
  #mergeDue(piece: Piece): Piece {
    const { faults, faultRandom } = this.#weather;
    if (piece.kind !== 'data' || !faultRandom.chance(faults.mergePermille)) return piece;
    const parts = [piece.bytes];
    while (this.#isNextDue()) {
      const next = this.#pieces.shift();
      if (next === null) break;
      this.#checkMutation(next);
      parts.push(next.bytes);
    }
    return new Piece('data', concatBytes(parts), 0);
  }

  #checkMutation(piece: Piece): void {
    if (!this.#weather.faults.checkMutation || piece.checksum === crc32(piece.bytes)) return;
    this.#ends.onMutated(this, piece);
  }

  #stall(): void {
    if (this.#isStalled) return;
    this.#isStalled = true;
    const { faults, faultRandom, scheduler } = this.#weather;
    if (!faultRandom.chance(faults.stallResetPermille)) return;
    const stall = ++this.#stalls;
    scheduler.after(faultRandom.between(faults.stallUs.min, faults.stallUs.max), () => {
      if (this.#isStalled && this.#stalls === stall) this.#ends.onStalled(this);
    });
  }
}

export type BlockedState = 'blocked' | 'free';

export function makeSignal(kind: PieceKind): Piece {
  return new Piece(kind, NO_BYTES, 0);
}

/** Cuts what is written into the pieces in which it will arrive: one, unless it is large or the draw says otherwise. */
export function makePieces(
  weather: PairWeather,
  channel: Channel,
  bytes: Uint8Array,
  take: (piece: Piece) => void,
): void {
  const { faults, faultRandom } = weather;
  const isFragmented = bytes.length > 1 && faultRandom.chance(faults.fragmentPermille);
  if (!isFragmented && bytes.length <= PIECE_BYTES_MAX) {
    take(makePiece(weather, channel, bytes));
    return;
  }
  let cuts = isFragmented ? FRAGMENTS_MAX - 1 : 0;
  for (let start = 0; start < bytes.length; ) {
    const rest = bytes.length - start;
    const most = Math.min(rest, PIECE_BYTES_MAX);
    const length = cuts > 0 ? faultRandom.between(1, most) : most;
    cuts--;
    take(makePiece(weather, channel, bytes.subarray(start, start + length)));
    start += length;
  }
}

function makePiece(weather: PairWeather, channel: Channel, bytes: Uint8Array): Piece {
  const { faults, faultRandom } = weather;
  let sent = bytes;
  if (channel.isNoisy && faultRandom.chancePerMillion(faults.bitFlipPerMillion)) {
    sent = bytes.slice();
    sent[faultRandom.below(sent.length)] ^= 1 << faultRandom.below(8);
  }
  return new Piece('data', sent, faults.checkMutation ? crc32(sent) : 0);
}
