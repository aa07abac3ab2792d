/**
 * The text dialect: one command a line, ended by LF or CRLF. Words are separated by spaces; the value that a command ends
 * in (of SET, APPEND, JSET, ...) is every byte behind the one space before it.
 *
 * Bytes are looked at once: a line that comes in pieces is searched for its end only where it is new. Of a line beyond
 * the limit nothing is kept; it is skipped up to its end and answered with the limit's name.
 */
import { concatBytes } from '../codec/bytes.ts';
import {
  invalid,
  isWord,
  keyTooLong,
  tooManyWords,
  unwatched,
  valueTooLong,
  WORDS_MAX,
  wrongCount,
} from './arguments.ts';
import { refuseCarried } from './carried.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';
import type { CommandParser } from './parser.ts';
import { joinSmallPieces } from './pieces.ts';
import { takesArgument } from './point_commands.ts';
import { once } from './session_commands.ts';
import { makeCommand } from './verbs.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const NO_ARGUMENTS: readonly Uint8Array[] = [];

export class TextParser implements CommandParser {
  readonly #limits: ProtocolLimits;
  /** The chunk being cut into lines, from `#at` on. */
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Chunks that wait behind it. */
  readonly #waiting: Uint8Array[] = [];
  /** The beginning of a line whose end has not come. */
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  /** The line is too long: its length so far; 0 otherwise. */
  #skippedBytes = 0;
  /** Its last byte so far: a CR before the LF does not count. */
  #skippedEnd = 0;

  constructor(limits: ProtocolLimits) {
    this.#limits = limits;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#waiting.push(bytes);
  }

  next(): ClientCommand | null {
    for (;;) {
      if (this.#at >= this.#chunk.length) {
        const chunk = this.#waiting.shift();
        if (chunk === undefined) return null;
        this.#chunk = chunk;
        this.#at = 0;
      }
      const end = this.#chunk.indexOf(LF, this.#at);
      if (end < 0) {
        this.#keep(this.#chunk.subarray(this.#at));
        this.#at = this.#chunk.length;
        continue;
      }
      const rest = this.#chunk.subarray(this.#at, end);
      this.#at = end + 1;
      const command = this.#finishLine(rest);
      if (command !== null) return command;
    }
  }

  #keep(bytes: Uint8Array): void {
    if (this.#skippedBytes > 0) {
      this.#skippedBytes += bytes.length;
      this.#skippedEnd = bytes[bytes.length - 1];
      return;
    }
    this.#pieces.push(bytes);
    this.#pieceBytes += bytes.length;
    // One more byte may be the CR of the line's end.
    if (this.#pieceBytes > this.#limits.lineBytes + 1) {
      this.#skippedBytes = this.#pieceBytes;
      this.#skippedEnd = bytes[bytes.length - 1];
      this.#pieces = [];
      this.#pieceBytes = 0;
    } else {
      joinSmallPieces(this.#pieces);
    }
  }

  #finishLine(rest: Uint8Array): ClientCommand | null {
    let line = rest;
    if (this.#skippedBytes > 0) {
      const end = rest.length > 0 ? rest[rest.length - 1] : this.#skippedEnd;
      const bytes = this.#skippedBytes + rest.length - (end === CR ? 1 : 0);
      this.#skippedBytes = 0;
      return this.#lineTooLong(bytes);
    }
    if (this.#pieces.length > 0) {
      this.#pieces.push(rest);
      line = concatBytes(this.#pieces);
      this.#pieces = [];
      this.#pieceBytes = 0;
    }
    const length = line.length > 0 && line[line.length - 1] === CR ? line.length - 1 : line.length;
    if (length === 0) return null;
    if (length > this.#limits.lineBytes) return this.#lineTooLong(length);
    return this.#parse(length === line.length ? line : line.subarray(0, length), 'alone');
  }

  #lineTooLong(bytes: number): ClientCommand {
    return invalid(`line is ${bytes} bytes, the limit is ${this.#limits.lineBytes} (max line bytes)`);
  }

  /** @param place `carried`: behind SESSION DO. */
  #parse(line: Uint8Array, place: 'alone' | 'carried'): ClientCommand | null {
    const verbEnd = line.indexOf(SPACE);
    const verb = verbEnd < 0 ? line : line.subarray(0, verbEnd);
    const refused = place === 'carried' ? refuseCarried('SESSION DO', verb) : null;
    if (refused !== null) return refused;
    if (verbEnd < 0) return makeCommand(line, NO_ARGUMENTS, this.#limits);
    if (verbEnd === 0) {
      // Spaces before the verb are harmless.
      let start = 0;
      while (start < line.length && line[start] === SPACE) start++;
      return start === line.length ? null : this.#parse(line.subarray(start), place);
    }
    if (isWord(verb, 'SET')) return this.#parseSet(line, verbEnd + 1);
    if (isWord(verb, 'SESSION')) {
      const command = this.#parseOnce(line, verbEnd + 1);
      if (command !== null) return command;
    }
    const args = isWord(verb, 'SETX')
      ? cutBehindValueWord(line, verbEnd + 1)
      : cut(line, verbEnd + 1, wordsBeforeValue(verb));
    if (args.length >= WORDS_MAX) {
      const refusal = tooManyWords(`more than ${WORDS_MAX}`);
      return isWord(verb, 'WATCH') ? unwatched(refusal.message) : refusal;
    }
    if (args.length > 1 && (isWord(verb, 'DEL') || isWord(verb, 'EXISTS'))) {
      return wrongCount(isWord(verb, 'DEL') ? 'DEL' : 'EXISTS');
    }
    return makeCommand(verb, args, this.#limits);
  }

  /** `SESSION DO id number` and a command, which may end in a value; null when it is something else. */
  #parseOnce(line: Uint8Array, start: number): ClientCommand | null {
    const words = cut(line, start, 3);
    if (words.length < 4 || !isWord(words[0], 'DO')) return null;
    const command = this.#parse(words[3], 'carried');
    return command === null ? wrongCount('SESSION DO') : once(words[1], words[2], command);
  }

  #parseSet(line: Uint8Array, keyStart: number): ClientCommand {
    const keyEnd = line.indexOf(SPACE, keyStart);
    if (keyEnd < 0 || keyEnd === keyStart) return wrongCount('SET');
    const { keyBytes, valueBytes } = this.#limits;
    if (keyEnd - keyStart > keyBytes) return keyTooLong(keyEnd - keyStart, this.#limits);
    const value = line.subarray(keyEnd + 1);
    if (value.length > valueBytes) return valueTooLong(value.length, this.#limits);
    return { verb: 'set', key: line.subarray(keyStart, keyEnd), value };
  }
}

/** Verbs whose last argument is the rest of the line, with the number of words between them. SET has a way of its own. */
const BEFORE_VALUE = [
  ['SETNX', 1],
  ['GETSET', 1],
  ['APPEND', 1],
  ['SETEX', 2],
  ['PSETEX', 2],
  ['JSET', 2],
] as const;

function wordsBeforeValue(verb: Uint8Array): number {
  for (const [name, words] of BEFORE_VALUE) if (isWord(verb, name)) return words;
  return WORDS_MAX;
}

/**
 * The words from `start` on, but no more than `wordsMax`: what follows them, behind one space, is handed out as it is.
 * Runs of spaces between words, and at the end of the line, are harmless.
 */
function cut(line: Uint8Array, start: number, wordsMax: number): Uint8Array[] {
  const args: Uint8Array[] = [];
  for (let at = start; at < line.length || args.length === wordsMax; ) {
    if (args.length === wordsMax) {
      // Without the space before it there is no value; an empty one has it.
      if (at <= line.length) args.push(line.subarray(at));
      break;
    }
    const space = line.indexOf(SPACE, at);
    const end = space < 0 ? line.length : space;
    if (end > at) args.push(line.subarray(at, end));
    at = end + 1;
  }
  return args;
}

/** `key [options] VALUE value`: the value is the rest of the line. */
function cutBehindValueWord(line: Uint8Array, start: number): Uint8Array[] {
  const words = cut(line, start, WORDS_MAX);
  let at = 1;
  while (at < words.length && !isWord(words[at], 'VALUE')) at += takesArgument(words[at]) ? 2 : 1;
  return at < words.length ? cut(line, start, at + 1) : words;
}
