/**
 * `MEMBER`: who belongs to the group, and changes of that.
 *
 * - `MEMBER LIST`
 * - `MEMBER ADD host:port [identity]`: a new node, which first learns; `identity`: of its data directory
 * - `MEMBER REMOVE id`, `MEMBER PROMOTE id`, `MEMBER TRANSFER id`
 */
import { fromUtf8 } from '../codec/bytes.ts';
import { integerIn, invalid, isWord, printable, wrongCount } from './arguments.ts';
import type { ClientCommand } from './command.ts';

const ADDRESS_BYTES_MAX = 255 + 6;
const PORT_MAX = 65_535;

export function member(args: readonly Uint8Array[]): ClientCommand {
  const [subcommand, first, second] = args;
  if (isWord(subcommand, 'LIST')) {
    return args.length === 1
      ? { verb: 'member', request: { type: 'member-list' } }
      : wrongCount('MEMBER LIST');
  }
  if (isWord(subcommand, 'ADD')) {
    return args.length === 2 || args.length === 3 ? add(first, second) : wrongCount('MEMBER ADD');
  }
  for (const [word, type] of OF_ID) {
    if (!isWord(subcommand, word)) continue;
    if (args.length !== 2) return wrongCount(`MEMBER ${word}`);
    const id = integerIn(first, 1, Number.MAX_SAFE_INTEGER);
    if (id === null) return invalid(`'${printable(first)}' is not the number of a node`);
    return { verb: 'member', request: { type, id } };
  }
  return invalid(`unknown subcommand '${printable(subcommand)}'`);
}

const OF_ID = [
  ['REMOVE', 'member-remove'],
  ['PROMOTE', 'member-promote'],
  ['TRANSFER', 'member-transfer'],
] as const;

function add(address: Uint8Array, identityText: Uint8Array | undefined): ClientCommand {
  const identity = identityText === undefined ? 0 : integerIn(identityText, 0, Number.MAX_SAFE_INTEGER);
  if (identity === null)
    return invalid(`identity '${printable(identityText ?? address)}' is not a whole number`);
  const text = printable(address);
  const colon = text.lastIndexOf(':');
  const port = text.slice(colon + 1);
  const isPort = /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= PORT_MAX;
  if (address.length > ADDRESS_BYTES_MAX || colon < 1 || !isPort || /[\s?]/.test(text)) {
    return invalid(`'${text}' is not host:port, with a port from 1 to ${PORT_MAX}`);
  }
  return { verb: 'member', request: { type: 'member-add', address: fromUtf8(address), identity } };
}
