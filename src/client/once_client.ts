/**
 * A client whose writes take effect once, whatever happens to connections and leaders: each has a number in a session of
 * the cluster, and is repeated under it, at one node after the other, until an answer comes.
 *
 * One write at a time is under way; those that wait are sent in the order in which they were asked.
 */
import { Client, ClientError } from './client.ts';
import type { ClientReply } from './reply_reader.ts';

export interface OnceOptions {
  /** Any nodes of the cluster; tried in turn. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Given up after this: whether the write takes effect is unknown then. */
  readonly timeoutMs?: number;
  /** The session is gone when it has not been used for so long. */
  readonly idleMs?: number;
}

const TIMEOUT_MS = 30_000;
const IDLE_MS = 3_600_000;
const PAUSE_MS = 100;
/** A node that stands still does not close its connections. */
const ATTEMPT_MS = 5000;
/** After these a repetition makes sense: nothing was executed, or nobody can tell and the session can. */
const TRANSIENT = [
  'ERR no leader',
  'ERR the leader ',
  'ERR overloaded',
  'ERR too many connections',
  'ERR unknown outcome',
  'ERR the node is stopping',
  'ERR this node',
  'ERR what this node holds',
];

export class OnceClient {
  readonly #options: Required<OnceOptions>;
  #client: Client | null = null;
  #session: number | null = null;
  #number = 0;
  #next = 0;
  #closed = false;
  /** The write asked last: the next waits for it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: OnceOptions) {
    this.#options = { timeoutMs: TIMEOUT_MS, idleMs: IDLE_MS, ...options };
  }

  /**
   * @param parts A command that writes, as `SESSION DO` takes it.
   * @throws ClientError `CONNECTION` when no answer came in time. An error that the server answers is a reply.
   */
  write(...parts: readonly (string | Uint8Array)[]): Promise<ClientReply> {
    const turn = this.#last.then(() => this.#write(parts));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Ends the session, as far as a node can be reached, and the connection. */
  async close(): Promise<void> {
    await this.#last;
    this.#closed = true;
    const session = this.#session;
    try {
      if (session !== null) await this.#client?.command('SESSION', 'CLOSE', String(session));
    } catch {
      // It expires by itself.
    }
    this.#client?.close();
  }

  async #write(parts: readonly (string | Uint8Array)[]): Promise<ClientReply> {
    const deadlineMs = Date.now() + this.#options.timeoutMs;
    const session = this.#session ?? (await this.#open(deadlineMs));
    const number = ++this.#number;
    return await this.#ask(['SESSION', 'DO', String(session), String(number), ...parts], deadlineMs);
  }

  /** An answer that was lost leaves a session behind that nobody uses, and that expires. */
  async #open(deadlineMs: number): Promise<number> {
    const reply = await this.#ask(['SESSION', 'OPEN', 'PX', String(this.#options.idleMs)], deadlineMs);
    if (reply.type !== 'integer') {
      throw new ClientError(
        'REPLY',
        reply.type === 'error' ? reply.text : 'SESSION OPEN was not answered with a number',
      );
    }
    this.#session = reply.value;
    return reply.value;
  }

  async #ask(parts: readonly (string | Uint8Array)[], deadlineMs: number): Promise<ClientReply> {
    for (;;) {
      let why: string;
      try {
        const reply = await within(ATTEMPT_MS, (await this.#connection()).command(...parts));
        if (reply.type !== 'error' || !TRANSIENT.some((text) => reply.text.startsWith(text))) return reply;
        why = reply.text;
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        why = error.message;
      }
      // Whatever was wrong with this node, another may do better.
      this.#client?.close();
      this.#client = null;
      if (this.#closed || Date.now() >= deadlineMs) {
        throw new ClientError('CONNECTION', `not answered within ${this.#options.timeoutMs} ms: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #connection(): Promise<Client> {
    if (this.#client !== null) return this.#client;
    const { addresses } = this.#options;
    const address = addresses[this.#next++ % addresses.length];
    if (address === undefined) throw new TypeError('a client needs the address of a node');
    this.#client = await Client.connect(address);
    return this.#client;
  }
}

async function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ClientError('CONNECTION', `no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
