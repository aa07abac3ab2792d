/**
 * Commands that carry another one: READ, TXN, SESSION DO. Which of them may carry which is decided before the carried one is
 * read: nested without end, each would cost a level of the stack, and a single line could stop a node.
 */
import { type Invalid, invalid, isWord, printable } from './arguments.ts';

type Carrier = 'READ' | 'TXN' | 'SESSION DO';

const REFUSED = {
  READ: ['READ', 'TXN', 'SESSION'],
  TXN: ['READ', 'TXN', 'SESSION'],
  'SESSION DO': ['READ', 'SESSION'],
} as const;

/** Null: `carrier` may carry a command of this verb, as far as it depends on that. */
export function refuseCarried(carrier: Carrier, verb: Uint8Array): Invalid | null {
  if (!REFUSED[carrier].some((word) => isWord(verb, word))) return null;
  const name = printable(verb).toLowerCase();
  switch (carrier) {
    case 'READ':
      return invalid(`READ is for reads, and '${name}' is none`);
    case 'TXN':
      return invalid(`'${name}' is not allowed in a transaction`);
    case 'SESSION DO':
      return invalid(`SESSION DO is for writes, and '${name}' is none`);
  }
}
