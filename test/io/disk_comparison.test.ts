/**
 * The same random operations on the real disk and on the simulated one, without faults: every answer and every error is
 * the same. `disk_compliance.ts` says what is right; this finds what nobody has thought of saying.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SimDisk } from '../../sim/disk.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { DiskError } from '../../src/base/errors.ts';
import type { AppendFile, Disk, ReadFile } from '../../src/io/disk.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';

/** A directory is never renamed: the seam says nothing of that. */
const FILES = ['a', 'b', 'dir/a', 'dir/b', 'missing/a', 'a/b'] as const;
const NAMES = ['a', 'b', 'dir', 'dir/a', 'dir/b', 'missing/a', 'a/b'] as const;

type Operation =
  | {
      readonly type: 'create' | 'open' | 'remove' | 'exists' | 'list' | 'makeDirectory';
      readonly name: string;
    }
  | { readonly type: 'syncDirectory'; readonly name: string }
  | { readonly type: 'rename' | 'link'; readonly name: string; readonly to: string }
  | { readonly type: 'openAppend' | 'preallocate'; readonly name: string; readonly size: number }
  | { readonly type: 'append'; readonly handle: number; readonly size: number; readonly fill: number }
  | { readonly type: 'truncate'; readonly handle: number; readonly size: number }
  | { readonly type: 'view'; readonly handle: number; readonly offset: number; readonly size: number }
  | { readonly type: 'sync' | 'close' | 'measure'; readonly handle: number };

const name = fc.constantFrom(...NAMES);
const handle = fc.nat(5);
const size = fc.oneof(fc.nat(40), fc.nat(3000), fc.constantFrom(-1, 512, 4096, 1.5));

const file = fc.constantFrom(...FILES);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constantFrom('open' as const, 'remove' as const, 'exists' as const, 'list' as const),
    name,
  }),
  fc.record({ type: fc.constant('create' as const), name: file }),
  fc.record({ type: fc.constant('makeDirectory' as const), name: fc.constantFrom('dir', 'dir/sub/sub') }),
  fc.record({ type: fc.constant('syncDirectory' as const), name: fc.constantFrom('dir', 'missing') }),
  fc.record({ type: fc.constantFrom('rename' as const, 'link' as const), name: file, to: file }),
  fc.record({ type: fc.constant('openAppend' as const), name, size }),
  fc.record({ type: fc.constant('preallocate' as const), name: file, size }),
  fc.record({ type: fc.constant('append' as const), handle, size: fc.nat(2000), fill: fc.nat(255) }),
  fc.record({ type: fc.constant('truncate' as const), handle, size }),
  fc.record({ type: fc.constant('view' as const), handle, offset: size, size }),
  fc.record({ type: fc.constantFrom('sync' as const, 'close' as const, 'measure' as const), handle }),
);

/** Carries operations out on one disk and writes down what came of each, in words that name no root. */
class Player {
  readonly #disk: Disk;
  readonly #root: string;
  readonly #handles: (AppendFile | ReadFile)[] = [];
  /** Files that have been opened for appending: each has one that writes to it, as the seam wants it. */
  readonly #written = new Set<string>();
  /** Lets callbacks come until one has. */
  readonly #settle: (isDone: () => boolean) => Promise<void>;

  constructor(disk: Disk, root: string, settle: (isDone: () => boolean) => Promise<void>) {
    this.#disk = disk;
    this.#root = root;
    this.#settle = settle;
  }

  async play(operation: Operation): Promise<string> {
    try {
      return await this.#carryOut(operation);
    } catch (error) {
      if (error instanceof DiskError) return this.#describe(error);
      throw error;
    }
  }

  end(): void {
    for (const file of this.#handles) file.close();
  }

  async #carryOut(operation: Operation): Promise<string> {
    const disk = this.#disk;
    switch (operation.type) {
      case 'create':
        return this.#hold(disk.create(this.#path(operation.name)), operation.name);
      case 'open':
        return this.#hold(disk.open(this.#path(operation.name)));
      case 'openAppend':
        if (this.#written.has(operation.name)) return 'is being written';
        return this.#hold(disk.openAppend(this.#path(operation.name), operation.size), operation.name);
      case 'remove':
        disk.remove(this.#path(operation.name));
        return 'removed';
      case 'exists':
        return String(disk.exists(this.#path(operation.name)));
      case 'list':
        return disk.list(this.#path(operation.name)).join(' ');
      case 'makeDirectory':
        disk.makeDirectory(this.#path(operation.name));
        return 'made';
      case 'rename':
        if (this.#written.has(operation.name)) return 'is being written';
        disk.rename(this.#path(operation.name), this.#path(operation.to));
        return 'renamed';
      case 'link':
        // Only what no longer changes has two names; what has two names no longer changes.
        if (this.#written.has(operation.name)) return 'is being written';
        this.#written.add(operation.name).add(operation.to);
        disk.link(this.#path(operation.name), this.#path(operation.to));
        return 'linked';
      case 'preallocate':
        return this.#complete((done) => disk.preallocate(this.#path(operation.name), operation.size, done));
      case 'syncDirectory':
        return this.#complete((done) => disk.syncDirectory(this.#path(operation.name), done));
      default:
        return this.#onHandle(operation);
    }
  }

  async #onHandle(operation: Operation & { readonly handle: number }): Promise<string> {
    const file = this.#handles[operation.handle];
    if (file === undefined) return 'no such handle';
    switch (operation.type) {
      case 'view':
        return Buffer.from(file.view(operation.offset, operation.size)).toString('hex');
      case 'close':
        file.close();
        return 'closed';
      case 'measure':
        return 'position' in file ? `${file.position} of ${file.size}` : `${file.size}`;
      default:
    }
    if (!('append' in file)) return 'only for reading';
    switch (operation.type) {
      case 'append':
        file.append(new Uint8Array(operation.size).fill(operation.fill));
        return `at ${file.position} of ${file.size}`;
      case 'truncate':
        file.truncate(operation.size);
        return `at ${file.position} of ${file.size}`;
      case 'sync':
        return this.#complete((done) => file.sync(done));
      default:
        throw new Error(`${operation.type} is not for a handle`);
    }
  }

  #path(name: string): string {
    return `${this.#root}/${name}`;
  }

  #hold(file: AppendFile | ReadFile, written?: string): string {
    if (written !== undefined) this.#written.add(written);
    this.#handles.push(file);
    return `handle ${this.#handles.length - 1} of ${file.size} bytes`;
  }

  async #complete(start: (done: (error: DiskError | null) => void) => void): Promise<string> {
    const outcomes: (DiskError | null)[] = [];
    start((error) => outcomes.push(error));
    await this.#settle(() => outcomes.length > 0);
    const [error] = outcomes;
    return error === null || error === undefined ? 'done' : this.#describe(error);
  }

  #describe({ operation, errno, path }: DiskError): string {
    return `${operation} of ${path.slice(this.#root.length)}: ${errno}`;
  }
}

async function playAll(player: Player, operations: readonly Operation[]): Promise<string[]> {
  const results: string[] = [];
  for (const one of operations) results.push(await player.play(one));
  player.end();
  return results;
}

function onSimulated(operations: readonly Operation[]): Promise<string[]> {
  const scheduler = new Scheduler();
  const random = new SimRandom('disk comparison');
  const disk = new SimDisk({ scheduler, trace: new Trace(), random, faults: {} }).attach(
    new SimProcess('p', scheduler),
  );
  disk.makeDirectory('/root');
  const settle = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) if (!scheduler.step()) throw new Error('nothing comes any more');
  };
  return playAll(new Player(disk, '/root', settle), operations);
}

async function onReal(operations: readonly Operation[]): Promise<string[]> {
  const root = mkdtempSync(join(tmpdir(), 'envelopedb-disks-'));
  const settle = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
  };
  try {
    return await playAll(new Player(new NodeDisk({ reads: 'pread' }), root, settle), operations);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

it('the simulated disk and the real one give the same answers and the same errors', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: 'max' }), async (operations) => {
      expect(await onSimulated(operations)).toEqual(await onReal(operations));
    }),
    { numRuns: 150 },
  );
}, 60_000);
