/**
 * A simulated client: speaks one of the server's dialects over the simulated network to the real server code, one
 * batch of requests at a time, and writes down what it asked and what it was told.
 *
 * A reply that does not come in time, or a connection that breaks, leaves the outcome of what was asked unknown, and the
 * client goes on over a new connection, usually to another node. It repeats a write only in a session (`client_session.ts`).
 *
 * What it asks is drawn as it goes, or comes from a script: then each batch is sent at its time, or as soon after it
 * as the batch before has been answered or given up, to the node that the script names.
 */
import { type ClientReply, ReplyReader } from '../src/client/reply_reader.ts';
import { fromUtf8, utf8 } from '../src/codec/bytes.ts';
import type { Clock, Timer } from '../src/io/clock.ts';
import type { Address, Connection, Network } from '../src/io/network.ts';
import { AcknowledgedWrites, type FindCommitted } from './acknowledgements.ts';
import type { Expiry, History, Operation, OperationKind } from './check/history.ts';
import { ClientSession, type OnceWrite } from './client_session.ts';
import { commandsOf, type Dialect, format, readAnswer } from './dialect.ts';
import type { SimRandom } from './random.ts';
import {
  type Batch,
  bucketName,
  FINAL_KEY,
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
  /** It goes to the next node when one knows no leader: that one may not belong to the group any more. */
  readonly turnsAway: boolean;
  /** It is to ask for nothing new for a while. */
  readonly holdsBack: () => boolean;
  /** A batch has been sent. */
  readonly onBatch: (batch: Batch) => void;
  /** Wall clocks of nodes differ by no more than this; null: by anything. */
  readonly wallSkewMsMax: () => number | null;
  /** A disk somewhere is not what it should be: an error that says so is right. */
  readonly mayBeDamaged: () => boolean;
  readonly findCommitted: FindCommitted;
  /** A write was acknowledged, which is the entry of this index. */
  readonly onAcknowledged: (index: number) => void;
  /** An answer that no server may give. */
  readonly onWrongAnswer: (what: string) => void;
}

interface Asked {
  readonly operation: Operation;
  /** It is asked again, under its number, until it is answered; null: it is not. */
  readonly once: OnceWrite | null;
  /** The answer is the field `v` of the value, not the value. */
  readonly isField: boolean;
}

const US_PER_MS = 1000;
const SOON_MS_MAX = 20;
const FINAL_PIPELINE = 10;
/** Who can read may still be unable to write. */
const FINAL_WRITE = `0/${FINAL_KEY}`;

export class SimClient {
  readonly #options: SimClientOptions;
  readonly #source: RequestSource;
  readonly #dialect: Dialect;
  #connection: Connection | null = null;
  /** Number of the node connected with, from 1. */
  #node = 0;
  #isOpen = false;
  #reader = new ReplyReader();
  /** Asked on this connection and not answered, oldest first; a word stands for what is no operation. */
  #asked: (Asked | 'OK' | 'QUEUED' | 'session')[] = [];
  #bucket = 0;
  /** On this connection. */
  #acknowledged: AcknowledgedWrites;
  readonly #session: ClientSession | null;
  #patience: Timer | null = null;
  #stopped = false;
  /** The node connected with knows no leader. */
  #isTurnedAway = false;
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
    this.#session = random.fork('session').chance(workload.sessionPermille) ? new ClientSession() : null;
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
    this.#isTurnedAway = false;
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
        // Where nodes may be no members, one that is down as well must not lead back to those that turn away.
        if (connection === this.#connection) this.#reconnect(this.#isOpen ? 0 : this.#nextNode);
      },
    });
    this.#connection = connection;
    this.#watch();
  }

  /** 0: any. */
  get #nextNode(): number {
    const { turnsAway, addresses } = this.#options;
    return turnsAway ? (this.#node % addresses.length) + 1 : 0;
  }

  #disconnect(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#isOpen = false;
    connection?.destroy();
    this.#patience?.cancel();
    for (const asked of this.#asked) {
      if (typeof asked === 'string') continue;
      if (asked.once === null) this.#options.history.unknown(asked.operation);
      else this.#session?.keep(asked.once);
    }
    this.#asked = [];
  }

  /** @param node The one to turn to; 0: any. */
  #reconnect(node = 0): void {
    this.#disconnect();
    const { clock, random, workload } = this.#options;
    clock.after(random.between(1, workload.reconnectMsMax), () => {
      if (this.#connection === null) this.#connect(node);
    });
  }

  #watch(): void {
    this.#patience?.cancel();
    const { clock, workload } = this.#options;
    // Where what was asked together is turned away one after the other, the same nodes must not be asked by chance again.
    const onImpatience = (): void => this.#reconnect(this.#isTurnedAway ? this.#nextNode : 0);
    this.#patience = clock.after(workload.patienceMs, onImpatience);
  }

  /** The connection is open and everything asked has been answered. */
  #next(): void {
    if (this.#asked.length > 0 || !this.#isOpen) return;
    if (this.#isTurnedAway) {
      this.#reconnect(this.#nextNode);
      return;
    }
    this.#patience?.cancel();
    const { clock, script } = this.#options;
    const session = this.#session;
    if (session?.hasUnanswered === true) {
      this.#later(session.backOffMsMax, () => this.#repeat(session));
      return;
    }
    if (session?.isOpen === false && !this.#stopped && this.#finalKeys === null) {
      this.#later(SOON_MS_MAX, () => this.#openSession(session));
      return;
    }
    if (this.#finalKeys !== null) {
      this.#askFinal(this.#finalKeys);
      return;
    }
    if (this.#stopped) return;
    if (script !== null) {
      this.#planScripted(script);
      return;
    }
    if (this.#options.holdsBack()) {
      this.#later(SOON_MS_MAX, () => this.#next());
      return;
    }
    clock.after(this.#source.drawThinkMs(clock.monotonicMs()), () => {
      if (!this.#isReady()) return;
      if (this.#options.holdsBack()) this.#next();
      else this.#ask(this.#source.drawBatch());
    });
  }

  /** Within this time, if the connection is still as idle. */
  #later(msMax: number, task: () => void): void {
    const { clock, random } = this.#options;
    const connection = this.#connection;
    clock.after(random.between(1, msMax), () => {
      if (this.#connection === connection && this.#asked.length === 0) task();
    });
  }

  #openSession(session: ClientSession): void {
    this.#asked.push('session');
    this.#connection?.write(utf8(format(session.opening, this.#dialect)));
    this.#watch();
  }

  #repeat(session: ClientSession): void {
    let text = '';
    for (const write of session.takeUnanswered()) {
      text += this.#useIfNeeded(write.bucket) + format(write.words, this.#dialect);
      this.#asked.push({ operation: write.operation, isField: false, once: write });
    }
    this.#connection?.write(utf8(text));
    this.#watch();
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
    this.#asked.push('OK');
    return format(['USE', bucketName(bucket)], this.#dialect);
  }

  #askOne(request: WorkloadRequest): string {
    const { history, id, nowUs } = this.#options;
    const { kind, bucket, key, value, field, expected, parts, guard, ttlMs } = request;
    const operation = history.invoke(id, `${bucket}/${key}`, kind, value, nowUs(), {
      ...(expected === undefined ? {} : { expected }),
      ...(ttlMs === undefined ? {} : { expiry: this.#expiryOf(ttlMs) }),
      ...(guard === undefined ? {} : { guard: { ...guard, key: `${bucket}/${guard.key}` } }),
      ...(parts === undefined
        ? {}
        : { parts: parts.map((part) => ({ ...part, key: `${bucket}/${part.key}` })) }),
    });
    const word = value === null ? null : wordOf(value);
    if (word !== null && value !== null) this.#options.values.set(word, value);
    let text = '';
    for (const { words, expects } of commandsOf(request, this.#dialect)) {
      const once = this.#session?.number(operation, bucket, words) ?? null;
      this.#asked.push(expects === 'answer' ? { operation, isField: field === true, once } : expects);
      text += format(once?.words ?? words, this.#dialect);
    }
    return text;
  }

  /** By what nodes' wall clocks may differ. */
  #expiryOf(ttlMs: number): Expiry {
    const { nowUs } = this.#options;
    const wallSkewMsMax = this.#options.wallSkewMsMax();
    if (wallSkewMsMax === null) return { earliestAt: nowUs(), latestAfter: null };
    return {
      earliestAt: nowUs() + Math.max(0, ttlMs - wallSkewMsMax) * US_PER_MS,
      latestAfter: (ttlMs + wallSkewMsMax) * US_PER_MS,
    };
  }

  #askFinal(keys: string[]): void {
    if (keys.length === 0) {
      this.#finalKeys = null;
      this.#stopped = true;
      this.#onFinished();
      return;
    }
    let text = '';
    for (const name of keys.slice(0, FINAL_PIPELINE)) {
      const [bucket, key] = name.split('/');
      const request: WorkloadRequest =
        name === FINAL_WRITE
          ? { kind: 'set', bucket: Number(bucket), key, value: this.#source.drawWord() }
          : { kind: 'get', bucket: Number(bucket), key, value: null };
      text += this.#useIfNeeded(request.bucket) + this.#askOne(request);
    }
    this.#connection?.write(utf8(text));
    this.#watch();
  }

  #onData(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    for (let reply = this.#reader.next(); reply !== null; reply = this.#reader.next()) {
      const asked = this.#asked.shift();
      if (asked === undefined) this.#options.onWrongAnswer('an answer to nothing');
      else if (typeof asked === 'string') this.#expect(asked, reply);
      else this.#onReply(asked, reply);
      if (this.#connection === null) return;
    }
    this.#next();
  }

  #expect(word: 'OK' | 'QUEUED' | 'session', reply: ClientReply): void {
    if (word === 'session') {
      // Without one it is asked for again.
      if (reply.type === 'integer') this.#session?.onOpened(String(reply.value));
      else if (reply.type === 'error' && reply.text === NO_LEADER)
        this.#isTurnedAway = this.#options.turnsAway;
      else if (reply.type !== 'error' || !(this.#isOff(reply.text) || isUnknown(reply.text)))
        this.#options.onWrongAnswer(`SESSION OPEN: ${describeReply(reply)}`);
      return;
    }
    // What a queued command is refused for, its EXEC is told as well.
    if (word === 'QUEUED' && reply.type === 'error') return;
    if (reply.type !== 'simple' || reply.text !== word) {
      this.#options.onWrongAnswer(`${describeReply(reply)} came instead of ${word}`);
    }
  }

  #onReply({ operation, isField, once }: Asked, reply: ClientReply): void {
    const { history, nowUs } = this.#options;
    const { kind } = operation;
    const error = errorIn(reply);
    if (error !== null) {
      this.#onError(operation, once, error);
      return;
    }
    const asked = this.#finalKeys?.indexOf(operation.key) ?? -1;
    if (asked >= 0) this.#finalKeys?.splice(asked, 1);
    const answer = readAnswer(operation, reply, this.#dialect);
    if (answer === null) {
      this.#options.onWrongAnswer(`${kind} was answered ${describeReply(reply)}`);
      return;
    }
    const { result, results, entries } = answer;
    if (results !== undefined) operation.results = results;
    if (entries !== undefined) operation.entries = entries;
    history.ok(operation, isField && result !== null ? this.#valueOf(operation, result) : result, nowUs());
    const problem = this.#acknowledged.add(operation);
    if (problem !== null) this.#options.onWrongAnswer(problem);
    this.#options.onAcknowledged(this.#acknowledged.lastIndex);
  }

  /** The whole value that has this field `v`; the word is unique. */
  #valueOf(operation: Operation, word: string): string {
    const value = this.#options.values.get(word);
    if (value !== undefined) return value;
    this.#options.onWrongAnswer(`JGET ${operation.key} was answered '${word}', which nobody has written`);
    return word;
  }

  /** It was not carried out. */
  #isOff(error: string): boolean {
    return isRefused(error) || (isBlocked(error) && this.#options.mayBeDamaged());
  }

  #onError(operation: Operation, once: OnceWrite | null, text: string): void {
    const { history } = this.#options;
    if (text === NO_LEADER) this.#isTurnedAway = this.#options.turnsAway;
    const isOff = this.#isOff(text);
    // What is refused now may have been carried out when it was asked before.
    if (isOff && (once === null || once.attempts === 1)) {
      history.fail(operation);
    } else if (isOff || isUnknown(text)) {
      if (once === null) history.unknown(operation);
      else this.#session?.keep(once);
    } else if (this.#options.mayBeDamaged() && ABOUT_A_DISK.test(text)) {
      if (READS.has(operation.kind)) history.fail(operation);
      else history.unknown(operation);
    } else {
      this.#options.onWrongAnswer(`${operation.kind} ${operation.key} was answered '-${text}'`);
    }
  }
}

const READS: ReadonlySet<OperationKind> = new Set(['get', 'exists', 'mget', 'scan']);

const NO_LEADER = 'ERR no leader';
/** A leader whose log or tables are damaged takes nothing before they are whole. */
const MENDING = 'ERR the leader waits for damaged entries';
const REBUILDING = 'ERR the leader can apply nothing';
/** Nor is anything of a state read that another one is to take the place of. */
export const STATE_REFUSED = 'ERR what this node holds ';

function isBlocked(error: string): boolean {
  return [MENDING, REBUILDING, STATE_REFUSED].some((told) => error.startsWith(told));
}

/** It was not carried out, and will not be. */
function isRefused(error: string): boolean {
  return (
    error === NO_LEADER ||
    error.startsWith('ERR overloaded') ||
    error === 'ERR the node is stopping' ||
    error.startsWith('EXECABORT')
  );
}

function isUnknown(error: string): boolean {
  return error.startsWith('ERR unknown outcome');
}

/** What an error says that a disk has caused. */
const ABOUT_A_DISK =
  /^ERR (?:deleted, but how many keys there were cannot be told: )?(corruption in \/|[a-zA-Z]+ (of )?\/\S*: E[A-Z]+: )/;

const REPLY_SHOWN_MAX = 60;

/** The text of an error, or of the first in a list. */
function errorIn(reply: ClientReply): string | null {
  if (reply.type === 'error') return reply.text;
  if (reply.type !== 'array' || reply.items === null) return null;
  for (const item of reply.items) if (item.type === 'error') return item.text;
  return null;
}

function describeReply(reply: ClientReply): string {
  if (reply.type === 'bulk' && reply.value !== null)
    return `'${fromUtf8(reply.value).slice(0, REPLY_SHOWN_MAX)}'`;
  return JSON.stringify(reply);
}
