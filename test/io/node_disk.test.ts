import { execFile } from 'node:child_process';
import {
  closeSync,
  fdatasync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import { NodeAppendFile } from '../../src/io/node/append_file.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { canMap, MAPPED_BYTES_MAX, mapFile } from '../../src/io/node/mmap.ts';
import { describeDisk } from './disk_compliance.ts';
import { makeRoot, settle } from './node_harness.ts';

for (const reads of ['mmap', 'pread', 'auto', 'direct'] as const) {
  describe.skipIf(reads === 'mmap' && !canMap())(`reads by ${reads}:`, () => {
    describeDisk('the real disk', () => ({
      disk: new NodeDisk({ reads }),
      ...makeRoot(),
      settle,
    }));
  });
}

/** As many calls as koffi takes, each of which sleeps for a moment: the thread pool does nothing else until they end. */
function fillThreadPool(): { readonly sleep: Sleep; readonly ended: () => number; readonly calls: number } {
  const koffi = createRequire(import.meta.url)('koffi') as KoffiCalls;
  const sleep = koffi.load(null).func('int usleep(uint32)');
  let calls = 0;
  let ended = 0;
  const onEnd = (): void => {
    ended++;
  };
  try {
    for (;;) {
      sleep.async(2000, onEnd);
      calls++;
    }
  } catch {
    return { sleep, ended: () => ended, calls };
  }
}

interface Sleep {
  async(microseconds: number, done: () => void): void;
}

interface KoffiCalls {
  load(path: null): { func(declaration: string): Sleep };
}

let root: string;
let cleanup: () => void;

beforeEach(() => {
  ({ root, cleanup } = makeRoot());
});

afterEach(() => cleanup());

function caught(call: () => unknown): DiskError {
  try {
    call();
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  return expect.fail('no error was thrown');
}

describe('errors of the real disk', () => {
  const disk = new NodeDisk({ reads: 'auto' });

  it('say the operation, the path and the reason once', () => {
    const path = `${root}/missing`;
    expect(caught(() => disk.open(path, 'random')).message).toBe(
      `open ${path}: ENOENT: no such file or directory`,
    );
    expect(caught(() => disk.list(path)).operation).toBe('list');
    const { message, operation } = caught(() => disk.rename(path, `${root}/to`));
    expect(operation).toBe('rename');
    expect(message).toBe(`rename ${path}: ENOENT: to ${root}/to: no such file or directory`);
  });

  it.skipIf(process.platform !== 'linux')('leave the position where it was when the device is full', () => {
    const file = disk.openAppend('/dev/full', 0);
    const error = caught(() => file.append(Uint8Array.of(1, 2, 3)));
    expect([error.errno, error.operation, error.path]).toEqual(['ENOSPC', 'append', '/dev/full']);
    expect(file.position).toBe(0);
    file.close();
  });

  it.skipIf(process.platform === 'win32')(
    'come when only a part fits: of an append, with the position unmoved; of a preallocation, with no remains',
    async () => {
      // A limit on the size of files stands in for a full disk: the system writes what fits and then refuses.
      const script = fileURLToPath(new URL('limited_process.ts', import.meta.url));
      const { stdout } = await promisify(execFile)('sh', [
        '-c',
        'ulimit -f 2000 && exec "$0" --import "$1" "$2" "$3"',
        process.execPath,
        new URL('../../scripts/typescript.mjs', import.meta.url).href,
        script,
        root,
      ]);
      const told = JSON.parse(stdout);
      expect(told.append).toMatchObject({ errno: 'EFBIG', position: 100_000 });
      // The part that fitted is there, and counted.
      expect(told.append.size).toBeGreaterThan(500_000);
      expect(told.append.size).toBe(told.append.sizeOnDisk);
      expect(told.preallocate).toEqual({ errno: 'EFBIG', names: ['appended'] });
    },
  );
});

describe('syncing a real file', () => {
  type SyncDone = (error: NodeJS.ErrnoException | null) => void;

  /** A file whose syncs the test completes by hand. */
  function handSynced(): { file: NodeAppendFile; started: SyncDone[]; fd: number } {
    const fd = openSync(`${root}/file`, 'wx+');
    const started: SyncDone[] = [];
    const file = new NodeAppendFile(`${root}/file`, fd, 0, 0, (_fd, done) => started.push(done));
    return { file, started, fd };
  }

  function systemError(): NodeJS.ErrnoException {
    return Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', syscall: 'fdatasync' });
  }

  it('keeps one sync under way, and lets all that are asked for meanwhile share the next', () => {
    const { file, started } = handSynced();
    const answered: number[] = [];
    for (let i = 0; i < 4; i++) file.sync(() => answered.push(i));
    expect(started).toHaveLength(1);
    started[0]?.(null);
    // The second began when the first had ended, so it covers what was appended before it was asked for.
    expect([started.length, answered]).toEqual([2, [0]]);
    started[1]?.(null);
    expect([started.length, answered]).toEqual([2, [0, 1, 2, 3]]);
    file.close();
  });

  it('answers a failure to all that wait, and does not ask the device again', () => {
    const { file, started } = handSynced();
    const answers: (DiskError | null)[] = [];
    file.append(Uint8Array.of(1));
    for (let i = 0; i < 3; i++) file.sync((error) => answers.push(error));
    started[0]?.(systemError());
    expect(started).toHaveLength(1);
    expect(answers).toHaveLength(3);
    for (const error of answers) {
      expect(error).toBeInstanceOf(DiskError);
      expect(error?.message).toBe(`sync ${root}/file: EIO: i/o error`);
    }
    file.close();
  });

  it('remembers a failure: nothing is written or vouched for any more', async () => {
    const { file, started } = handSynced();
    file.append(Uint8Array.of(1));
    const answers: (DiskError | null)[] = [];
    file.sync((error) => answers.push(error));
    started[0]?.(systemError());
    const [failure] = answers;
    expect(caught(() => file.append(Uint8Array.of(2)))).toBe(failure);
    expect(caught(() => file.truncate(0))).toBe(failure);
    file.sync((error) => answers.push(error));
    expect(answers, 'the answer comes after the call has returned').toHaveLength(1);
    await settle(() => answers.length === 2);
    expect(answers[1]).toBe(failure);
    expect(started).toHaveLength(1);
    expect([...file.view(0, 1)]).toEqual([1]);
    file.close();
  });

  it('holds the descriptor of a closed file until its last sync has ended', () => {
    const { file, started, fd } = handSynced();
    file.sync(() => {});
    file.sync(() => {});
    file.close();
    started[0]?.(null);
    writeSync(fd, 'still open');
    started[1]?.(null);
    expect(() => writeSync(fd, 'closed')).toThrow(/EBADF/);
  });

  it('is of the real device when nothing stands in for it', async () => {
    const fd = openSync(`${root}/file`, 'wx+');
    let calls = 0;
    const file = new NodeAppendFile(`${root}/file`, fd, 0, 0, (descriptor, done) => {
      calls++;
      fdatasync(descriptor, done);
    });
    let answer: DiskError | null | undefined;
    file.sync((error) => {
      answer = error;
    });
    await settle(() => answer !== undefined);
    expect([answer, calls]).toEqual([null, 1]);
    file.close();
  });
});

// Only Linux tells what is open in a file.
describe.skipIf(process.platform !== 'linux' || !canMap())('removing a file', () => {
  const openPaths = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        // The one that the list was read through.
        return [];
      }
    });

  it('takes its name at once, and gives its space up behind the call', async () => {
    const disk = new NodeDisk({ reads: 'pread' });
    const path = `${root}/file`;
    const file = disk.create(path);
    file.append(new Uint8Array(1000));
    file.close();
    const { ended, calls } = fillThreadPool();
    disk.remove(path);
    expect(disk.exists(path)).toBe(false);
    expect(openPaths()).toContain(`${path} (deleted)`);
    const next = disk.create(path);
    expect(next.size).toBe(0);
    next.close();
    await settle(() => !openPaths().includes(`${path} (deleted)`));
    expect(disk.exists(path)).toBe(true);
    await settle(() => ended() === calls);
  });

  it('keeps few open of many that go at once', async () => {
    const disk = new NodeDisk({ reads: 'pread' });
    const paths = Array.from({ length: 200 }, (_none, n) => `${root}/${n}`);
    for (const path of paths) disk.create(path).close();
    const { ended, calls } = fillThreadPool();
    for (const path of paths) disk.remove(path);
    expect(readdirSync(root)).toEqual([]);
    const removed = (): number => openPaths().filter((path) => path.endsWith(' (deleted)')).length;
    expect(removed()).toBeGreaterThan(0);
    expect(removed()).toBeLessThanOrEqual(32);
    await settle(() => removed() === 0);
    await settle(() => ended() === calls);
  });

  it('leaves nothing open of what it could not remove', async () => {
    const disk = new NodeDisk({ reads: 'pread' });
    disk.makeDirectory(`${root}/directory`);
    expect(caught(() => disk.remove(`${root}/directory`)).operation).toBe('remove');
    expect(caught(() => disk.remove(`${root}/none`)).errno).toBe('ENOENT');
    await settle(() => !openPaths().includes(`${root}/directory`));
  });
});

describe.skipIf(!canMap())('mapping a file', () => {
  const disk = new NodeDisk({ reads: 'mmap' });

  // Only Linux tells of its mappings in a file.
  it.skipIf(process.platform !== 'linux')('gives all of it back behind a close', async () => {
    const path = `${root}/large`;
    const bytes = 9 * 1024 * 1024 + 5;
    write(path, new Uint8Array(bytes).fill(7));
    const mapped = (): number =>
      readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .filter((line) => line.endsWith('/large')).length;
    const files = [1, 2, 3].map(() => disk.open(path, 'random'));
    for (const file of files) expect(file.view(bytes - 1, 1)[0]).toBe(7);
    expect(mapped()).toBe(3);
    files[0].close();
    files[1].close();
    await settle(() => mapped() === 1);
    expect(files[2].view(0, bytes).every((byte) => byte === 7)).toBe(true);
    files[2].close();
    await settle(() => mapped() === 0);
  });

  it.skipIf(process.platform !== 'linux')(
    'gives it back also while koffi takes no call for the thread pool',
    async () => {
      const path = `${root}/file`;
      write(path, new Uint8Array(3 * 1024 * 1024).fill(7));
      const isMapped = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(path);
      const file = disk.open(path, 'random');
      const { sleep, ended, calls } = fillThreadPool();
      expect(() => sleep.async(1, () => {})).toThrow('Too many');
      file.close();
      await settle(() => !isMapped());
      await settle(() => ended() === calls);
    },
  );

  function write(path: string, bytes: Uint8Array): void {
    const file = disk.create(path);
    file.append(bytes);
    file.close();
  }

  it('hands out views of one memory, without copying', () => {
    write(`${root}/file`, new Uint8Array(100_000).fill(7));
    const file = disk.open(`${root}/file`, 'random');
    const view = file.view(50_000, 10);
    expect(view.buffer).toBe(file.view(0, 1).buffer);
    expect(view.byteOffset).toBe(50_000);
    file.close();
  });

  it.skipIf(process.platform !== 'linux')('ends when the turn of its close is over, not before', async () => {
    const path = `${root}/file`;
    write(path, new Uint8Array(5000).fill(7));
    const isMapped = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(path);
    const file = disk.open(path, 'random');
    const other = disk.open(path, 'random');
    const view = file.view(0, 5000);
    file.close();
    file.close();
    other.close();
    expect(isMapped()).toBe(true);
    expect(view[4999]).toBe(7);
    await settle(() => !isMapped());
  });

  it('is not done with what is read in order: there an error of the device is an error of the read', () => {
    write(`${root}/file`, new Uint8Array(5000).fill(7));
    const file = disk.open(`${root}/file`);
    expect(file.mapped).toBe(null);
    expect(file.view(4990, 10)).toEqual(new Uint8Array(10).fill(7));
    file.close();
  });

  it('is refused where the system refuses, instead of being a mapping of nothing', () => {
    expect(mapFile(-1, 4096)).toMatchObject({ ok: false, errno: 'EBADF' });
    expect(mapFile(-1, 0)).toMatchObject({ ok: false, errno: 'EINVAL' });
  });

  it('gives way to reading for a file of more than 2 GiB', () => {
    const path = `${root}/large`;
    const bytes = MAPPED_BYTES_MAX + 4096;
    write(path, Uint8Array.of(1, 2, 3));
    truncateSync(path, bytes);
    const fd = openSync(path, 'r+');
    writeSync(fd, Uint8Array.of(9), 0, 1, bytes - 1);
    closeSync(fd);
    expect(caught(() => disk.open(path, 'random')).errno).toBe('EFBIG');
    const file = new NodeDisk({ reads: 'auto' }).open(path, 'random');
    expect(file.size).toBe(bytes);
    expect([...file.view(0, 3), ...file.view(bytes - 2, 2)]).toEqual([1, 2, 3, 0, 9]);
    file.close();
  });
});

describe.skipIf(process.platform !== 'linux')('descriptors', () => {
  it.each(['auto', 'pread'] as const)('are all given back, reads by %s', async (reads) => {
    const disk = new NodeDisk({ reads });
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    let answers = 0;
    for (let i = 0; i < 20; i++) {
      const path = `${root}/file-${i}`;
      const file = disk.create(path);
      file.append(Uint8Array.of(i));
      file.sync(() => answers++);
      file.close();
      const opened = disk.open(path, 'random');
      opened.view(0, 1);
      opened.close();
      caught(() => disk.openAppend(path, 2));
      caught(() => disk.open(root));
      disk.preallocate(path, 1, () => answers++);
      disk.preallocate(`${path}-zeros`, 10, () => answers++);
      disk.syncDirectory(root, () => answers++);
    }
    await settle(() => answers === 80 && count() <= before);
  });
});
