/** The trials that each seed runs beside its world, some of them only now and then. */
import { setRareProbe } from '../../src/base/rare.ts';
import type { SimRandom } from '../random.ts';
import { tryCommands } from './command_trial.ts';
import { tryCopy } from './copy_trial.ts';
import { tryCores } from './core_trial.ts';
import { tryDamage } from './damage_trial.ts';
import { tryDivergence } from './divergence_trial.ts';
import { tryEngine } from './engine_trial.ts';
import { tryInstalls } from './install_trial.ts';
import { tryLog } from './log_trial.ts';
import { tryLostDisk } from './lost_disk_trial.ts';
import { tryMembers } from './member_trial.ts';
import { tryMemtable } from './memtable_trial.ts';
import { tryMending } from './mend_trial.ts';
import { tryRanges } from './range_trial.ts';
import { tryReads } from './reads_trial.ts';
import { tryRouters } from './router_trial.ts';
import { tryStaleReads } from './stale_trial.ts';
import { tryStore } from './store_trial.ts';
import { tryTime } from './time_trial.ts';
import type { Mark } from './trial.ts';
import { tryVotes } from './vote_trial.ts';

interface Trial {
  readonly name: string;
  /** What went wrong, or null. */
  readonly run: (random: SimRandom, mark: Mark) => string | null;
  /** Of a thousand seeds, how many run it. Those of whole nodes take as long as a world. */
  readonly permille: number;
}

const TRIALS: readonly Trial[] = [
  { name: 'log trial', run: tryLog, permille: 1000 },
  { name: 'vote trial', run: tryVotes, permille: 1000 },
  { name: 'store trial', run: tryStore, permille: 1000 },
  { name: 'time trial', run: tryTime, permille: 1000 },
  { name: 'core trial', run: tryCores, permille: 1000 },
  { name: 'router trial', run: tryRouters, permille: 1000 },
  { name: 'engine trial', run: tryEngine, permille: 1000 },
  { name: 'memtable trial', run: tryMemtable, permille: 1000 },
  { name: 'member trial', run: tryMembers, permille: 200 },
  { name: 'stale trial', run: tryStaleReads, permille: 100 },
  { name: 'range trial', run: tryRanges, permille: 1000 },
  { name: 'lost disk trial', run: tryLostDisk, permille: 400 },
  { name: 'mend trial', run: tryMending, permille: 700 },
  { name: 'divergence trial', run: tryDivergence, permille: 600 },
  { name: 'damage trial', run: tryDamage, permille: 1000 },
  { name: 'copy trial', run: tryCopy, permille: 200 },
  { name: 'command trial', run: tryCommands, permille: 1000 },
  { name: 'install trial', run: tryInstalls, permille: 1000 },
  { name: 'reads trial', run: tryReads, permille: 1000 },
];

/** Runs them in turn up to the first that fails; null: none did. */
export function runTrials(
  random: SimRandom,
  mark: Mark,
): { readonly name: string; readonly problem: string } | null {
  for (const { name, run, permille } of TRIALS) {
    const draws = random.fork(name);
    if (permille < 1000 && !draws.chance(permille)) continue;
    setRareProbe({ sometimes: mark, maybe: () => false });
    const problem = run(permille < 1000 ? draws.fork('trial') : draws, mark);
    setRareProbe(null);
    if (problem !== null) return { name, problem };
  }
  return null;
}
