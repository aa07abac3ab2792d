/** `envelopedb member`: who belongs to a running group, and changes of that. Any node takes it to the leader. */
import { EnvelopeError } from '../base/errors.ts';
import { Client } from '../client/client.ts';
import { fromUtf8 } from '../codec/bytes.ts';
import { parseAddress } from './address.ts';

export interface MemberCommand {
  readonly action: string;
  /** host:port for `add`, the number of a node for the others but `list`; null: not given. */
  readonly which: string | null;
  /** host:port of any node of the group. */
  readonly node: string;
}

const ACTIONS: Readonly<
  Record<string, { readonly takes: 'nothing' | 'HOST:PORT' | 'ID'; readonly done: string }>
> = {
  list: { takes: 'nothing', done: '' },
  add: { takes: 'HOST:PORT', done: 'is a learner; start it with --join, and it becomes a voter' },
  remove: { takes: 'ID', done: 'has left the group; it can be stopped' },
  promote: { takes: 'ID', done: 'is a voter' },
  transfer: { takes: 'ID', done: 'is to lead' },
};

/** @returns what is to be printed. @throws EnvelopeError */
export async function runMember({ action, which, node }: MemberCommand): Promise<string> {
  const spec = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (spec === undefined) {
    const known = Object.keys(ACTIONS).join(', ');
    throw new EnvelopeError('USAGE', `member: unknown action '${action}'; there are: ${known}`);
  }
  if (spec.takes === 'nothing' && which !== null) {
    throw new EnvelopeError('USAGE', `member ${action}: unexpected argument '${which}'`);
  }
  if (spec.takes !== 'nothing' && which === null) {
    throw new EnvelopeError('USAGE', `member ${action}: ${spec.takes} is missing`);
  }
  const client = await Client.connect(parseAddress(node, '--node'));
  try {
    const words = which === null ? [] : [which];
    const reply = await client.command('MEMBER', action, ...words);
    switch (reply.type) {
      case 'error':
        throw new EnvelopeError('REPLY', reply.text.replace(/^ERR /, ''));
      case 'bulk':
        return table(reply.value === null ? '' : fromUtf8(reply.value));
      case 'integer':
        return `node ${reply.value} ${spec.done}\n`;
      default:
        return `node ${which} ${spec.done}\n`;
    }
  } finally {
    client.close();
  }
}

function table(text: string): string {
  const rows = text.split('\r\n').filter((line) => line !== '');
  return ['NODE ADDRESS ROLE', ...rows].map((row) => `${row}\n`).join('');
}
