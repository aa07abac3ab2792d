/** Names of a store's files, relative to its directory. */
import { DiskError } from '../base/errors.ts';
import type { Disk } from '../io/disk.ts';

/** In an order in which they are made. */
export const DIRECTORIES = ['log', 'tables'] as const;
/** Of a copy: what files it has, see `file_list.ts`. */
export const LIST = 'BACKUP';

const TOP = /^(vote-[ab]|snapshot|mend|odd|identity-\d+|(identity|founder)\.json|BACKUP)$/;
const WITHIN = { log: /^\d{6,}\.log$/, tables: /^(table-\d+|manifest-\d+|CURRENT)$/ } as const;
/** What a crash leaves of files that were being made, and who has the directory open. */
const PASSING = /^(LOCK.*|spare\.tmp|.*\.new)$/;

export interface StoreFiles {
  /** Those that make up the store, sorted; the list of a backup is not one of them. */
  readonly files: readonly string[];
  /** What was not expected there, files and directories. */
  readonly unknown: readonly string[];
}

/** @throws DiskError */
export function storeFiles(disk: Disk, directory: string): StoreFiles {
  const files: string[] = [];
  const unknown: string[] = [];
  for (const name of disk.list(directory)) {
    if (TOP.test(name)) {
      if (name !== LIST) files.push(name);
    } else if (name === 'log' || name === 'tables') {
      for (const inner of disk.list(`${directory}/${name}`)) {
        if (WITHIN[name].test(inner)) files.push(`${name}/${inner}`);
        else if (!PASSING.test(inner)) unknown.push(`${name}/${inner}`);
      }
    } else if (!PASSING.test(name)) unknown.push(name);
  }
  return { files: files.sort(), unknown };
}

/** The directory that a path is in: `.` for a path of one name. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : path.slice(0, slash);
}

/** Without the slashes at its end. */
export function withoutSlash(path: string): string {
  let end = path.length;
  while (end > 1 && path[end - 1] === '/') end--;
  return path.slice(0, end);
}

export function isDirectory(disk: Disk, path: string): boolean {
  if (!disk.exists(path)) return false;
  try {
    disk.open(path).close();
    return false;
  } catch (error) {
    if (error instanceof DiskError && error.errno === 'EISDIR') return true;
    throw error;
  }
}
