/**
 * A simulated network between named hosts: the world partitions and breaks it here, processes use it through `attach`.
 *
 * What is modelled, and where:
 * - `network/channel.ts`: one direction of a connection: latency, order, blocking, loss with the connection;
 * - `network/endpoint.ts`: one side of it: windows, buffers, callbacks, ends;
 * - `network/link.ts`: both together: how it comes about and breaks;
 * - `network/faults.ts`: the rates.
 *
 * A receiver always sees a prefix of what was written, whatever happens; after a break, nothing more.
 */
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../src/io/network.ts';
import type { BlockedState } from './network/channel.ts';
import { SimNetworkError } from './network/endpoint.ts';
import type { NetworkFaults } from './network/faults.ts';
import { type Acceptor, Link, type LinkOwner } from './network/link.ts';
import { Weather } from './network/weather.ts';
import { SimCrash, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { NetworkProbe } from './report/probe.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

export type { NetworkFaults } from './network/faults.ts';

export interface SimNetworkOptions {
  readonly scheduler: Scheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  /** What is left out has the value of `NO_NETWORK_FAULTS`. */
  readonly faults: Partial<NetworkFaults>;
  /** Is told what is sent and what becomes of it; null: nobody is. */
  readonly probe?: NetworkProbe | null;
}

const FREE_PORT_MIN = 49_152;

export class SimNetwork implements LinkOwner {
  readonly #weather: Weather;
  /** By `host:port`. */
  readonly #listeners = new Map<string, SimListener>();
  readonly #links = new Set<Link>();
  /** `from>to`. */
  readonly #blocked = new Set<string>();
  #connections = 0;
  #nextPort = FREE_PORT_MIN;

  constructor(options: SimNetworkOptions) {
    this.#weather = new Weather(options.scheduler, options.random, options.trace, options.faults);
    this.#weather.probe = options.probe ?? null;
  }

  /** The network as the present life of the process, on `host`, sees it. */
  attach(process: SimProcess, host: string): Network {
    return new AttachedNetwork(this, this.#weather.scheduler, process, host);
  }

  /** Changes some faults from now on. */
  setFaults(faults: Partial<NetworkFaults>): void {
    this.#weather.faults = { ...this.#weather.faults, ...faults };
  }

  /** Nothing gets from the one host to the other; the way back stays as it is. Idempotent. */
  block(fromHost: string, toHost: string): void {
    const route = `${fromHost}>${toHost}`;
    if (this.#blocked.has(route)) return;
    this.#blocked.add(route);
    this.#weather.event(`block ${route}`, 0, 0);
    for (const link of this.#links) {
      for (const channel of link.channels) if (channel.route === route) channel.block();
    }
  }

  unblock(fromHost: string, toHost: string): void {
    const route = `${fromHost}>${toHost}`;
    if (!this.#blocked.delete(route)) return;
    this.#weather.event(`unblock ${route}`, 0, 0);
    for (const link of this.#links) {
      for (const channel of link.channels) if (channel.route === route) channel.unblock();
    }
  }

  healAll(): void {
    for (const route of [...this.#blocked]) {
      const [fromHost, toHost] = route.split('>');
      this.unblock(fromHost, toHost);
    }
  }

  /** Breaks every connection between the two hosts. */
  resetConnections(hostA: string, hostB: string): void {
    for (const link of [...this.#links]) if (link.joins(hostA, hostB)) link.reset();
  }

  /** Connections of which at least one side is there. */
  get size(): number {
    return this.#links.size;
  }

  isBlocked(from: string, to: string): BlockedState {
    return this.#blocked.size > 0 && this.#blocked.has(`${from}>${to}`) ? 'blocked' : 'free';
  }

  acceptor(host: string, port: number): Acceptor | null {
    return this.#listeners.get(`${host}:${port}`) ?? null;
  }

  onLinkGone(link: Link): void {
    this.#links.delete(link);
  }

  onProcessCrash(process: SimProcess): void {
    for (const [address, listener] of this.#listeners) {
      if (listener.process === process) this.#listeners.delete(address);
    }
    for (const link of [...this.#links]) link.onProcessCrash(process);
  }

  /** False when the address is taken. */
  addListener(host: string, port: number, listener: SimListener): boolean {
    const address = `${host}:${port}`;
    if (this.#listeners.has(address)) return false;
    this.#listeners.set(address, listener);
    return true;
  }

  removeListener(host: string, port: number, listener: SimListener): void {
    const address = `${host}:${port}`;
    if (this.#listeners.get(address) === listener) this.#listeners.delete(address);
  }

  freePort(host: string): number {
    for (;;) {
      const port = this.#nextPort++;
      if (!this.#listeners.has(`${host}:${port}`)) return port;
    }
  }

  connect(
    caller: { readonly process: SimProcess; readonly generation: number; readonly host: string },
    address: Address,
    handler: ConnectionHandler,
  ): Connection {
    const { process, generation, host } = caller;
    const number = ++this.#connections;
    const link = new Link({
      weather: this.#weather.between(host, address.host),
      owner: this,
      number,
      process,
      generation,
      fromHost: host,
      // Only shown: that it is not one of a small number of real ports does not matter.
      fromPort: FREE_PORT_MIN + number,
      toHost: address.host,
      toPort: address.port,
      handler,
    });
    this.#links.add(link);
    link.start();
    return link.client;
  }
}

/** The door of one life of a process to the network. */
class AttachedNetwork implements Network {
  readonly #network: SimNetwork;
  readonly #scheduler: Scheduler;
  readonly #process: SimProcess;
  readonly #generation: number;
  readonly #host: string;

  constructor(network: SimNetwork, scheduler: Scheduler, process: SimProcess, host: string) {
    this.#network = network;
    this.#scheduler = scheduler;
    this.#process = process;
    this.#generation = process.generation;
    this.#host = host;
    process.onceCrashed(() => network.onProcessCrash(process));
  }

  listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    onError: (error: Error) => void,
  ): Listener {
    this.#check();
    const listener = new SimListener(
      this.#network,
      this.#host,
      this.#process,
      this.#generation,
      onConnection,
    );
    this.#scheduler.soon(() => {
      if (listener.isClosed || this.#process.generation !== this.#generation) return;
      const error = this.#own(address.host) ? listener.start(address.port) : 'EADDRNOTAVAIL';
      if (error === null) return;
      const failure = new SimNetworkError(error, `${address.host}:${address.port}`);
      this.#process.runAs(this.#generation, () => onError(failure));
    });
    return listener;
  }

  connect(address: Address, handler: ConnectionHandler): Connection {
    this.#check();
    const host = isLoopback(address.host) ? this.#host : address.host;
    return this.#network.connect(
      { process: this.#process, generation: this.#generation, host: this.#host },
      { host, port: address.port },
      handler,
    );
  }

  #own(host: string): boolean {
    return host === this.#host || host === '0.0.0.0' || host === '::' || isLoopback(host);
  }

  #check(): void {
    if (this.#process.generation !== this.#generation) throw new SimCrash(this.#process.name);
  }
}

export class SimListener implements Listener, Acceptor {
  readonly process: SimProcess;
  readonly generation: number;
  readonly onConnection: (connection: Connection) => void;
  readonly #network: SimNetwork;
  readonly #host: string;
  #port = 0;
  #isClosed = false;

  constructor(
    network: SimNetwork,
    host: string,
    process: SimProcess,
    generation: number,
    onConnection: (connection: Connection) => void,
  ) {
    this.#network = network;
    this.#host = host;
    this.process = process;
    this.generation = generation;
    this.onConnection = onConnection;
  }

  get port(): number {
    return this.#port;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Begins to listen; returns the system's error name, or null. */
  start(port: number): string | null {
    const actual = port === 0 ? this.#network.freePort(this.#host) : port;
    if (!this.#network.addListener(this.#host, actual, this)) return 'EADDRINUSE';
    this.#port = actual;
    return null;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#port !== 0) this.#network.removeListener(this.#host, this.#port, this);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '127.0.0.1' || host === '::1';
}
