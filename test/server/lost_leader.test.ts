/** How long a group is without a leader when the leader's process ends. */
import { expect, it } from 'vitest';
import { DEFAULT_TIMING } from '../../src/raft/core.ts';
import { ServerRig } from './rig.ts';

it('follows a leader whose process ends right behind an election timeout, whichever connection is seen to end first', () => {
  const rig = new ServerRig(3);
  for (let n = 0; n < 30; n++) {
    const leader = rig.leader();
    rig.run(1500);
    // Something is on its way whenever it ends.
    const client = rig.connect(leader);
    for (let write = 0; write < 40; write++) {
      client.send(`SET a ${write}\r\n`);
      rig.run(0.2 + (n % 7) / 20);
    }
    rig.kill(leader);
    const endedAtUs = rig.scheduler.nowUs;
    while (!rig.machines.some(({ node }) => node?.replica.isLeader === true)) rig.run(5);
    const tookMs = (rig.scheduler.nowUs - endedAtUs) / 1000;
    expect(tookMs).toBeLessThan(1.3 * DEFAULT_TIMING.electionTimeoutMs);
    rig.boot(leader);
  }
});
