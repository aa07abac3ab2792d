/**
 * Commands that go over many keys: SCAN, KEYS, RANGE.
 *
 * SCAN's cursor is the key to go on at, as a decimal number, because clients of Redis take a cursor for a number: the
 * key's bytes behind a byte 01, read as one big number. So a scan holds nothing on the server and goes on at any node,
 * also after a restart. Clients of Redis also take it for granted that the number has 64 bits. To those, in RESP, a node
 * gives a number under which it remembers the key, where the key is too long.
 */
import { equalBytes } from '../codec/bytes.ts';
import {
  checkKeys,
  type Invalid,
  integerIn,
  invalid,
  isInvalid,
  isWord,
  printable,
  syntaxError,
} from './arguments.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';

const SCAN_COUNT = 10;
const RANGE_LIMIT = 100;
const PAGE_KEYS_MAX = 10_000;
const STAR = 0x2a;
const BACKSLASH = 0x5c;
const CURSOR_MARK = '01';
/** Keys up to this length make cursors of less than 64 bits. */
const SHORT_KEY_BYTES = 7;
/** Numbers from here on, to twice as much, stand for keys that a node remembers: no key makes such a cursor. */
export const REMEMBERED_CURSORS = 2n ** 62n;
/** Decimal digits that a byte takes, rounded up. */
const DIGITS_PER_BYTE = 2.5;
const EMPTY: Uint8Array = new Uint8Array(0);
const FIRST = new Uint8Array([0x2d]);
const LAST = new Uint8Array([0x2b]);

/** `SCAN cursor [MATCH prefix*] [COUNT n]` */
export function scan(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const cursor = parseCursor(args[0], limits);
  if (cursor === null) return invalid(`invalid cursor '${printable(args[0])}'`);
  let prefix: Uint8Array = EMPTY;
  let limit = SCAN_COUNT;
  for (let at = 1; at < args.length; at += 2) {
    const argument = args[at + 1];
    if (argument === undefined) return syntaxError('SCAN', undefined);
    if (isWord(args[at], 'MATCH')) {
      const parsed = parsePrefix(argument, limits);
      if (isInvalid(parsed)) return parsed;
      prefix = parsed;
    } else if (isWord(args[at], 'COUNT')) {
      const count = integerIn(argument, 1, Number.MAX_SAFE_INTEGER);
      if (count === null) return invalid(`COUNT '${printable(argument)}' is not a whole number from 1 on`);
      limit = Math.min(count, PAGE_KEYS_MAX);
    } else return syntaxError('SCAN', args[at]);
  }
  const from = typeof cursor === 'bigint' ? EMPTY : cursor;
  const remembered = typeof cursor === 'bigint' ? cursor : null;
  return {
    verb: 'scan',
    remembered,
    read: { type: 'range', from, to: null, prefix, limit, answer: 'keys', order: 'ascending' },
  };
}

/** `KEYS prefix*` */
export function keys(pattern: Uint8Array, limits: ProtocolLimits): ClientCommand {
  const prefix = parsePrefix(pattern, limits);
  return isInvalid(prefix) ? prefix : { verb: 'keys', read: { type: 'keys', prefix } };
}

/**
 * `RANGE from to [LIMIT n] [REVERSE]`: `from` is included, `to` is not; `-` and `+` are the ends. REVERSE changes the
 * order, not the bounds.
 */
export function range(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [first, last] = args;
  const bad = checkKeys([first, last], limits);
  if (bad !== null) return bad;
  let limit: number | null = null;
  let order: 'ascending' | 'descending' = 'ascending';
  for (let at = 2; at < args.length; at++) {
    if (isWord(args[at], 'REVERSE') && order === 'ascending') order = 'descending';
    else if (isWord(args[at], 'LIMIT') && limit === null) {
      const parsed = parseLimit(args[++at]);
      if (typeof parsed !== 'number') return parsed;
      limit = parsed;
    } else return syntaxError('RANGE', args[at]);
  }
  const from = equalBytes(first, FIRST) ? EMPTY : first;
  const to = equalBytes(last, LAST) ? null : last;
  return {
    verb: 'range',
    read: { type: 'range', from, to, prefix: EMPTY, limit: limit ?? RANGE_LIMIT, answer: 'entries', order },
  };
}

function parseLimit(argument: Uint8Array | undefined): number | Invalid {
  if (argument === undefined) return syntaxError('RANGE', undefined);
  const number = integerIn(argument, 1, Number.MAX_SAFE_INTEGER);
  if (number === null) return invalid(`LIMIT '${printable(argument)}' is not a whole number from 1 on`);
  if (number > PAGE_KEYS_MAX) {
    return invalid(`LIMIT is ${number}, the limit is ${PAGE_KEYS_MAX} (max range entries)`);
  }
  return number;
}

/** `prefix*`; a backslash takes the next character as it is. */
function parsePrefix(pattern: Uint8Array, limits: ProtocolLimits): Uint8Array | Invalid {
  const prefix: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const byte = pattern[at];
    if (byte === STAR && at === pattern.length - 1) {
      const bytes = Uint8Array.from(prefix);
      return checkKeys([bytes], limits) ?? bytes;
    }
    if (byte === STAR || byte === 0x3f || byte === 0x5b) break;
    if (byte === BACKSLASH) at++;
    prefix.push(pattern[at]);
  }
  return invalid(`pattern '${printable(pattern)}' is not a prefix followed by '*'`);
}

/**
 * `0` stands for the beginning and the end.
 * @param remember Gives a number to a key that is too long; null: any length will do.
 */
export function formatCursor(
  next: Uint8Array | null,
  remember: ((key: Uint8Array) => bigint) | null,
): string {
  if (next === null) return '0';
  if (remember !== null && next.length > SHORT_KEY_BYTES) return remember(next).toString();
  let hex = CURSOR_MARK;
  for (const byte of next) hex += byte.toString(16).padStart(2, '0');
  return BigInt(`0x${hex}`).toString();
}

/** The key, or the number under which a node remembers it. */
function parseCursor(text: Uint8Array, limits: ProtocolLimits): Uint8Array | bigint | null {
  const digitsMax = (limits.keyBytes + 1) * DIGITS_PER_BYTE;
  if (text.length === 0 || text.length > digitsMax) return null;
  let digits = '';
  for (const byte of text) {
    if (byte < 0x30 || byte > 0x39) return null;
    digits += String.fromCharCode(byte);
  }
  if (digits === '0') return EMPTY;
  const number = BigInt(digits);
  if (number >= REMEMBERED_CURSORS && number < 2n * REMEMBERED_CURSORS) return number;
  const hex = number.toString(16);
  if (hex.length % 2 === 0 || hex[0] !== '1') return null;
  return Uint8Array.from({ length: (hex.length - 1) / 2 }, (_none, at) =>
    Number.parseInt(hex.slice(1 + 2 * at, 3 + 2 * at), 16),
  );
}
