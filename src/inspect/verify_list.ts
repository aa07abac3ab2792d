/** What a backup lacks of the files on its list: the end of its log, or its last segment, no other checksum tells of. */
import { type FileList, readList } from '../backup/file_list.ts';
import { LIST } from '../backup/paths.ts';
import { CorruptionError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Disk } from '../io/disk.ts';
import { readAround } from './read_around.ts';

const CURRENT = 'tables/CURRENT';

/**
 * Files that are missing, or not as long as on the list. None of a directory that has been opened as a store since: that
 * renews the manifest, and with it `CURRENT`, and the list tells of files that need not be there any more.
 * @throws DiskError; nothing where there is no list that can be read, which is another's to tell.
 */
export function lackingOf(disk: Disk, directory: string): CorruptionError[] {
  const list = listOf(disk, directory);
  if (list === null || !isUntouched(disk, directory, list)) return [];
  const lacking: CorruptionError[] = [];
  for (const [name, { bytes }] of list) {
    const path = `${directory}/${name}`;
    if (!disk.exists(path)) {
      lacking.push(new CorruptionError(path, 0, `it is missing, and on the list of the backup (${LIST})`));
      continue;
    }
    const file = disk.open(path);
    const { size } = file;
    file.close();
    if (size === bytes) continue;
    const what = `it has ${size} bytes, and ${bytes} on the list of the backup (${LIST})`;
    lacking.push(new CorruptionError(path, Math.min(size, bytes), what));
  }
  return lacking;
}

function listOf(disk: Disk, directory: string): FileList | null {
  try {
    return readList(disk, directory);
  } catch (error) {
    if (error instanceof CorruptionError) return null;
    throw error;
  }
}

function isUntouched(disk: Disk, directory: string, list: FileList): boolean {
  const listed = list.get(CURRENT);
  const path = `${directory}/${CURRENT}`;
  if (listed === undefined || !disk.exists(path)) return false;
  const file = disk.open(path);
  try {
    if (file.size !== listed.bytes || file.size === 0) return false;
    return crc32(readAround(file, 0, file.size)) >>> 0 === listed.checksum;
  } finally {
    file.close();
  }
}
