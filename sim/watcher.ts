/**
 * A client that follows the change feed of a bucket (FEED) and keeps a copy by it. What it is promised:
 *
 * - an answer goes on where the one before has ended, and never back;
 * - of a key no older revision is told behind a newer one, and nothing newer than where the answer ends;
 * - an answer that is not cut off at its limit tells all that was acknowledged before it was asked for;
 * - when nobody writes any more, the copy ends up equal to the bucket.
 *
 * When changes are not kept any more, as after a restart of the node that leads, it reads the bucket anew and goes on.
 */
import { type ClientReply, ReplyReader } from '../src/client/reply_reader.ts';
import { fromUtf8, utf8 } from '../src/codec/bytes.ts';
import type { Clock, Timer } from '../src/io/clock.ts';
import type { Address, Connection, Network } from '../src/io/network.ts';
import { STATE_REFUSED } from './client.ts';
import { format } from './dialect.ts';
import type { SimRandom } from './random.ts';
import { bucketName } from './workload.ts';

export interface WatcherOptions {
  readonly bucket: number;
  /** It goes to the next node when one knows no leader: that one may not belong to the group any more. */
  readonly turnsAway: boolean;
  readonly addresses: readonly Address[];
  readonly network: Network;
  readonly clock: Clock;
  readonly random: SimRandom;
  /** Index of the last entry of which a client was told that it is written. */
  readonly acknowledgedIndex: () => number;
  readonly mayBeDamaged: () => boolean;
  readonly onWrongAnswer: (what: string) => void;
}

const PATIENCE_MS = 4000;
const RETRY_MS_MAX = 200;
const THINK_MS_MAX = 300;
const FINAL_RETRY_MS = 100;
const ALL_KEYS = '10000';
const ELSEWHERE_PERMILLE = 200;
const NO_LEADER = 'ERR no leader';

type Question =
  | { readonly type: 'use' | 'last' | 'range' | 'compare' }
  | { readonly type: 'feed'; readonly limit: number; readonly acknowledged: number };

export class Watcher {
  readonly #options: WatcherOptions;
  #connection: Connection | null = null;
  #reader = new ReplyReader();
  #isOpen = false;
  /** The one connected with, from 0. */
  #node = 0;
  #question: Question | null = null;
  #patience: Timer | null = null;
  /** Null: it is to be read anew. */
  #copy: Map<string, string> | null = null;
  /** Told up to this revision. */
  #through = 0;
  /** The newest revision told of each key. */
  readonly #told = new Map<string, number>();
  #onEqual: (() => void) | null = null;
  /** How the copy differed from the bucket at last. */
  #difference: string | null = null;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect();
  }

  /** Why `finish` has not ended, as far as the copy can tell. */
  get difference(): string {
    return this.#difference ?? 'it was not compared';
  }

  /** Nobody writes any more: calls back when the copy is equal to the bucket. */
  finish(onEqual: () => void): void {
    this.#onEqual = onEqual;
    if (this.#connection === null) this.#connect();
  }

  #connect(node = this.#options.random.below(this.#options.addresses.length)): void {
    const { network, addresses } = this.#options;
    this.#node = node;
    this.#reader = new ReplyReader();
    this.#question = null;
    this.#isOpen = false;
    const again = (): void => {
      if (connection !== this.#connection) return;
      // Where nodes may be no members, one that is down as well must not lead back to those that turn away.
      const { turnsAway } = this.#options;
      this.#reconnect(turnsAway && !this.#isOpen ? (this.#node + 1) % addresses.length : undefined);
    };
    const connection = network.connect(addresses[node], {
      onOpen: () => {
        if (connection !== this.#connection) return;
        this.#isOpen = true;
        this.#ask({ type: 'use' }, ['USE', bucketName(this.#options.bucket)]);
      },
      onData: (bytes) => {
        if (connection === this.#connection) this.#onData(bytes);
      },
      onEnd: again,
      onClose: again,
    });
    this.#connection = connection;
    this.#watch();
  }

  /** @param node The one to turn to, from 0; left out: any. */
  #reconnect(node?: number): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#patience?.cancel();
    connection?.destroy();
    const { clock, random } = this.#options;
    clock.after(random.between(1, RETRY_MS_MAX), () => {
      if (this.#connection === null) this.#connect(node);
    });
  }

  #watch(): void {
    this.#patience?.cancel();
    this.#patience = this.#options.clock.after(PATIENCE_MS, () => this.#reconnect());
  }

  #ask(question: Question, words: readonly string[]): void {
    this.#question = question;
    this.#connection?.write(utf8(format(words, 'resp')));
    this.#watch();
  }

  /** After a while, if the connection is still the same. */
  #askLater(msMax: number): void {
    const { clock, random } = this.#options;
    const connection = this.#connection;
    this.#patience?.cancel();
    clock.after(random.between(1, msMax), () => {
      if (this.#connection === connection && this.#isOpen && this.#question === null) this.#askNext();
    });
  }

  #askNext(): void {
    const { random, acknowledgedIndex } = this.#options;
    if (this.#copy === null) {
      this.#ask({ type: 'last' }, ['FEED', '$', 'LIMIT', '1']);
      return;
    }
    const limit = random.pick([1, 2, 5, 100]);
    const words = ['FEED', String(this.#through), 'LIMIT', String(limit)];
    if (this.#onEqual === null && random.chance(300)) words.push('WAIT', String(random.between(1, 1000)));
    this.#ask({ type: 'feed', limit, acknowledged: acknowledgedIndex() }, words);
  }

  #onData(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    for (let reply = this.#reader.next(); reply !== null; reply = this.#reader.next()) {
      const question = this.#question;
      this.#question = null;
      if (question === null) this.#options.onWrongAnswer('an answer to nothing');
      else if (reply.type === 'error') this.#onError(question, reply.text);
      else this.#onReply(question, reply);
      if (this.#connection === null) return;
    }
  }

  #onError(question: Question, text: string): void {
    if (question.type === 'feed' && text.includes('are not kept any more')) this.#copy = null;
    else if (!isTransient(text) && !(this.#options.mayBeDamaged() && text.includes('/'))) {
      this.#options.onWrongAnswer(`${question.type} of a feed was answered '-${text}'`);
      return;
    }
    // Where only the leader's clock can tell what has expired, another node is never in time with short timeouts.
    const { random, addresses, turnsAway } = this.#options;
    if (turnsAway && text === NO_LEADER) this.#reconnect((this.#node + 1) % addresses.length);
    else if (random.chance(ELSEWHERE_PERMILLE)) this.#reconnect();
    else this.#askLater(RETRY_MS_MAX);
  }

  #onReply(question: Question, reply: ClientReply): void {
    switch (question.type) {
      case 'use':
        this.#askLater(THINK_MS_MAX);
        return;
      case 'last': {
        const feed = readFeed(reply);
        if (feed === null) {
          this.#wrong(question, reply);
          return;
        }
        this.#through = feed.through;
        // What is read behind this moment holds all that was written before it; what was written since is told again.
        this.#ask({ type: 'range' }, ['RANGE', '-', '+', 'LIMIT', ALL_KEYS]);
        return;
      }
      case 'range': {
        const entries = readRange(reply);
        if (entries === null) {
          this.#wrong(question, reply);
          return;
        }
        this.#copy = entries;
        this.#askLater(THINK_MS_MAX);
        return;
      }
      case 'feed': {
        const feed = readFeed(reply);
        if (feed === null) {
          this.#wrong(question, reply);
          return;
        }
        this.#take(feed, question);
        const isAll = feed.changes.length < question.limit;
        if (this.#onEqual !== null && isAll)
          this.#ask({ type: 'compare' }, ['RANGE', '-', '+', 'LIMIT', ALL_KEYS]);
        else this.#askLater(this.#onEqual === null ? THINK_MS_MAX : 1);
        return;
      }
      case 'compare': {
        const entries = readRange(reply);
        if (entries === null) this.#wrong(question, reply);
        else this.#compare(entries);
      }
    }
  }

  #wrong(question: Question, reply: ClientReply): void {
    this.#options.onWrongAnswer(
      `${question.type} of a feed was answered ${JSON.stringify(reply).slice(0, 200)}`,
    );
  }

  #take({ through, changes }: Feed, { limit, acknowledged }: Question & { type: 'feed' }): void {
    const wrong = (what: string): void => {
      this.#options.onWrongAnswer(`a feed from revision ${this.#through} to ${through} ${what}`);
    };
    if (through < this.#through) wrong('goes back');
    if (changes.length < limit && through < acknowledged) {
      wrong(`ends before revision ${acknowledged}, which was acknowledged when it was asked for`);
    }
    for (const { key, revision, value } of changes) {
      if (revision <= this.#through || revision > through) wrong(`tells of ${key} at revision ${revision}`);
      if (key === null) {
        this.#copy?.clear();
        continue;
      }
      const told = this.#told.get(key) ?? 0;
      if (revision < told) wrong(`tells of ${key} at revision ${revision}, and told of ${told} before`);
      this.#told.set(key, revision);
      if (value === null) this.#copy?.delete(key);
      else this.#copy?.set(key, value);
    }
    this.#through = through;
  }

  #compare(entries: ReadonlyMap<string, string>): void {
    this.#difference = differenceOf(this.#copy ?? new Map(), entries);
    if (this.#difference !== null) {
      // An answer may have come between; and what has expired is told when it is swept.
      this.#askLater(FINAL_RETRY_MS);
      return;
    }
    const onEqual = this.#onEqual;
    this.#onEqual = null;
    onEqual?.();
    this.#askLater(THINK_MS_MAX);
  }
}

interface Feed {
  readonly through: number;
  readonly changes: readonly {
    /** Null: the bucket was dropped. */
    readonly key: string | null;
    readonly revision: number;
    readonly value: string | null;
  }[];
}

/** Null: it is none. */
function readFeed(reply: ClientReply): Feed | null {
  if (reply.type !== 'array' || reply.items === null) return null;
  const [through, list] = reply.items;
  if (through?.type !== 'integer' || list?.type !== 'array' || list.items === null) return null;
  const changes: { key: string | null; revision: number; value: string | null }[] = [];
  for (const item of list.items) {
    if (item.type !== 'array' || item.items === null) return null;
    const [revision, word, key, value] = item.items;
    const what = textOf(word);
    const name = textOf(key);
    const text = textOf(value);
    if (revision?.type !== 'integer') return null;
    const isDrop = name === null && text === null;
    if (what !== (isDrop ? 'drop' : text === null ? 'delete' : 'set')) return null;
    changes.push({ key: name, revision: Number(revision.value), value: text });
  }
  return { through: Number(through.value), changes };
}

/** Null: it is not all of a bucket. */
function readRange(reply: ClientReply): Map<string, string> | null {
  if (reply.type !== 'array' || reply.items === null) return null;
  const [next, list] = reply.items;
  if (textOf(next) !== null || list?.type !== 'array' || list.items === null) return null;
  const entries = new Map<string, string>();
  for (let at = 0; at < list.items.length; at += 2) {
    entries.set(textOf(list.items[at]) ?? '', textOf(list.items[at + 1]) ?? '');
  }
  return entries;
}

function textOf(reply: ClientReply | undefined): string | null {
  return reply?.type === 'bulk' && reply.value !== null ? fromUtf8(reply.value) : null;
}

function isTransient(error: string): boolean {
  return (
    error === NO_LEADER ||
    error.startsWith(STATE_REFUSED) ||
    error.startsWith('ERR overloaded') ||
    error === 'ERR the node is stopping' ||
    error.startsWith('ERR unknown outcome')
  );
}

function differenceOf(copy: ReadonlyMap<string, string>, bucket: ReadonlyMap<string, string>): string | null {
  for (const key of new Set([...copy.keys(), ...bucket.keys()])) {
    const [own, there] = [copy.get(key), bucket.get(key)];
    if (own === there) continue;
    return `${key} is ${show(there)} in the bucket, and ${show(own)} in the copy`;
  }
  return null;
}

function show(value: string | undefined): string {
  return value === undefined ? 'not there' : `'${value.slice(0, 40)}'`;
}
