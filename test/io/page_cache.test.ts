import { closeSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import type { ReadFile } from '../../src/io/disk.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { FRAME_BYTES, PageCache } from '../../src/io/node/page_cache.ts';
import { makeRoot } from './node_harness.ts';

/** The fewest frames that there can be: 16. */
const TINY = 1;
const FRAMES = 16;

let root: string;
let cleanup: () => void;

beforeEach(() => {
  ({ root, cleanup } = makeRoot());
});

afterEach(() => cleanup());

function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = Math.imul(at + seed, 0x9e3779b1) >>> 24;
  return bytes;
}

function makeFile(name: string, length: number, seed: number): { path: string; bytes: Uint8Array } {
  const path = `${root}/${name}`;
  const bytes = bytesOf(length, seed);
  writeFileSync(path, bytes);
  return { path, bytes };
}

/** Whether files here can be read past the system's cache: if not, what is read through it is tried instead. */
function isDirect(disk: NodeDisk): boolean {
  return disk.pageCache?.statistics().fallbacks === 0;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('a cache of pages', () => {
  it('shows the bytes of files, and each view stays right until the turn ends, whatever is read meanwhile', async () => {
    const lengths = [1, 4096, FRAME_BYTES, 3 * FRAME_BYTES + 17, 40 * FRAME_BYTES + 4097];
    const disk = new NodeDisk({ reads: 'direct', pageCacheBytes: TINY });
    const files = lengths.map((length, at) => {
      const { path, bytes } = makeFile(`f${at}`, length, 1000 * at);
      return { bytes, file: disk.open(path, 'random') };
    });
    const look = fc.record({ which: fc.nat(lengths.length - 1), from: fc.nat(), length: fc.nat() });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(look, { maxLength: 60 }), { maxLength: 6 }), async (turns) => {
        for (const looks of turns) {
          const views = looks.map(({ which, from, length }) => {
            const { bytes, file } = files[which] ?? expect.fail('no file');
            const start = from % (file.size + 1);
            const end = start + (length % (Math.min(file.size - start, 7 * FRAME_BYTES) + 1));
            return { found: file.view(start, end - start), expected: bytes.subarray(start, end) };
          });
          for (const { found, expected } of views) {
            if (Buffer.compare(found, expected) !== 0) expect.fail('a view shows other bytes');
          }
          await turn();
        }
      }),
      { numRuns: 60 },
    );
    for (const { file } of files) file.close();
  });

  it('reads a page once, as long as there is room, and keeps what is read often when much is read once', async () => {
    const { path } = makeFile('file', 100 * FRAME_BYTES, 1);
    const disk = new NodeDisk({ reads: 'direct', pageCacheBytes: TINY });
    const file = disk.open(path, 'random');
    if (!isDirect(disk)) return;
    const misses = (): number => disk.pageCache?.statistics().misses ?? 0;
    const before = misses();
    for (let n = 0; n < 10; n++) file.view(100 * n, 100);
    expect(misses()).toBe(before + 1);
    const hot = (): void => {
      for (let page = 0; page < 4; page++) file.view(page * FRAME_BYTES, 10);
    };
    hot();
    hot();
    await turn();
    // A scan, with a look at the hot pages now and then.
    for (let page = 10; page < 90; page++) {
      file.view(page * FRAME_BYTES, 10);
      if (page % 5 === 0) hot();
      await turn();
    }
    const after = misses();
    hot();
    expect(misses()).toBe(after);
    expect(after - before).toBe(4 + 80);
    expect(disk.pageCache?.statistics()).toMatchObject({ budgetBytes: FRAMES * FRAME_BYTES, fallbacks: 0 });
    file.close();
  });

  it('reads what is long past itself', () => {
    const { path, bytes } = makeFile('file', 50 * FRAME_BYTES + 5, 1);
    const disk = new NodeDisk({ reads: 'direct', pageCacheBytes: TINY });
    const file = disk.open(path, 'random');
    const { misses } = disk.pageCache?.statistics() ?? expect.fail('no cache');
    expect(Buffer.compare(file.view(3, file.size - 3), bytes.subarray(3))).toBe(0);
    if (isDirect(disk)) expect(disk.pageCache?.statistics().misses).toBe(misses);
    file.close();
  });

  it('takes a file that is opened again for another', () => {
    const disk = new NodeDisk({ reads: 'direct', pageCacheBytes: TINY });
    const { path } = makeFile('file', 5000, 1);
    disk.open(path, 'random').close();
    const { bytes } = makeFile('file', 6000, 2);
    const file: ReadFile = disk.open(path, 'random');
    expect(Buffer.compare(file.view(0, 6000), bytes)).toBe(0);
    file.close();
  });

  it('tells of a file that has become shorter, and of a failed read, and shows nothing for them afterwards', () => {
    const disk = new NodeDisk({ reads: 'direct', pageCacheBytes: TINY });
    const { path } = makeFile('file', 10 * FRAME_BYTES, 1);
    const file = disk.open(path, 'random');
    truncateSync(path, FRAME_BYTES);
    for (let n = 0; n < 2; n++) expect(() => file.view(5 * FRAME_BYTES, 10)).toThrow(DiskError);
    expect(file.view(0, 10)).toEqual(bytesOf(10, 1));
    file.close();
    const fd = openSync(path, 'r');
    closeSync(fd);
    const cache = new PageCache(TINY);
    const closed = { id: cache.nextId(), path, fd, size: FRAME_BYTES };
    for (let n = 0; n < 2; n++) expect(() => cache.view(closed, 0, 10)).toThrow(DiskError);
    expect(cache.statistics().hits).toBe(0);
  });
});
