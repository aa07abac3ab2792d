/** Clients that are too many are turned away with words, and take nothing from the other nodes. */
import { expect, it } from 'vitest';
import { ServerRig } from './rig.ts';

const CONNECTIONS_MAX = 8;

it('tells a client that is one too many, and serves those that are there, and the group goes on', () => {
  const rig = new ServerRig(3, { connectionsMax: CONNECTIONS_MAX });
  rig.leader();
  rig.run(200);
  const refused: string[] = [];
  const served = Array.from({ length: 2 * CONNECTIONS_MAX }, () => {
    const client = rig.connect(1);
    const answer = client.ask('PING\r\n', 100);
    if (answer !== '+PONG\r\n') refused.push(answer);
    return client;
  }).filter((_client, at) => at < 2);
  expect(refused.length).toBeGreaterThanOrEqual(CONNECTIONS_MAX);
  expect(new Set(refused)).toEqual(new Set(['-ERR too many connections: this node takes 8 at a time\r\n']));
  // A node that starts anew connects to the full one.
  rig.crash(3);
  rig.boot(3);
  rig.run(1000);
  for (const client of served) expect(client.ask('SET a b\r\n', 200)).toBe('+OK\r\n');
});
