/** Known bugs of how damaged logs are dealt with; found by `trials/damage_trial.ts`. */
import type { Mutant } from './mutant.ts';

export const DAMAGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'discard-on-one-word',
    what: 'a leader discards a damaged entry as soon as one node says that it never had it',
    file: 'src/raft/mending.ts',
    find: '      isQuorum(configuration, (id) => id !== self && this.#absent.has(id)),\n',
    replace: '      configuration.voters.some((id) => id !== self && this.#absent.has(id)),\n',
  },
  {
    name: 'discard-never',
    what: 'a leader waits for ever for an entry that nobody ever had',
    file: 'src/raft/mending.ts',
    find: "    return role === 'leads' && this.#wasNeverCommitted ? firstDamaged : null;\n",
    replace: "    return role === 'leads' && this.#wasNeverCommitted ? null : null;\n",
  },
  {
    name: 'discard-and-lead-on',
    what: 'a leader drops a damaged entry, and what follows it, and gives their places to others in the same term',
    file: 'src/raft/raft.ts',
    find: '    this.#becomeFollower(null);\n    this.#core.discard(index);\n',
    replace: '    this.#core.discard(index);\n',
  },
  {
    name: 'damaged-copy-counted',
    what: 'a damaged entry is acknowledged, counted and applied as if it could be read',
    file: 'src/log/group_log.ts',
    find: '    return this.#state.readableIndex;\n',
    replace: '    return this.#state.durableIndex;\n',
  },
  {
    name: 'damaged-identity-forgotten',
    what: 'a log that has lost the name of an entry ends before it, and says nothing',
    file: 'src/replica/log_damage.ts',
    find: '  if (!log.isOpen) return;\n',
    replace: '  if (!log.isOpen || term >= 0) return;\n',
  },
  {
    name: 'fenced-vote',
    what: 'a node that has forgotten entries gives its vote to who never had them',
    file: 'src/raft/core.ts',
    find: '    if (isFenced && lastTerm <= fenceTerm) return false;\n',
    replace: '    if (isFenced && lastTerm < 0 * fenceTerm) return false;\n',
  },
  {
    name: 'fenced-candidate',
    what: 'a node that has forgotten entries stands for election',
    file: 'src/raft/core.ts',
    find: '!this.log.damage.isFenced && !this.#lacksConfigurations;',
    replace: '!this.#lacksConfigurations;',
  },
  {
    name: 'fence-keeps-the-term',
    what: 'a node that has forgotten entries goes on under the leader that counts them',
    file: 'src/raft/raft.ts',
    find: 'if (isFenced && term <= fenceTerm) this.#core.enterTerm(fenceTerm + 1);',
    replace: 'if (isFenced && term < fenceTerm) this.#core.enterTerm(fenceTerm);',
  },
  {
    name: 'forgotten-for-never-had',
    what: 'a node that has forgotten an entry says that it never had it',
    file: 'src/raft/mending.ts',
    find: '(damage.isFenced ? cannotSay : absent).push(index);',
    replace: 'absent.push(index);',
  },
  {
    name: 'suffix-behind-a-gap-believed',
    what: 'what stands before a gap in the log is taken for certain, whatever the gap may have replaced',
    file: 'src/log/gap_resolution.ts',
    find: '    if (state.termAt(kept) !== common && !isBehindBase) return this.#open(state);\n',
    replace: '    if (state.termAt(kept) !== common && isBehindBase) return this.#open(state);\n',
  },
  {
    name: 'mended-before-durable',
    what: 'an entry counts as mended before its second record is durable, and is lost in a crash',
    file: 'src/log/log.ts',
    find: '    this.#batchMends.push({ state, index, term, place });\n',
    replace: '    state.mend(index, term, place);\n',
  },
  {
    name: 'entries-over-a-find',
    what: 'entries behind a damaged one are handed out with those before it',
    file: 'src/log/entry_reader.ts',
    find: '      if (entry === null) break;\n',
    replace: '      if (entry === null) continue;\n',
  },
];
