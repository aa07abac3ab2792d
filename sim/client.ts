/**
 * A simulated client: speaks one of the server's dialects over the simulated network to the real server code, one
 * batch of requests at a time, and writes down what it asked and what it was told.
 *
 * It never repeats a write by itself. A reply that does not come in time, or a connection that breaks, leaves the
 * outcome of what was asked unknown, and the client goes on over a new connection, usually to another node.
 *
 * What it asks is drawn as it goes, or comes from a script: then each batch is sent at its time, or as soon after it
 * as the batch before has been answered or given up, to the node that the script names.
 */
import { type ClientReply, ReplyReader } from '../src/client/reply_reader.ts';
import { fromUtf8, utf8 } from '../src/codec/bytes.ts';
import type { Clock, Timer } from '../src/io/clock.ts';
import type { Address, Connection, Network } from '../src/io/network.ts';
import { AcknowledgedWrites, type FindCommitted } from './acknowledgements.ts';
import type { History, Operation, OperationKind } from './check/history.ts';
import type { SimRandom } from './random.ts';
import {
  type Batch,
  bucketName,
  RequestSource,
  type Workload,
  type WorkloadRequest,
  wordOf,
} from './workload.ts';

export interface SimClientOptions {
  readonly id: number;
  readonly addresses: readonly Address[];
  readonly network: Network;
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly history: History;
  /** Whole JSON values by the unique word in their field `v`, of all clients. */
  readonly values: Map<string, string>;
  /** Virtual time in microseconds. */
  readonly nowUs: () => number;
  readonly workload: Workload;
  /** Only these batches, in this order; null: draw them. */
  readonly script: readonly Batch[] | null;
  /** A batch has been sent. */
  readonly onBatch: (batch: Batch) => void;
  /** A disk somewhere is not what it should be: an error that says so is right. */
  readonly mayBeDamaged: () => boolean;
  readonly findCommitted: FindCommitted;
  /** An answer that no server may give. */
  readonly onWrongAnswer: (what: string) => void;
}

interface Asked {
  readonly operation: Operation;
  /** The answer is the field `v` of the value, not the value. */
  readonly isField: boolean;
}

const US_PER_MS = 1000;
/** Who can read may still be unable to write. */
const FINAL_WRITE = '0/final';

export class SimClient {
  readonly #options: SimClientOptions;
  readonly #source: RequestSource;
  readonly #dialect: 'text' | 'resp';
  #connection: Connection | null = null;
  /** Number of the node connected with, from 1. */
  #node = 0;
  #isOpen = false;
  #reader = new ReplyReader();
  /** Asked on this connection and not answered, oldest first; `null` stands for a change of bucket. */
  #asked: (Asked | null)[] = [];
  #bucket = 0;
  /** On this connection. */
  #acknowledged: AcknowledgedWrites;
  #patience: Timer | null = null;
  #stopped = false;
  /** Batches of the script that have been sent. */
  #scripted = 0;
  /** The last round of reads is under way: the keys still to be read. */
  #finalKeys: string[] | null = null;
  #onFinished: () => void = () => {};

  constructor(options: SimClientOptions) {
    this.#options = options;
    const { random, workload, id } = options;
    this.#dialect = random.fork('dialect').chance(workload.respPermille) ? 'resp' : 'text';
    this.#acknowledged = new AcknowledgedWrites(options.findCommitted);
    this.#source = new RequestSource(id, workload, random.fork('requests'));
  }

  start(): void {
    this.#connect();
  }

  /** Asks nothing new; what is under way may still end. */
  stop(): void {
    this.#stopped = true;
  }

  /** Writes one key, then reads every given one, each until it has been answered, however long it takes. */
  readAll(keys: readonly string[], onFinished: () => void): void {
    this.#finalKeys = [FINAL_WRITE, ...keys.filter((key) => key !== FINAL_WRITE)];
    this.#onFinished = onFinished;
    if (this.#asked.length > 0) return;
    if (this.#isOpen) this.#next();
    else if (this.#connection === null) this.#connect();
  }

  #connect(node = 0): void {
    const { network, random, addresses } = this.#options;
    this.#reader = new ReplyReader();
    this.#bucket = 0;
    this.#acknowledged = new AcknowledgedWrites(this.#options.findCommitted);
    this.#isOpen = false;
    this.#node = node === 0 ? random.between(1, addresses.length) : node;
    const connection = network.connect(addresses[this.#node - 1], {
      onOpen: () => {
        if (connection !== this.#connection) return;
        this.#isOpen = true;
        this.#next();
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

  #disconnect(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#isOpen = false;
    connection?.destroy();
    this.#patience?.cancel();
    for (const asked of this.#asked) if (asked !== null) this.#options.history.unknown(asked.operation);
    this.#asked = [];
  }

  #reconnect(): void {
    this.#disconnect();
    const { clock, random, workload } = this.#options;
    clock.after(random.between(1, workload.reconnectMsMax), () => {
      if (this.#connection === null) this.#connect();
    });
  }

  #watch(): void {
    this.#patience?.cancel();
    this.#patience = this.#options.clock.after(this.#options.workload.patienceMs, () => this.#reconnect());
  }

  /** The connection is open and everything asked has been answered. */
  #next(): void {
    if (this.#asked.length > 0 || !this.#isOpen) return;
    this.#patience?.cancel();
    const { clock, script } = this.#options;
    if (this.#finalKeys !== null) {
      this.#askFinal(this.#finalKeys);
      return;
    }
    if (this.#stopped) return;
    if (script !== null) {
      this.#planScripted(script);
      return;
    }
    clock.after(this.#source.drawThinkMs(clock.monotonicMs()), () => {
      if (this.#isReady()) this.#ask(this.#source.drawBatch());
    });
  }

  #isReady(): boolean {
    return this.#isOpen && !this.#stopped && this.#asked.length === 0 && this.#finalKeys === null;
  }

  /** A script that is whole is played as it was recorded, connection by connection; a part of it, as near to that as may be. */
  #planScripted(script: readonly Batch[]): void {
    const batch = script[this.#scripted];
    if (batch === undefined) return;
    const { clock, nowUs } = this.#options;
    clock.after(Math.max(0, (batch.atUs - nowUs()) / US_PER_MS), () => {
      if (!this.#isReady() || script[this.#scripted] !== batch) return;
      if (this.#node !== batch.node) {
        this.#disconnect();
        this.#connect(batch.node);
        return;
      }
      this.#scripted++;
      this.#ask(batch.requests);
    });
  }

  #ask(requests: readonly WorkloadRequest[]): void {
    const { nowUs, id, onBatch } = this.#options;
    onBatch({ atUs: nowUs(), client: id, node: this.#node, requests });
    let text = '';
    for (const request of requests) text += this.#useIfNeeded(request.bucket) + this.#askOne(request);
    this.#connection?.write(utf8(text));
    this.#watch();
  }

  #useIfNeeded(bucket: number): string {
    if (bucket === this.#bucket) return '';
    this.#bucket = bucket;
    this.#asked.push(null);
    return this.#format(['USE', bucketName(bucket)]);
  }

  #askOne(request: WorkloadRequest): string {
    const { history, id, nowUs } = this.#options;
    const { kind, bucket, key, value, field, expected, parts } = request;
    const named = parts?.map((part) => ({ ...part, key: `${bucket}/${part.key}` }));
    const operation = history.invoke(id, `${bucket}/${key}`, kind, value, nowUs(), expected, named);
    this.#asked.push({ operation, isField: field === true });
    const word = value === null ? null : wordOf(value);
    if (word !== null && value !== null) this.#options.values.set(word, value);
    switch (kind) {
      case 'set':
        return this.#format(['SET', key, value ?? '']);
      case 'delete':
        return this.#format(['del', key]);
      case 'exists':
        return this.#format(['EXISTS', key]);
      case 'cas':
        return this.#dialect === 'text'
          ? this.#format(['SETX', key, 'IFEQ', expected ?? '', 'VALUE', value ?? ''])
          : this.#format(['SET', key, value ?? '', 'IFEQ', expected ?? '']);
      case 'mget':
        return this.#format(['MGET', ...(parts ?? []).map((part) => part.key)]);
      case 'mset':
        return this.#format(['MSET', ...(parts ?? []).flatMap((part) => [part.key, part.value ?? ''])]);
      case 'setnx':
        return this.#format(['SETNX', key, value ?? '']);
      case 'increment':
        return this.#format(['INCRBY', key, value ?? '']);
      case 'append':
        return this.#format(['APPEND', key, value ?? '']);
      case 'getset':
        return this.#format(['GETSET', key, value ?? '']);
      case 'get':
        return field === true ? this.#format(['JGET', key, 'v']) : this.#format(['Get', key]);
    }
  }

  #format(words: readonly string[]): string {
    if (this.#dialect === 'text') return `${words.join(' ')}\r\n`;
    // Everything that is asked here is ASCII: a character is a byte.
    return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
  }

  #askFinal(keys: string[]): void {
    const name = keys[0];
    if (name === undefined) {
      this.#finalKeys = null;
      this.#stopped = true;
      this.#onFinished();
      return;
    }
    const [bucket, key] = name.split('/');
    const request: WorkloadRequest =
      name === FINAL_WRITE
        ? { kind: 'set', bucket: Number(bucket), key, value: this.#source.drawWord() }
        : { kind: 'get', bucket: Number(bucket), key, value: null };
    this.#connection?.write(utf8(this.#useIfNeeded(request.bucket) + this.#askOne(request)));
    this.#watch();
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
      this.#options.onWrongAnswer(`USE was answered ${describeReply(reply)}`);
    }
  }

  #onReply({ operation, isField }: Asked, reply: ClientReply): void {
    const { history, nowUs } = this.#options;
    const { kind } = operation;
    const error = errorIn(reply);
    if (error !== null) {
      this.#onError(operation, error);
      return;
    }
    const final = this.#finalKeys;
    if (final !== null && final[0] === operation.key) final.shift();
    if (
      reply.type === 'simple' &&
      reply.text === 'OK' &&
      (kind === 'set' || kind === 'mset' || kind === 'delete')
    ) {
      history.ok(operation, null, nowUs());
    } else if (reply.type === 'integer' && kind === 'delete' && this.#dialect === 'resp') {
      history.ok(operation, null, nowUs());
    } else if (reply.type === 'bulk' && kind === 'get') {
      const value = reply.value === null ? null : fromUtf8(reply.value);
      history.ok(operation, value !== null && isField ? this.#valueOf(operation, value) : value, nowUs());
    } else if (reply.type === 'array' && reply.items !== null && kind === 'mget') {
      operation.results = reply.items.map(textOf);
      history.ok(operation, operation.results.map((text) => text ?? 'none').join(', '), nowUs());
    } else if (reply.type === 'bulk' && kind === 'getset') {
      history.ok(operation, reply.value === null ? null : fromUtf8(reply.value), nowUs());
    } else if (kind === 'cas' && reply.type === 'simple' && reply.text === 'OK') {
      history.ok(operation, '1', nowUs());
    } else if (kind === 'cas' && reply.type === 'bulk' && reply.value === null) {
      history.ok(operation, '0', nowUs());
    } else if (reply.type === 'integer' && BY_NUMBER.has(kind)) {
      history.ok(operation, String(reply.value), nowUs());
    } else {
      this.#options.onWrongAnswer(`${kind} was answered ${describeReply(reply)}`);
    }
    const problem = this.#acknowledged.add(operation);
    if (problem !== null) this.#options.onWrongAnswer(problem);
  }

  /** The whole value that has this field `v`; the word is unique. */
  #valueOf(operation: Operation, word: string): string {
    const value = this.#options.values.get(word);
    if (value !== undefined) return value;
    this.#options.onWrongAnswer(`JGET ${operation.key} was answered '${word}', which nobody has written`);
    return word;
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
    } else if (this.#options.mayBeDamaged() && ABOUT_A_DISK.test(text)) {
      if (['get', 'exists', 'mget'].includes(operation.kind)) history.fail(operation);
      else history.unknown(operation);
    } else {
      this.#options.onWrongAnswer(`${operation.kind} ${operation.key} was answered '-${text}'`);
    }
  }
}

/** What an error says that a disk has caused. */
const ABOUT_A_DISK = /^ERR (corruption in \/|[a-zA-Z]+ (of )?\/\S*: E[A-Z]+: )/;

/** They are answered with a number: what was counted, found, done. */
const BY_NUMBER: ReadonlySet<OperationKind> = new Set(['exists', 'setnx', 'increment', 'append']);

const REPLY_SHOWN_MAX = 60;

/** The text of an error, or of the first in a list. */
function errorIn(reply: ClientReply): string | null {
  if (reply.type === 'error') return reply.text;
  if (reply.type !== 'array' || reply.items === null) return null;
  for (const item of reply.items) if (item.type === 'error') return item.text;
  return null;
}

/** Null for what is no value. */
function textOf(reply: ClientReply): string | null {
  return reply.type === 'bulk' && reply.value !== null ? fromUtf8(reply.value) : null;
}

function describeReply(reply: ClientReply): string {
  if (reply.type === 'bulk' && reply.value !== null)
    return `'${fromUtf8(reply.value).slice(0, REPLY_SHOWN_MAX)}'`;
  return JSON.stringify(reply);
}
