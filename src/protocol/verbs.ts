/**
 * What both dialects have in common: verbs, their numbers of arguments, the checks of their arguments. A dialect cuts
 * its bytes into a verb and arguments; `makeCommand` does the rest.
 */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { BUCKET_BYTES_MAX, DEFAULT_BUCKET } from '../kv/request.ts';
import {
  checkKeys,
  checkValue,
  integerIn,
  invalid,
  isWord,
  printable,
  tooManyKeys,
  unwatched,
  wrongCount,
} from './arguments.ts';
import { refuseCarried } from './carried.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';
import { feed } from './feed_command.ts';
import { member } from './member_commands.ts';
import * as points from './point_commands.ts';
import { consistency, read } from './read_terms.ts';
import { keys, range, scan } from './scan_commands.ts';
import { session } from './session_commands.ts';
import { transaction } from './transaction_commands.ts';

export type Verb = (typeof VERBS)[number]['name'];

/** Arguments behind the verb: at least `min`, at most `max`. */
const VERBS = [
  { name: 'SET', min: 2, max: Number.POSITIVE_INFINITY },
  { name: 'GET', min: 1, max: 1 },
  { name: 'JGET', min: 2, max: 2 },
  { name: 'DEL', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'EXISTS', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'SETX', min: 3, max: Number.POSITIVE_INFINITY },
  { name: 'SETNX', min: 2, max: 2 },
  { name: 'SETEX', min: 3, max: 3 },
  { name: 'PSETEX', min: 3, max: 3 },
  { name: 'GETSET', min: 2, max: 2 },
  { name: 'GETDEL', min: 1, max: 1 },
  { name: 'GETEX', min: 1, max: 3 },
  { name: 'GETREV', min: 1, max: 1 },
  { name: 'APPEND', min: 2, max: 2 },
  { name: 'STRLEN', min: 1, max: 1 },
  { name: 'TYPE', min: 1, max: 1 },
  { name: 'INCR', min: 1, max: 1 },
  { name: 'DECR', min: 1, max: 1 },
  { name: 'INCRBY', min: 2, max: 2 },
  { name: 'DECRBY', min: 2, max: 2 },
  { name: 'MGET', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'MSET', min: 2, max: Number.POSITIVE_INFINITY },
  { name: 'MSETNX', min: 2, max: Number.POSITIVE_INFINITY },
  { name: 'EXPIRE', min: 2, max: 3 },
  { name: 'PEXPIRE', min: 2, max: 3 },
  { name: 'EXPIREAT', min: 2, max: 3 },
  { name: 'PEXPIREAT', min: 2, max: 3 },
  { name: 'TTL', min: 1, max: 1 },
  { name: 'PTTL', min: 1, max: 1 },
  { name: 'EXPIRETIME', min: 1, max: 1 },
  { name: 'PEXPIRETIME', min: 1, max: 1 },
  { name: 'PERSIST', min: 1, max: 1 },
  { name: 'JSET', min: 3, max: 3 },
  { name: 'JDEL', min: 2, max: 2 },
  { name: 'JINCR', min: 3, max: 3 },
  { name: 'SCAN', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'KEYS', min: 1, max: 1 },
  { name: 'RANGE', min: 2, max: 5 },
  { name: 'FEED', min: 1, max: 7 },
  { name: 'READ', min: 2, max: Number.POSITIVE_INFINITY },
  { name: 'CONSISTENCY', min: 0, max: 6 },
  { name: 'DROP', min: 2, max: 2 },
  { name: 'FLUSHDB', min: 0, max: 0 },
  { name: 'MULTI', min: 0, max: 0 },
  { name: 'EXEC', min: 0, max: 0 },
  { name: 'DISCARD', min: 0, max: 0 },
  { name: 'WATCH', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'UNWATCH', min: 0, max: 0 },
  { name: 'TXN', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'SESSION', min: 1, max: Number.POSITIVE_INFINITY },
  { name: 'USE', min: 1, max: 1 },
  { name: 'GROUP', min: 1, max: 1 },
  { name: 'SELECT', min: 1, max: 1 },
  { name: 'LIST', min: 1, max: 1 },
  { name: 'DBSIZE', min: 0, max: 0 },
  { name: 'MERGE', min: 0, max: 0 },
  { name: 'MEMBER', min: 1, max: 3 },
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
const BY_LENGTH: readonly VerbBytes[][] = Array.from({ length: 12 }, (_none, length) =>
  VERBS.filter(({ name }) => name.length === length).map((verb) => ({ ...verb, bytes: utf8(verb.name) })),
);

const BARE = {
  MULTI: { verb: 'multi' },
  EXEC: { verb: 'exec' },
  DISCARD: { verb: 'discard' },
  UNWATCH: { verb: 'unwatch' },
} as const;
const DATABASES = 16;
const GROUP_MAX = 2 ** 32 - 1;
const TO_UPPER = 0xdf;

/** @param args Views of the arguments, the verb not among them. */
export function makeCommand(
  verb: Uint8Array,
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const found = findVerb(verb);
  if (found === null) return invalid(`unknown command '${printable(verb)}'`);
  const { name } = found;
  const command = understood(found, args, limits);
  return name === 'WATCH' && command.verb === 'invalid' ? unwatched(command.message) : command;
}

function understood(
  { name, min, max }: VerbBytes,
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  if (args.length < min || args.length > max) return wrongCount(name);
  switch (name) {
    case 'SET':
      if (args.length > 2) return points.setWithOptions(args[0], args[1], args.slice(2), limits);
      return checkKeys(args.slice(0, 1), limits) ?? checkValue(args[1], limits) ?? set(args[0], args[1]);
    case 'GET':
      return checkKeys(args, limits) ?? { verb: 'get', key: args[0] };
    case 'JGET':
      return points.jsonGet(args, limits);
    case 'DEL':
      return tooManyKeys(name, args) ?? checkKeys(args, limits) ?? { verb: 'delete', keys: args };
    case 'EXISTS':
      return tooManyKeys(name, args) ?? checkKeys(args, limits) ?? { verb: 'exists', keys: args };
    case 'SETX':
      return points.setOptionsFirst(args, limits);
    case 'SETNX':
      return points.setAnswering('flag', args, limits);
    case 'GETSET':
      return points.setAnswering('old', args, limits);
    case 'SETEX':
    case 'PSETEX':
      return points.setExpiring(name, args, limits);
    case 'GETDEL':
      return points.ofKey({ type: 'get-delete', key: args[0] }, limits);
    case 'GETEX':
      return points.getExpiring(args, limits);
    case 'GETREV':
      return points.ofKey({ type: 'get-revision', key: args[0] }, limits);
    case 'APPEND':
      return points.append(args, limits);
    case 'TYPE':
      return points.ofKey({ type: 'kind', key: args[0] }, limits);
    case 'STRLEN':
      return points.ofKey({ type: 'length', key: args[0] }, limits);
    case 'INCR':
    case 'INCRBY':
      return points.add(1n, args, limits);
    case 'DECR':
    case 'DECRBY':
      return points.add(-1n, args, limits);
    case 'MGET':
      return points.getMany(args, limits);
    case 'MSET':
    case 'MSETNX':
      return points.setMany(name, args, limits);
    case 'EXPIRE':
    case 'PEXPIRE':
    case 'EXPIREAT':
    case 'PEXPIREAT':
      return points.expire(name, args, limits);
    case 'TTL':
      return points.ofKey({ type: 'expiry', key: args[0], from: 'now', unit: 's' }, limits);
    case 'PTTL':
      return points.ofKey({ type: 'expiry', key: args[0], from: 'now', unit: 'ms' }, limits);
    case 'EXPIRETIME':
      return points.ofKey({ type: 'expiry', key: args[0], from: 'epoch', unit: 's' }, limits);
    case 'PEXPIRETIME':
      return points.ofKey({ type: 'expiry', key: args[0], from: 'epoch', unit: 'ms' }, limits);
    case 'PERSIST':
      return points.ofKey({ type: 'persist', key: args[0] }, limits);
    case 'JSET':
      return points.jsonSet(args, limits);
    case 'JDEL':
      return points.jsonDelete(args, limits);
    case 'JINCR':
      return points.jsonAdd(args, limits);
    case 'SCAN':
      return scan(args, limits);
    case 'KEYS':
      return keys(args[0], limits);
    case 'RANGE':
      return range(args, limits);
    case 'FEED':
      return feed(args, limits);
    case 'READ':
      return read(args, (words) => carried('READ', words, limits));
    case 'CONSISTENCY':
      return consistency(args);
    case 'DROP':
      return isWord(args[0], 'BUCKET') ? dropBucket(args[1]) : invalid('syntax error');
    case 'FLUSHDB':
      return { verb: 'drop-bucket', bucket: null };
    case 'MULTI':
    case 'EXEC':
    case 'DISCARD':
    case 'UNWATCH':
      return BARE[name];
    case 'WATCH':
      return tooManyKeys(name, args) ?? checkKeys(args, limits) ?? { verb: 'watch', keys: args };
    case 'TXN':
      return transaction(args, limits, (words) => carried('TXN', words, limits));
    case 'SESSION':
      return session(args, (words) => carried('SESSION DO', words, limits));
    case 'USE':
      return use(args[0]);
    case 'GROUP':
      return group(args[0]);
    case 'SELECT':
      return select(args[0]);
    case 'LIST':
      return isWord(args[0], 'BUCKETS') ? { verb: 'list-buckets' } : invalid('syntax error');
    case 'DBSIZE':
      return { verb: 'count' };
    case 'MEMBER':
      return member(args);
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

/** Of a command that `carrier` carries, its verb among the words. */
function carried(
  carrier: Parameters<typeof refuseCarried>[0],
  words: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  return refuseCarried(carrier, words[0]) ?? makeCommand(words[0], words.slice(1), limits);
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

function dropBucket(name: Uint8Array): ClientCommand {
  const bucket = use(name);
  return bucket.verb === 'use' ? { verb: 'drop-bucket', bucket: bucket.bucket } : bucket;
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

function group(word: Uint8Array): ClientCommand {
  const number = integerIn(word, 1, GROUP_MAX);
  if (number === null)
    return invalid(`group '${printable(word)}' is not a whole number from 1 to ${GROUP_MAX}`);
  return { verb: 'group', group: number };
}

function select(index: Uint8Array): ClientCommand {
  const text = printable(index);
  if (!/^\d{1,6}$/.test(text)) return invalid('invalid DB index');
  const number = Number(text);
  if (number >= DATABASES) return invalid('DB index is out of range');
  return { verb: 'use', bucket: number === 0 ? DEFAULT_BUCKET : `db${number}` };
}
