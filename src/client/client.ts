/**
 * A small client for Node programs and tests: one connection, commands answered in order.
 *
 * It never repeats a command by itself: when the connection breaks, whatever was sent and not answered is rejected with
 * `ClientError` code `CONNECTION`, and whether a write among it took effect is unknown. What is asked of a connection that
 * has ended is rejected with code `CLOSED`: it was not sent, and may be asked elsewhere.
 */
import { connect, type Socket } from 'node:net';
import { EnvelopeError } from '../base/errors.ts';
import { concatBytes, utf8 } from '../codec/bytes.ts';
import { type ClientReply, ReplyReader } from './reply_reader.ts';

/**
 * `code` is `REPLY` for an error that the server answered with, `CONNECTION` when there was no answer or no connection, and
 * `CLOSED` for what was not sent.
 */
export class ClientError extends EnvelopeError {}

/** What a read is content with, as `READ` and `CONSISTENCY` take it: see docs/commands.md. */
export type ReadChoice =
  | { readonly consistency: 'linearizable' | 'lease' }
  | ({ readonly consistency: 'stale' } & StaleChoice);

export interface StaleChoice {
  /** Everything that was acknowledged so long before the read is in the answer; the server's default is 10 s. */
  readonly maxAgeMs?: number;
  /** So is everything up to this revision. */
  readonly minRevision?: number;
}

interface Waiting {
  readonly resolve: (reply: ClientReply) => void;
  readonly reject: (error: ClientError) => void;
}

export class Client {
  readonly #socket: Socket;
  readonly #reader = new ReplyReader();
  readonly #waiting: Waiting[] = [];
  /** Why nothing is sent any more; null: it is. */
  #ended: string | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#onData(bytes));
    socket.on('error', () => {});
    // It answers nothing more, and need not take what is on its way to it.
    socket.on('end', () => {
      this.#onClose('the server has ended the connection', ' before an answer came');
      socket.destroy();
    });
    socket.on('close', () => this.#onClose('the connection was lost', ' before an answer came'));
  }

  /** @throws ClientError `CONNECTION` when nobody answers within `timeoutMs`. */
  static connect(address: { host: string; port: number }, timeoutMs = 5000): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(address);
      const fail = (why: string): void => {
        socket.destroy();
        reject(new ClientError('CONNECTION', `${address.host}:${address.port}: ${why}`));
      };
      const timer = setTimeout(() => fail('no answer'), timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        fail(error.message);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(new Client(socket));
      });
    });
  }

  /**
   * Sends one command as a RESP array, so that keys and values may hold any bytes.
   * @throws ClientError `CONNECTION` or `CLOSED`; an error that the server answers is a reply.
   */
  command(...parts: readonly (string | Uint8Array)[]): Promise<ClientReply> {
    if (this.#ended !== null) return Promise.reject(new ClientError('CLOSED', `not sent: ${this.#ended}`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(encodeCommand(parts));
    });
  }

  /** @throws ClientError `REPLY` with the server's words. */
  async set(key: string | Uint8Array, value: string | Uint8Array): Promise<void> {
    await this.#ask('SET', key, value);
  }

  /**
   * Null when there is no such key. The bytes are the caller's.
   * @param choice Left out: as this connection reads, see `setConsistency`.
   */
  async get(key: string | Uint8Array, choice?: ReadChoice): Promise<Uint8Array | null> {
    const read = choice === undefined ? [] : ['READ', ...wordsOf(choice)];
    const reply = await this.#ask(...read, 'GET', key);
    if (reply.type !== 'bulk') throw new ClientError('REPLY', `GET was answered with a ${reply.type} reply`);
    return reply.value;
  }

  /**
   * A stale read, with the revision that it was answered at. Handed to the next read as `minRevision`, at whatever node,
   * it keeps that one from seeing less; so does the revision of a write for what it wrote.
   */
  async getStale(
    key: string | Uint8Array,
    choice: StaleChoice = {},
  ): Promise<{ revision: number; value: Uint8Array | null }> {
    const reply = await this.#ask('READ', ...wordsOf({ consistency: 'stale', ...choice }), 'REV', 'GET', key);
    const [revision, value] = reply.type === 'array' ? (reply.items ?? []) : [];
    if (revision?.type !== 'integer' || value?.type !== 'bulk') {
      throw new ClientError('REPLY', `READ was answered with a ${reply.type} reply`);
    }
    return { revision: revision.value, value: value.value };
  }

  /** What reads of this connection keep to from now on that say nothing else. */
  async setConsistency(choice: ReadChoice): Promise<void> {
    await this.#ask('CONSISTENCY', ...wordsOf(choice));
  }

  /** The value with the revision that wrote it; null when there is no such key. */
  async getRevision(key: string | Uint8Array): Promise<{ revision: number; value: Uint8Array } | null> {
    const reply = await this.#ask('GETREV', key);
    if (reply.type === 'array' && reply.items === null) return null;
    const [revision, value] = reply.type === 'array' ? (reply.items ?? []) : [];
    if (revision?.type !== 'integer' || value?.type !== 'bulk' || value.value === null) {
      throw new ClientError('REPLY', `GETREV was answered with a ${reply.type} reply`);
    }
    return { revision: revision.value, value: value.value };
  }

  /**
   * Writes only if the key still has this revision; 0: only if there is no such key.
   * @returns the revision written; null when another was there, and nothing was written.
   */
  async setIfRevision(
    key: string | Uint8Array,
    value: string | Uint8Array,
    revision: number,
  ): Promise<number | null> {
    const reply = await this.#ask('SET', key, value, 'IFREV', String(revision), 'REV');
    return reply.type === 'integer' ? reply.value : null;
  }

  /** Whether the key was there. */
  async delete(key: string | Uint8Array): Promise<boolean> {
    const reply = await this.#ask('DEL', key);
    return reply.type === 'integer' && reply.value > 0;
  }

  /** Later commands of this connection read and write this bucket. */
  async use(bucket: string): Promise<void> {
    await this.#ask('USE', bucket);
  }

  close(): void {
    this.#socket.destroy();
    this.#onClose('the client was closed', ' before an answer came');
  }

  async #ask(...parts: readonly (string | Uint8Array)[]): Promise<ClientReply> {
    const reply = await this.command(...parts);
    if (reply.type === 'error') throw new ClientError('REPLY', reply.text);
    return reply;
  }

  #onData(bytes: Uint8Array): void {
    try {
      this.#reader.push(bytes);
      for (let reply = this.#reader.next(); reply !== null; reply = this.#reader.next()) {
        this.#waiting.shift()?.resolve(reply);
      }
    } catch (error) {
      this.#onClose(error instanceof Error ? error.message : String(error));
      this.#socket.destroy();
    }
  }

  #onClose(why: string, when = ''): void {
    this.#ended ??= why;
    for (const { reject } of this.#waiting.splice(0)) reject(new ClientError('CONNECTION', `${why}${when}`));
  }
}

function wordsOf(choice: ReadChoice): string[] {
  const words: string[] = [choice.consistency];
  if (choice.consistency !== 'stale') return words;
  if (choice.maxAgeMs !== undefined) words.push('MAXAGE', String(choice.maxAgeMs));
  if (choice.minRevision !== undefined) words.push('MINREV', String(choice.minRevision));
  return words;
}

function encodeCommand(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const pieces: Uint8Array[] = [utf8(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? utf8(part) : part;
    pieces.push(utf8(`$${bytes.length}\r\n`), bytes, utf8('\r\n'));
  }
  return concatBytes(pieces);
}
