/**
 * `npm run bench -- reads`: GET by 50 unpipelined connections, by what a read rests on: a round of messages, the leader's
 * lease, or what the node that is asked has applied. Rounds alternate; medians, and their ratio to the first row.
 */
import { ProcessCluster } from '../test/process/cluster.ts';
import { type LoadResult, runLoad } from './load.ts';
import { formatTable } from './table.ts';

const CONNECTIONS = 50;
const VALUE_BYTES = 100;
const KEYS = 10_000;
const ROUNDS = 5;
const OPERATIONS = 30_000;
const WARMUP = 5000;

export async function benchReads(): Promise<void> {
  const cluster = await ProcessCluster.start();
  try {
    const leader = await cluster.leader();
    const everyNode = [...cluster.ports];
    const value = 'v'.repeat(VALUE_BYTES);
    const requestsOf = (verb: string): Buffer[] =>
      Array.from({ length: KEYS }, (_none, n) => Buffer.from(`${verb} key:${n}\r\n`));
    const load = { connections: CONNECTIONS, operations: OPERATIONS, warmupOperations: WARMUP };
    const sets = Array.from({ length: KEYS }, (_none, n) => Buffer.from(`SET key:${n} ${value}\r\n`));
    await runLoad({ ...load, ports: [leader], requests: sets, reply: 'line' });
    const rows = [
      { name: 'READ LINEARIZABLE GET, to the leader', verb: 'READ LINEARIZABLE GET', ports: [leader] },
      { name: 'READ LEASE GET, to the leader', verb: 'READ LEASE GET', ports: [leader] },
      { name: 'READ STALE GET, to the leader', verb: 'READ STALE GET', ports: [leader] },
      { name: 'READ LINEARIZABLE GET, to all nodes', verb: 'READ LINEARIZABLE GET', ports: everyNode },
      { name: 'READ LEASE GET, to all nodes', verb: 'READ LEASE GET', ports: everyNode },
      { name: 'READ STALE GET, to all nodes', verb: 'READ STALE GET', ports: everyNode },
    ].map((row) => ({ ...row, requests: requestsOf(row.verb), rounds: [] as LoadResult[] }));
    for (let round = 1; round <= ROUNDS; round++) {
      for (const { name, ports, requests, rounds } of rows) {
        process.stderr.write(`round ${round}/${ROUNDS}: ${name}\n`);
        rounds.push(await runLoad({ ...load, ports, requests, reply: { bulkBytes: VALUE_BYTES } }));
      }
    }
    const base = median(rows[0]?.rounds.map((round) => round.operationsPerSecond) ?? []);
    process.stdout.write(
      formatTable([
        [
          '50 connections, 100-byte values',
          'ops/s (median)',
          'min',
          'max',
          'p50 us',
          'p99 us',
          'of the first row',
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
            `${(median(rates) / base).toFixed(2)}x`,
            String(rounds.reduce((sum, round) => sum + round.errors, 0)),
          ];
        }),
      ]),
    );
  } finally {
    await cluster.stop();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
