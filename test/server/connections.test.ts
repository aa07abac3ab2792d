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

it('lets the other nodes through however many connections say nothing, or are told and stay', () => {
  const rig = new ServerRig(3, { connectionsMax: CONNECTIONS_MAX });
  const leader = rig.leader();
  const [away, other] = [1, 2, 3].filter((id) => id !== leader);
  rig.run(200);
  const client = rig.connect(leader);
  expect(client.ask('SET a 1\r\n', 200)).toBe('+OK\r\n');
  rig.crash(away);
  rig.crash(other);
  rig.run(500);
  // Some say nothing, some are told that they are too many and do not go.
  for (let i = 0; i < 5 * CONNECTIONS_MAX; i++) rig.connect(leader);
  rig.run(200);
  for (let i = 0; i < 5 * CONNECTIONS_MAX; i++) rig.connect(leader).send('PING\r\n');
  rig.run(200);
  rig.boot(away);
  rig.run(2000);
  // Without it there is no majority.
  expect(client.ask('SET a 2\r\n', 1000)).toBe('+OK\r\n');
  expect(Number(rig.machine(leader).node?.status().connections)).toBeLessThanOrEqual(CONNECTIONS_MAX + 48);
});

it('takes a client that was waiting in silence when others have gone', () => {
  const rig = new ServerRig(3, { connectionsMax: CONNECTIONS_MAX });
  const leader = rig.leader();
  const clients = Array.from({ length: CONNECTIONS_MAX }, () => rig.connect(leader));
  for (const client of clients) client.ask('PING\r\n', 50);
  const late = rig.connect(leader);
  rig.run(100);
  for (const client of clients) client.end();
  rig.run(2000);
  expect(late.ask('PING\r\n', 100)).toBe('+PONG\r\n');
});
