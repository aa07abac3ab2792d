/** Known bugs of the consensus core, to plant in what the model checker checks: those of the simulator, and more. */
import { MUTANTS } from '../mutants/index.ts';
import type { Mutant } from '../mutants/mutant.ts';

const MORE: readonly Mutant[] = [
  {
    name: 'no-pre-vote-check',
    what: 'a pre-vote is granted to any log',
    file: 'src/raft/raft.ts',
    find: 'const granted = !this.#isSticky() && core.isUpToDate(message.lastIndex, message.lastTerm);',
    replace: 'const granted = !this.#isSticky();',
  },
  {
    name: 'vote-without-log-check',
    what: 'a vote is given to any log',
    file: 'src/raft/raft.ts',
    find: 'const granted = free && core.isUpToDate(message.lastIndex, message.lastTerm);',
    replace: 'const granted = free;',
  },
  {
    name: 'vote-forgotten-in-memory',
    what: 'a vote is given and not written down',
    file: 'src/raft/core.ts',
    find: '    this.vote = candidate;\n    this.#persist();\n',
    replace: '    this.vote = candidate;\n',
  },
  {
    name: 'term-not-persisted',
    what: 'a later term is entered and not written down',
    file: 'src/raft/core.ts',
    find: '    this.vote = null;\n    this.#persist();\n',
    replace: '    this.vote = null;\n',
  },
  {
    name: 'quorum-is-highest',
    what: 'what one node has reached counts as what a majority has',
    file: 'src/raft/quorum.ts',
    find: 'return values[values.length - majorityOf(values.length)];',
    replace: 'return values[values.length - majorityOf(values.length) + 1];',
  },
  {
    name: 'old-term-acknowledged',
    what: 'a message of an earlier term is taken as one of ours',
    file: 'src/raft/raft.ts',
    find: '    if (message.term < core.term) {\n',
    replace: "    if (message.term < core.term && message.type !== 'append') {\n",
  },
  {
    name: 'old-votes-count',
    what: 'a vote of an earlier term counts in ours',
    file: 'src/raft/raft.ts',
    find: '    if (message.term < core.term) {\n',
    replace: "    if (message.term < core.term && message.type !== 'vote-reply') {\n",
  },
  {
    name: 'old-accept-counts',
    what: 'a copy that was acknowledged in an earlier term counts in ours',
    file: 'src/raft/raft.ts',
    find: '    if (message.term < core.term) {\n',
    replace: "    if (message.term < core.term && message.type !== 'append-accepted') {\n",
  },
  {
    name: 'old-heartbeat-reply-counts',
    what: 'an answer to a heartbeat of an earlier term confirms reads in ours',
    file: 'src/raft/raft.ts',
    find: '    if (message.term < core.term) {\n',
    replace: "    if (message.term < core.term && message.type !== 'heartbeat-reply') {\n",
  },
  {
    name: 'acknowledges-unmatched',
    what: 'a follower acknowledges all that it holds durably, matching or not',
    file: 'src/raft/follower.ts',
    find: 'const matchIndex = Math.min(this.#core.log.durableIndex, this.#matchIndex);',
    replace: 'const matchIndex = this.#core.log.durableIndex;',
  },
  {
    name: 'term-of-log-forgotten',
    what: 'after a crash, a log that is ahead of the hard state does not raise the term',
    file: 'src/raft/raft.ts',
    find: 'const behind = log.lastTerm > hardState.term;',
    replace: 'const behind = log.lastTerm < 0;',
  },
  {
    name: 'vote-kept-over-log-term',
    what: 'after a crash, a vote of an earlier term is taken for one of the term of the log',
    file: 'src/raft/raft.ts',
    find: 'behind ? null : hardState.vote',
    replace: 'hardState.vote',
  },
];

export const RAFT_MUTANTS: readonly Mutant[] = [
  ...MUTANTS.filter(({ file }) => file.startsWith('src/raft/')),
  ...MORE,
];
