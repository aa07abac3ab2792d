/**
 * The files of a store, and how it is opened.
 *
 * `CURRENT` names the manifest in force (`manifest-N`), tables are `table-N`. At each open a fresh manifest with the
 * whole state is written, synced and made current by renaming a new `CURRENT` over the old; only then are files that
 * the state does not know removed: what a crash left of flushes and merges, and older manifests.
 */

import { CorruptionError, type Outcome, toError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Disk } from '../io/disk.ts';
import { type ManifestState, ManifestWriter, readManifest } from './manifest.ts';

const CURRENT = 'CURRENT';
const NEW_CURRENT = 'CURRENT.new';
const EMPTY_STATE: ManifestState = { flushedIndex: 0, nextFile: 1, tables: [] };

export interface OpenedFiles {
  readonly state: ManifestState;
  readonly manifest: ManifestWriter;
}

export function tablePath(directory: string, number: number): string {
  return `${directory}/table-${number}`;
}

/** Reads the state, without changing anything. @throws CorruptionError, DiskError */
export function readState(disk: Disk, directory: string): ManifestState {
  const path = `${directory}/${CURRENT}`;
  if (!disk.exists(path)) {
    // The first manifest is current before the first table is written, and before anything is in it.
    const witness = disk.list(directory).find((name) => isOfUsedStore(disk, directory, name));
    if (witness !== undefined) throw new CorruptionError(path, 0, `it is missing beside ${witness}`);
    return EMPTY_STATE;
  }
  const number = readCurrent(readWhole(disk, path), path);
  const manifestPath = `${directory}/manifest-${number}`;
  if (!disk.exists(manifestPath))
    throw new CorruptionError(manifestPath, 0, 'the current manifest is missing');
  return readManifest(readWhole(disk, manifestPath), manifestPath, number);
}

/** An edit that says that there is nothing, and a seal. */
const EMPTY_MANIFEST_BYTES_MAX = 32;

/** Whether there would be no such file in a store whose creation was cut off. */
function isOfUsedStore(disk: Disk, directory: string, name: string): boolean {
  if (name.startsWith('table-')) return true;
  const number = /^manifest-(\d+)$/.exec(name)?.[1];
  if (number === undefined) return false;
  const path = `${directory}/${name}`;
  const bytes = readWhole(disk, path);
  try {
    const { flushedIndex, tables } = readManifest(bytes, path, Number(number));
    return flushedIndex > 0 || tables.length > 0;
  } catch (error) {
    if (error instanceof CorruptionError) return bytes.length > EMPTY_MANIFEST_BYTES_MAX;
    throw error;
  }
}

/**
 * Makes a fresh manifest current, then removes what `state` does not know. A crash, or an error, at any step leaves the
 * old state or the new one, which are the same but for the manifest's name.
 */
export function renewManifest(
  disk: Disk,
  directory: string,
  state: ManifestState,
  done: (outcome: Outcome<OpenedFiles>) => void,
): void {
  new ManifestRenewal(disk, directory, state, done).start();
}

class ManifestRenewal {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #state: ManifestState;
  readonly #done: (outcome: Outcome<OpenedFiles>) => void;
  readonly #number: number;
  #manifest: ManifestWriter | null = null;
  #failed = false;

  constructor(
    disk: Disk,
    directory: string,
    before: ManifestState,
    done: (outcome: Outcome<OpenedFiles>) => void,
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#done = done;
    // No number that a file has, or had before a crash undid its removal.
    this.#number = Math.max(before.nextFile, highestFile(disk.list(directory)) + 1);
    this.#state = { ...before, nextFile: this.#number + 1 };
  }

  start(): void {
    this.#attempt(() => {
      const { flushedIndex, nextFile, tables } = this.#state;
      const file = this.#disk.create(`${this.#directory}/manifest-${this.#number}`);
      this.#manifest = new ManifestWriter(file, this.#number);
      this.#manifest.append(
        { flushedIndex, nextFile, added: tables, removed: [] },
        this.#then(() => this.#writeCurrent()),
      );
    });
  }

  #writeCurrent(): void {
    const path = `${this.#directory}/${NEW_CURRENT}`;
    if (this.#disk.exists(path)) this.#disk.remove(path);
    const file = this.#disk.create(path);
    try {
      file.append(encodeCurrent(this.#number));
      file.sync(
        this.#then(() => {
          // The manifest's own name must be durable before anything points at it.
          this.#disk.syncDirectory(
            this.#directory,
            this.#then(() => this.#renameCurrent(path)),
          );
        }),
      );
    } finally {
      // A sync under way still calls back.
      file.close();
    }
  }

  #renameCurrent(path: string): void {
    this.#disk.rename(path, `${this.#directory}/${CURRENT}`);
    this.#disk.syncDirectory(this.#directory, (error) => this.#onCurrent(error));
  }

  #onCurrent(error: Error | null): void {
    if (error === null)
      this.#attempt(() => removeOrphans(this.#disk, this.#directory, this.#state, this.#number));
    else this.#fail(error);
    // Outside of `#attempt`: what the receiver throws is its own.
    const manifest = this.#manifest;
    if (!this.#failed && manifest !== null) this.#done({ ok: true, value: { state: this.#state, manifest } });
  }

  /** The callback of a step: goes on with the next, or ends with the error. */
  #then(step: () => void): (error: Error | null) => void {
    return (error) => {
      if (error === null) this.#attempt(step);
      else this.#fail(error);
    };
  }

  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(toError(error));
    }
  }

  #fail(error: Error): void {
    this.#failed = true;
    this.#manifest?.close();
    this.#done({ ok: false, error });
  }
}

function removeOrphans(disk: Disk, directory: string, state: ManifestState, manifest: number): void {
  const known = new Set([
    CURRENT,
    `manifest-${manifest}`,
    ...state.tables.map(({ number }) => `table-${number}`),
  ]);
  for (const name of disk.list(directory)) {
    if (!known.has(name) && /^(table-|manifest-|CURRENT\.)/.test(name)) {
      if (name.startsWith('table-')) sometimes('a table that a crash left over is removed');
      disk.remove(`${directory}/${name}`);
    }
  }
}

function highestFile(names: readonly string[]): number {
  let highest = 0;
  for (const name of names) {
    const number = Number(/^(?:table|manifest)-(\d+)$/.exec(name)?.[1] ?? 0);
    highest = Math.max(highest, number);
  }
  return highest;
}

/** The manifest's name, a space, the CRC of the name in hexadecimal, LF. */
function encodeCurrent(manifest: number): Uint8Array {
  const name = `manifest-${manifest}`;
  return utf8(`${name} ${crc32(utf8(name)).toString(16).padStart(8, '0')}\n`);
}

/** The number of the manifest in force, by what `CURRENT` holds. @throws CorruptionError */
export function readCurrent(bytes: Uint8Array, path: string): number {
  const number = Number(/^manifest-(\d+) /.exec(fromUtf8(bytes))?.[1] ?? -1);
  if (number < 0 || !equalBytes(encodeCurrent(number), bytes)) {
    throw new CorruptionError(path, 0, 'it does not name a manifest');
  }
  return number;
}

function readWhole(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path);
  try {
    return file.view(0, file.size).slice();
  } finally {
    file.close();
  }
}
