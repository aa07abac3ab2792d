/**
 * A closed loop of clients without pipelining: each connection sends a request when its last one is answered. As lean as
 * it can be, because it shares the processors with what it measures; requests are made beforehand.
 */
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  /** Connections are dealt out over these in turn. */
  readonly ports: readonly number[];
  readonly connections: number;
  readonly operations: number;
  /** Run before the clock starts. */
  readonly warmupOperations: number;
  /** Sent in turn. */
  readonly requests: readonly Buffer[];
  /** A line, or a bulk of exactly so many bytes. */
  readonly reply: 'line' | { readonly bulkBytes: number };
}

export interface LoadResult {
  readonly operationsPerSecond: number;
  readonly seconds: number;
  /** Replies that are errors or not of the expected length. */
  readonly errors: number;
  readonly firstError: string | null;
  readonly latencyUs: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

const HOST = '127.0.0.1';
const MINUS = 0x2d;
const LF = 0x0a;

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const run = new Load(options);
  return await run.start();
}

class Load {
  readonly #options: LoadOptions;
  readonly #latencies: Float64Array;
  readonly #total: number;
  #sent = 0;
  #answered = 0;
  #measuredFrom = 0;
  #errors = 0;
  #firstError: string | null = null;
  #finish: (result: LoadResult) => void = () => {};
  #fail: (error: Error) => void = () => {};
  readonly #sockets: Socket[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#total = options.warmupOperations + options.operations;
    this.#latencies = new Float64Array(options.operations);
  }

  start(): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
      for (let i = 0; i < this.#options.connections; i++) this.#connect(i);
    });
  }

  #connect(number: number): void {
    const { ports, reply } = this.#options;
    const port = ports[number % ports.length];
    const socket = connect({ host: HOST, port: port ?? 0, noDelay: true });
    this.#sockets.push(socket);
    // `$100 CRLF` and the value and CRLF, or `+OK CRLF`: the length tells when a reply is whole.
    const replyBytes = reply === 'line' ? 5 : 1 + String(reply.bulkBytes).length + 4 + reply.bulkBytes;
    let received = 0;
    let sentAt = 0;
    const next = (): void => {
      if (this.#sent >= this.#total) return;
      sentAt = performance.now();
      socket.write(this.#options.requests[this.#sent++ % this.#options.requests.length] as Buffer);
    };
    socket.on('connect', next);
    socket.on('error', (error) => this.#fail(error));
    socket.on('data', (bytes) => {
      received += bytes.length;
      const isError = received === bytes.length && bytes[0] === MINUS;
      if (isError || received > replyBytes || (received < replyBytes && isShort(received, bytes))) {
        this.#errors++;
        this.#firstError ??= bytes.subarray(0, 120).toString().trim();
      } else if (received < replyBytes) {
        return;
      }
      received = 0;
      this.#onAnswer(performance.now() - sentAt);
      next();
    });
  }

  #onAnswer(latencyMs: number): void {
    const { warmupOperations } = this.#options;
    this.#answered++;
    if (this.#answered === warmupOperations) this.#measuredFrom = performance.now();
    if (this.#answered > warmupOperations)
      this.#latencies[this.#answered - warmupOperations - 1] = latencyMs * 1000;
    if (this.#answered === this.#total) this.#report();
  }

  #report(): void {
    const seconds = (performance.now() - this.#measuredFrom) / 1000;
    for (const socket of this.#sockets) socket.destroy();
    const sorted = this.#latencies.sort();
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    this.#finish({
      operationsPerSecond: this.#options.operations / seconds,
      seconds,
      errors: this.#errors,
      firstError: this.#firstError,
      latencyUs: { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) },
    });
  }
}

/** A whole reply that is shorter than expected: `$-1`, say. A part of a longer one ends elsewhere than behind a line. */
function isShort(received: number, bytes: Buffer): boolean {
  return received === bytes.length && received <= 5 && bytes[bytes.length - 1] === LF;
}
