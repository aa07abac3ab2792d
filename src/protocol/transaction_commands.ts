/**
 * `TXN`: compare, then do one of two lists of commands, all or none, at one revision.
 *
 *     TXN IF VALUE account:1 = open AND REV account:2 = 17 THEN 3 SET account:1 closed 2 INCR closed ELSE 2 GET account:1
 *
 * A comparison is `VALUE key = value`, `VALUE key != value`, `REV key = n` (also `!=`, `<`, `>`; 0 is a missing key),
 * `EXISTS key` or `ABSENT key`. A command is preceded by the number of its words, so that a value may hold anything. IF
 * may be left out, as may ELSE, and both lists may be empty.
 */
import { fromUtf8 } from '../codec/bytes.ts';
import type { Guard, Point } from '../kv/request.ts';
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
} from './arguments.ts';
import type { ClientCommand, ProtocolLimits, Unbound } from './command.ts';
import { badRevision } from './point_commands.ts';

/** Commands and comparisons of one transaction. */
export const TRANSACTION_COMMANDS_MAX = 1024;

type UnboundGuard = Unbound<Guard>;
type UnboundPoint = Unbound<Point>;
type ParseCommand = (words: readonly Uint8Array[]) => ClientCommand;

/** @param parse What a verb and its arguments mean. */
export function transaction(
  args: readonly Uint8Array[],
  limits: ProtocolLimits,
  parse: ParseCommand,
): ClientCommand {
  const words = new Words(args);
  const guards = words.takeWord('IF') ? parseGuards(words, limits) : [];
  if (!Array.isArray(guards)) return guards;
  if (!words.takeWord('THEN')) return syntaxError('TXN', words.peek());
  const success = parseCommands(words, parse);
  if (!Array.isArray(success)) return success;
  const failure = words.takeWord('ELSE') ? parseCommands(words, parse) : [];
  if (!Array.isArray(failure)) return failure;
  if (words.peek() !== undefined) return syntaxError('TXN', words.peek());
  const size = guards.length + success.length + failure.length;
  if (size > TRANSACTION_COMMANDS_MAX) return tooManyCommands(size);
  return { verb: 'transaction', guards, success, failure };
}

export function tooManyCommands(size: number): Invalid {
  return invalid(
    `the transaction has ${size} commands and comparisons, the limit is ${TRANSACTION_COMMANDS_MAX} (max transaction commands)`,
  );
}

/** What a command does to or asks of named keys; null for every other command. */
export function pointOf(command: ClientCommand): UnboundPoint | null {
  switch (command.verb) {
    case 'set':
      return { type: 'set', key: command.key, value: command.value };
    case 'delete':
    case 'exists':
      return { type: command.verb, keys: command.keys };
    case 'get':
      return { type: 'get', key: command.key };
    case 'json-get':
      return { type: 'json-get', key: command.key, path: command.path };
    case 'point':
      return command.point;
    default:
      return null;
  }
}

class Words {
  readonly #words: readonly Uint8Array[];
  #at = 0;

  constructor(words: readonly Uint8Array[]) {
    this.#words = words;
  }

  peek(): Uint8Array | undefined {
    return this.#words[this.#at];
  }

  take(): Uint8Array | undefined {
    return this.#words[this.#at++];
  }

  /** Null when there are not so many. */
  takeMany(count: number): readonly Uint8Array[] | null {
    if (this.#at + count > this.#words.length) return null;
    this.#at += count;
    return this.#words.slice(this.#at - count, this.#at);
  }

  takeWord(word: string): boolean {
    const next = this.peek();
    if (next === undefined || !isWord(next, word)) return false;
    this.#at++;
    return true;
  }
}

function parseGuards(words: Words, limits: ProtocolLimits): UnboundGuard[] | Invalid {
  const guards: UnboundGuard[] = [];
  do {
    const guard = parseGuard(words, limits);
    if (isInvalid(guard)) return guard;
    guards.push(guard);
  } while (words.takeWord('AND'));
  return guards;
}

function parseGuard(words: Words, limits: ProtocolLimits): UnboundGuard | Invalid {
  const kind = words.take();
  const key = words.take();
  if (kind === undefined || key === undefined) return syntaxError('TXN', undefined);
  const badKey = checkKeys([key], limits);
  if (badKey !== null) return badKey;
  if (isWord(kind, 'EXISTS')) return { type: 'revision', key, is: '!=', revision: 0 };
  if (isWord(kind, 'ABSENT')) return { type: 'revision', key, is: '=', revision: 0 };
  const comparison = words.take();
  const operand = words.take();
  if (comparison === undefined || operand === undefined) return syntaxError('TXN', undefined);
  const is = fromUtf8(comparison);
  if (isWord(kind, 'VALUE')) {
    if (is !== '=' && is !== '!=') return syntaxError('TXN', comparison);
    return checkValue(operand, limits) ?? { type: 'value', key, is, value: operand };
  }
  if (!isWord(kind, 'REV')) return syntaxError('TXN', kind);
  if (is !== '=' && is !== '!=' && is !== '<' && is !== '>') return syntaxError('TXN', comparison);
  const revision = integerIn(operand, 0, Number.MAX_SAFE_INTEGER);
  return revision === null ? badRevision(operand) : { type: 'revision', key, is, revision };
}

function parseCommands(words: Words, parse: ParseCommand): UnboundPoint[] | Invalid {
  const points: UnboundPoint[] = [];
  for (let next = words.peek(); next !== undefined && !isWord(next, 'ELSE'); next = words.peek()) {
    const count = integerIn(next, 1, Number.MAX_SAFE_INTEGER);
    if (count === null)
      return invalid(`'TXN' has '${printable(next)}' where the number of a command's words belongs`);
    words.take();
    const command = words.takeMany(count);
    if (command === null) return invalid(`'TXN' ends within a command of ${count} words`);
    const parsed = parse(command);
    if (isInvalid(parsed)) return parsed;
    const point = pointOf(parsed);
    if (point === null) return invalid(`${printable(command[0])} is not allowed in a transaction`);
    points.push(point);
  }
  return points;
}
