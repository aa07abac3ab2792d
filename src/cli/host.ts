/**
 * Runs a node over the real seams in this process: the edge where callbacks become promises and signals become an
 * orderly stop.
 */
import { mkdirSync } from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import type { Logger, LogLevel } from '../io/logger.ts';
import type { Address } from '../io/network.ts';
import { NodeClock } from '../io/node/clock.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { NodeLogger } from '../io/node/logger.ts';
import { NodeNetwork } from '../io/node/network.ts';
import { openFilesMax } from '../io/node/open_files.ts';
import { NodeRandom } from '../io/node/random.ts';
import { Node, type NodeOptions } from '../server/node.ts';
import { CONNECTIONS_MAX } from '../server/node_options.ts';
import { ThreadRunBuilder } from '../threads/thread_run_builder.ts';
import { clearDirectory } from './clear_directory.ts';
import { founderIdentity, join, joinAnew, readIdentity, writeIdentity } from './identity.ts';

export type HostOptions = Start & Common;

type Start =
  /** One of the nodes that the group was founded with. */
  | { readonly type: 'founder'; readonly id: number; readonly members: readonly Address[] }
  /** One that was added later, or is to be added now, by way of a node of the group. */
  | { readonly type: 'joined'; readonly self: Address; readonly via: Address | null };

const SEGMENT_BYTES_MAX = 16 * 1024 * 1024;
/** Of so many the log consists at least, when it is as long as it may be. */
const SEGMENTS = 8;
/** 10 GB in three quarters of an hour, for a few thousandths of a core. */
export const SCRUB_BYTES_PER_SECOND = 4 * 1024 * 1024;
/** How tables may be compressed; the first is no compression. */
export const COMPRESSIONS: readonly string[] = ['none', ...nodeCompressions.map(({ name }) => name)];
/** Of the descriptors that the system allows; half of them where it allows fewer than twice as many. */
const RESERVED_FILES = 256;
/** How tables may be read; the first unless said otherwise. See `Reads`. */
export const TABLE_READS: readonly string[] = ['mapped', 'pieces'];

interface Common {
  readonly directory: string;
  readonly clear: boolean;
  /** How much of the log is kept on the disk; left out: as much as a node keeps by default. */
  readonly logBytes?: number;
  /** How fast tables are read through for damage; 0: never. Left out: as fast as a node does by default. */
  readonly scrubBytesPerSecond?: number;
  /** One of `COMPRESSIONS`; the first unless said otherwise. */
  readonly compression?: string;
  /** One of `TABLE_READS`; the first unless said otherwise. */
  readonly readTables?: string;
  readonly logLevel: LogLevel | 'silent';
}

/** Starts the node and returns once it listens. The process ends with code 1 when the node fails later. */
export async function startNode(options: HostOptions): Promise<Node> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  lockDirectory(directory);
  // A group that does not take this node must not cost it what it holds.
  const anew =
    options.clear && options.type === 'joined' && options.via !== null
      ? await joinAnew(options.via, options.self)
      : null;
  if (options.clear) clearDirectory(directory);
  if (anew !== null) writeIdentity(directory, anew);
  const place = await placeOf(options);
  const logger = new NodeLogger({ level: options.logLevel });
  // Whoever reads a table: the node, and the thread that merges them.
  const reads = options.readTables === TABLE_READS[1] ? 'pread' : 'auto';
  return await new Promise<Node>((resolve, reject) => {
    Node.open(
      {
        ...place,
        directory,
        disk: new NodeDisk({ reads }),
        clock: new NodeClock(),
        network: new NodeNetwork(),
        random: new NodeRandom(),
        logger,
        connectionsMax: connectionsMax(logger),
        ...logTuning(options.logBytes),
        store: {
          runBuilder: new ThreadRunBuilder(reads),
          compressions: nodeCompressions,
          compression: options.compression === COMPRESSIONS[0] ? null : (options.compression ?? null),
          scrubBytesPerSecond: options.scrubBytesPerSecond ?? SCRUB_BYTES_PER_SECOND,
        },
        onFailure: (error) => {
          process.stderr.write(`envelopedb: node ${place.id} cannot go on: ${error.message}\n`);
          process.exit(1);
        },
      },
      (outcome) => {
        if (outcome.ok) resolve(outcome.value);
        else reject(outcome.error);
      },
    );
  });
}

/** So many that clients cannot take the descriptors that the node needs for its files: it would end without them. */
function connectionsMax(logger: Logger): number {
  const files = openFilesMax();
  if (files === null) return CONNECTIONS_MAX;
  const connections = Math.max(Math.floor(files / 2), files - RESERVED_FILES);
  if (connections >= CONNECTIONS_MAX) return CONNECTIONS_MAX;
  logger.log('warn', 'connections-limited', { connections, open_files: files });
  return connections;
}

/** Only whole segments are given up: where little is to be kept, they are small. */
function logTuning(logBytes: number | undefined): Pick<NodeOptions, 'log' | 'snapshots'> {
  if (logBytes === undefined) return {};
  const segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.floor(logBytes / SEGMENTS));
  return { log: { segmentBytes }, snapshots: { logBytesMax: logBytes } };
}

async function placeOf(
  options: HostOptions,
): Promise<Pick<NodeOptions, 'id' | 'members' | 'listen' | 'cluster' | 'identity'>> {
  const { directory } = options;
  if (options.type === 'founder') {
    return { id: options.id, members: options.members, identity: founderIdentity(directory) };
  }
  const { self, via } = options;
  const known = via === null ? readIdentity(directory) : await join(directory, via, self);
  if (known === null || known.node === 0) {
    throw new EnvelopeError(
      'USAGE',
      `${directory}: this node has not joined its group yet: --join is missing`,
    );
  }
  return { id: known.node, members: [], listen: self, cluster: known.cluster, identity: known.identity };
}

/** Stops the node in order at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function stopOnSignal(node: Node): void {
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130);
      stopping = true;
      node.stop((error) => {
        if (error !== null) process.stderr.write(`envelopedb: ${error.message}\n`);
        process.exit(error === null ? 0 : 1);
      });
    });
  }
}
