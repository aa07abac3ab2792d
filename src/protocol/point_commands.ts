/** Commands that read or write named keys, beyond the plainest: options of SET, counters, expiries, JSON parts. */
import { fromUtf8, strictUtf8 } from '../codec/bytes.ts';
import { parseInteger } from '../kv/integer.ts';
import {
  type Condition,
  type Expiry,
  type ExpiryTime,
  type Point,
  type PointWrite,
  TIME_MS_MAX,
} from '../kv/request.ts';
import {
  checkKeys,
  checkValue,
  type Invalid,
  integerIn,
  invalid,
  isInvalid,
  isWord,
  printable,
  syntaxError,
  tooManyKeys,
  wrongCount,
} from './arguments.ts';
import type { ClientCommand, ProtocolLimits, Unbound } from './command.ts';

type UnboundPoint = Unbound<Point>;
type SetIf = Unbound<Extract<PointWrite, { type: 'set-if' }>>;

const SECOND = 1000;

const NEVER: Expiry = { type: 'never' };
const ALWAYS: Condition = { type: 'always' };

/** Options that are followed by an argument. */
const EXPIRY_OPTIONS = ['EX', 'PX', 'EXAT', 'PXAT'] as const;
const WITH_ARGUMENT = [...EXPIRY_OPTIONS, 'IFEQ', 'IFREV'] as const;

export function takesArgument(option: Uint8Array): boolean {
  return WITH_ARGUMENT.some((word) => isWord(option, word));
}

function point(value: UnboundPoint): ClientCommand {
  return { verb: 'point', point: value };
}

/** `SET key value [options]`, from the options on. */
export function setWithOptions(
  key: Uint8Array,
  value: Uint8Array,
  options: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const bad = checkKeys([key], limits) ?? checkValue(value, limits);
  if (bad !== null) return bad;
  let condition: Condition = ALWAYS;
  let expiry: Expiry = NEVER;
  let answer: SetIf['answer'] = 'status';
  for (let at = 0; at < options.length; at++) {
    const option = options[at];
    const argument = takesArgument(option) ? options[++at] : undefined;
    if (takesArgument(option) && argument === undefined) return syntaxError('SET', undefined);
    const nextCondition = conditionOf(option, argument, limits);
    const nextExpiry = expiryOption('SET', option, argument);
    if (nextCondition !== null) {
      if (isInvalid(nextCondition)) return nextCondition;
      if (condition !== ALWAYS) return invalid('SET takes one condition: NX, XX, IFEQ or IFREV');
      condition = nextCondition;
    } else if (nextExpiry !== null) {
      if (isInvalid(nextExpiry)) return nextExpiry;
      if (expiry !== NEVER) return invalid('SET takes one expiry: EX, PX, EXAT, PXAT or KEEPTTL');
      expiry = nextExpiry;
    } else if (isWord(option, 'GET') && answer === 'status') answer = 'old';
    else if (isWord(option, 'REV') && answer === 'status') answer = 'revision';
    else return syntaxError('SET', option);
  }
  return point({ type: 'set-if', key, value, condition, expiry, answer });
}

/** `SETX key [options] VALUE value`: for the text dialect, where a value is the rest of the line. */
export function setOptionsFirst(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  let at = 1;
  while (at < args.length && !isWord(args[at], 'VALUE')) at += takesArgument(args[at]) ? 2 : 1;
  if (at >= args.length) return invalid("'SETX' ends in VALUE and the value");
  if (at !== args.length - 2) return wrongCount('SETX');
  return setWithOptions(args[0], args[at + 1], args.slice(1, at), limits);
}

/** Null: it is no condition. */
function conditionOf(
  option: Uint8Array,
  argument: Uint8Array | undefined,
  limits: ProtocolLimits,
): Condition | Invalid | null {
  if (isWord(option, 'NX')) return { type: 'absent' };
  if (isWord(option, 'XX')) return { type: 'present' };
  if (argument === undefined) return null;
  if (isWord(option, 'IFEQ')) return checkValue(argument, limits) ?? { type: 'value', value: argument };
  if (!isWord(option, 'IFREV')) return null;
  const revision = integerIn(argument, 0, Number.MAX_SAFE_INTEGER);
  return revision === null ? badRevision(argument) : { type: 'revision', revision };
}

export function badRevision(argument: Uint8Array): Invalid {
  return invalid(`revision '${printable(argument)}' is not a whole number from 0 on`);
}

/** Null: it is no expiry. */
function expiryOption(
  verb: string,
  option: Uint8Array,
  argument: Uint8Array | undefined,
): Expiry | Invalid | null {
  if (isWord(option, 'KEEPTTL')) return { type: 'keep' };
  const name = EXPIRY_OPTIONS.find((word) => isWord(option, word));
  if (name === undefined || argument === undefined) return null;
  const unit = name.startsWith('P') ? 1 : SECOND;
  const amount = integerIn(argument, 1, TIME_MS_MAX / unit);
  if (amount === null) return badTime(verb, argument);
  return { type: name.endsWith('AT') ? 'at' : 'after', ms: amount * unit };
}

function badTime(verb: string, argument: Uint8Array): Invalid {
  return invalid(`invalid expire time '${printable(argument)}' in '${verb}'`);
}

/** SETEX and PSETEX. */
export function setExpiring(
  verb: 'SETEX' | 'PSETEX',
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const [key, time, value] = args;
  const unit = verb === 'SETEX' ? SECOND : 1;
  const amount = integerIn(time, 1, TIME_MS_MAX / unit);
  if (amount === null) return badTime(verb, time);
  const expiry: Expiry = { type: 'after', ms: amount * unit };
  return (
    checkKeys([key], limits) ??
    checkValue(value, limits) ??
    point({ type: 'set-if', key, value, condition: ALWAYS, expiry, answer: 'status' })
  );
}

/** SETNX and GETSET. */
export function setAnswering(
  answer: 'flag' | 'old',
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const [key, value] = args;
  const condition: Condition = answer === 'flag' ? { type: 'absent' } : ALWAYS;
  return (
    checkKeys([key], limits) ??
    checkValue(value, limits) ??
    point({ type: 'set-if', key, value, condition, expiry: NEVER, answer })
  );
}

/** `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]` */
export function getExpiring(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, option, argument] = args;
  const bad = checkKeys([key], limits);
  if (bad !== null) return bad;
  if (option === undefined) return point({ type: 'get-expire', key, expiry: { type: 'keep' } });
  if (isWord(option, 'PERSIST') && args.length === 2)
    return point({ type: 'get-expire', key, expiry: NEVER });
  const expiry = args.length === 3 ? expiryOption('GETEX', option, argument) : null;
  if (expiry === null || (!isInvalid(expiry) && expiry.type === 'keep')) return syntaxError('GETEX', option);
  return isInvalid(expiry) ? expiry : point({ type: 'get-expire', key, expiry });
}

/** INCR, DECR (no amount), INCRBY, DECRBY. */
export function add(sign: 1n | -1n, args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, amount] = args;
  const by = amount === undefined ? 1n : parseInteger(amount);
  if (by === null) return invalid('value is not an integer or out of range');
  return checkKeys([key], limits) ?? point({ type: 'add', key, by: sign * by });
}

export function append(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, value] = args;
  return checkKeys([key], limits) ?? checkValue(value, limits) ?? point({ type: 'append', key, value });
}

/** MSET and MSETNX. */
export function setMany(
  verb: 'MSET' | 'MSETNX',
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  if (args.length % 2 !== 0) return wrongCount(verb);
  const keys = args.filter((_arg, at) => at % 2 === 0);
  const values = args.filter((_arg, at) => at % 2 === 1);
  const bad = tooManyKeys(verb, keys) ?? checkKeys(keys, limits);
  if (bad !== null) return bad;
  for (const value of values) {
    const badValue = checkValue(value, limits);
    if (badValue !== null) return badValue;
  }
  return point({ type: 'set-many', keys, values, condition: verb === 'MSET' ? 'always' : 'all-absent' });
}

export function getMany(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  return tooManyKeys('MGET', args) ?? checkKeys(args, limits) ?? point({ type: 'get-many', keys: args });
}

const WHENS = { NX: 'never-expires', XX: 'expires', GT: 'later', LT: 'sooner' } as const;

/** `EXPIRE key seconds [NX|XX|GT|LT]` and its three sisters. */
export function expire(
  verb: 'EXPIRE' | 'PEXPIRE' | 'EXPIREAT' | 'PEXPIREAT',
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
): ClientCommand {
  const [key, time, option] = args;
  const unit = verb.startsWith('P') ? 1 : SECOND;
  const amount = integerIn(time, -TIME_MS_MAX / unit, TIME_MS_MAX / unit);
  if (amount === null) return badTime(verb, time);
  const name =
    option === undefined
      ? undefined
      : (['NX', 'XX', 'GT', 'LT'] as const).find((word) => isWord(option, word));
  if (option !== undefined && name === undefined) return syntaxError(verb, option);
  const expiry: ExpiryTime = { type: verb.endsWith('AT') ? 'at' : 'after', ms: amount * unit };
  const when = name === undefined ? 'always' : WHENS[name];
  return checkKeys([key], limits) ?? point({ type: 'expire', key, expiry, when });
}

/** Commands of one key and nothing else. */
export function ofKey(
  value: Extract<UnboundPoint, { key: Uint8Array }>,
  limits: ProtocolLimits,
): ClientCommand {
  return checkKeys([value.key], limits) ?? point(value);
}

export function jsonGet(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, bytes] = args;
  const path = strictUtf8(bytes);
  if (path === null) return badPath();
  return checkKeys([key], limits) ?? { verb: 'json-get', key, path };
}

export function jsonSet(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, bytes, value] = args;
  const path = strictUtf8(bytes);
  if (path === null) return badPath();
  const json = strictUtf8(value);
  if (json === null) return invalid('invalid JSON value: not UTF-8');
  return (
    checkKeys([key], limits) ?? checkValue(value, limits) ?? point({ type: 'json-set', key, path, json })
  );
}

export function jsonDelete(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, bytes] = args;
  const path = strictUtf8(bytes);
  if (path === null) return badPath();
  return checkKeys([key], limits) ?? point({ type: 'json-delete', key, path });
}

export function jsonAdd(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [key, bytes, by] = args;
  const path = strictUtf8(bytes);
  if (path === null) return badPath();
  // Whether it is a number is found out where it is added.
  return checkKeys([key], limits) ?? point({ type: 'json-add', key, path, by: fromUtf8(by) });
}

function badPath(): Invalid {
  return invalid('invalid path: not UTF-8');
}
