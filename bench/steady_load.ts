/**
 * Writers that go on until they are told to stop, each with one write at a time over a connection of its own, and what
 * became of each write: when it was answered and how long that took. For benches in which something happens meanwhile.
 */
import { Client, ClientError } from '../src/client/client.ts';

const HOST = '127.0.0.1';

export interface SteadyLoadOptions {
  /** Writers are dealt out over these in turn. */
  readonly ports: readonly number[];
  readonly writers: number;
  readonly valueBytes: number;
  readonly keys: number;
}

export interface Answer {
  /** `performance.now()` when it came. */
  readonly atMs: number;
  readonly latencyMs: number;
}

export class SteadyLoad {
  /** Acknowledged writes, in the order of their answers. */
  readonly answers: Answer[] = [];
  /** Writes that were answered with an error, or not at all. */
  failures = 0;
  readonly #options: SteadyLoadOptions;
  #stopped = false;
  #done: Promise<unknown> = Promise.resolve();

  constructor(options: SteadyLoadOptions) {
    this.#options = options;
  }

  start(): void {
    const { ports, writers } = this.#options;
    this.#done = Promise.all(
      Array.from({ length: writers }, (_none, at) => this.#run(at, ports[at % ports.length] ?? 0)),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  /** Latencies of the writes that were answered between the two times. */
  latenciesBetween(fromMs: number, toMs: number): number[] {
    return this.answers
      .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
      .map(({ latencyMs }) => latencyMs)
      .sort((a, b) => a - b);
  }

  async #run(writer: number, port: number): Promise<void> {
    const { keys, valueBytes } = this.#options;
    const value = 'v'.repeat(valueBytes);
    let client: Client | null = null;
    for (let n = writer; !this.#stopped; n++) {
      const startedAt = performance.now();
      try {
        client ??= await Client.connect({ host: HOST, port });
        await client.set(`load:${n % keys}`, value);
        const atMs = performance.now();
        this.answers.push({ atMs, latencyMs: atMs - startedAt });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        this.failures++;
        if (error.code === 'REPLY') continue;
        client?.close();
        client = null;
        // The node is not there: its writers look now and then whether it is back.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    client?.close();
  }
}

/** @param sorted Ascending. @param share Between 0 and 1. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
