/** Known bugs of the log of entries. */
import type { Mutant } from './mutant.ts';

export const LOG_MUTANTS: readonly Mutant[] = [
  {
    name: 'replaced-from-the-first',
    what: 'a log that was replaced from its first entry on, and lost its first segment, does not open',
    file: 'src/log/recovery.ts',
    find: '    if (this.#guessed.has(group) && index === 1) {\n',
    replace: '    if (this.#guessed.has(group) && index === 0) {\n',
  },
  {
    name: 'ahead-of-the-file',
    what: 'entries that are read together reach into what is still to be written',
    file: 'src/log/entry_reader.ts',
    find: '      !state.holes.has(index) &&\n      !this.#options.batch.mayHold(segment, state.offsetAt(index))\n',
    replace: '      !state.holes.has(index)\n',
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
    find: '      const isReset = state.resetBatch === this.#batches;\n',
    replace:
      '      state.writtenIndex = state.lastIndex;\n      const isReset = state.resetBatch === this.#batches;\n',
  },
  {
    name: 'durable-survives-truncation',
    what: 'entries that replace durable ones count as durable',
    file: 'src/log/group_state.ts',
    find: '    if (this.durableIndex >= index) this.durableIndex = index - 1;\n',
    replace: '',
  },
  {
    name: 'failed-sync-ignored',
    what: 'the log takes a failed sync for a good one',
    file: 'src/log/log.ts',
    find: '    if (error !== null) {\n      this.#fail(error);\n      this.onFailure(error);\n      return;\n    }\n    this.#syncsAwaited--;',
    replace: '    this.#syncsAwaited--;',
  },
  {
    name: 'damaged-middle-cut',
    what: 'recovery cuts the log at damage, although what stands behind it attests that it was durable',
    file: 'src/log/recovery.ts',
    find: 'return marker === null ? null : scan.damage(',
    replace: 'return marker !== -1 ? null : scan.damage(',
  },
];
