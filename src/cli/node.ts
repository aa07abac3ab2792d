/** `envelopedb node PORT`: one node of a cluster. */
import { EnvelopeError } from '../base/errors.ts';
import type { LogLevel } from '../io/logger.ts';
import { parseAddress, parsePort } from './address.ts';
import { startNode, stopOnSignal } from './host.ts';
import { readIdentity } from './identity.ts';

export interface NodeCommand {
  readonly port: string;
  readonly host: string;
  readonly peers: string;
  /** host:port of a node of the running group that this one joins; empty: none. */
  readonly join: string;
  readonly data: string;
  readonly clear: boolean;
  /** How much of the log is kept. */
  readonly logBytes: number;
  /** How fast tables are read through for damage; 0: never. */
  readonly scrubBytesPerSecond: number;
  /** One of `COMPRESSIONS`. */
  readonly compression: string;
  /** One of `TABLE_READS`. */
  readonly readTables: string;
  readonly logLevel: LogLevel | 'silent';
}

export async function runNode(command: NodeCommand): Promise<void> {
  const port = parsePort(command.port, 'PORT');
  const directory = `${command.data}/node-${port}`;
  const { clear, logBytes, scrubBytesPerSecond, compression, readTables, logLevel } = command;
  const common = { directory, clear, logBytes, scrubBytesPerSecond, compression, readTables, logLevel };
  const self = { host: command.host, port };
  const joined = clear ? null : readIdentity(directory);
  if (command.join !== '' || joined !== null) {
    const via = command.join === '' ? null : parseAddress(command.join, '--join');
    stopOnSignal(await startNode({ type: 'joined', self, via, ...common }));
    return;
  }
  const members = command.peers.split(',').map((peer) => parseAddress(peer, '--peers'));
  const place = members.findIndex((member) => member.host === command.host && member.port === port);
  if (place < 0) {
    throw new EnvelopeError('USAGE', `${command.host}:${port} is not in --peers ${command.peers}`);
  }
  stopOnSignal(await startNode({ type: 'founder', id: place + 1, members, ...common }));
}
