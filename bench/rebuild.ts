/**
 * `npm run bench -- rebuild`: a follower loses its disk and is replaced by a new node, which is sent the state, 1 GB of
 * it, by snapshot, while clients write. How fast that goes, and what the writers notice of it. `-- rebuild 300` does it
 * with 300 MB.
 */
import { rmSync, statSync } from 'node:fs';
import { Client } from '../src/client/client.ts';
import { eventually, ProcessCluster } from '../test/process/cluster.ts';
import { percentile, SteadyLoad } from './steady_load.ts';
import { formatTable } from './table.ts';

const MB = 1e6;
const STATE_MB = 1000;
const FILL_VALUE_BYTES = 10_000;
/** Writes of the filling that are under way at a time. */
const FILL_WINDOW = 64;
const WRITERS = 20;
const VALUE_BYTES = 100;
const KEYS = 10_000;
const IDLE_MS = 15_000;

export async function benchRebuild(args: readonly string[]): Promise<void> {
  const stateBytes = Number(args[0] ?? STATE_MB) * MB;
  const cluster = await ProcessCluster.start();
  try {
    const leader = await cluster.leader();
    await cluster.allAnswer();
    await fill(leader, stateBytes);
    const [lost = 0, other = 0] = cluster.ports.filter((port) => port !== leader);
    // What was written is in tables, and merging them is not what is measured.
    for (const port of cluster.ports) await command(port, 'MERGE');
    const load = new SteadyLoad({
      ports: [leader, other],
      writers: WRITERS,
      valueBytes: VALUE_BYTES,
      keys: KEYS,
    });
    const logged = cluster.log.length;
    load.start();
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS / 5));
    const idleFrom = performance.now();
    process.stderr.write('measuring writes with nothing else under way\n');
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));

    const id = 1 + cluster.ports.indexOf(lost);
    // Leadership may have moved on a machine this busy, and the loss of a leader is another bench.
    if ((await cluster.leader()) === lost) {
      await cluster.member(leader, 'transfer', String(1 + cluster.ports.indexOf(leader)));
      await eventually('another leader', 10_000, async () =>
        (await cluster.leader()) === leader ? true : null,
      );
    }
    const idleTo = performance.now();
    await cluster.end(lost, 'SIGKILL');
    rmSync(`${cluster.directory}/node-${lost}`, { recursive: true });
    process.stderr.write(await cluster.member(leader, 'remove', String(id)));
    cluster.join(lost, leader);
    const file = `${cluster.directory}/node-${lost}/snapshot`;
    const startedAt = await eventually('the first bytes of the snapshot', 60_000, async () =>
      sizeOf(file) > 0 ? performance.now() : null,
    );
    process.stderr.write('the snapshot is fetched\n');
    let bytes = 0;
    let fetchedAt = startedAt;
    const installedAt = await eventually('the installed snapshot', 600_000, async () => {
      const size = sizeOf(file);
      if (size > bytes) fetchedAt = performance.now();
      bytes = Math.max(bytes, size);
      return cluster.log.includes('snapshot-installed') ? performance.now() : null;
    });
    await eventually('the vote of the new node', 60_000, async () => {
      return (await cluster.info(leader))?.get('voters')?.split(' ').length === 3 ? true : null;
    });
    const votesAt = performance.now();
    await load.stop();
    const changes = cluster.log
      .slice(logged)
      .split('\n')
      .filter((line) => line.includes('leader-known'));
    for (const line of changes) process.stderr.write(`${line}\n`);
    const idle = load.latenciesBetween(idleFrom, idleTo);
    const fetching = load.latenciesBetween(startedAt, fetchedAt);
    const rebuilding = load.latenciesBetween(startedAt, installedAt);
    const row = (name: string, latencies: readonly number[], ms: number): string[] => [
      name,
      (latencies.length / (ms / 1000)).toFixed(0),
      percentile(latencies, 0.5).toFixed(1),
      percentile(latencies, 0.99).toFixed(1),
      `${(percentile(latencies, 0.99) / percentile(idle, 0.99)).toFixed(2)}x`,
    ];
    process.stdout.write(
      formatTable([
        [`${WRITERS} writers, 100-byte values`, 'writes/s', 'p50 ms', 'p99 ms', 'p99 of idle'],
        row('nothing else', idle, idleTo - idleFrom),
        row('while the snapshot is fetched', fetching, fetchedAt - startedAt),
        row('until it is installed', rebuilding, installedAt - startedAt),
      ]),
    );
    const rate = (ms: number): string => `${(bytes / MB / (ms / 1000)).toFixed(0)} MB/s`;
    process.stdout.write(
      `${(bytes / MB).toFixed(0)} MB fetched in ${seconds(fetchedAt - startedAt)} (${rate(fetchedAt - startedAt)}), ` +
        `installed after ${seconds(installedAt - startedAt)} (${rate(installedAt - startedAt)}), ` +
        `a voter after ${seconds(votesAt - startedAt)}; ${load.failures} writes failed\n`,
    );
  } finally {
    await cluster.stop();
  }
}

async function fill(port: number, stateBytes: number): Promise<void> {
  const client = await Client.connect({ host: '127.0.0.1', port });
  const count = Math.ceil(stateBytes / FILL_VALUE_BYTES);
  let next = 0;
  const write = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      if (n % 10_000 === 0) process.stderr.write(`filled ${((n * FILL_VALUE_BYTES) / MB).toFixed(0)} MB\n`);
      // Every value is another, in the way that compression could not help.
      await client.set(`fill:${n}`, `${n}:`.repeat(FILL_VALUE_BYTES).slice(0, FILL_VALUE_BYTES));
    }
  };
  await Promise.all(Array.from({ length: FILL_WINDOW }, write));
  client.close();
}

async function command(port: number, ...words: readonly string[]): Promise<void> {
  const client = await Client.connect({ host: '127.0.0.1', port });
  await client.command(...words);
  client.close();
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
