/**
 * The file `BACKUP` of a copy: which files it has, how long they are, and a checksum of each. What the store's own checksums
 * cannot tell shows by it: a file that is missing altogether, as the last segment of the log.
 *
 * Lines of text: `envelopedb backup 1`; of each file, sorted by name, its CRC-32 in hexadecimal, its length in bytes and its
 * name, with a space between; `end` and the CRC-32 of all lines before it, their line feeds included.
 */
import { CorruptionError } from '../base/errors.ts';
import { equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Disk } from '../io/disk.ts';
import type { CopiedFile } from './file_copy.ts';
import { LIST } from './paths.ts';
import type { Steps } from './steps.ts';

const HEAD = 'envelopedb backup 1';

/** By name relative to the directory. */
export type FileList = ReadonlyMap<string, CopiedFile>;

export function* writeList(disk: Disk, directory: string, files: FileList): Steps<void> {
  const file = disk.create(`${directory}/${LIST}`);
  try {
    file.append(encodeList(files));
    yield (done) => file.sync(done);
  } finally {
    file.close();
  }
}

/** Null: there is none. @throws CorruptionError, DiskError */
export function readList(disk: Disk, directory: string): FileList | null {
  const path = `${directory}/${LIST}`;
  if (!disk.exists(path)) return null;
  const file = disk.open(path);
  try {
    return decodeList(file.size === 0 ? new Uint8Array(0) : file.view(0, file.size), path);
  } finally {
    file.close();
  }
}

export function encodeList(files: FileList): Uint8Array {
  const names = [...files.keys()].sort();
  const lines = names.map((name) => {
    const { bytes = 0, checksum = 0 } = files.get(name) ?? {};
    return `${hex(checksum)} ${bytes} ${name}`;
  });
  const text = `${[HEAD, ...lines].join('\n')}\n`;
  return utf8(`${text}end ${hex(crc32(utf8(text)))}\n`);
}

/** @throws CorruptionError */
export function decodeList(bytes: Uint8Array, path: string): FileList {
  const files = new Map<string, CopiedFile>();
  for (const line of fromUtf8(bytes).split('\n')) {
    const [, checksum, length, name] = /^([0-9a-f]{8}) (\d{1,15}) ([\w./-]+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    files.set(name, { bytes: Number(length), checksum: Number.parseInt(checksum, 16) });
  }
  // Whatever is not as it would be written was not written.
  if (!equalBytes(encodeList(files), bytes)) {
    throw new CorruptionError(path, 0, 'it is not the list of files of a backup');
  }
  return files;
}

function hex(checksum: number): string {
  return (checksum >>> 0).toString(16).padStart(8, '0');
}
