import { NodeDisk } from '../../src/io/node/disk.ts';
import { describeDisk } from './disk_compliance.ts';
import { makeRoot, settle } from './node_harness.ts';

for (const reads of ['mmap', 'pread', 'auto'] as const) {
  describeDisk(`the real disk, reads by ${reads},`, () => ({
    disk: new NodeDisk({ reads }),
    ...makeRoot(),
    settle,
  }));
}
