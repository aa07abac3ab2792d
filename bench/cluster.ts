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
import { formatTable } from './table.ts';

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
    const rows: { name: string; rounds: LoadResult[]; run: () => Promise<LoadResult> }[] = [
      {
        name: 'floor: append, sync, copy to two',
        rounds: [],
        run: () => measure([floor.port], frames, 'line'),
      },
      { name: 'SET, connections to the leader', rounds: [], run: () => measure([leader], sets, 'line') },
      { name: 'SET, spread over the three nodes', rounds: [], run: () => measure(everyNode, sets, 'line') },
      { name: 'GET, connections to the leader', rounds: [], run: () => measure([leader], gets, bulk) },
      { name: 'GET, spread over the three nodes', rounds: [], run: () => measure(everyNode, gets, bulk) },
    ];
    for (let round = 1; round <= ROUNDS; round++) {
      for (const row of rows) {
        process.stderr.write(`round ${round}/${ROUNDS}: ${row.name}\n`);
        row.rounds.push(await row.run());
      }
    }
    const floorRate = median(rows[0]?.rounds.map((round) => round.operationsPerSecond) ?? []);
    const table = [
      [
        '50 connections, 100-byte values',
        'ops/s (median)',
        'min',
        'max',
        'p50 us',
        'p99 us',
        'of the floor',
        'errors',
      ],
      ...rows.map(({ name, rounds }) => {
        const rates = rounds.map((round) => round.operationsPerSecond);
        return [
          name,
          median(rates).toFixed(0),
          Math.min(...rates).toFixed(0),
          Math.max(...rates).toFixed(0),
          median(rounds.map((round) => round.latencyUs.p50)).toFixed(0),
          median(rounds.map((round) => round.latencyUs.p99)).toFixed(0),
          `${(median(rates) / floorRate).toFixed(2)}x`,
          String(rounds.reduce((sum, round) => sum + round.errors, 0)),
        ];
      }),
    ];
    process.stdout.write(formatTable(table));
  } finally {
    await floor.stop();
    await cluster.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
