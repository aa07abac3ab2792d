/** `SESSION`: writes that are carried out once, whatever happens to the connection. */
import { TIME_MS_MAX } from '../kv/request.ts';
import { integerIn, invalid, isWord, printable, syntaxError, wrongCount } from './arguments.ts';
import type { ClientCommand } from './command.ts';

const IDLE_MS = 60 * 60 * 1000;
const IDLE_MS_MIN = 1000;

/** @param parse What a verb and its arguments mean. */
export function session(
  args: readonly Uint8Array[],
  parse: (words: readonly Uint8Array[]) => ClientCommand,
): ClientCommand {
  const [subcommand, id] = args;
  if (isWord(subcommand, 'OPEN')) return open(args.slice(1));
  if (isWord(subcommand, 'CLOSE')) {
    if (args.length !== 2) return wrongCount('SESSION CLOSE');
    const number = positive(id);
    return number === null ? badNumber('session', id) : { verb: 'session-close', session: number };
  }
  if (!isWord(subcommand, 'DO')) return invalid(`unknown subcommand '${printable(subcommand)}'`);
  return args.length < 4 ? wrongCount('SESSION DO') : once(id, args[2], parse(args.slice(3)));
}

/** `SESSION DO id number` before a command. */
export function once(id: Uint8Array, count: Uint8Array, command: ClientCommand): ClientCommand {
  const session = positive(id);
  if (session === null) return badNumber('session', id);
  const number = positive(count);
  if (number === null) return badNumber('number', count);
  if (command.verb === 'invalid') return command;
  return { verb: 'once', session, number, command };
}

/** `SESSION OPEN [PX ms]`: for how long it may be idle. */
function open(args: readonly Uint8Array[]): ClientCommand {
  const [option, time] = args;
  if (option === undefined) return { verb: 'session-open', idleMs: IDLE_MS };
  if (!isWord(option, 'PX') || time === undefined || args.length > 2) {
    return syntaxError('SESSION OPEN', option);
  }
  const idleMs = integerIn(time, IDLE_MS_MIN, TIME_MS_MAX);
  if (idleMs === null) {
    return invalid(`'${printable(time)}' in 'SESSION OPEN' is not a time of ${IDLE_MS_MIN} ms or more`);
  }
  return { verb: 'session-open', idleMs };
}

function positive(word: Uint8Array): number | null {
  return integerIn(word, 1, Number.MAX_SAFE_INTEGER);
}

function badNumber(what: string, word: Uint8Array): ClientCommand {
  return invalid(`${what} '${printable(word)}' is not a whole number from 1 on`);
}
