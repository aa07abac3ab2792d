/** What the trials find is told by `npm run mutants`; here: that they hold, and that they are what their seed says. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryCommands } from '../../../sim/trials/command_trial.ts';
import { tryCopy } from '../../../sim/trials/copy_trial.ts';
import { tryCores } from '../../../sim/trials/core_trial.ts';
import { tryDamage } from '../../../sim/trials/damage_trial.ts';
import { tryInstalls } from '../../../sim/trials/install_trial.ts';
import { tryLog } from '../../../sim/trials/log_trial.ts';
import { tryMemtable } from '../../../sim/trials/memtable_trial.ts';
import { tryReads } from '../../../sim/trials/reads_trial.ts';
import { tryRouters } from '../../../sim/trials/router_trial.ts';
import { tryStore } from '../../../sim/trials/store_trial.ts';
import { tryTime } from '../../../sim/trials/time_trial.ts';
import { tryVotes } from '../../../sim/trials/vote_trial.ts';
import { runs } from '../../long.ts';

const TRIALS = {
  tryLog,
  tryVotes,
  tryStore,
  tryTime,
  tryCores,
  tryRouters,
  tryDamage,
  tryMemtable,
  tryCopy,
  tryCommands,
  tryInstalls,
  tryReads,
};
const SEEDS = runs(25);

describe('a trial', () => {
  for (const [name, run] of Object.entries(TRIALS)) {
    it(`like ${name} holds whatever the seed`, () => {
      for (let seed = 0; seed < SEEDS; seed++) expect(run(new SimRandom(`${seed}`))).toBeNull();
    });
  }
});
