/** A node that finds at its start that it cannot go on ends, with an error that says why: what runs it sees that it failed. */
import { readdirSync, rmSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

it('ends when its tables cover more than its log holds', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  const leader = await running.leader();
  await running.allAnswer();
  const [port = 0] = running.ports.filter((other) => other !== leader);
  const client = await running.connect(port);
  await client.set('a', '1');
  expect(await client.command('FLUSH')).toMatchObject({ type: 'simple', text: 'OK' });
  client.close();
  expect(await running.end(port, 'SIGTERM')).toBe(0);
  const log = `${running.directory}/node-${port}/log`;
  for (const name of readdirSync(log)) rmSync(`${log}/${name}`);

  running.start(port);
  await eventually('the end of the node', 20_000, async () => (running.isRunning(port) ? null : true));
  expect(running.log).toContain('log records are missing, its last segments maybe');
}, 120_000);
