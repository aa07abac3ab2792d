/**
 * Runs under a limit on the size of files (`ulimit -f`) and tells, as JSON, what the real disk makes of it.
 * Argument: an empty directory.
 */
import { statSync } from 'node:fs';
import { DiskError } from '../../src/base/errors.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';

const root = process.argv[2] ?? '';
const disk = new NodeDisk({ reads: 'pread' });
const path = `${root}/appended`;

const file = disk.create(path);
file.append(new Uint8Array(100_000));
const append = {
  errno: errnoOf(() => file.append(new Uint8Array(5_000_000))),
  position: file.position,
  size: file.size,
  sizeOnDisk: statSync(path).size,
};
file.close();

disk.preallocate(`${root}/zeros`, 5_000_000, (error) => {
  const preallocate = { errno: error?.errno, names: disk.list(root) };
  process.stdout.write(JSON.stringify({ append, preallocate }));
});

function errnoOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    if (error instanceof DiskError) return error.errno;
    throw error;
  }
  return 'none';
}
