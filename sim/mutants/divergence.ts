/** Known bugs of replicas that drift apart, and of the alarm that tells of it. */
import type { Mutant } from './mutant.ts';

export const DIVERGENCE_MUTANTS: readonly Mutant[] = [
  {
    name: 'deleted-only-where-asked',
    what: 'a delete is left out on replicas of which nobody wants the answer',
    file: 'src/kv/state_machine.ts',
    find: '      for (const key of write.keys) keys.delete(write.bucket, key);\n',
    replace: '      for (const key of counted === null ? [] : write.keys) keys.delete(write.bucket, key);\n',
  },
  {
    name: 'counted-only-where-asked',
    what: 'a counter goes on by one less on replicas of which nobody wants the answer',
    file: 'src/kv/state_machine.ts',
    find: '    const answer = this.#write(write);\n',
    replace:
      "    const answer = this.#write(result !== 'wanted' && write.type === 'add' ? { ...write, by: write.by - 1n } : write);\n",
  },
  {
    name: 'another-window-compared',
    what: "a window's digest is compared with that of another window",
    file: 'src/replica/state_comparison.ts',
    find: 'digests.windows.find(({ index }) => index === own.index);',
    replace: 'digests.windows.find(({ index }) => index >= own.index);',
  },
  {
    name: 'window-begun-in-its-middle',
    what: 'a process that starts in the middle of a window has a digest of its rest',
    file: 'src/kv/state_digest.ts',
    find: '    this.#isWhole = this.#isActive && behind === 0;\n',
    replace: '    this.#isWhole = this.#isActive && behind >= 0;\n',
  },
  {
    name: 'half-an-entry-digested',
    what: 'what an entry had written before it was taken back is part of the digest',
    file: 'src/kv/state_digest.ts',
    find: '  abandonEntry(): void {\n    this.#isWhole = false;\n',
    replace: '  abandonEntry(): void {\n    this.#lastIndex--;\n',
  },
  {
    name: 'odd-by-one-vote',
    what: 'a replica takes itself for the odd one as soon as one other has done something else',
    file: 'src/replica/digest_poll.ts',
    find: 'isQuorum(configuration, (id) => this.#digestOf(id) === digest)',
    replace: 'configuration.voters.some((id) => this.#digestOf(id) === digest)',
  },
  {
    name: 'odd-state-shown',
    what: 'a replica that knows itself to be the odd one goes on answering from its own state',
    file: 'src/replica/state_care.ts',
    find: 'if (!this.mender.mustRebuild) return null;',
    replace: 'if (!this.mender.mustRebuild || this.repair.isOdd) return null;',
  },
  {
    name: 'odd-one-forgotten',
    what: 'a process that starts anew does not look whether the one before it was the odd one',
    file: 'src/replica/divergence_repair.ts',
    find: '    if (!disk.exists(this.#path)) return;\n    if (isAlone) {',
    replace: '    if (!disk.exists(this.#path) || !isAlone) return;\n    if (isAlone) {',
  },
];
