/**
 * Cuts a byte stream of replies (the text dialect and RESP2 share their forms) into replies.
 *
 * A bulk that is longer than what has arrived is kept in the pieces it came in and put together once.
 */
import { concatBytes, fromUtf8 } from '../codec/bytes.ts';

export type ClientReply =
  | { readonly type: 'simple'; readonly text: string }
  /** `text` without its leading `-`. */
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'integer'; readonly value: number }
  /** An integer that a number cannot hold exactly. */
  | { readonly type: 'big-integer'; readonly value: bigint }
  | { readonly type: 'bulk'; readonly value: Uint8Array | null }
  /** Null: in place of a list, as of a transaction that was not carried out. */
  | { readonly type: 'array'; readonly items: readonly ClientReply[] | null };

/** An array whose items are still coming. */
interface OpenArray {
  readonly items: ClientReply[];
  readonly length: number;
}

const CR = 0x0d;
const LF = 0x0a;
/** A reply's first line is short: more than this without an end is not a reply. */
const LINE_BYTES_MAX = 1024 * 1024;
const ARRAY_ITEMS_MAX = 16 * 1024 * 1024;
const ARRAY_DEPTH_MAX = 32;

export class ReplyReader {
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** Length of the bulk whose first line was read; -1 outside of one. */
  #bulkLength = -1;
  /** The outermost first. */
  readonly #arrays: OpenArray[] = [];

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
  }

  /**
   * The next reply, null when more bytes are needed.
   * @throws Error when the bytes are not a reply; the stream is of no use any more.
   */
  next(): ClientReply | null {
    for (;;) {
      const part = this.#nextPart();
      if (part === null) return null;
      if (part === 'array') continue;
      const whole = this.#close(part);
      if (whole !== null) return whole;
    }
  }

  /** Puts a reply where it belongs, and an array that this completes, and so on; null while an array is open. */
  #close(reply: ClientReply): ClientReply | null {
    let closed = reply;
    for (let array = this.#arrays.at(-1); array !== undefined; array = this.#arrays.at(-1)) {
      array.items.push(closed);
      if (array.items.length < array.length) return null;
      this.#arrays.pop();
      closed = { type: 'array', items: array.items };
    }
    return closed;
  }

  /** A reply that is no array, or that an array has begun whose items follow. */
  #nextPart(): ClientReply | 'array' | null {
    if (this.#bulkLength < 0) {
      const line = this.#takeLine();
      if (line === null) return null;
      if (line[0] === '*') return this.#beginArray(line.slice(1));
      const reply = this.#parseLine(line);
      if (reply !== null) return reply;
    }
    if (this.#bytes < this.#bulkLength + 2) return null;
    const whole = this.#whole();
    const value = whole.subarray(0, this.#bulkLength);
    if (whole[this.#bulkLength] !== CR || whole[this.#bulkLength + 1] !== LF) {
      throw new Error('a bulk reply does not end where it should');
    }
    this.#keepFrom(whole, this.#bulkLength + 2);
    this.#bulkLength = -1;
    return { type: 'bulk', value };
  }

  #beginArray(text: string): ClientReply | 'array' {
    const length = Number(text);
    if (length === -1) return { type: 'array', items: null };
    if (length === 0) return { type: 'array', items: [] };
    const isSane = Number.isSafeInteger(length) && length > 0 && length <= ARRAY_ITEMS_MAX;
    if (!isSane || this.#arrays.length >= ARRAY_DEPTH_MAX)
      throw new Error(`an array reply of length '${text}'`);
    this.#arrays.push({ items: [], length });
    return 'array';
  }

  /** Null when the line starts a bulk: its bytes follow. */
  #parseLine(line: string): ClientReply | null {
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return { type: 'simple', text: rest };
      case '-':
        return { type: 'error', text: rest };
      case ':':
        return parseInteger(rest);
      case '$': {
        const length = Number(rest);
        if (length === -1) return { type: 'bulk', value: null };
        if (!Number.isSafeInteger(length) || length < 0) throw new Error(`a bulk reply of length '${rest}'`);
        this.#bulkLength = length;
        return null;
      }
      default:
        throw new Error(`not a reply: '${line.slice(0, 64)}'`);
    }
  }

  #takeLine(): string | null {
    if (this.#bytes === 0) return null;
    const whole = this.#whole();
    const end = whole.indexOf(LF);
    if (end < 0) {
      if (whole.length > LINE_BYTES_MAX) throw new Error('a reply line does not end');
      return null;
    }
    const length = end > 0 && whole[end - 1] === CR ? end - 1 : end;
    const line = fromUtf8(whole.subarray(0, length));
    this.#keepFrom(whole, end + 1);
    return line;
  }

  #whole(): Uint8Array {
    if (this.#pieces.length > 1) this.#pieces = [concatBytes(this.#pieces)];
    return this.#pieces[0];
  }

  #keepFrom(whole: Uint8Array, offset: number): void {
    this.#pieces = offset === whole.length ? [] : [whole.subarray(offset)];
    this.#bytes -= offset;
  }
}

function parseInteger(text: string): ClientReply {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return { type: 'integer', value };
  if (!/^-?\d{1,20}$/.test(text)) throw new Error(`not an integer: '${text.slice(0, 64)}'`);
  return { type: 'big-integer', value: BigInt(text) };
}
