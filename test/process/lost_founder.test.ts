/** A founding node is started again with an empty directory, as docs/operations.md warns: it is refused and stops. */
import { rmSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

it('stops with an error that says what to do, and is let in under another number', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const leader = await running.leader();
  const [lost = 0] = running.ports.filter((port) => port !== leader);
  const client = await running.connect(leader);
  await client.set('a', '1');
  // Restarted as it was, it is let in.
  await running.end(lost, 'SIGTERM');
  running.start(lost);
  await running.allAnswer();

  await running.end(lost, 'SIGKILL');
  rmSync(`${running.directory}/node-${lost}`, { recursive: true });
  running.start(lost);
  await eventually('the end of the node', 20_000, async () => (running.isRunning(lost) ? null : true));
  const id = 1 + running.ports.indexOf(lost);
  expect(running.log).toContain(`the group refuses this node: node ${id} has lost its data directory`);
  await client.set('a', '2');

  expect(await running.member(leader, 'remove', String(id))).toContain(`node ${id} has left the group`);
  rmSync(`${running.directory}/node-${lost}`, { recursive: true });
  running.join(lost, leader);
  await eventually('the vote of the node that replaces it', 20_000, async () => {
    return (await running.info(leader))?.get('voters')?.split(' ').includes('4') === true ? true : null;
  });
  const reader = await running.connect(lost);
  const value = await reader.get('a');
  expect(value === null ? null : fromUtf8(value)).toBe('2');
  reader.close();
  client.close();
}, 120_000);
