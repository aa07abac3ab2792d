/**
 * A client that reads a counter which only grows, by stale reads of one node at a time, and turns to another now and
 * then. It knows when each number was acknowledged, by the one true time, and so what each answer must hold at least.
 */
import { concatBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Connection, Network } from '../../src/io/network.ts';
import type { SimRandom } from '../random.ts';

const PATIENCE_MS = 1000;
const PAUSE_MS_MAX = 25;
const MAX_AGES_MS: readonly number[] = [1, 30, 100, 300, 1000, 3000];

/** What is known of the counter. */
export interface Counter {
  /** How often it was asked to count. */
  readonly asked: number;
  /** The highest number that had been acknowledged at that time. */
  acknowledgedAt(ms: number): number;
}

interface Seen {
  readonly revision: number;
  readonly value: number;
}

interface Question {
  readonly line: string;
  readonly askedAtMs: number;
  readonly maxAgeMs: number;
  /** The answer must show at least this: of the same connection, or because its revision was asked for. */
  readonly atLeast: Seen;
}

const NOTHING: Seen = { revision: 0, value: 0 };

export class StaleReader {
  /** Answers and refusals. */
  answered = 0;
  refused = 0;
  /** What was wrong with an answer. */
  problem: string | null = null;
  readonly #counter: Counter;
  readonly #network: Network;
  readonly #random: SimRandom;
  /** By how much an age that a node has measured may be longer in truth: the drift of clocks. */
  readonly #stretch: number;
  #connection: Connection | null = null;
  #received: Uint8Array[] = [];
  #question: Question | null = null;
  /** The next question is not asked before. */
  #nextAtMs = 0;
  /** On this connection, and on any. */
  #seenHere = NOTHING;
  #seen = NOTHING;

  constructor(counter: Counter, network: Network, random: SimRandom, stretch: number) {
    this.#counter = counter;
    this.#network = network;
    this.#random = random;
    this.#stretch = stretch;
  }

  /** Looks for an answer. @param hosts Where it may turn to. */
  step(nowMs: number, hosts: readonly string[]): void {
    const question = this.#question;
    if (nowMs < this.#nextAtMs) return;
    if (this.#connection === null || this.#random.chance(5)) {
      this.#turnElsewhere(nowMs, hosts);
      return;
    }
    if (question === null) {
      this.#ask(nowMs);
      return;
    }
    const text = fromUtf8(concatBytes(this.#received));
    const answer = /^\*2\r\n:(\d+)\r\n\$(?:-1|\d+\r\n(\d+))\r\n$/.exec(text);
    if (answer !== null)
      this.#onAnswer(question, { revision: Number(answer[1]), value: Number(answer[2] ?? 0) });
    else if (/^-ERR .*\r\n$/.test(text)) this.refused++;
    else if (nowMs - question.askedAtMs > PATIENCE_MS) {
      this.#turnElsewhere(nowMs, hosts);
      return;
    } else return;
    this.#received = [];
    this.#question = null;
    this.#nextAtMs = nowMs + this.#random.below(PAUSE_MS_MAX);
  }

  end(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.#question = null;
  }

  #onAnswer({ line, askedAtMs, maxAgeMs, atLeast }: Question, seen: Seen): void {
    this.answered++;
    const due = this.#counter.acknowledgedAt(askedAtMs - maxAgeMs * this.#stretch);
    const said = `'${line}' of ${askedAtMs} ms was answered with ${seen.value} at revision ${seen.revision}`;
    if (seen.value < due) this.problem = `${said}: ${due} had been acknowledged ${maxAgeMs} ms before`;
    if (seen.value > this.#counter.asked) this.problem = `${said}, which nobody has written`;
    if (seen.value < atLeast.value || seen.revision < atLeast.revision) {
      this.problem = `${said}: it had to show ${atLeast.value} at revision ${atLeast.revision}`;
    }
    this.#seenHere = seen;
    if (seen.revision > this.#seen.revision) this.#seen = seen;
  }

  #ask(nowMs: number): void {
    const maxAgeMs = this.#random.pick(MAX_AGES_MS);
    const takesAlong = this.#random.chance(300);
    const atLeast = takesAlong ? this.#seen : this.#seenHere;
    const minRevision = takesAlong ? ` MINREV ${atLeast.revision}` : '';
    const line = `READ STALE MAXAGE ${maxAgeMs}${minRevision} REV GET n`;
    this.#question = { line, askedAtMs: nowMs, maxAgeMs, atLeast };
    this.#connection?.write(utf8(`${line}\r\n`));
  }

  #turnElsewhere(nowMs: number, hosts: readonly string[]): void {
    this.end();
    this.#received = [];
    this.#seenHere = NOTHING;
    if (hosts.length === 0) return;
    const connection = this.#network.connect(
      { host: this.#random.pick(hosts), port: 9000 },
      {
        onData: (bytes) => {
          if (connection === this.#connection) this.#received.push(bytes.slice());
        },
        onEnd: () => connection.destroy(),
        onClose: () => {
          if (connection === this.#connection) this.#connection = null;
        },
      },
    );
    this.#connection = connection;
    this.#ask(nowMs);
  }
}
