/**
 * RESP arrays of bulk strings, as Redis clients send commands: `*2 CRLF $3 CRLF GET CRLF $1 CRLF k CRLF`.
 *
 * A command that lies whole in one chunk is cut out of it without copying. Otherwise its bytes are kept until it is
 * whole, and only looked at again when enough have come. What is longer than a limit is skipped as it arrives.
 */
import { concatBytes } from '../codec/bytes.ts';
import { fatal, invalid, isWord, tooManyWords, unwatched, WORDS_MAX } from './arguments.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';
import type { CommandParser } from './parser.ts';
import { joinSmallPieces } from './pieces.ts';
import { makeCommand } from './verbs.ts';

const CR = 0x0d;
const LF = 0x0a;
const STAR = 0x2a;
const DOLLAR = 0x24;
const ZERO = 0x30;

const ELEMENTS_MAX = 1024 * 1024;
const BULK_BYTES_MAX = 512 * 1024 * 1024;
/** Digits of a count or length, with its marker and CRLF. */
const HEADER_BYTES_MAX = 32;
/** Room for a verb, options and a few more keys beside the largest key and value. */
const SPARE_BYTES = 1024 * 1024;

/** What reading a header can yield beside a number. */
const INCOMPLETE = -2;
const MALFORMED = -3;

export class RespParser implements CommandParser {
  readonly #limits: ProtocolLimits;
  readonly #commandBytesMax: number;
  #buffer: Uint8Array = new Uint8Array(0);
  #at = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Elements of the command under way; -1 between commands. */
  #elements = -1;
  #args: Uint8Array[] = [];
  #argBytes = 0;
  /** Length of the bulk under way; -1 before its header. */
  #bulk = -1;
  /** Bytes of an oversized bulk, its CRLF included, still to be skipped. */
  #skip = 0;
  /** What is wrong with the command under way; it is read to its end all the same. */
  #objection: string | null = null;
  /** It is a WATCH, or may be one. */
  #mayBeWatch = false;
  #isBroken = false;

  constructor(limits: ProtocolLimits) {
    this.#limits = limits;
    this.#commandBytesMax = limits.keyBytes + limits.valueBytes + SPARE_BYTES;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#isBroken) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    joinSmallPieces(this.#waiting);
  }

  next(): ClientCommand | null {
    while (!this.#isBroken) {
      if (this.#elements < 0) {
        const count = this.#readHeader(STAR);
        if (count === INCOMPLETE) return null;
        if (count === MALFORMED) return this.#break('invalid multibulk length');
        if (count > ELEMENTS_MAX) return this.#break('invalid multibulk length');
        if (count > 0) this.#begin(count);
        continue;
      }
      const outcome = this.#readElement();
      if (outcome === 'incomplete') return null;
      if (outcome !== 'read') return outcome;
      if (this.#args.length === this.#elements) return this.#finish();
    }
    return null;
  }

  #begin(elements: number): void {
    this.#elements = elements;
    this.#args = [];
    this.#argBytes = 0;
    // The words of a command that is refused are not kept, only counted.
    this.#mayBeWatch = elements > WORDS_MAX;
    this.#objection = elements > WORDS_MAX ? tooManyWords(String(elements)).message : null;
  }

  #finish(): ClientCommand {
    const args = this.#args;
    this.#elements = -1;
    this.#args = [];
    if (this.#objection !== null) {
      return this.#mayBeWatch ? unwatched(this.#objection) : invalid(this.#objection);
    }
    return makeCommand(args[0], args.slice(1), this.#limits);
  }

  #readElement(): 'read' | 'incomplete' | ClientCommand {
    if (this.#skip > 0) return this.#skipBulk();
    if (this.#bulk < 0) {
      const length = this.#readHeader(DOLLAR);
      if (length === INCOMPLETE) return 'incomplete';
      if (length === MALFORMED || length < 0 || length > BULK_BYTES_MAX)
        return this.#break('invalid bulk length');
      this.#object(length);
      if (this.#objection !== null) {
        this.#skip = length + 2;
        return this.#skipBulk();
      }
      this.#bulk = length;
    }
    if (!this.#has(this.#bulk + 2)) return 'incomplete';
    const start = this.#at;
    const end = start + this.#bulk;
    if (this.#buffer[end] !== CR || this.#buffer[end + 1] !== LF)
      return this.#break('a bulk does not end in CRLF');
    this.#at = end + 2;
    this.#argBytes += this.#bulk;
    this.#bulk = -1;
    this.#args.push(this.#buffer.subarray(start, end));
    return 'read';
  }

  /** Judges an element by its announced length, before anything of it is stored. */
  #object(length: number): void {
    if (this.#objection !== null) return;
    const { keyBytes, valueBytes } = this.#limits;
    const longest = Math.max(keyBytes, valueBytes);
    if (length > longest) {
      this.#objection = `value is ${length} bytes, the limit is ${longest} (max value bytes)`;
    } else if (this.#argBytes + length > this.#commandBytesMax) {
      this.#objection = `command is longer than ${this.#commandBytesMax} bytes (max command bytes)`;
    }
    // What was read of a command that is refused is not needed any more.
    if (this.#objection === null) return;
    this.#mayBeWatch = this.#args.length > 0 && isWord(this.#args[0], 'WATCH');
    this.#args.fill(EMPTY);
  }

  #skipBulk(): 'read' | 'incomplete' {
    while (this.#skip > 0) {
      if (this.#at >= this.#buffer.length && !this.#nextChunk()) return 'incomplete';
      const step = Math.min(this.#skip, this.#buffer.length - this.#at);
      this.#at += step;
      this.#skip -= step;
    }
    this.#args.push(EMPTY);
    return 'read';
  }

  /** The number behind a marker; `*-1` and `$-1` read as -1. */
  #readHeader(marker: number): number {
    let end = this.#findHeaderEnd();
    while (end === INCOMPLETE) {
      if (this.#waiting.length === 0) return INCOMPLETE;
      this.#gather();
      end = this.#findHeaderEnd();
    }
    if (end === MALFORMED || this.#buffer[this.#at] !== marker) return MALFORMED;
    const value = this.#parseNumber(this.#at + 1, end);
    this.#at = end + 2;
    return value;
  }

  /** Where the CR of the header at hand is. */
  #findHeaderEnd(): number {
    const limit = Math.min(this.#buffer.length, this.#at + HEADER_BYTES_MAX);
    for (let at = this.#at; at + 1 < limit; at++) {
      if (this.#buffer[at] === CR) return this.#buffer[at + 1] === LF ? at : MALFORMED;
    }
    return limit === this.#at + HEADER_BYTES_MAX ? MALFORMED : INCOMPLETE;
  }

  #parseNumber(start: number, end: number): number {
    if (start >= end) return MALFORMED;
    if (end - start === 2 && this.#buffer[start] === 0x2d && this.#buffer[start + 1] === ZERO + 1) return -1;
    let value = 0;
    for (let at = start; at < end; at++) {
      const digit = this.#buffer[at] - ZERO;
      if (digit < 0 || digit > 9) return MALFORMED;
      value = value * 10 + digit;
    }
    return value;
  }

  /** Whether so many bytes lie in one piece from `#at` on; puts them together when they have all arrived. */
  #has(bytes: number): boolean {
    if (this.#buffer.length - this.#at >= bytes) return true;
    if (this.#buffer.length - this.#at + this.#waitingBytes < bytes) return false;
    this.#gather();
    return true;
  }

  #gather(): void {
    const rest = this.#buffer.subarray(this.#at);
    this.#buffer =
      rest.length === 0 && this.#waiting.length === 1
        ? this.#waiting[0]
        : concatBytes([rest, ...this.#waiting]);
    this.#at = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #nextChunk(): boolean {
    const chunk = this.#waiting.shift();
    if (chunk === undefined) return false;
    this.#waitingBytes -= chunk.length;
    this.#buffer = chunk;
    this.#at = 0;
    return true;
  }

  #break(what: string): ClientCommand {
    this.#isBroken = true;
    this.#waiting = [];
    this.#args = [];
    this.#buffer = EMPTY;
    this.#at = 0;
    return fatal(`Protocol error: ${what}`);
  }
}

const EMPTY = new Uint8Array(0);
