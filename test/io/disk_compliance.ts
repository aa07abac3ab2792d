/**
 * What every disk must keep of `src/io/disk.ts`, as far as it can be seen without a crash. The real and the simulated
 * disk run the same tests.
 *
 * Nothing here waits for time to pass: a harness lets callbacks run until a condition holds. That a callback comes only
 * once is seen by waiting for a later operation of the same kind: what was to come a second time would have come too.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';

export interface DiskHarness {
  readonly disk: Disk;
  /** An existing, empty directory for the test alone. */
  readonly root: string;
  /** Lets callbacks run until `isDone` returns true; rejects when it never does. */
  settle(isDone: () => boolean): Promise<void>;
  cleanup(): void;
}

type Completion = DiskError | null;

export function describeDisk(name: string, makeDisk: () => DiskHarness): void {
  describe(`${name} as a disk`, () => {
    let harness: DiskHarness;
    let disk: Disk;
    let root: string;

    beforeEach(() => {
      harness = makeDisk();
      ({ disk, root } = harness);
    });

    afterEach(() => harness.cleanup());

    /** Runs an operation with a callback to its end. Checks that the callback does not come from inside the call. */
    async function complete(start: (done: (error: Completion) => void) => void): Promise<Completion> {
      const calls: Completion[] = [];
      start((error) => calls.push(error));
      expect(calls, 'the callback comes after the call has returned').toEqual([]);
      await harness.settle(() => calls.length > 0);
      expect(calls).toHaveLength(1);
      return calls[0];
    }

    const sync = (file: AppendFile): Promise<Completion> => complete((done) => file.sync(done));
    const syncDirectory = (path: string): Promise<Completion> =>
      complete((done) => disk.syncDirectory(path, done));
    const preallocate = (path: string, bytes: number): Promise<Completion> =>
      complete((done) => disk.preallocate(path, bytes, done));

    function write(path: string, ...bytes: number[]): void {
      const file = disk.create(path);
      file.append(Uint8Array.from(bytes));
      file.close();
    }

    function read(path: string): number[] {
      const file = disk.open(path, 'random');
      const bytes = contents(file);
      file.close();
      return bytes;
    }

    describe('names', () => {
      it('lists the names in a directory, files and directories, sorted by code unit', () => {
        for (const file of ['b', 'a', 'B', 'é', '10', '9', 'a.b']) disk.create(`${root}/${file}`).close();
        disk.makeDirectory(`${root}/dir`);
        disk.create(`${root}/dir/inside`).close();
        expect(disk.list(root)).toEqual(['10', '9', 'B', 'a', 'a.b', 'b', 'dir', 'é']);
        expect(disk.list(`${root}/dir`)).toEqual(['inside']);
      });

      it('lists nothing in an empty directory and refuses a missing one', () => {
        expect(disk.list(root)).toEqual([]);
        expectDiskError(() => disk.list(`${root}/missing`), 'ENOENT', `${root}/missing`);
      });

      it('knows what exists, files and directories', () => {
        disk.makeDirectory(`${root}/dir`);
        write(`${root}/file`, 1);
        expect(disk.exists(`${root}/dir`)).toBe(true);
        expect(disk.exists(`${root}/file`)).toBe(true);
        expect(disk.exists(`${root}/missing`)).toBe(false);
        expect(disk.exists(`${root}/missing/file`)).toBe(false);
        expect(disk.exists(`${root}/file/inside`)).toBe(false);
      });

      it('makes a directory with its missing parents, and leaves an existing one as it is', () => {
        disk.makeDirectory(`${root}/a/b/c`);
        write(`${root}/a/b/c/file`, 1);
        disk.makeDirectory(`${root}/a/b/c`);
        disk.makeDirectory(`${root}/a`);
        expect(disk.list(`${root}/a/b/c`)).toEqual(['file']);
      });

      it('never creates over a name that is taken', () => {
        write(`${root}/file`, 1, 2);
        expectDiskError(() => disk.create(`${root}/file`), 'EEXIST', `${root}/file`);
        expect(read(`${root}/file`)).toEqual([1, 2]);
        disk.makeDirectory(`${root}/dir`);
        expectDiskError(() => disk.create(`${root}/dir`), 'EEXIST', `${root}/dir`);
      });

      it('refuses to open, create, rename or remove where nothing is', () => {
        const path = `${root}/missing`;
        expectDiskError(() => disk.open(path, 'random'), 'ENOENT', path);
        expectDiskError(() => disk.openAppend(path, 0), 'ENOENT', path);
        expectDiskError(() => disk.create(`${path}/file`), 'ENOENT', `${path}/file`);
        expectDiskError(() => disk.rename(path, `${root}/other`), 'ENOENT', path);
        expectDiskError(() => disk.remove(path), 'ENOENT', path);
        expect(disk.list(root)).toEqual([]);
      });

      it('refuses to open a directory as a file', () => {
        disk.makeDirectory(`${root}/dir`);
        expectDiskError(() => disk.open(`${root}/dir`, 'random'), 'EISDIR', `${root}/dir`);
        expectDiskError(() => disk.openAppend(`${root}/dir`, 0), 'EISDIR', `${root}/dir`);
      });

      it('renames, replacing what had the new name', () => {
        write(`${root}/from`, 1);
        write(`${root}/to`, 2, 2);
        disk.rename(`${root}/from`, `${root}/to`);
        expect(disk.list(root)).toEqual(['to']);
        expect(read(`${root}/to`)).toEqual([1]);
        disk.makeDirectory(`${root}/dir`);
        disk.rename(`${root}/to`, `${root}/dir/moved`);
        expect(read(`${root}/dir/moved`)).toEqual([1]);
        expect(disk.list(root)).toEqual(['dir']);
      });

      it('frees the name of a removed file', () => {
        write(`${root}/file`, 1);
        disk.remove(`${root}/file`);
        expect(disk.exists(`${root}/file`)).toBe(false);
        write(`${root}/file`, 2);
        expect(read(`${root}/file`)).toEqual([2]);
      });

      it('keeps an open file readable when its name is taken away or given to another', () => {
        write(`${root}/removed`, 1);
        write(`${root}/replaced`, 2);
        write(`${root}/new`, 3);
        const removed = disk.open(`${root}/removed`, 'random');
        const replaced = disk.open(`${root}/replaced`, 'random');
        disk.remove(`${root}/removed`);
        disk.rename(`${root}/new`, `${root}/replaced`);
        expect(contents(removed)).toEqual([1]);
        expect(contents(replaced)).toEqual([2]);
        expect(read(`${root}/replaced`)).toEqual([3]);
        removed.close();
        replaced.close();
      });
    });

    describe('second names and directories', () => {
      it('gives a file a second name, under which it stays when the first is gone', () => {
        write(`${root}/file`, 1, 2);
        disk.makeDirectory(`${root}/dir`);
        disk.link(`${root}/file`, `${root}/dir/linked`);
        expect([disk.list(root), disk.list(`${root}/dir`)]).toEqual([['dir', 'file'], ['linked']]);
        disk.remove(`${root}/file`);
        expect(read(`${root}/dir/linked`)).toEqual([1, 2]);
        write(`${root}/file`, 3);
        expect(read(`${root}/dir/linked`)).toEqual([1, 2]);
        disk.remove(`${root}/dir/linked`);
        expect(read(`${root}/file`)).toEqual([3]);
      });

      it('gives no second name that is taken, to nothing, or to a directory', () => {
        write(`${root}/file`, 1);
        write(`${root}/taken`, 2);
        disk.makeDirectory(`${root}/dir`);
        expectDiskError(() => disk.link(`${root}/file`, `${root}/taken`), 'EEXIST', `${root}/file`);
        expectDiskError(() => disk.link(`${root}/file`, `${root}/dir`), 'EEXIST', `${root}/file`);
        expectDiskError(() => disk.link(`${root}/none`, `${root}/new`), 'ENOENT', `${root}/none`);
        expectDiskError(() => disk.link(`${root}/file`, `${root}/none/new`), 'ENOENT', `${root}/file`);
        expectDiskError(() => disk.link(`${root}/dir`, `${root}/new`), 'EPERM', `${root}/dir`);
        expect(read(`${root}/taken`)).toEqual([2]);
      });

      it('gives a directory another name, with all that is in it and is open in it', async () => {
        disk.makeDirectory(`${root}/old/deep`);
        write(`${root}/old/deep/file`, 1);
        const growing = disk.create(`${root}/old/growing`);
        growing.append(Uint8Array.of(2));
        disk.renameDirectory(`${root}/old`, `${root}/new`);
        expect([disk.list(root), disk.list(`${root}/new`)]).toEqual([['new'], ['deep', 'growing']]);
        expect(disk.exists(`${root}/old/deep/file`)).toBe(false);
        expect(read(`${root}/new/deep/file`)).toEqual([1]);
        growing.append(Uint8Array.of(3));
        expect(await sync(growing)).toBeNull();
        growing.close();
        expect(read(`${root}/new/growing`)).toEqual([2, 3]);
        expect(await syncDirectory(root)).toBeNull();
        disk.makeDirectory(`${root}/old`);
        expect(disk.list(`${root}/old`)).toEqual([]);
      });

      it('replaces an empty directory by another, and nothing else', () => {
        disk.makeDirectory(`${root}/dir`);
        write(`${root}/dir/file`, 1);
        disk.makeDirectory(`${root}/empty`);
        disk.makeDirectory(`${root}/full`);
        write(`${root}/full/file`, 2);
        write(`${root}/file`, 3);
        const rename = (to: string) => (): void => disk.renameDirectory(`${root}/dir`, `${root}/${to}`);
        expectDiskError(rename('full'), 'ENOTEMPTY', `${root}/full`);
        expectDiskError(rename('file'), 'EEXIST', `${root}/file`);
        expectDiskError(rename('full/dir'), 'EINVAL', `${root}/dir`);
        expectDiskError(rename('dir'), 'EINVAL', `${root}/dir`);
        expectDiskError(() => disk.renameDirectory(`${root}/none`, `${root}/x`), 'ENOENT', `${root}/none`);
        expectDiskError(() => disk.renameDirectory(`${root}/file`, `${root}/x`), 'ENOTDIR', `${root}/file`);
        expect(read(`${root}/dir/file`)).toEqual([1]);
        rename('empty')();
        expect(disk.list(root)).toEqual(['empty', 'file', 'full']);
        expect(read(`${root}/empty/file`)).toEqual([1]);
      });

      it('removes a directory that is empty', () => {
        disk.makeDirectory(`${root}/dir/deep`);
        write(`${root}/file`, 1);
        expectDiskError(() => disk.removeDirectory(`${root}/dir`), 'ENOTEMPTY', `${root}/dir`);
        expectDiskError(() => disk.removeDirectory(`${root}/file`), 'ENOTDIR', `${root}/file`);
        expectDiskError(() => disk.removeDirectory(`${root}/none`), 'ENOENT', `${root}/none`);
        disk.removeDirectory(`${root}/dir/deep`);
        disk.removeDirectory(`${root}/dir`);
        expect(disk.list(root)).toEqual(['file']);
      });
    });

    describe('appending', () => {
      it('starts a new file empty and advances position and size together', () => {
        const path = `${root}/file`;
        const file = disk.create(path);
        expect([file.path, file.position, file.size]).toEqual([path, 0, 0]);
        file.append(Uint8Array.of(1, 2, 3));
        file.append(Uint8Array.of());
        file.append(Uint8Array.of(4));
        expect([file.position, file.size]).toEqual([4, 4]);
        file.close();
        expect(read(path)).toEqual([1, 2, 3, 4]);
      });

      it('shows every append at once, to its own view and to whoever opens the file', () => {
        const file = disk.create(`${root}/file`);
        for (let n = 1; n <= 5; n++) {
          file.append(Uint8Array.of(n));
          expect([...file.view(0, n)]).toEqual([1, 2, 3, 4, 5].slice(0, n));
          expect(read(`${root}/file`)).toEqual([1, 2, 3, 4, 5].slice(0, n));
        }
        file.close();
      });

      it('leaves the buffer to the caller', () => {
        const file = disk.create(`${root}/file`);
        const buffer = Uint8Array.of(9, 1, 2, 3, 9);
        file.append(buffer.subarray(1, 4));
        buffer.fill(0);
        file.append(buffer.subarray(0, 1));
        expect([...file.view(0, 4)]).toEqual([1, 2, 3, 0]);
        file.close();
      });

      it('takes an append of several megabytes in one piece', () => {
        const file = disk.create(`${root}/file`);
        const bytes = new Uint8Array(3 * 1024 * 1024 + 7);
        for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31) >> 3;
        file.append(bytes);
        file.append(Uint8Array.of(42));
        expect(file.position).toBe(bytes.length + 1);
        expect(Buffer.compare(file.view(0, bytes.length), bytes)).toBe(0);
        expect([...file.view(bytes.length, 1)]).toEqual([42]);
        file.close();
      });

      it('goes on at a position, and keeps what lies behind until it is overwritten', () => {
        write(`${root}/file`, 1, 2, 3, 4, 5);
        const file = disk.openAppend(`${root}/file`, 2);
        expect([file.position, file.size]).toEqual([2, 5]);
        file.append(Uint8Array.of(9));
        expect([file.position, file.size]).toEqual([3, 5]);
        expect([...file.view(0, 5)]).toEqual([1, 2, 9, 4, 5]);
        file.append(Uint8Array.of(9, 9, 9));
        expect([file.position, file.size]).toEqual([6, 6]);
        file.close();
        expect(read(`${root}/file`)).toEqual([1, 2, 9, 9, 9, 9]);
      });

      it('goes on at the very end, and at no position outside the file', () => {
        write(`${root}/file`, 1, 2);
        const file = disk.openAppend(`${root}/file`, 2);
        file.append(Uint8Array.of(3));
        file.close();
        expect(read(`${root}/file`)).toEqual([1, 2, 3]);
        for (const position of [-1, 4, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          expectDiskError(() => disk.openAppend(`${root}/file`, position), 'EINVAL', `${root}/file`);
        }
      });

      it('cuts a file, and moves the position back with it', () => {
        const file = disk.create(`${root}/file`);
        file.append(Uint8Array.of(1, 2, 3, 4, 5));
        file.truncate(2);
        expect([file.position, file.size]).toEqual([2, 2]);
        file.append(Uint8Array.of(9));
        expect([...file.view(0, 3)]).toEqual([1, 2, 9]);
        file.close();
        expect(read(`${root}/file`)).toEqual([1, 2, 9]);
      });

      it('extends a file with zeros, also where other bytes were cut off, and leaves the position', () => {
        const file = disk.create(`${root}/file`);
        file.append(Uint8Array.of(1, 2, 3));
        file.truncate(1);
        file.truncate(4);
        expect([file.position, file.size]).toEqual([1, 4]);
        expect([...file.view(0, 4)]).toEqual([1, 0, 0, 0]);
        file.append(Uint8Array.of(7));
        expect([...file.view(0, 4)]).toEqual([1, 7, 0, 0]);
        file.close();
      });

      it('refuses a size that is none', () => {
        const file = disk.create(`${root}/file`);
        file.append(Uint8Array.of(1, 2, 3));
        for (const size of [-1, 0.5, Number.NaN]) {
          expectDiskError(() => file.truncate(size), 'EINVAL', `${root}/file`);
        }
        expect([...file.view(0, 3)]).toEqual([1, 2, 3]);
        file.close();
      });

      it('holds what a plain array of bytes would, whatever is done to it', () => {
        const command = fc.oneof(
          { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const), n: fc.nat(600) }) },
          { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), n: fc.nat(1500) }) },
          { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), n: fc.nat(1500) }) },
          { weight: 3, arbitrary: fc.record({ kind: fc.constant('view' as const), n: fc.nat(1500) }) },
        );
        let files = 0;
        fc.assert(
          fc.property(fc.array(command, { maxLength: 30 }), (commands) => {
            const path = `${root}/model-${files++}`;
            let file = disk.create(path);
            let model: number[] = [];
            let position = 0;
            for (const [step, { kind, n }] of commands.entries()) {
              if (kind === 'append') {
                const bytes = Array.from({ length: n }, (_, i) => (step * 37 + i) & 0xff);
                file.append(Uint8Array.from(bytes));
                model = [...model.slice(0, position), ...bytes, ...model.slice(position + n)];
                position += n;
              } else if (kind === 'truncate') {
                file.truncate(n);
                model = [...model.slice(0, n), ...new Array<number>(Math.max(0, n - model.length)).fill(0)];
                position = Math.min(position, n);
              } else if (kind === 'reopen') {
                file.close();
                position = Math.min(n, model.length);
                file = disk.openAppend(path, position);
              } else {
                const offset = Math.min(n, model.length);
                const length = Math.min(200, model.length - offset);
                expect([...file.view(offset, length)]).toEqual(model.slice(offset, offset + length));
              }
              expect([file.position, file.size]).toEqual([position, model.length]);
            }
            file.close();
            expect(read(path)).toEqual(model);
          }),
          { numRuns: 40 },
        );
      });
    });

    describe('reading', () => {
      it('shows any range of a file, and the size that it had when it was opened', () => {
        const path = `${root}/file`;
        write(path, 1, 2, 3, 4, 5);
        const file = disk.open(path, 'random');
        expect([file.path, file.size]).toEqual([path, 5]);
        expect([...file.view(1, 3)]).toEqual([2, 3, 4]);
        expect([...file.view(0, 5)]).toEqual([1, 2, 3, 4, 5]);
        expect(file.view(5, 0)).toHaveLength(0);
        file.close();
      });

      it('does not grow with the file', () => {
        const growing = disk.create(`${root}/file`);
        growing.append(Uint8Array.of(1, 2));
        const file = disk.open(`${root}/file`, 'random');
        growing.append(Uint8Array.of(3));
        growing.close();
        expect(file.size).toBe(2);
        expect([...file.view(0, 2)]).toEqual([1, 2]);
        expectDiskError(() => file.view(0, 3), 'EINVAL', `${root}/file`);
        file.close();
      });

      it('opens an empty file', () => {
        write(`${root}/file`);
        const file = disk.open(`${root}/file`, 'random');
        expect(file.size).toBe(0);
        expect(file.view(0, 0)).toHaveLength(0);
        expectDiskError(() => file.view(0, 1), 'EINVAL', `${root}/file`);
        file.close();
      });

      it('refuses ranges outside the file, of both kinds of file', () => {
        const appended = disk.create(`${root}/file`);
        appended.append(Uint8Array.of(1, 2, 3));
        const opened = disk.open(`${root}/file`, 'random');
        for (const file of [appended, opened]) {
          for (const [offset, length] of [
            [0, 4],
            [3, 1],
            [4, 0],
            [-1, 1],
            [1, -1],
            [0.5, 1],
            [0, 0.5],
            [Number.NaN, 1],
          ]) {
            expectDiskError(() => file.view(offset, length), 'EINVAL', `${root}/file`);
          }
          file.close();
        }
      });

      it('hands out a file as a whole, if it does at all, as its views show it, and until it is closed', () => {
        const bytes = Array.from({ length: 1000 }, (_, i) => i % 251);
        write(`${root}/file`, ...bytes);
        const file = disk.open(`${root}/file`, 'random');
        const { mapped } = file;
        if (mapped !== null) {
          expect([...mapped]).toEqual(bytes);
          expect(mapped.subarray(300, 700)).toEqual(file.view(300, 400));
        }
        file.close();
        expect(file.mapped).toBe(null);
      });

      it('hands out views that stay right while others are taken, in one turn', () => {
        write(`${root}/file`, ...Array.from({ length: 100 }, (_, i) => i));
        const file = disk.open(`${root}/file`, 'random');
        const views = Array.from({ length: 90 }, (_, i) => file.view(i, 10));
        for (const [i, view] of views.entries()) expect([view[0], view[9]]).toEqual([i, i + 9]);
        file.close();
      });

      it('opens one file many times, each to be closed by itself', () => {
        write(`${root}/file`, 1, 2, 3);
        const files = Array.from({ length: 20 }, () => disk.open(`${root}/file`, 'random'));
        const last = files.pop();
        for (const file of files) file.close();
        expect(last === undefined ? [] : contents(last)).toEqual([1, 2, 3]);
        last?.close();
      });
    });

    describe('closing', () => {
      it('may be repeated, and ends all use', () => {
        const appended = disk.create(`${root}/file`);
        appended.append(Uint8Array.of(1));
        const opened = disk.open(`${root}/file`, 'random');
        for (const file of [appended, opened]) {
          file.close();
          file.close();
          expectDiskError(() => file.view(0, 1), 'EBADF', `${root}/file`);
        }
        expectDiskError(() => appended.append(Uint8Array.of(2)), 'EBADF', `${root}/file`);
        expectDiskError(() => appended.truncate(0), 'EBADF', `${root}/file`);
        expect(read(`${root}/file`)).toEqual([1]);
      });

      it('leaves syncs under way, which still call back', async () => {
        const file = disk.create(`${root}/file`);
        file.append(Uint8Array.of(1));
        const calls: Completion[] = [];
        for (let i = 0; i < 3; i++) file.sync((error) => calls.push(error));
        file.close();
        await harness.settle(() => calls.length >= 3);
        expect(calls).toEqual([null, null, null]);
      });

      it('does not touch the other files that are opened meanwhile', async () => {
        // A descriptor closed too early, or twice, would be another file's by now.
        const calls: Completion[] = [];
        for (let i = 0; i < 20; i++) {
          const file = disk.create(`${root}/file-${i}`);
          file.append(Uint8Array.of(i));
          file.sync((error) => calls.push(error));
          file.close();
          file.close();
        }
        await harness.settle(() => calls.length >= 20);
        expect(calls).toEqual(new Array(20).fill(null));
        for (let i = 0; i < 20; i++) expect(read(`${root}/file-${i}`)).toEqual([i]);
      });
    });

    describe('syncing', () => {
      it('calls back once, later, without an error', async () => {
        const file = disk.create(`${root}/file`);
        expect(await sync(file)).toBeNull();
        file.append(Uint8Array.of(1, 2, 3));
        const calls: Completion[] = [];
        file.sync((error) => calls.push(error));
        // Later ones may be done earlier.
        for (let i = 0; i < 3; i++) expect(await sync(file)).toBeNull();
        await harness.settle(() => calls.length > 0);
        for (let i = 0; i < 3; i++) expect(await sync(file)).toBeNull();
        expect(calls).toEqual([null]);
        file.close();
      });

      it('may be started many times over, with appends between, and answers each', async () => {
        const file = disk.create(`${root}/file`);
        const calls: number[] = [];
        for (let i = 0; i < 20; i++) {
          file.append(Uint8Array.of(i));
          file.sync((error) => {
            expect(error).toBeNull();
            calls.push(i);
          });
        }
        await harness.settle(() => calls.length >= 20);
        expect(await sync(file)).toBeNull();
        expect(calls.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
        file.close();
      });

      it('may be started from inside the callback of another', async () => {
        const file = disk.create(`${root}/file`);
        let rounds = 0;
        const again = (error: Completion): void => {
          expect(error).toBeNull();
          rounds++;
          file.append(Uint8Array.of(rounds));
          if (rounds < 5) file.sync(again);
        };
        file.sync(again);
        await harness.settle(() => rounds >= 5);
        expect([...file.view(0, 5)]).toEqual([1, 2, 3, 4, 5]);
        file.close();
      });

      it('syncs a directory, with a callback that comes once and later', async () => {
        disk.create(`${root}/file`).close();
        const calls: Completion[] = [];
        disk.syncDirectory(root, (error) => calls.push(error));
        for (let i = 0; i < 3; i++) expect(await syncDirectory(root)).toBeNull();
        await harness.settle(() => calls.length > 0);
        for (let i = 0; i < 3; i++) expect(await syncDirectory(root)).toBeNull();
        expect(calls).toEqual([null]);
      });

      it('hands the error of a missing directory to the callback', async () => {
        const error = await syncDirectory(`${root}/missing`);
        expect(error).toBeInstanceOf(DiskError);
        expect([error?.errno, error?.path]).toEqual(['ENOENT', `${root}/missing`]);
      });
    });

    describe('preallocating', () => {
      it('makes a file of zeros that is appended over from its start', async () => {
        const bytes = 1024 * 1024 + 4097;
        expect(await preallocate(`${root}/file`, bytes)).toBeNull();
        const file = disk.openAppend(`${root}/file`, 0);
        expect([file.position, file.size]).toEqual([0, bytes]);
        expect(Buffer.compare(file.view(0, bytes), new Uint8Array(bytes))).toBe(0);
        file.append(Uint8Array.of(1, 2));
        expect([file.position, file.size]).toEqual([2, bytes]);
        expect([...file.view(0, 4)]).toEqual([1, 2, 0, 0]);
        expect(await sync(file)).toBeNull();
        file.close();
      });

      it('makes an empty file, too', async () => {
        expect(await preallocate(`${root}/file`, 0)).toBeNull();
        expect(read(`${root}/file`)).toEqual([]);
      });

      it('hands an error to the callback where the name is taken, and leaves that file alone', async () => {
        write(`${root}/file`, 1, 2, 3);
        const error = await preallocate(`${root}/file`, 10);
        expect(error).toBeInstanceOf(DiskError);
        expect([error?.errno, error?.path]).toEqual(['EEXIST', `${root}/file`]);
        expect(read(`${root}/file`)).toEqual([1, 2, 3]);
      });

      it('hands an error to the callback where there is no directory', async () => {
        const error = await preallocate(`${root}/missing/file`, 10);
        expect([error?.errno, error?.path]).toEqual(['ENOENT', `${root}/missing/file`]);
      });
    });
  });
}

/** Checks that a call throws a `DiskError` that names the system's error and the file. */
function expectDiskError(call: () => unknown, errno: string, path: string): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    expect([error.errno, error.path, error.code]).toEqual([errno, path, 'DISK']);
    expect(error.message).toContain(path);
    return;
  }
  expect.fail(`no ${errno} was thrown`);
}

function contents(file: ReadFile): number[] {
  return [...file.view(0, file.size)];
}
