/**
 * A simulated connection as the network holds it: two channels and the endpoints that they join, from the first attempt
 * to connect until both sides have closed.
 */
import { AssertionError } from '../../src/base/errors.ts';
import type { ConnectionHandler } from '../../src/io/network.ts';
import type { SimProcess } from '../process.ts';
import type { Handle } from '../scheduler.ts';
import { type BlockedState, Channel, type ChannelEnds, makeSignal, type Piece } from './channel.ts';
import { Endpoint, type EndpointOwner } from './endpoint.ts';
import type { PairWeather } from './weather.ts';

/** A process that accepts connections on a port. */
export interface Acceptor {
  readonly process: SimProcess;
  readonly generation: number;
  readonly onConnection: (connection: Endpoint) => void;
}

/** What a link asks of the network. */
export interface LinkOwner {
  isBlocked(from: string, to: string): BlockedState;
  acceptor(host: string, port: number): Acceptor | null;
  onLinkGone(link: Link): void;
}

export interface LinkParts {
  readonly weather: PairWeather;
  readonly owner: LinkOwner;
  readonly number: number;
  readonly process: SimProcess;
  readonly generation: number;
  readonly fromHost: string;
  readonly fromPort: number;
  readonly toHost: string;
  readonly toPort: number;
  readonly handler: ConnectionHandler;
}

/** Lost attempts to connect are repeated after this long. */
const RETRY_US = 200_000;

export class Link implements ChannelEnds, EndpointOwner {
  readonly client: Endpoint;
  readonly #parts: LinkParts;
  readonly #forward: Channel;
  readonly #backward: Channel;
  #server: Endpoint | null = null;
  #giveUp: Handle | null = null;
  #isReset = false;

  constructor(parts: LinkParts) {
    const { weather, owner, number, fromHost, toHost } = parts;
    this.#parts = parts;
    const there = owner.isBlocked(fromHost, toHost);
    const back = owner.isBlocked(toHost, fromHost);
    this.#forward = new Channel(weather, this, number, `${fromHost}>${toHost}`, there);
    this.#backward = new Channel(weather, this, number, `${toHost}>${fromHost}`, back);
    this.client = new Endpoint({
      weather,
      owner: this,
      process: parts.process,
      generation: parts.generation,
      remote: `${toHost}:${parts.toPort}`,
      out: this.#forward,
      in: this.#backward,
      handler: parts.handler,
    });
  }

  get channels(): readonly [Channel, Channel] {
    return [this.#forward, this.#backward];
  }

  joins(hostA: string, hostB: string): boolean {
    const { fromHost, toHost } = this.#parts;
    return (fromHost === hostA && toHost === hostB) || (fromHost === hostB && toHost === hostA);
  }

  /** Sends the first attempt. */
  start(): void {
    const { weather } = this.#parts;
    const { min, max } = weather.faults.connectTimeoutUs;
    weather.event(`connect ${this.#forward.route}`, this.#parts.number, this.#parts.toPort);
    this.#giveUp = weather.scheduler.after(weather.faultRandom.between(min, max), () => {
      if (this.client.isConnecting) this.client.fail('ETIMEDOUT');
    });
    weather.scheduler.after(weather.drawLatencyUs(), this.#knock);
  }

  /** Breaks the connection in the middle: what is on its way is lost, each side hears of it in its own time. */
  reset(): void {
    const { weather, fromHost, toHost, number } = this.#parts;
    weather.event(`reset ${fromHost}>${toHost}`, number, 0);
    this.#isReset = true;
    this.#forward.cut();
    this.#backward.cut();
    for (const endpoint of [this.client, this.#server]) {
      if (endpoint === null || endpoint.isClosed) continue;
      weather.scheduler.after(weather.drawLatencyUs(), () => endpoint.fail('ECONNRESET'));
    }
  }

  onEndpointClosed(): void {
    if (this.#giveUp !== null && !this.client.isConnecting) {
      this.#giveUp.cancel();
      this.#giveUp = null;
    }
    if (this.client.isClosed && (this.#server === null || this.#server.isClosed)) {
      this.#parts.owner.onLinkGone(this);
    }
  }

  onProcessCrash(process: SimProcess): void {
    if (this.client.process === process) this.client.onProcessCrash();
    if (this.#server?.process === process) this.#server.onProcessCrash();
  }

  onArrive(channel: Channel, piece: Piece): void {
    const receiver = channel === this.#forward ? this.#server : this.client;
    const { probe } = this.#parts.weather;
    if (probe !== null && piece.kind === 'data') {
      const state = receiver === null || receiver.isClosed ? 'closed' : 'open';
      probe.onArrive(this.#parts.number, channel.route, piece.bytes.length, state);
    }
    receiver?.onArrive(piece);
    if (piece.kind === 'open' && this.#giveUp !== null) {
      this.#giveUp.cancel();
      this.#giveUp = null;
    }
  }

  onStalled(channel: Channel): void {
    this.#sender(channel)?.onStalled();
  }

  onMutated(channel: Channel, piece: Piece): void {
    this.#sender(channel)?.process.run(() => {
      throw new AssertionError('nobody changes bytes after they were written to a connection', {
        route: channel.route,
        bytes: piece.bytes.length,
      });
    });
  }

  #sender(channel: Channel): Endpoint | null {
    return channel === this.#forward ? this.client : this.#server;
  }

  /** An attempt to connect reaches the other host, or doesn't. */
  readonly #knock = (): void => {
    const { weather, owner, fromHost, toHost, toPort } = this.#parts;
    if (!this.client.isConnecting || this.#isReset) return;
    if (owner.isBlocked(fromHost, toHost) === 'blocked') {
      weather.scheduler.after(RETRY_US + weather.drawLatencyUs(), this.#knock);
      return;
    }
    const acceptor = owner.acceptor(toHost, toPort);
    if (acceptor === null || weather.faultRandom.chance(weather.faults.refusePermille)) {
      weather.scheduler.after(weather.drawLatencyUs(), this.#refuse);
      return;
    }
    this.#accept(acceptor);
  };

  readonly #refuse = (): void => {
    const { weather, owner, fromHost, toHost } = this.#parts;
    if (!this.client.isConnecting) return;
    // The refusal is lost; the next attempt may get another answer.
    if (owner.isBlocked(toHost, fromHost) === 'blocked') weather.scheduler.after(RETRY_US, this.#knock);
    else this.client.fail('ECONNREFUSED');
  };

  #accept(acceptor: Acceptor): void {
    const { weather, number, fromHost, fromPort } = this.#parts;
    const { process, generation, onConnection } = acceptor;
    const server = new Endpoint({
      weather,
      owner: this,
      process,
      generation,
      remote: `${fromHost}:${fromPort}`,
      out: this.#backward,
      in: this.#forward,
      handler: null,
    });
    this.#server = server;
    server.setPeer(this.client);
    this.client.setPeer(server);
    weather.event(`accept ${this.#forward.route}`, number, 0);
    this.#backward.send(makeSignal('open'));
    process.runAs(generation, () => onConnection(server));
  }
}
