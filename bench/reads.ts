/**
 * `npm run bench -- reads`: GET by 50 unpipelined connections, by what a read rests on: a round of messages, the leader's
 * lease, or what the node that is asked has applied. Rounds alternate; medians, and their ratio to the first row.
 */
import { ProcessCluster } from '../test/process/cluster.ts';
import { runLoad } from './load.ts';
import { measureInTurns, type Row } from './rounds.ts';

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
    const load = { connections: CONNECTIONS, operations: OPERATIONS, warmupOperations: WARMUP };
    const sets = Array.from({ length: KEYS }, (_none, n) => Buffer.from(`SET key:${n} ${value}\r\n`));
    await runLoad({ ...load, ports: [leader], requests: sets, reply: 'line' });
    const row = (name: string, verb: string, ports: readonly number[]): Row => {
      const requests = Array.from({ length: KEYS }, (_none, n) => Buffer.from(`${verb} key:${n}\r\n`));
      return {
        name: `${verb}, ${name}`,
        run: () => runLoad({ ...load, ports, requests, reply: { bulkBytes: VALUE_BYTES } }),
      };
    };
    const verbs = ['READ LINEARIZABLE GET', 'READ LEASE GET', 'READ STALE GET'];
    const rows = [
      ...verbs.map((verb) => row('to the leader', verb, [leader])),
      ...verbs.map((verb) => row('to all nodes', verb, everyNode)),
    ];
    const title = `${CONNECTIONS} connections, ${VALUE_BYTES}-byte values`;
    process.stdout.write(
      await measureInTurns(rows, { title, ratioTitle: 'of the first row', rounds: ROUNDS }),
    );
  } finally {
    await cluster.stop();
  }
}
