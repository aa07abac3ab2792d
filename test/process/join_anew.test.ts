/** `--join --clear` empties a directory for a node that is to come back as another: not before the group takes it. */
import { existsSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

it('leaves the directory of a node that is still a member as it is, and empties it once the node was removed', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  const leader = await running.leader();
  await running.allAnswer();
  const [port = 0] = running.ports.filter((other) => other !== leader);
  const id = 1 + running.ports.indexOf(port);
  const client = await running.connect(leader);
  await client.set('a', '1');

  expect(await running.end(port, 'SIGTERM')).toBe(0);
  running.join(port, leader, '--clear');
  await eventually('the end of the node', 20_000, async () => (running.isRunning(port) ? null : true));
  expect(running.log).toContain(
    `is node ${id} already, with another data directory: remove node ${id} first`,
  );
  const directory = `${running.directory}/node-${port}`;
  expect(existsSync(`${directory}/identity.json`)).toBe(false);
  running.start(port);
  await running.allAnswer();

  expect(await running.end(port, 'SIGTERM')).toBe(0);
  expect(await running.member(leader, 'remove', String(id))).toContain(`node ${id} has left the group`);
  running.join(port, leader, '--clear');
  await eventually('the vote of the node that replaces it', 20_000, async () => {
    return (await running.info(leader))?.get('voters')?.split(' ').includes('4') === true ? true : null;
  });
  expect(existsSync(`${directory}/founder.json`)).toBe(false);
  const reader = await running.connect(port);
  const value = await reader.get('a');
  expect(value === null ? null : fromUtf8(value)).toBe('1');
  reader.close();
  client.close();
}, 120_000);
