/**
 * The names of a simulated disk: which file each name of each directory means now, and which it means after a crash.
 *
 * A change of names is an operation: one name set (create), one unset (remove), or both (rename). It is pending until a
 * sync of its directory lands that was started after it. At a crash each pending operation is kept or lost by itself,
 * in the order in which they were made; a rename that is torn leaves the file under both names, never under none.
 * Landing an operation settles the names it touches: older operations on them that are still pending are dropped.
 *
 * Directories themselves are durable at once when they are made, and gone for good when they are removed: the seam promises
 * nothing about them. Giving one another name is an operation as those on files are, and undone by a crash that loses it.
 */
import type { SimRandom } from '../random.ts';
import { type CrashShape, drawFates } from './crash_model.ts';
import type { SimFile } from './file.ts';

/** Where a name is and what it means after the operation; null: nothing. */
interface NameChange {
  readonly directory: Directory;
  readonly name: string;
  readonly file: SimFile | null;
}

interface NameOperation {
  /** Position among all operations of the disk. */
  readonly order: number;
  readonly changes: readonly NameChange[];
  /** A sync that covered it has failed: no later one does. */
  isForgotten: boolean;
}

/** One directory that was given another name. */
interface DirectoryRename {
  readonly order: number;
  /** The one that both names are in. */
  readonly parent: Directory;
  readonly from: string;
  readonly to: string;
  isForgotten: boolean;
}

export interface Directory {
  path: string;
  readonly files: Map<string, SimFile>;
  readonly durableFiles: Map<string, SimFile>;
  readonly subdirectories: Set<string>;
}

/** A path taken apart. */
export interface Place {
  readonly directory: Directory;
  readonly name: string;
}

export class SimNamespace {
  #directories = new Map<string, Directory>();
  #pending: NameOperation[] = [];
  /** In the order in which they were made; those that a sync has covered are not among them any more. */
  #renames: DirectoryRename[] = [];
  #operations = 0;

  constructor() {
    this.#directories.set('', makeDirectory(''));
  }

  /** The directory, or null. */
  directory(path: string): Directory | null {
    return this.#directories.get(normalize(path)) ?? null;
  }

  makeDirectory(path: string): void {
    let parent = this.#directories.get('');
    let whole = '';
    for (const part of normalize(path).split('/')) {
      if (part === '' || parent === undefined) continue;
      whole += `/${part}`;
      parent.subdirectories.add(part);
      let directory = this.#directories.get(whole);
      if (directory === undefined) {
        directory = makeDirectory(whole);
        this.#directories.set(whole, directory);
      }
      parent = directory;
    }
  }

  /** The place that a path means, or null when its directory is missing. The name need not exist. */
  locate(path: string): Place | null {
    const whole = normalize(path);
    const slash = whole.lastIndexOf('/');
    const directory = this.#directories.get(whole.slice(0, Math.max(slash, 0)));
    return directory === undefined ? null : { directory, name: whole.slice(slash + 1) };
  }

  file(path: string): SimFile | null {
    const place = this.locate(path);
    return place?.directory.files.get(place.name) ?? null;
  }

  set(place: Place, file: SimFile): void {
    this.#change([{ ...place, file }]);
  }

  unset(place: Place): void {
    this.#change([{ ...place, file: null }]);
  }

  rename(from: Place, to: Place, file: SimFile): void {
    this.#change([
      { ...to, file },
      { ...from, file: null },
    ]);
  }

  /** Both places are in one directory; what `to` names is a directory that does not exist. */
  renameDirectory(from: Place, to: Place): void {
    const parent = from.directory;
    this.#renames.push({
      order: this.#operations++,
      parent,
      from: from.name,
      to: to.name,
      isForgotten: false,
    });
    this.#moveDirectory(parent, from.name, to.name);
  }

  /** It is empty. What it held before a crash that has not come yet does not come back. */
  removeDirectory({ directory, name }: Place): void {
    directory.subdirectories.delete(name);
    this.#directories.delete(`${directory.path}/${name}`);
  }

  #moveDirectory(parent: Directory, from: string, to: string): void {
    const old = `${parent.path}/${from}`;
    parent.subdirectories.delete(from);
    parent.subdirectories.add(to);
    const moved = new Map<string, Directory>();
    for (const [path, directory] of this.#directories) {
      if (path === old || path.startsWith(`${old}/`)) {
        directory.path = `${parent.path}/${to}${path.slice(old.length)}`;
      }
      moved.set(directory.path, directory);
    }
    this.#directories = moved;
  }

  /** The name means nothing any more, durably, as if it had never been given. */
  lose({ directory, name }: Place): void {
    directory.files.delete(name);
    directory.durableFiles.delete(name);
    this.#pending = this.#pending.filter(
      ({ changes }) => !changes.some((change) => change.directory === directory && change.name === name),
    );
  }

  /** Nothing is left but the root. */
  wipe(): void {
    this.#directories.clear();
    this.#directories.set('', makeDirectory(''));
    this.#pending = [];
    this.#renames = [];
  }

  /** What a sync started now covers: pass it to `land` or `failSync`. */
  startSync(): number {
    return this.#operations;
  }

  /** A sync of the directory, started when `before` was the mark, has succeeded. */
  land(directory: Directory, before: number): void {
    const landed: NameOperation[] = [];
    const rest: NameOperation[] = [];
    for (const operation of this.#pending) {
      const isCovered = !operation.isForgotten && operation.order < before && touches(operation, directory);
      (isCovered ? landed : rest).push(operation);
    }
    for (const operation of landed) apply(operation.changes, 'durable');
    this.#renames = this.#renames.filter(
      ({ parent, order, isForgotten }) => parent !== directory || order >= before || isForgotten,
    );
    this.#pending = rest.filter((operation) => !landed.some((later) => settles(later, operation)));
  }

  failSync(directory: Directory, before: number): void {
    for (const operation of this.#pending) {
      if (operation.order < before && touches(operation, directory)) operation.isForgotten = true;
    }
    for (const rename of this.#renames) {
      if (rename.order < before && rename.parent === directory) rename.isForgotten = true;
    }
  }

  /** Names become what a crash may leave. */
  crash(shape: CrashShape, random: SimRandom): void {
    const fates = drawFates(this.#pending.length, shape, random);
    for (let i = 0; i < this.#pending.length; i++) {
      const { changes } = this.#pending[i];
      if (fates[i] === 'kept') apply(changes, 'durable');
      // Half of a rename: the new name is there and the old one not gone yet.
      else if (fates[i] === 'torn' && changes.length > 1) apply(changes.slice(0, 1), 'durable');
    }
    this.#pending = [];
    if (this.#renames.length > 0) this.#crashDirectories(shape, random);
    for (const { files, durableFiles } of this.#directories.values()) {
      files.clear();
      for (const [name, file] of durableFiles) files.set(name, file);
    }
  }

  /** Of renames one after the other a crash keeps the first ones: the later name is never there without the earlier. */
  #crashDirectories(shape: CrashShape, random: SimRandom): void {
    const fates = drawFates(this.#renames.length, shape, random);
    const firstLost = fates.indexOf('lost');
    const lost = firstLost < 0 ? [] : this.#renames.slice(firstLost);
    for (const { parent, from, to } of lost.reverse()) this.#moveDirectory(parent, to, from);
    this.#renames = [];
  }

  /** Every path and its file, by directory in order of making, then by name. */
  *entries(): Generator<[string, SimFile]> {
    for (const { path, files } of this.#directories.values()) {
      for (const name of [...files.keys()].sort()) {
        const file = files.get(name);
        if (file !== undefined) yield [`${path}/${name}`, file];
      }
    }
  }

  /** As `entries`, after the worst crash. */
  *durableEntries(): Generator<[string, SimFile]> {
    for (const { path, durableFiles } of this.#directories.values()) {
      const durablePath = this.#durablePath(path);
      for (const [name, file] of durableFiles) yield [`${durablePath}/${name}`, file];
    }
  }

  /** Paths of all directories, parents first, after the worst crash. */
  durableDirectories(): string[] {
    return [...this.#directories.keys()].map((path) => this.#durablePath(path));
  }

  #durablePath(path: string): string {
    let before = path;
    for (const { parent, from, to } of [...this.#renames].reverse()) {
      const moved = `${parent.path}/${to}`;
      if (before === moved || before.startsWith(`${moved}/`)) {
        before = `${parent.path}/${from}${before.slice(moved.length)}`;
      }
    }
    return before;
  }

  #change(changes: readonly NameChange[]): void {
    apply(changes, 'current');
    this.#pending.push({ order: this.#operations++, changes, isForgotten: false });
  }
}

/** Names of files and directories in it, sorted by code unit. */
export function namesIn(directory: Directory): string[] {
  return [...directory.files.keys(), ...directory.subdirectories].sort();
}

function makeDirectory(path: string): Directory {
  return { path, files: new Map(), durableFiles: new Map(), subdirectories: new Set() };
}

function apply(changes: readonly NameChange[], image: 'current' | 'durable'): void {
  for (const { directory, name, file } of changes) {
    const files = image === 'current' ? directory.files : directory.durableFiles;
    if (file === null) files.delete(name);
    else files.set(name, file);
  }
}

function touches(operation: NameOperation, directory: Directory): boolean {
  return operation.changes.some((change) => change.directory === directory);
}

/** True when `later` decides what a name means that `earlier` also changes. */
function settles(later: NameOperation, earlier: NameOperation): boolean {
  if (later.order < earlier.order) return false;
  return later.changes.some((a) =>
    earlier.changes.some((b) => a.directory === b.directory && a.name === b.name),
  );
}

/** `/a/b` for `a/b`, `./a//b/` and the like; '' for the root. */
function normalize(path: string): string {
  // Nearly every path is in this form already.
  if (path.startsWith('/') && !path.endsWith('/') && !path.includes('//') && !path.includes('/.'))
    return path;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.map((part) => `/${part}`).join('');
}
