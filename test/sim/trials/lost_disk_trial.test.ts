import { expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryLostDisk } from '../../../sim/trials/lost_disk_trial.ts';

it('a founding node that comes back with an empty disk is turned away, whatever the seed', {
  timeout: 120_000,
}, () => {
  const reached = new Set<string>();
  for (let seed = 0; seed < 6; seed++) {
    expect(tryLostDisk(new SimRandom(`lost ${seed}`), (name) => reached.add(name))).toBeNull();
  }
  expect(reached).toContain('a node without its data directory is refused');
  expect(reached).toContain('the identity of a member is written down');
});
