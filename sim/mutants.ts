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
    find: '    if (this.#heldBack !== null) {\n      if (this.#savesUnderWay > 1)',
    replace:
      '    if (this.#heldBack !== null && this.#savesUnderWay < 0) {\n      if (this.#savesUnderWay > 1)',
  },
  {
    name: 'vote-never-synced',
    what: 'term and vote are written but their sync is not waited for',
    file: 'src/replica/hard_state_file.ts',
    find: '      this.#files[copy].sync((error) => {\n        this.#failure ??= error;\n        this.#write(copy + 1, record, done);\n      });\n',
    replace: '      this.#write(copy + 1, record, done);\n',
  },
  {
    name: 'second-vote',
    what: 'a node votes again in a term in which it has voted',
    file: 'src/raft/raft.ts',
    find: 'const free = core.vote === from || (core.vote === null && this.leader === null);',
    replace: 'core.vote = null;\n    const free = true;',
  },
  {
    name: 'stale-log-vote',
    what: 'votes are given to candidates whose log is behind',
    file: 'src/raft/core.ts',
    find: 'return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.log.lastIndex);',
    replace: 'return lastTerm >= ownTerm || lastIndex >= this.log.lastIndex;',
  },
  {
    name: 'small-majority',
    what: 'an election is won by half of the voters',
    file: 'src/raft/candidate.ts',
    find: '    const majority = majorityOf(this.#core.voters.length);\n',
    replace: '    const majority = Math.ceil(this.#core.voters.length / 2);\n    majorityOf(1);\n',
  },
  {
    name: 'early-acknowledgement',
    what: 'a leader commits what it alone has made durable',
    file: 'src/raft/leader.ts',
    find: '    const index = quorumValue(matches);\n',
    replace: '    const index = log.durableIndex;\n',
  },
  {
    name: 'unsynced-own-copy',
    what: 'a leader counts its own copy before it is durable',
    file: 'src/raft/leader.ts',
    find: '    matches[at] = log.durableIndex;\n',
    replace: '    matches[at] = log.lastIndex;\n',
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
    name: 'commit-beyond-match',
    what: 'a follower commits entries behind the last one that it knows to match',
    file: 'src/raft/follower.ts',
    find: 'core.advanceCommit(Math.min(message.commitIndex, expected - 1));',
    replace: 'core.advanceCommit(Math.min(message.commitIndex, log.lastIndex));',
  },
  {
    name: 'heartbeat-commit-uncapped',
    what: 'a heartbeat commits what the follower may hold in another version',
    file: 'src/raft/leader.ts',
    find: '      commitIndex: Math.min(commitIndex, progress.matchIndex),\n',
    replace: '      commitIndex,\n',
  },
  {
    name: 'truncation-without-conflict',
    what: 'an append that comes late drops the entries behind it',
    file: 'src/raft/follower.ts',
    find: 'if (entry.index <= log.lastIndex && log.termAt(entry.index) === entry.term) {',
    replace: 'if (entry.index <= commitIndex) {',
  },
  {
    name: 'unchecked-previous-entry',
    what: 'an append is taken without a look at the entry before it',
    file: 'src/raft/follower.ts',
    find: 'if (prevIndex > log.lastIndex || log.termAt(prevIndex) !== prevTerm) {',
    replace: 'if (prevIndex > log.lastIndex) {',
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
    name: 'read-before-own-commit',
    what: 'a new leader reads before an entry of its own term is committed',
    file: 'src/raft/leader.ts',
    find: 'if (this.#reads.wantsRound && core.commitIndex >= this.#firstIndexOfTerm) {',
    replace: 'if (this.#reads.wantsRound && this.#firstIndexOfTerm > 0) {',
  },
  {
    name: 'read-round-reused',
    what: 'an answer to an earlier round confirms a read',
    file: 'src/raft/read_rounds.ts',
    find: '    this.round++;\n',
    replace: '    this.round = 1;\n',
  },
  {
    name: 'read-before-applied',
    what: 'a read is answered before the entries that it must see are applied',
    file: 'src/replica/replica.ts',
    find: '      if (batch.index > this.appliedIndex) {\n',
    replace: '      if (batch.index > this.#raft.commitIndex) {\n',
  },
  {
    name: 'apply-before-durable',
    what: 'entries are applied that are not durable on this node',
    file: 'src/replica/replica.ts',
    find: '    const target = Math.min(this.#raft.commitIndex, log.durableIndex);\n',
    replace: '    const target = this.#raft.commitIndex;\n',
  },
  {
    name: 'superseded-is-refused',
    what: 'a write whose place another leader has taken is said not to have been executed',
    file: 'src/replica/replica.ts',
    find: '    this.#settleProposal(index, SUPERSEDED);\n',
    replace: '    this.#settleProposal(index, NOT_LEADER);\n',
  },
  {
    name: 'another-terms-answer',
    what: 'a proposal is answered with the result of the entry that replaced it',
    file: 'src/replica/replica.ts',
    find: '    const ours = proposal !== undefined && proposal.term === entry.term;\n',
    replace: '    const ours = proposal !== undefined;\n',
  },
  {
    name: 'request-ids-restart',
    what: 'a node numbers its requests anew in each life, and takes answers to those of the life before',
    file: 'src/server/router.ts',
    find: '    this.#nextId = options.random.below(2 ** 20) * 2 ** 32 + options.random.below(2 ** 32);\n',
    replace: '    this.#nextId = 1;\n',
  },
  {
    name: 'lost-write-repeated',
    what: 'a write whose outcome is open is sent again',
    file: 'src/server/router.ts',
    find: '      if (isWrite(job.request)) this.#finish(job, LOST);\n      else this.#takeBack(job);\n',
    replace: '      this.#takeBack(job);\n',
  },
  {
    name: 'overtaking',
    what: 'a request that came back is handed on without regard to those asked after it',
    file: 'src/server/router.ts',
    find: "    for (const { state } of lane.jobs) if (state === 'sent') return;\n",
    replace: '',
  },
  {
    name: 'reads-overtake-writes',
    what: 'a read of a connection does not wait for the writes before it',
    file: 'src/server/session.ts',
    find: "return kind !== 'alone' && kind === this.#kind && this.#options.router.target === this.#target;",
    replace: "return kind !== 'alone' && this.#options.router.target === this.#target;",
  },
  {
    name: 'answers-out-of-order',
    what: 'answers leave in the order in which they are ready',
    file: 'src/server/session.ts',
    find: '    if (this.#slots[0] !== slot) return;\n',
    replace: '    this.#slots.splice(this.#slots.indexOf(slot), 1);\n    this.#slots.unshift(slot);\n',
  },
  {
    name: 'log-tail-not-cut',
    what: 'what a crash left behind the end of the log is not made zeros',
    file: 'src/log/opening.ts',
    find: '    if (dirtyEnd <= position) {\n',
    replace: '    if (dirtyEnd >= 0) {\n',
  },
  {
    name: 'log-payload-unchecked',
    what: 'recovery does not check the checksum of a payload',
    file: 'src/log/record_reader.ts',
    find: "    return crc32(this.#bytes.subarray(start, end)) === expected ? 'intact' : 'payload';\n",
    replace: "    return crc32(this.#bytes.subarray(start, end)) === expected ? 'intact' : 'intact';\n",
  },
  {
    name: 'segment-name-not-synced',
    what: 'a new segment counts as durable before its name is',
    file: 'src/log/log.ts',
    find: '        this.#syncsAwaited++;\n        this.#options.disk.syncDirectory(this.#options.directory, this.#onSynced);\n',
    replace: '',
  },
  {
    name: 'sync-covers-later-appends',
    what: 'what was appended while a sync was under way counts as covered by it',
    file: 'src/log/log.ts',
    find: '      if (state.writtenIndex <= state.durableIndex) continue;\n',
    replace:
      '      state.writtenIndex = state.lastIndex;\n      if (state.writtenIndex <= state.durableIndex) continue;\n',
  },
  {
    name: 'durable-survives-truncation',
    what: 'entries that replace durable ones count as durable',
    file: 'src/log/group_state.ts',
    find: '    if (this.durableIndex >= index) this.durableIndex = index - 1;\n',
    replace: '',
  },
  {
    name: 'table-not-synced',
    what: 'a table goes into the manifest before it is durable',
    file: 'src/lsm/table_build.ts',
    find: '    file.sync((error) => {\n      if (this.#stopped) return;',
    replace:
      '    this.#options.clock.later(() => {\n      const error = null as Error | null;\n      if (this.#stopped) return;',
  },
  {
    name: 'table-name-not-synced',
    what: 'a table goes into the manifest before its name is durable',
    file: 'src/lsm/table_build.ts',
    find: '        disk.syncDirectory(directory, (directoryError) => {\n          if',
    replace:
      '        this.#options.clock.later(() => {\n          disk.exists(directory);\n          const directoryError = null as Error | null;\n          if',
  },
  {
    name: 'manifest-edit-not-synced',
    what: 'a flush is done before the manifest is durable',
    file: 'src/lsm/manifest.ts',
    find: '      this.#file.sync(done);\n',
    replace: '      done(null);\n',
  },
  {
    name: 'current-before-manifest',
    what: 'CURRENT is renamed before the name of the manifest is durable',
    file: 'src/lsm/store_files.ts',
    find: '          this.#disk.syncDirectory(\n            this.#directory,\n            this.#then(() => this.#renameCurrent(path)),\n          );',
    replace: '          this.#renameCurrent(path);',
  },
  {
    name: 'current-not-synced',
    what: 'CURRENT is renamed before its content is durable',
    file: 'src/lsm/store_files.ts',
    find: '      file.sync(\n        this.#then(() => {',
    replace:
      '      this.#then(() => {}); ((use: (error: Error | null) => void) => use(null))(\n        this.#then(() => {',
  },
  {
    name: 'obsolete-table-removed-early',
    what: 'replaced tables are removed before the manifest says so',
    file: 'src/lsm/store.ts',
    find: '        this.#commit(reader, { flushedIndex: this.#flushedIndex, removed }, () => {\n',
    replace:
      '        for (const table of tables) this.#options.disk.remove(table.reader.path);\n        this.#commit(reader, { flushedIndex: this.#flushedIndex, removed }, () => {\n',
  },
  {
    name: 'flush-covers-too-much',
    what: 'a flush claims the entry that follows the ones it holds',
    file: 'src/lsm/store.ts',
    find: '    this.#coveredIndex = this.#appliedIndex;\n    this.#immutables.push({ memtable: this.#active, coveredIndex: this.#coveredIndex });',
    replace:
      '    this.#coveredIndex = this.#appliedIndex;\n    this.#immutables.push({ memtable: this.#active, coveredIndex: this.#coveredIndex + 1 });',
  },
  {
    name: 'tombstone-dropped-early',
    what: 'a flush drops tombstones although older tables remain',
    file: 'src/lsm/store.ts',
    find: "      tombstones: this.#version.tables.length === 0 ? 'drop' : 'keep',\n",
    replace: "      tombstones: 'drop',\n",
  },
  {
    name: 'old-table-first',
    what: 'of two versions of a key the older table wins',
    file: 'src/lsm/store.ts',
    find: '    if (reader !== null) this.#install([new Table(reader, this.#onTableUnused), ...this.#version.tables]);\n',
    replace:
      '    if (reader !== null) this.#install([...this.#version.tables, new Table(reader, this.#onTableUnused)]);\n',
  },
  {
    name: 'old-memtable-first',
    what: 'of two versions of a key the older memtable wins',
    file: 'src/lsm/store.ts',
    find: '    for (let at = this.#immutables.length - 1; at >= 0; at--) {\n      const found',
    replace: '    for (let at = 0; at < this.#immutables.length; at++) {\n      const found',
  },
  {
    name: 'merge-keeps-old',
    what: 'a merge keeps the older of two versions of a key',
    file: 'src/lsm/merge_cursor.ts',
    find: 'compareBytes(source.key, best.key) < 0)) best = source;',
    replace: 'compareBytes(source.key, best.key) <= 0)) best = source;',
  },
  {
    name: 'bloom-false-negative',
    what: 'the filter is asked one probe more than it was built with',
    file: 'src/lsm/bloom_filter.ts',
    find: '  for (let i = 0; i < probes; i++) {\n    const bit = probe % bits;\n    if ((',
    replace: '  for (let i = 0; i <= probes; i++) {\n    const bit = probe % bits;\n    if ((',
  },
  {
    name: 'block-border-skipped',
    what: 'a lookup of the last key of a block looks into the next one',
    file: 'src/lsm/table_reader.ts',
    find: '      if (this.#compareAnchor(middle, key) < 0) low = middle + 1;',
    replace: '      if (this.#compareAnchor(middle, key) <= 0) low = middle + 1;',
  },
  {
    name: 'iterator-ends-with-block',
    what: 'an iterator passes over the last record of each block',
    file: 'src/lsm/table_cursor.ts',
    find: '    if (!this.#reader.isValid && this.#block + 1 < this.#table.blocks)\n      this.#open(this.#block + 1).seekToFirst();',
    replace:
      '    if (!this.#reader.isValid && this.#block + 1 < this.#table.blocks) {\n      const next = this.#open(this.#block + 1);\n      next.seekToFirst();\n      next.next();\n    }',
  },
  {
    name: 'view-kept',
    what: 'a cursor that rests between turns keeps a view of its block instead of a copy',
    file: 'src/lsm/table_reader.ts',
    find: '    const bytes = this.#view(block).slice();\n',
    replace: '    const bytes = this.#view(block);\n',
  },
  {
    name: 'not-sticky',
    what: 'a node that hears a leader helps candidates all the same',
    file: 'src/raft/raft.ts',
    find: "    return this.#role.role !== 'candidate' && this.#role.isSticky;\n",
    replace: "    return this.#role.role === 'candidate' && false;\n",
  },
  {
    name: 'timer-left',
    what: 'a stopped replica leaves its timer running',
    file: 'src/replica/replica.ts',
    find: '    this.#stopped = true;\n    this.#timer?.cancel();\n',
    replace: '    this.#stopped = true;\n',
  },
  {
    name: 'file-left-open',
    what: 'a closed store leaves its tables open',
    file: 'src/lsm/store.ts',
    find: '    this.#manifest.close();\n    this.#version.release();\n',
    replace: '    this.#manifest.close();\n',
  },
  {
    name: 'votes-written-together',
    what: 'both copies of term and vote are written before the first is durable',
    file: 'src/replica/hard_state_file.ts',
    find: '      this.#files[copy].append(record);\n',
    replace: '      if (copy === 0) for (const file of this.#files) file.append(record);\n',
  },
  {
    name: 'leads-before-its-vote-is-durable',
    what: 'a candidate counts its own vote before it is durable',
    file: 'src/raft/candidate.ts',
    find: "    if (phase === 'vote') core.voteFor(core.id);\n    else this.#ballots.set(core.id, true);\n",
    replace: "    if (phase === 'vote') core.voteFor(core.id);\n    this.#ballots.set(core.id, true);\n",
  },
];
