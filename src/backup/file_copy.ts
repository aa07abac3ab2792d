/** Copies files, a piece in each turn of the event loop. */
import { crc32 } from '../codec/crc32.ts';
import type { Disk, ReadFile } from '../io/disk.ts';
import type { Steps } from './steps.ts';

const PIECE_BYTES = 256 * 1024;

export interface CopiedFile {
  readonly bytes: number;
  /** CRC-32 of all of them. */
  readonly checksum: number;
}

/**
 * The copy is synced when the task has ended; its name needs the sync of its directory.
 * @param onBytes Told how many more there are.
 * @throws DiskError
 */
export function* copyFile(
  disk: Disk,
  from: string,
  to: string,
  onBytes: (bytes: number) => void,
): Steps<CopiedFile> {
  const source = disk.open(from);
  try {
    const target = disk.create(to);
    try {
      const pieces = piecesOf(source, (piece) => {
        target.append(piece);
        onBytes(piece.length);
      });
      const checksum = yield* pieces;
      yield (done) => target.sync(done);
      return { bytes: source.size, checksum };
    } finally {
      target.close();
    }
  } finally {
    source.close();
  }
}

/** Reads a file as it is on the disk now. @throws DiskError */
export function* checksumOf(
  disk: Disk,
  path: string,
  onBytes: (bytes: number) => void = () => {},
): Steps<CopiedFile> {
  const file = disk.open(path);
  try {
    return { bytes: file.size, checksum: yield* piecesOf(file, (piece) => onBytes(piece.length)) };
  } finally {
    file.close();
  }
}

/** Shows a file piece by piece; the checksum of all. */
function* piecesOf(file: ReadFile, use: (piece: Uint8Array) => void): Steps<number> {
  let checksum = 0;
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    const piece = file.view(at, Math.min(PIECE_BYTES, file.size - at));
    checksum = crc32(piece, checksum);
    use(piece);
    yield null;
  }
  return checksum;
}
