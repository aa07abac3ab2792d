/**
 * `npm run bench -- failover`: the leader of three nodes is killed under load, 50 times, and each time it is measured how
 * long it takes until a write is acknowledged again. The node that was killed is started again before the next.
 */
import { eventually, ProcessCluster } from '../test/process/cluster.ts';
import { percentile, SteadyLoad } from './steady_load.ts';
import { formatTable } from './table.ts';

const KILLS = 50;
const WRITERS = 30;
const VALUE_BYTES = 100;
const KEYS = 10_000;
/** Between the return of a node and the next kill, so that the load runs evenly. */
const REST_MS = 500;

export async function benchFailover(): Promise<void> {
  const cluster = await ProcessCluster.start();
  const load = new SteadyLoad({
    ports: cluster.ports,
    writers: WRITERS,
    valueBytes: VALUE_BYTES,
    keys: KEYS,
  });
  try {
    await cluster.leader();
    await cluster.allAnswer();
    load.start();
    const outagesMs: number[] = [];
    for (let kill = 1; kill <= KILLS; kill++) {
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
      const leader = await cluster.leader();
      await cluster.end(leader, 'SIGKILL');
      const killedAtMs = performance.now();
      const answered = load.answers.length;
      // Those that were on their way may still come in; the first that was asked for after the kill counts.
      const first = await eventually('a write behind the kill', 30_000, async () => {
        const later = load.answers.slice(answered);
        return later.find(({ atMs, latencyMs }) => atMs - latencyMs > killedAtMs || latencyMs > 50) ?? null;
      });
      outagesMs.push(first.atMs - killedAtMs);
      process.stderr.write(`kill ${kill}/${KILLS}: ${outagesMs.at(-1)?.toFixed(0)} ms\n`);
      cluster.start(leader);
      await caughtUp(cluster, leader);
    }
    await load.stop();
    const sorted = outagesMs.sort((a, b) => a - b);
    const cell = (share: number): string => percentile(sorted, share).toFixed(0);
    process.stdout.write(
      formatTable([
        [`leader killed under load, ${KILLS} times`, 'min ms', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms'],
        ['until a write is acknowledged again', cell(0), cell(0.5), cell(0.9), cell(0.99), cell(1)],
      ]),
    );
    process.stdout.write(`${load.answers.length} writes acknowledged, ${load.failures} not\n`);
  } finally {
    await load.stop();
    await cluster.stop();
  }
}

async function caughtUp(cluster: ProcessCluster, port: number): Promise<void> {
  await eventually('the node that was killed has caught up', 30_000, async () => {
    const there = Number((await cluster.info(await cluster.leader()))?.get('commit_index'));
    const here = Number((await cluster.info(port))?.get('applied_index'));
    return here > 0 && here + 1000 >= there ? true : null;
  });
}
