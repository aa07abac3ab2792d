/**
 * What was said over every connection, and what became of it. A message is on its way from when its last byte was sent
 * until that byte has arrived, or can't any more.
 */
import { assert } from '../../src/base/assert.ts';
import { type LabelledMessage, PeerStream, type StreamKind } from './peer_stream.ts';
import type { Fate, MessageRecord } from './record.ts';

/** A message on its way. */
interface Flight {
  message: LabelledMessage;
  readonly sentUs: number;
}

/** One way of a connection. */
class Direction {
  readonly from: number;
  readonly to: number;
  readonly stream: PeerStream;
  readonly flights: Flight[] = [];
  /** Position behind the last byte that has arrived. */
  arrived = 0;

  constructor(from: number, to: number, kind: StreamKind) {
    this.from = from;
    this.to = to;
    this.stream = new PeerStream(kind);
  }
}

export class MessageLog {
  readonly #laneOf: (host: string) => number;
  readonly #directions = new Map<string, Direction>();
  /** Connections on which somebody has spoken: the first to do so has dialled. */
  readonly #spoken = new Set<number>();
  readonly #messages: MessageRecord[] = [];

  /** @param laneOf The lane of a host by its name. */
  constructor(laneOf: (host: string) => number) {
    this.#laneOf = laneOf;
  }

  onSend(nowUs: number, connection: number, route: string, bytes: Uint8Array): void {
    const key = keyOf(connection, route);
    let direction = this.#directions.get(key);
    if (direction === undefined) {
      const [from, to] = route.split('>');
      const kind = streamKind(from, to, this.#spoken.has(connection) ? 'answering' : 'dialled');
      direction = new Direction(this.#laneOf(from), this.#laneOf(to), kind);
      this.#directions.set(key, direction);
      this.#spoken.add(connection);
    }
    for (const message of direction.stream.push(bytes)) {
      const last = direction.flights.at(-1);
      // A write that was cut into pieces is one message all the same.
      if (message.kind === 'client' && last !== undefined && last.sentUs === nowUs) {
        last.message = direction.stream.join(last.message, message);
      } else {
        direction.flights.push({ message, sentUs: nowUs });
      }
    }
  }

  onArrive(
    nowUs: number,
    connection: number,
    route: string,
    byteCount: number,
    fate: 'arrived' | 'unheard',
  ): void {
    const direction = this.#directions.get(keyOf(connection, route));
    if (direction === undefined) return;
    direction.arrived += byteCount;
    for (let first = direction.flights[0]; first !== undefined; first = direction.flights[0]) {
      if (first.message.end > direction.arrived) return;
      direction.flights.shift();
      this.#end(nowUs, connection, direction, first, fate);
    }
  }

  /** @param keptBytes Of what is on its way, so many will still arrive. */
  onLost(nowUs: number, connection: number, route: string, keptBytes: number): void {
    const direction = this.#directions.get(keyOf(connection, route));
    if (direction === undefined) return;
    const { flights, arrived } = direction;
    const lostFrom = flights.findIndex(({ message }) => message.end > arrived + keptBytes);
    if (lostFrom === -1) return;
    for (const flight of flights.splice(lostFrom)) this.#end(nowUs, connection, direction, flight, 'lost');
  }

  /** All messages, those on their way included, by the time of sending. */
  finish(nowUs: number): MessageRecord[] {
    for (const [key, direction] of this.#directions) {
      const connection = Number(key.split(' ')[0]);
      for (const flight of direction.flights.splice(0))
        this.#end(nowUs, connection, direction, flight, 'flight');
    }
    return this.#messages.sort((a, b) => a.sentUs - b.sentUs || a.endUs - b.endUs);
  }

  #end(nowUs: number, connection: number, direction: Direction, flight: Flight, fate: Fate): void {
    const { end: _end, raw: _raw, ...label } = flight.message;
    assert(flight.sentUs <= nowUs, 'a message is sent before its fate is decided', { flight, nowUs });
    this.#messages.push({
      from: direction.from,
      to: direction.to,
      sentUs: flight.sentUs,
      endUs: nowUs,
      fate,
      ...label,
      connection,
    });
  }
}

function keyOf(connection: number, route: string): string {
  return `${connection} ${route}`;
}

function streamKind(from: string, to: string, side: 'dialled' | 'answering'): StreamKind {
  if (!from.startsWith('node')) return 'request';
  if (!to.startsWith('node')) return 'answer';
  return side === 'dialled' ? 'peer-dialled' : 'peer-answering';
}
