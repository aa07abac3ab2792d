/**
 * Known bugs to plant, by the layer they are in. They test the simulator: a rig that does not find these soon would
 * not find others.
 */
import { DAMAGE_MUTANTS } from './damage.ts';
import { DIVERGENCE_MUTANTS } from './divergence.ts';
import { KV_MUTANTS } from './kv.ts';
import { LOG_MUTANTS } from './log.ts';
import { LSM_MUTANTS } from './lsm.ts';
import type { Mutant } from './mutant.ts';
import { RAFT_MUTANTS } from './raft.ts';
import { REPLICA_MUTANTS } from './replica.ts';
import { SERVER_MUTANTS } from './server.ts';

/** Their order here is that of the scoreboard. */
export const MUTANTS: readonly Mutant[] = [
  ...RAFT_MUTANTS,
  ...REPLICA_MUTANTS,
  ...LOG_MUTANTS,
  ...DAMAGE_MUTANTS,
  ...LSM_MUTANTS,
  ...KV_MUTANTS,
  ...DIVERGENCE_MUTANTS,
  ...SERVER_MUTANTS,
];
