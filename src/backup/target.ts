/**
 * The directory that a copy of a store comes to be in. It is made under another name, `NAME.partial`, made durable as a
 * whole, and only then given its own: whatever crashes, under the name there is nothing or all. What a crash has left of
 * an earlier attempt is removed by the next one.
 */
import { assert } from '../base/assert.ts';
import { DiskError, EnvelopeError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Disk } from '../io/disk.ts';
import { DIRECTORIES, isDirectory, LIST, parentOf, storeFiles, withoutSlash } from './paths.ts';
import type { Steps } from './steps.ts';

export class Target {
  /** Where it is made. */
  readonly partial: string;
  readonly path: string;
  readonly #disk: Disk;
  #state: 'new' | 'begun' | 'named' = 'new';

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.path = withoutSlash(path);
    this.partial = `${this.path}.partial`;
  }

  /** @throws EnvelopeError `EXISTS` when there is something under the name already; DiskError */
  assertFree(): void {
    const { path } = this;
    if (!this.#disk.exists(path)) return;
    if (!isDirectory(this.#disk, path)) throw new EnvelopeError('EXISTS', `${path} is a file`);
    const [first] = this.#disk.list(path);
    if (first !== undefined) {
      throw new EnvelopeError('EXISTS', `${path} is not empty: ${first} is in it; name a new directory`);
    }
  }

  /** Makes the directories. @throws EnvelopeError `EXISTS`, DiskError */
  begin(): void {
    this.assertFree();
    const disk = this.#disk;
    if (disk.exists(this.partial)) {
      rarely('what an earlier copy has left is removed');
      this.#clear();
    }
    this.#state = 'begun';
    for (const name of DIRECTORIES) disk.makeDirectory(`${this.partial}/${name}`);
  }

  /** All files in it are whole and synced: makes their names durable, and then the directory itself. */
  *commit(): Steps<void> {
    assert(this.#state === 'begun', 'a copy is made before it is named', { path: this.path });
    const disk = this.#disk;
    for (const name of DIRECTORIES) {
      const directory = `${this.partial}/${name}`;
      yield (done) => disk.syncDirectory(directory, done);
    }
    yield (done) => disk.syncDirectory(this.partial, done);
    disk.renameDirectory(this.partial, this.path);
    this.#state = 'named';
    yield (done) => disk.syncDirectory(parentOf(this.path), done);
  }

  /** Removes what was made, unless it has got its name. What cannot be removed the next attempt removes. */
  discard(): void {
    if (this.#state !== 'begun') return;
    try {
      this.#clear();
      for (const name of DIRECTORIES) this.#disk.removeDirectory(`${this.partial}/${name}`);
      // Unless somebody has it locked; then it is theirs to remove.
      if (this.#disk.list(this.partial).length === 0) this.#disk.removeDirectory(this.partial);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  /** @throws EnvelopeError `EXISTS` when there is something else than such a copy in it: it is not ours to remove. */
  #clear(): void {
    const { files, unknown } = storeFiles(this.#disk, this.partial);
    if (unknown.length > 0) {
      const what = `${unknown[0]} is in it, which no copy of a store has left there`;
      throw new EnvelopeError('EXISTS', `${this.partial} is in the way: ${what}`);
    }
    const passing = DIRECTORIES.flatMap((name) => {
      const directory = `${this.partial}/${name}`;
      if (!this.#disk.exists(directory)) return [];
      return this.#disk.list(directory).map((inner) => `${name}/${inner}`);
    });
    const list = this.#disk.exists(`${this.partial}/${LIST}`) ? [LIST] : [];
    for (const name of new Set([...files, ...passing, ...list])) this.#disk.remove(`${this.partial}/${name}`);
  }
}
