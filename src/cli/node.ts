/** `envelopedb node PORT`: one node of a cluster. */
import { EnvelopeError } from '../base/errors.ts';
import type { LogLevel } from '../io/logger.ts';
import type { Address } from '../io/network.ts';
import { startNode, stopOnSignal } from './host.ts';

export interface NodeCommand {
  readonly port: string;
  readonly host: string;
  readonly peers: string;
  readonly data: string;
  readonly clear: boolean;
  readonly logLevel: LogLevel | 'silent';
}

export async function runNode(command: NodeCommand): Promise<void> {
  const members = command.peers.split(',').map(parseAddress);
  const port = parsePort(command.port, 'PORT');
  const place = members.findIndex((member) => member.host === command.host && member.port === port);
  if (place < 0) {
    throw new EnvelopeError('USAGE', `${command.host}:${port} is not in --peers ${command.peers}`);
  }
  const node = await startNode({
    id: place + 1,
    members,
    directory: `${command.data}/node-${port}`,
    clear: command.clear,
    logLevel: command.logLevel,
  });
  stopOnSignal(node);
}

function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(':');
  if (colon < 1) throw new EnvelopeError('USAGE', `--peers: '${text}' is not host:port`);
  return { host: text.slice(0, colon), port: parsePort(text.slice(colon + 1), '--peers') };
}

function parsePort(text: string, what: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new EnvelopeError('USAGE', `${what}: '${text}' is not a port (1 to 65535)`);
  }
  return port;
}
