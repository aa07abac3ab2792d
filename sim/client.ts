/**
 * A simulated client: speaks the text protocol over the simulated network to the real server code, one operation or a
 * short pipeline at a time, and writes down what it asked and what it was told.
 *
 * It never repeats a write by itself. A reply that does not come in time, or a connection that breaks, leaves the
 * outcome of what was asked unknown, and the client goes on over a new connection to another node.
 */

import { type ClientReply, ReplyReader } from '../src/client/reply_reader.ts';
import { fromUtf8, utf8 } from '../src/codec/bytes.ts';
import type { Clock, Timer } from '../src/io/clock.ts';
import type { Address, Connection, Network } from '../src/io/network.ts';
import type { History, Operation } from './check/history.ts';
import type { SimRandom } from './random.ts';

export interface SimClientOptions {
  readonly id: number;
  readonly addresses: readonly Address[];
  readonly network: Network;
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly history: History;
  readonly nowUs: () => number;
  readonly workload: Workload;
  /** An answer that no server may give. */
  readonly onWrongAnswer: (what: string) => void;
}

export interface Workload {
  readonly buckets: number;
  readonly keysPerBucket: number;
  /** Shares in a thousand; the rest are reads. */
  readonly setPermille: number;
  readonly deletePermille: number;
  readonly existsPermille: number;
  readonly valueBytesMax: number;
  readonly pipelineMax: number;
  readonly thinkMsMax: number;
  readonly patienceMs: number;
}

interface Asked {
  readonly operation: Operation;
  readonly kind: Operation['kind'];
}

export class SimClient {
  readonly #options: SimClientOptions;
  #connection: Connection | null = null;
  #reader = new ReplyReader();
  /** Asked on this connection and not answered, oldest first; `null` stands for a USE. */
  #asked: (Asked | null)[] = [];
  #bucket = 0;
  #patience: Timer | null = null;
  #sequence = 0;
  #stopped = false;
  /** The last round of reads is under way: the keys still to be read. */
  #finalKeys: string[] | null = null;
  #onFinished: () => void = () => {};
  completed = 0;

  constructor(options: SimClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect();
  }

  /** Asks nothing new; what is under way may still end. */
  stop(): void {
    this.#stopped = true;
  }

  /** Reads every given key until each has been answered, however long it takes. */
  readAll(keys: readonly string[], onFinished: () => void): void {
    this.#stopped = false;
    this.#finalKeys = [...keys];
    this.#onFinished = onFinished;
    if (this.#asked.length === 0 && this.#connection !== null) this.#next();
  }

  #connect(): void {
    const { network, random, addresses } = this.#options;
    this.#reader = new ReplyReader();
    this.#bucket = 0;
    const connection = network.connect(random.pick(addresses), {
      onOpen: () => {
        if (connection === this.#connection) this.#next();
      },
      onData: (bytes) => {
        if (connection === this.#connection) this.#onData(bytes);
      },
      onEnd: () => {
        if (connection === this.#connection) this.#reconnect();
      },
      onClose: () => {
        if (connection === this.#connection) this.#reconnect();
      },
    });
    this.#connection = connection;
    this.#watch();
  }

  #reconnect(): void {
    const connection = this.#connection;
    this.#connection = null;
    connection?.destroy();
    this.#patience?.cancel();
    for (const asked of this.#asked) if (asked !== null) this.#options.history.unknown(asked.operation);
    this.#asked = [];
    const { clock, random } = this.#options;
    clock.after(random.between(1, 200), () => {
      if (this.#connection === null) this.#connect();
    });
  }

  #watch(): void {
    this.#patience?.cancel();
    this.#patience = this.#options.clock.after(this.#options.workload.patienceMs, () => this.#reconnect());
  }

  #next(): void {
    if (this.#asked.length > 0 || this.#connection === null) return;
    this.#patience?.cancel();
    const { clock, random, workload } = this.#options;
    if (this.#finalKeys !== null) {
      this.#askFinal(this.#finalKeys);
      return;
    }
    if (this.#stopped) return;
    const thinkMs = random.below(workload.thinkMsMax + 1);
    clock.after(thinkMs, () => this.#ask());
  }

  #ask(): void {
    const connection = this.#connection;
    if (connection === null || this.#stopped || this.#asked.length > 0 || this.#finalKeys !== null) return;
    const { random, workload } = this.#options;
    const count = random.chance(800) ? 1 : random.between(1, workload.pipelineMax);
    let text = '';
    for (let i = 0; i < count; i++) text += this.#askOne();
    connection.write(utf8(text));
    this.#watch();
  }

  #askOne(): string {
    const { random, workload, history, id, nowUs } = this.#options;
    let text = '';
    if (random.chance(100)) {
      const bucket = random.below(workload.buckets);
      text += this.#use(bucket);
    }
    const name = `k${random.below(workload.keysPerBucket)}`;
    const key = `${this.#bucket}/${name}`;
    const draw = random.below(1000);
    const { setPermille, deletePermille, existsPermille } = workload;
    if (draw < setPermille) {
      const value = this.#value();
      this.#asked.push({ operation: history.invoke(id, key, 'set', value, nowUs()), kind: 'set' });
      return `${text}SET ${name} ${value}\r\n`;
    }
    if (draw < setPermille + deletePermille) {
      this.#asked.push({ operation: history.invoke(id, key, 'delete', null, nowUs()), kind: 'delete' });
      return `${text}del ${name}\n`;
    }
    if (draw < setPermille + deletePermille + existsPermille) {
      this.#asked.push({ operation: history.invoke(id, key, 'exists', null, nowUs()), kind: 'exists' });
      return `${text}EXISTS ${name}\r\n`;
    }
    this.#asked.push({ operation: history.invoke(id, key, 'get', null, nowUs()), kind: 'get' });
    return `${text}GET ${name}\r\n`;
  }

  #use(bucket: number): string {
    this.#bucket = bucket;
    this.#asked.push(null);
    return `USE ${bucket === 0 ? 'default' : `b${bucket}`}\r\n`;
  }

  #askFinal(keys: string[]): void {
    const key = keys[0];
    if (key === undefined) {
      this.#finalKeys = null;
      this.#stopped = true;
      this.#onFinished();
      return;
    }
    const { history, id, nowUs } = this.#options;
    const [bucket, name] = key.split('/');
    const use = this.#use(Number(bucket));
    this.#asked.push({ operation: history.invoke(id, key, 'get', null, nowUs()), kind: 'get' });
    this.#connection?.write(utf8(`${use}GET ${name}\r\n`));
    this.#watch();
  }

  /** Unique, and of any length up to the largest: short ones often, long ones to fill memtables and segments. */
  #value(): string {
    const { id, random, workload } = this.#options;
    const unique = `c${id}.${++this.#sequence}`;
    if (random.chance(500)) return unique;
    const length = random.below(workload.valueBytesMax + 1);
    return unique.padEnd(length, random.chance(500) ? '.' : ' "x"');
  }

  #onData(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    for (let reply = this.#reader.next(); reply !== null; reply = this.#reader.next()) {
      const asked = this.#asked.shift();
      if (asked === undefined) this.#options.onWrongAnswer('an answer to nothing');
      else if (asked === null) this.#expectOk(reply);
      else this.#onReply(asked, reply);
      if (this.#connection === null) return;
    }
    this.#next();
  }

  #expectOk(reply: ClientReply): void {
    if (reply.type !== 'simple' || reply.text !== 'OK') {
      this.#options.onWrongAnswer(`USE was answered ${JSON.stringify(reply)}`);
    }
  }

  #onReply({ operation, kind }: Asked, reply: ClientReply): void {
    const { history, nowUs } = this.#options;
    if (reply.type === 'error') {
      this.#onError(operation, reply.text);
      return;
    }
    this.completed++;
    const final = this.#finalKeys;
    if (final !== null && final[0] === operation.key) final.shift();
    if (reply.type === 'simple' && reply.text === 'OK' && (kind === 'set' || kind === 'delete')) {
      history.ok(operation, null, nowUs());
    } else if (reply.type === 'bulk' && kind === 'get') {
      history.ok(operation, reply.value === null ? null : fromUtf8(reply.value), nowUs());
    } else if (reply.type === 'integer' && kind === 'exists') {
      history.ok(operation, String(reply.value), nowUs());
    } else {
      this.#options.onWrongAnswer(`${kind} was answered ${JSON.stringify(reply)}`);
    }
  }

  #onError(operation: Operation, text: string): void {
    const { history } = this.#options;
    if (
      text === 'ERR no leader' ||
      text.startsWith('ERR overloaded') ||
      text === 'ERR the node is stopping'
    ) {
      history.fail(operation);
    } else if (text.startsWith('ERR unknown outcome')) {
      history.unknown(operation);
    } else {
      this.#options.onWrongAnswer(`${operation.kind} ${operation.key} was answered '-${text}'`);
    }
  }
}
