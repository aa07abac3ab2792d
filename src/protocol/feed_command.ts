/** `FEED revision|$ [PREFIX prefix] [LIMIT n] [WAIT ms]`: what has changed behind a revision; `$` is the last. */
import { checkKeys, integerIn, invalid, isWord, printable, syntaxError } from './arguments.ts';
import type { ClientCommand, ProtocolLimits } from './command.ts';

const LIMIT = 100;
const LIMIT_MAX = 10_000;
const WAIT_MS_MAX = 60_000;
const LAST = '$';

export function feed(args: readonly Uint8Array[], limits: ProtocolLimits): ClientCommand {
  const [first, ...options] = args;
  const since = printable(first) === LAST ? null : integerIn(first, 0, Number.MAX_SAFE_INTEGER);
  if (since === null && printable(first) !== LAST) {
    return invalid(`revision '${printable(first)}' is neither a whole number from 0 on nor $`);
  }
  let prefix: Uint8Array = new Uint8Array(0);
  let limit = LIMIT;
  let waitMs = 0;
  for (let at = 0; at < options.length; at += 2) {
    const [option, argument] = [options[at], options[at + 1]];
    if (argument === undefined) return syntaxError('FEED', undefined);
    if (isWord(option, 'PREFIX')) {
      const bad = checkKeys([argument], limits);
      if (bad !== null) return bad;
      prefix = argument;
    } else if (isWord(option, 'LIMIT')) {
      const number = integerIn(argument, 1, LIMIT_MAX);
      if (number === null) return outOfRange('LIMIT', argument, 1, LIMIT_MAX);
      limit = number;
    } else if (isWord(option, 'WAIT')) {
      const number = integerIn(argument, 0, WAIT_MS_MAX);
      if (number === null) return outOfRange('WAIT', argument, 0, WAIT_MS_MAX);
      waitMs = number;
    } else return syntaxError('FEED', option);
  }
  return { verb: 'feed', read: { type: 'feed', since, prefix, limit }, waitMs };
}

function outOfRange(option: string, argument: Uint8Array, min: number, max: number): ClientCommand {
  return invalid(`${option} '${printable(argument)}' is not a whole number from ${min} to ${max}`);
}
