/**
 * Known bugs to plant: each replaces one piece of text in a copy of the sources. They test the simulator: a rig that
 * does not find these soon would not find others.
 */
export interface Mutant {
  readonly name: string;
  readonly what: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'unsynced-vote',
    what: 'messages leave before the term and vote that they were made under are durable',
    file: 'src/replica/replica.ts',
    find: '      this.#heldBack ??= [];\n',
    replace: '',
  },
  {
    name: 'vote-never-synced',
    what: 'term and vote are written but their sync is not waited for',
    file: 'src/replica/hard_state_file.ts',
    find: '      this.#files[copy].sync((error) => {\n        this.#failure ??= error;\n        this.#write(copy + 1, record, done);\n      });\n',
    replace: '      this.#write(copy + 1, record, done);\n',
  },
  {
    name: 'early-acknowledgement',
    what: 'a leader commits what it alone has made durable',
    file: 'src/raft/leader.ts',
    find: '    const index = quorumValue(matches);\n',
    replace: '    const index = log.durableIndex;\n',
  },
  {
    name: 'unsynced-acknowledgement',
    what: 'a follower acknowledges entries before they are durable',
    file: 'src/raft/follower.ts',
    find: 'const matchIndex = Math.min(this.#core.log.durableIndex, this.#matchIndex);',
    replace: 'const matchIndex = this.#matchIndex;',
  },
  {
    name: 'old-term-commit',
    what: 'entries of earlier terms are committed by counting copies',
    file: 'src/raft/leader.ts',
    find: 'if (index > commitIndex && log.termAt(index) === term)',
    replace: 'if (index > commitIndex && term > 0)',
  },
  {
    name: 'unconfirmed-read',
    what: 'a leader answers reads without confirming that it still leads',
    file: 'src/raft/leader.ts',
    find: '      this.#reads.start(core.commitIndex);\n',
    replace:
      '      this.#reads.start(core.commitIndex);\n      this.#reads.onQuorum(this.#reads.round, core.output.reads);\n',
  },
  {
    name: 'stale-log-vote',
    what: 'votes are given to candidates whose log is behind',
    file: 'src/raft/core.ts',
    find: 'return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.log.lastIndex);',
    replace: 'return lastTerm >= ownTerm || lastIndex >= this.log.lastIndex;',
  },
];
