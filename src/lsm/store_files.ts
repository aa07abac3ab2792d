/**
 * The files of a store, and how it is opened.
 *
 * `CURRENT` names the manifest in force (`manifest-N`), tables are `table-N`. At each open a fresh manifest with the
 * whole state is written, synced and made current by renaming a new `CURRENT` over the old; only then are files that
 * the state does not know removed: what a crash left of flushes and merges, and older manifests.
 */
import { CorruptionError, type Outcome } from '../base/errors.ts';
import { fromUtf8, utf8 } from '../codec/bytes.ts';
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
    // The first manifest is current before the first table is written.
    const table = disk.list(directory).find((name) => name.startsWith('table-'));
    if (table !== undefined) throw new CorruptionError(path, 0, `it is missing beside ${table}`);
    return EMPTY_STATE;
  }
  const manifest = readCurrent(readWhole(disk, path), path);
  const manifestPath = `${directory}/${manifest}`;
  if (!disk.exists(manifestPath))
    throw new CorruptionError(manifestPath, 0, 'the current manifest is missing');
  return readManifest(readWhole(disk, manifestPath), manifestPath);
}

/** Makes a fresh manifest current, then removes what `state` does not know. */
export function renewManifest(
  disk: Disk,
  directory: string,
  state: ManifestState,
  done: (outcome: Outcome<OpenedFiles>) => void,
): void {
  const fail = (error: unknown): void => {
    done({ ok: false, error: error instanceof Error ? error : new Error(String(error)) });
  };
  const attempt = (task: () => void): void => {
    try {
      task();
    } catch (error) {
      fail(error);
    }
  };
  const next = (task: () => void) => (error: Error | null) => (error === null ? attempt(task) : fail(error));
  attempt(() => {
    // Not the number of a manifest that is still there: until it is replaced the old one is in force.
    const number = Math.max(state.nextFile, highestFile(disk.list(directory)) + 1);
    const renewed = { ...state, nextFile: number + 1 };
    const name = `manifest-${number}`;
    const manifest = new ManifestWriter(disk.create(`${directory}/${name}`));
    manifest.append(
      { flushedIndex: state.flushedIndex, nextFile: renewed.nextFile, added: state.tables, removed: [] },
      next(() => {
        const path = `${directory}/${NEW_CURRENT}`;
        if (disk.exists(path)) disk.remove(path);
        const current = disk.create(path);
        current.append(encodeCurrent(name));
        current.sync(
          next(() => {
            current.close();
            // The manifest's own name must be durable before anything points at it.
            disk.syncDirectory(
              directory,
              next(() => {
                disk.rename(path, `${directory}/${CURRENT}`);
                disk.syncDirectory(
                  directory,
                  next(() => {
                    removeOrphans(disk, directory, renewed, name);
                    done({ ok: true, value: { state: renewed, manifest } });
                  }),
                );
              }),
            );
          }),
        );
      }),
    );
  });
}

function removeOrphans(disk: Disk, directory: string, state: ManifestState, manifest: string): void {
  const known = new Set([CURRENT, manifest, ...state.tables.map((number) => `table-${number}`)]);
  for (const name of disk.list(directory)) {
    if (!known.has(name) && /^(table-|manifest-|CURRENT\.)/.test(name)) disk.remove(`${directory}/${name}`);
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
function encodeCurrent(manifest: string): Uint8Array {
  return utf8(`${manifest} ${crc32(utf8(manifest)).toString(16).padStart(8, '0')}\n`);
}

function readCurrent(bytes: Uint8Array, path: string): string {
  const text = fromUtf8(bytes);
  const name = /^(manifest-\d+) [0-9a-f]{8}\n$/.exec(text)?.[1];
  if (name === undefined || fromUtf8(encodeCurrent(name)) !== text) {
    throw new CorruptionError(path, 0, 'it does not name a manifest');
  }
  return name;
}

function readWhole(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path);
  try {
    return file.view(0, file.size).slice();
  } finally {
    file.close();
  }
}
