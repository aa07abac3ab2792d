/** `npm run bench -- NAME`: measurements, apart from the tests because they need a quiet machine to mean something. */
import { ProcessCluster } from '../test/process/cluster.ts';
import { BUILT_MAIN, buildPackage } from './built.ts';
import { benchCluster } from './cluster.ts';
import { benchEngine } from './engine/main.ts';
import { benchFailover } from './failover.ts';
import { benchReads } from './reads.ts';
import { benchRebuild } from './rebuild.ts';

const BENCHES: Readonly<
  Record<string, { readonly what: string; readonly run: (args: readonly string[]) => Promise<void> }>
> = {
  engine: { what: 'the embedded store against classic-level and lmdb', run: benchEngine },
  cluster: { what: 'SET and GET on a 3-node cluster, against the floor', run: benchCluster },
  reads: { what: 'reads by a round of messages, by lease, and stale', run: benchReads },
  failover: { what: 'how long writes wait when the leader is killed', run: benchFailover },
  rebuild: { what: 'a follower of 1 GB rebuilt by snapshot under load', run: benchRebuild },
};

const [name, ...args] = process.argv.slice(2);
const bench = name === undefined ? undefined : BENCHES[name];
if (bench === undefined) {
  const list = Object.entries(BENCHES).map(([key, { what }]) => `  ${key.padEnd(10)} ${what}\n`);
  process.stderr.write(`Usage: npm run bench -- NAME\n\n${list.join('')}`);
  process.exitCode = name === '--help' ? 0 : 2;
} else {
  if (!args.includes('--help')) buildPackage();
  ProcessCluster.program = [BUILT_MAIN];
  await bench.run(args);
}
