/** A node that finds at its start that it cannot go on ends, with an error that says why: what runs it sees that it failed. */
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { open } from '../../src/index.ts';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

it('ends when its tables cover more than its log holds, and when there is no log', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  const leader = await running.leader();
  await running.allAnswer();
  const [port = 0] = running.ports.filter((other) => other !== leader);
  const log = `${running.directory}/node-${port}/log`;
  expect(await running.end(port, 'SIGTERM')).toBe(0);
  cpSync(log, `${log}-before`, { recursive: true });
  running.start(port);
  await running.allAnswer();
  const client = await running.connect(port);
  await client.set('a', '1');
  // The write is the second entry; when it was answered, this node need not have applied it.
  await eventually('tables that cover the write', 20_000, async () => {
    await client.command('FLUSH');
    const info = await client.command('INFO');
    const text = info.type === 'bulk' ? String(info.value) : '';
    return Number(/flushed_index:(\d+)/.exec(text)?.[1]) >= 2 ? true : null;
  });
  client.close();
  expect(await running.end(port, 'SIGTERM')).toBe(0);

  const refusedWith = async (why: string): Promise<void> => {
    running.start(port);
    await eventually('the end of the node', 20_000, async () => (running.isRunning(port) ? null : true));
    expect(running.log).toContain(why);
  };
  rmSync(log, { recursive: true });
  await refusedWith('the log is missing beside a vote of term');
  rmSync(log, { recursive: true, force: true });
  cpSync(`${log}-before`, log, { recursive: true });
  await refusedWith('log records are missing, its last segments maybe');
}, 120_000);

it('is no embedded store, of which it says how one becomes a server', async () => {
  const running = await ProcessCluster.prepare();
  cluster = running;
  const [port = 0] = running.ports;
  const directory = `${running.directory}/node-${port}`;
  const store = await open(directory);
  await store.bucket().put('a', '1');
  await store.close();
  const before = readdirSync(directory);
  running.start(port);
  await eventually('the end of the node', 20_000, async () => (running.isRunning(port) ? null : true));
  expect(running.log).toContain(
    'it is an embedded store, of which envelopedb repair --as server makes a server',
  );
  expect(readdirSync(directory)).toEqual(before);
}, 60_000);
