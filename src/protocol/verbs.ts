/**
 * What both dialects have in common: verbs, their numbers of arguments, the checks of their arguments. A dialect cuts
 * its bytes into a verb and arguments; `makeCommand` does the rest.
 */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { BUCKET_BYTES_MAX, DEFAULT_BUCKET } from '../kv/request.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';

export type Verb = (typeof VERBS)[number]['name'];

/** Arguments behind the verb: at least `min`, at most `max`. */
const VERBS = [
  { name: 'SET', min: 2, max: 2 },
  { name: 'GET', min: 1, max: 1 },
  { name: 'JGET', min: 2, max: 2 },
  { name: 'DEL', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'EXISTS', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'USE', min: 1, max: 1 },
  { name: 'SELECT', min: 1, max: 1 },
  { name: 'LIST', min: 1, max: 1 },
  { name: 'DBSIZE', min: 0, max: 0 },
  { name: 'MERGE', min: 0, max: 0 },
  { name: 'FLUSH', min: 0, max: 0 },
  { name: 'PING', min: 0, max: 1 },
  { name: 'ECHO', min: 1, max: 1 },
  { name: 'INFO', min: 0, max: Number.POSITIVE_INFINITY },
  { name: 'CONFIG', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'COMMAND', min: 0, max: Number.POSITIVE_INFINITY },
  { name: 'QUIT', min: 0, max: 0 },
] as const;

interface VerbBytes {
  readonly name: Verb;
  readonly bytes: Uint8Array;
  readonly min: number;
  readonly max: number;
}

/** By length of the verb, so that a lookup compares with two or three. */
const BY_LENGTH: readonly VerbBytes[][] = Array.from({ length: 9 }, (_none, length) =>
  VERBS.filter(({ name }) => name.length === length).map((verb) => ({ ...verb, bytes: utf8(verb.name) })),
);

const UNKNOWN_BYTES_SHOWN = 64;
const DATABASES = 16;
const TO_UPPER = 0xdf;

/** @param args Views of the arguments, the verb not among them. */
export function makeCommand(
  verb: Uint8Array,
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const found = findVerb(verb);
  if (found === null) return invalid(`unknown command '${printable(verb)}'`);
  const { name, min, max } = found;
  if (args.length < min || args.length > max) {
    // Options of Redis' SET that we do not have are refused, never ignored.
    if (name === 'SET' && args.length > 2) return invalid('syntax error');
    return wrongCount(name);
  }
  switch (name) {
    case 'SET':
      return checkKeys(args.slice(0, 1), limits) ?? checkValue(args[1], limits) ?? set(args[0], args[1]);
    case 'GET':
      return checkKeys(args, limits) ?? { verb: 'get', key: args[0] };
    case 'JGET':
      return (
        checkKeys(args.slice(0, 1), limits) ?? { verb: 'json-get', key: args[0], path: fromUtf8(args[1]) }
      );
    case 'DEL':
      return checkKeys(args, limits) ?? { verb: 'delete', keys: args };
    case 'EXISTS':
      return checkKeys(args, limits) ?? { verb: 'exists', keys: args };
    case 'USE':
      return use(args[0]);
    case 'SELECT':
      return select(args[0]);
    case 'LIST':
      return isWord(args[0], 'BUCKETS') ? { verb: 'list-buckets' } : invalid('syntax error');
    case 'DBSIZE':
      return { verb: 'count' };
    case 'MERGE':
      return { verb: 'merge' };
    case 'FLUSH':
      return { verb: 'flush' };
    case 'PING':
      return { verb: 'ping', message: args[0] ?? null };
    case 'ECHO':
      return { verb: 'echo', message: args[0] };
    case 'INFO':
      return { verb: 'info', section: args.length === 0 ? null : fromUtf8(args[0]) };
    case 'CONFIG':
      if (!isWord(args[0], 'GET')) return invalid(`unknown subcommand '${printable(args[0])}'`);
      return args.length < 2
        ? wrongCount('CONFIG GET')
        : { verb: 'config-get', patterns: args.slice(1).map(fromUtf8) };
    case 'COMMAND':
      return { verb: 'command', subcommand: args.length === 0 ? null : fromUtf8(args[0]).toUpperCase() };
    case 'QUIT':
      return { verb: 'quit' };
  }
}

export function invalid(message: string): ClientCommand {
  return { verb: 'invalid', message, fatal: false };
}

export function fatal(message: string): ClientCommand {
  return { verb: 'invalid', message, fatal: true };
}

export function wrongCount(verb: string): ClientCommand {
  return invalid(`wrong number of arguments for '${verb}'`);
}

export function keyTooLong(bytes: number, limits: ProtocolLimits): ClientCommand {
  return invalid(`key is ${bytes} bytes, the limit is ${limits.keyBytes} (max key bytes)`);
}

export function valueTooLong(bytes: number, limits: ProtocolLimits): ClientCommand {
  return invalid(`value is ${bytes} bytes, the limit is ${limits.valueBytes} (max value bytes)`);
}

/** Whether the bytes are the word, in any case. */
export function isWord(bytes: Uint8Array, word: string): boolean {
  if (bytes.length !== word.length) return false;
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] & TO_UPPER) !== word.charCodeAt(i)) return false;
  return true;
}

/** The first bytes, everything that is not printable ASCII as `?`. */
export function printable(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, UNKNOWN_BYTES_SHOWN)) {
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
  }
  return text;
}

function findVerb(verb: Uint8Array): VerbBytes | null {
  if (verb.length >= BY_LENGTH.length) return null;
  for (const candidate of BY_LENGTH[verb.length]) {
    let i = 0;
    while (i < verb.length && (verb[i] & TO_UPPER) === candidate.bytes[i]) i++;
    if (i === verb.length && i > 0) return candidate;
  }
  return null;
}

function set(key: Uint8Array, value: Uint8Array): ClientCommand {
  return { verb: 'set', key, value };
}

function checkKeys(keys: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand | null {
  for (const key of keys) if (key.length > limits.keyBytes) return keyTooLong(key.length, limits);
  return null;
}

function checkValue(value: Uint8Array, limits: ProtocolLimits): ClientCommand | null {
  return value.length > limits.valueBytes ? valueTooLong(value.length, limits) : null;
}

function use(name: Uint8Array): ClientCommand {
  const bucket = fromUtf8(name);
  const isValid =
    name.length >= 1 &&
    name.length <= BUCKET_BYTES_MAX &&
    !name.some((byte) => byte <= 0x20 || byte === 0x7f) &&
    !bucket.includes('\ufffd');
  if (isValid) return { verb: 'use', bucket };
  return invalid(
    `invalid bucket name: 1 to ${BUCKET_BYTES_MAX} bytes of UTF-8 without spaces and control characters`,
  );
}

function select(index: Uint8Array): ClientCommand {
  const text = printable(index);
  if (!/^\d{1,6}$/.test(text)) return invalid('invalid DB index');
  const number = Number(text);
  if (number >= DATABASES) return invalid('DB index is out of range');
  return { verb: 'use', bucket: number === 0 ? DEFAULT_BUCKET : `db${number}` };
}
