/**
 * Copies the directory of a store that nobody has open, file by file, and checks the copy: all that `verify` looks at, and,
 * where there is a list of the files, each byte against that. Backups are made and restored by it.
 */

import { type CopiedFile, copyFile } from '../backup/file_copy.ts';
import { type FileList, readList, writeList } from '../backup/file_list.ts';
import { storeFiles } from '../backup/paths.ts';
import type { Steps } from '../backup/steps.ts';
import type { Target } from '../backup/target.ts';
import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import { isStore, verify } from './verify.ts';

export interface StoreCopyOptions {
  /** `backup`: the copy gets a list of its files. `restore`: if there is one, what is copied must be what it says. */
  readonly purpose: 'backup' | 'restore';
  /** Those that the tables may be compressed with: of one with another only blocks are checked, not records. */
  readonly compressions: readonly Compression[];
  /** Bytes copied or checked so far, and of how many. */
  readonly onProgress: (what: 'copying' | 'checking', bytes: number, of: number) => void;
}

export interface StoreCopy {
  readonly files: number;
  readonly bytes: number;
  readonly tables: number;
  readonly logRecords: number;
  /** Of what was copied. */
  readonly hasList: boolean;
  /** It is that of a node: it has a term and a vote. */
  readonly isNode: boolean;
  /** What does not belong to a store, and was not copied. */
  readonly unknown: readonly string[];
}

/**
 * Fills the target and gives it its name; or throws, and leaves nothing.
 * @throws EnvelopeError `USAGE`, `EXISTS`; CorruptionError that names the damaged file of the original; DiskError
 */
export function* copyStore(
  disk: Disk,
  directory: string,
  target: Target,
  options: StoreCopyOptions,
): Steps<StoreCopy> {
  if (!isStore(disk, directory)) throw new EnvelopeError('USAGE', `${directory} holds no store`);
  try {
    target.begin();
    const copy = yield* fill(disk, directory, target, options);
    yield* target.commit();
    return copy;
  } catch (error) {
    target.discard();
    throw error;
  }
}

function* fill(
  disk: Disk,
  directory: string,
  target: Target,
  { purpose, compressions, onProgress }: StoreCopyOptions,
): Steps<StoreCopy> {
  const { files, unknown } = storeFiles(disk, directory);
  const known = purpose === 'restore' ? readList(disk, directory) : null;
  if (known !== null) assertNames(known, files, directory);
  let totalBytes = 0;
  for (const name of files) {
    const file = disk.open(`${directory}/${name}`);
    totalBytes += file.size;
    file.close();
  }
  const list = new Map<string, CopiedFile>();
  let bytes = 0;
  for (const name of files) {
    const path = `${directory}/${name}`;
    const copied = yield* copyFile(disk, path, `${target.partial}/${name}`, (more) => {
      bytes += more;
      onProgress('copying', bytes, totalBytes);
    });
    const expected = known?.get(name);
    if (expected !== undefined && !isSame(expected, copied)) {
      throw new CorruptionError(path, 0, 'it is not what was backed up');
    }
    list.set(name, copied);
  }
  // Read back: what is checked is what will be there.
  const found = verify(disk, target.partial, {
    compressions,
    onProgress: (checked, of) => onProgress('checking', checked, of),
  });
  const [damage] = found.damage;
  if (damage !== undefined) {
    const path = `${directory}${damage.path.slice(target.partial.length)}`;
    const others = found.damage.length === 1 ? '' : `; ${found.damage.length} places are damaged in all`;
    throw new CorruptionError(path, damage.offset, `${damage.what}${others}`);
  }
  if (purpose === 'backup') yield* writeList(disk, target.partial, list);
  return {
    files: files.length,
    bytes: totalBytes,
    tables: found.tables,
    logRecords: found.logRecords,
    hasList: known !== null,
    isNode: files.includes('vote-a') || files.includes('vote-b'),
    unknown,
  };
}

/** @throws CorruptionError */
function assertNames(list: FileList, files: readonly string[], directory: string): void {
  const there = new Set(files);
  for (const name of list.keys()) {
    if (!there.has(name))
      throw new CorruptionError(`${directory}/${name}`, 0, 'a file of the backup is missing');
  }
  for (const name of files) {
    if (list.has(name)) continue;
    const what = 'it is not in the list of the backup: somebody has opened the backup, or added to it';
    throw new CorruptionError(`${directory}/${name}`, 0, what);
  }
}

function isSame(a: CopiedFile, b: CopiedFile): boolean {
  return a.bytes === b.bytes && a.checksum === b.checksum;
}
