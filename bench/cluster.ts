/**
 * `npm run bench -- cluster`: SET and GET by 50 unpipelined connections with 100-byte values on a 3-node cluster with
 * default durability, and, in the same run, the floor: a bare program that only appends, syncs and copies. Rounds
 * alternate, so that a noisy machine disturbs both alike; medians are reported, and their ratio.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProcessCluster } from '../test/process/cluster.ts';
import { frame } from './floor/frames.ts';
import { startFloor } from './floor/start.ts';
import { type LoadOptions, type LoadResult, runLoad } from './load.ts';
import { measureInTurns, type Row } from './rounds.ts';

const CONNECTIONS = 50;
const VALUE_BYTES = 100;
const KEYS = 10_000;
const ROUNDS = 5;
const OPERATIONS = 30_000;
const WARMUP = 5000;

export async function benchCluster(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'envelopedb-bench-'));
  const floor = await startFloor({ directory: scratch });
  const cluster = await ProcessCluster.start();
  try {
    const leader = await cluster.leader();
    const value = 'v'.repeat(VALUE_BYTES);
    const sets = Array.from({ length: KEYS }, (_none, n) => Buffer.from(`SET key:${n} ${value}\r\n`));
    const gets = Array.from({ length: KEYS }, (_none, n) => Buffer.from(`GET key:${n}\r\n`));
    const frames = sets.map((set) => frame(set));
    const everyNode = [...cluster.ports];
    const measure = (
      ports: readonly number[],
      requests: Buffer[],
      reply: LoadOptions['reply'],
    ): Promise<LoadResult> =>
      runLoad({
        ports,
        connections: CONNECTIONS,
        operations: OPERATIONS,
        warmupOperations: WARMUP,
        requests,
        reply,
      });
    const bulk = { bulkBytes: VALUE_BYTES };
    const rows: Row[] = [
      { name: 'floor: append, sync, copy to two', run: () => measure([floor.port], frames, 'line') },
      { name: 'SET, connections to the leader', run: () => measure([leader], sets, 'line') },
      { name: 'SET, spread over the three nodes', run: () => measure(everyNode, sets, 'line') },
      { name: 'GET, connections to the leader', run: () => measure([leader], gets, bulk) },
      { name: 'GET, spread over the three nodes', run: () => measure(everyNode, gets, bulk) },
    ];
    const title = `${CONNECTIONS} connections, ${VALUE_BYTES}-byte values`;
    process.stdout.write(await measureInTurns(rows, { title, ratioTitle: 'of the floor', rounds: ROUNDS }));
  } finally {
    await floor.stop();
    await cluster.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}
