/** Models for tests. */
import type { Bounds } from '../../../sim/model/bounds.ts';
import { Model } from '../../../sim/model/model.ts';
import type { Persistence } from '../../../sim/model/model_node.ts';
import { RAFT_MUTANTS } from '../../../sim/model/mutants.ts';
import { loadOpenedRaft } from '../../../sim/model/opened_raft.ts';

export const NOTHING: Bounds = {
  entries: 0,
  reads: 0,
  crashes: 0,
  drops: 0,
  duplicates: 0,
  timeouts: 0,
  beats: 0,
  lapses: 0,
  resets: 0,
};

export async function makeModel(options: {
  readonly bounds: Partial<Bounds>;
  readonly persistence?: Persistence;
  readonly mutant?: string;
  readonly rarePaths?: readonly string[];
}): Promise<Model> {
  const mutants = RAFT_MUTANTS.filter(({ name }) => name === options.mutant);
  if (options.mutant !== undefined && mutants.length === 0) throw new Error(`no mutant ${options.mutant}`);
  return new Model({
    raftClass: await loadOpenedRaft({ mutants, rarePaths: options.rarePaths ?? [] }),
    nodes: 3,
    persistence: options.persistence ?? 'at-once',
    bounds: { ...NOTHING, ...options.bounds },
    maxTerm: 5,
    maxLetters: 12,
    copies: 1,
  });
}
