/**
 * A client of a group whose nodes come and go: writes ascending numbers under a key of its own, one request at a time, and
 * sometimes reads it. Without a good answer it turns to another node; what it asked there may still take effect, at any
 * later time, and once.
 */
import { concatBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Connection, Network } from '../../src/io/network.ts';
import type { SimRandom } from '../random.ts';

const PATIENCE_MS = 1200;
const READ_PERMILLE = 300;
const PORT = 9000;

export class MemberClient {
  readonly key: string;
  /** The highest number that was acknowledged. */
  acknowledged = 0;
  /** What was wrong with an answer. */
  problem: string | null = null;
  readonly #network: Network;
  readonly #random: SimRandom;
  #connection: Connection | null = null;
  #received: Uint8Array[] = [];
  #asked = 0;
  /** What the key holds, unless a write has taken effect that was not answered. */
  #current = 0;
  readonly #open = new Set<number>();
  #isReading = false;
  #askedAtMs = 0;

  constructor(key: string, network: Network, random: SimRandom) {
    this.key = key;
    this.#network = network;
    this.#random = random;
  }

  /** Looks for an answer. @param hosts Where it may turn to. */
  step(nowMs: number, hosts: readonly string[]): void {
    const text = fromUtf8(concatBytes(this.#received));
    if (this.#connection !== null && this.#isWhole(text)) {
      this.#received = [];
      if (this.#onAnswer(text)) this.#ask(nowMs);
      else this.#turnElsewhere(nowMs, hosts);
    } else if (this.#connection === null || nowMs - this.#askedAtMs > PATIENCE_MS) {
      this.#turnElsewhere(nowMs, hosts);
    }
  }

  end(): void {
    this.#connection?.destroy();
    this.#connection = null;
  }

  /** A bulk string is two lines, all else one. */
  #isWhole(text: string): boolean {
    if (!text.endsWith('\r\n')) return false;
    return !/^\$\d/.test(text) || text.split('\r\n').length === 3;
  }

  /** Returns whether it was a good one. */
  #onAnswer(text: string): boolean {
    if (text.startsWith('-')) return false;
    if (!this.#isReading) {
      if (text !== '+OK\r\n') this.problem = `a write was answered with ${JSON.stringify(text)}`;
      this.#current = this.#asked;
      this.acknowledged = this.#asked;
      this.#open.delete(this.#asked);
      return true;
    }
    const value = text.startsWith('$-1') ? 0 : Number(text.split('\r\n')[1]);
    if (value !== this.#current && !this.#open.delete(value)) {
      const open = [...this.#open].join(', ');
      this.problem = `${this.key} is ${value}, but ${this.#current} was acknowledged or read last, and the writes of ${open} were not answered`;
    }
    this.#current = value;
    return true;
  }

  #ask(nowMs: number): void {
    this.#askedAtMs = nowMs;
    this.#isReading = this.#random.chance(READ_PERMILLE);
    if (this.#isReading) {
      this.#connection?.write(utf8(`GET ${this.key}\r\n`));
    } else {
      this.#open.add(++this.#asked);
      this.#connection?.write(utf8(`SET ${this.key} ${this.#asked}\r\n`));
    }
  }

  #turnElsewhere(nowMs: number, hosts: readonly string[]): void {
    this.end();
    this.#received = [];
    if (hosts.length === 0) return;
    const connection = this.#network.connect(
      { host: this.#random.pick(hosts), port: PORT },
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
