/** `envelopedb server`: a standalone node, a group of one. */
import type { LogLevel } from '../io/logger.ts';
import { startNode, stopOnSignal } from './host.ts';

export interface ServerCommand {
  readonly port: number;
  readonly host: string;
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

export async function runServer(command: ServerCommand): Promise<void> {
  const node = await startNode({
    type: 'founder',
    id: 1,
    members: [{ host: command.host, port: command.port }],
    directory: command.data,
    clear: command.clear,
    logBytes: command.logBytes,
    scrubBytesPerSecond: command.scrubBytesPerSecond,
    compression: command.compression,
    readTables: command.readTables,
    logLevel: command.logLevel,
  });
  stopOnSignal(node);
}
