/**
 * Runs a node over the real seams in this process: the edge where callbacks become promises and signals become an
 * orderly stop.
 */
import { mkdirSync, rmSync } from 'node:fs';
import type { LogLevel } from '../io/logger.ts';
import type { Address } from '../io/network.ts';
import { NodeClock } from '../io/node/clock.ts';
import { lockDirectory } from '../io/node/directory_lock.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { NodeLogger } from '../io/node/logger.ts';
import { NodeNetwork } from '../io/node/network.ts';
import { NodeRandom } from '../io/node/random.ts';
import { Node } from '../server/node.ts';

export interface HostOptions {
  readonly id: number;
  readonly members: readonly Address[];
  readonly directory: string;
  readonly clear: boolean;
  readonly logLevel: LogLevel | 'silent';
}

/** Starts the node and returns once it listens. The process ends with code 1 when the node fails later. */
export async function startNode(options: HostOptions): Promise<Node> {
  const { id, members, directory } = options;
  mkdirSync(directory, { recursive: true });
  lockDirectory(directory);
  if (options.clear)
    for (const part of ['log', 'tables', 'vote-a', 'vote-b', 'snapshot']) clear(`${directory}/${part}`);
  return await new Promise<Node>((resolve, reject) => {
    Node.open(
      {
        id,
        members,
        directory,
        disk: new NodeDisk({ reads: 'auto' }),
        clock: new NodeClock(),
        network: new NodeNetwork(),
        random: new NodeRandom(),
        logger: new NodeLogger({ level: options.logLevel }),
        onFailure: (error) => {
          process.stderr.write(`envelopedb: node ${id} cannot go on: ${error.message}\n`);
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

function clear(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
