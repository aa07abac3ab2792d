import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { CorruptionError } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { silentLogger } from '../../src/io/logger.ts';
import { NodeClock } from '../../src/io/node/clock.ts';
import { nodeCompressions } from '../../src/io/node/compression.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { canMap } from '../../src/io/node/mmap.ts';
import { Store, type StoreOptions } from '../../src/lsm/store.ts';
import { ThreadRunBuilder } from '../../src/threads/thread_run_builder.ts';
import { settle } from '../io/node_harness.ts';

const MIB = 1024 * 1024;
/** A few hundred writes make dozens of flushes and merges of several tables each. */
const TINY = {
  memtableBytes: 8 * 1024,
  blockBytes: 512,
  tableBytes: 16 * 1024,
  levelBytes: 64 * 1024,
  stepBytes: 1024,
};

let directory: string;
let builder: ThreadRunBuilder;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-threads-'));
  builder = new ThreadRunBuilder('auto');
});

afterEach(async () => {
  await builder.close();
  rmSync(directory, { recursive: true });
});

function open(options: Partial<StoreOptions> = {}): Promise<Store> {
  return new Promise((resolve, reject) => {
    Store.open(
      {
        disk: new NodeDisk({ reads: 'auto' }),
        directory,
        clock: new NodeClock(),
        logger: silentLogger,
        runBuilder: builder,
        ...TINY,
        ...options,
      },
      (outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.error)),
    );
  });
}

function sizes(): string[] {
  return readdirSync(directory).map((name) => `${name} ${statSync(join(directory, name)).size}`);
}

function merged(store: Store): Promise<Error | null> {
  return new Promise((resolve) => store.merge(resolve));
}

function contents(store: Store): Map<string, string> {
  const found = new Map<string, string>();
  const iterator = store.iterator();
  while (iterator.next()) found.set(fromUtf8(iterator.key()), fromUtf8(iterator.value()));
  iterator.close();
  return found;
}

/** Puts, deletes and range deletes, as a store and a map see them; waits where the store says so. */
async function write(
  store: Store,
  model: Map<string, string>,
  random: SimRandom,
  entries: number,
): Promise<void> {
  for (let n = 0; n < entries; n++) {
    while (!store.writable) await new Promise((resolve) => setImmediate(resolve));
    const index = store.appliedIndex + 1;
    const key = `key-${String(random.between(0, 999)).padStart(4, '0')}`;
    store.beginEntry(index);
    const kind = random.between(0, 99);
    if (kind < 80) {
      const value = `${index}:`.repeat(1 + random.between(0, 20));
      store.put(utf8(key), utf8(value));
      model.set(key, value);
    } else if (kind < 98) {
      store.delete(utf8(key));
      model.delete(key);
    } else {
      const end = `${key}~`.slice(0, 7);
      store.deleteRange(utf8(key), utf8(`${end}~`));
      for (const each of [...model.keys()]) if (each >= key && each < `${end}~`) model.delete(each);
    }
  }
}

function sorted(model: Map<string, string>): Map<string, string> {
  return new Map([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('a store whose tables are written by another thread', () => {
  for (const [compaction, compression] of [
    ['levelled', null],
    ['size-tiered', null],
    ['levelled', 'deflate'],
  ] as const) {
    const how = compression === null ? compaction : `${compaction}, ${compression}`;
    it(`holds what was written, ${how}, and after it was opened again`, async () => {
      const random = new SimRandom(`threads ${compaction}`);
      const model = new Map<string, string>();
      const options = { compaction, compression, compressions: nodeCompressions };
      const store = await open(options);
      const before = store.takeSnapshot();
      await write(store, model, random, 4000);
      expect(contents(store)).toEqual(sorted(model));
      const { flushes, merges } = store.statistics();
      expect(flushes).toBeGreaterThan(5);
      expect(merges).toBeGreaterThan(1);
      before.release();
      expect(await merged(store)).toBe(null);
      expect(contents(store)).toEqual(sorted(model));
      expect(store.flushedIndex).toBe(store.appliedIndex);
      store.close();
      const again = await open({ ...options, compression: null });
      expect(contents(again)).toEqual(sorted(model));
      again.close();
    });
  }

  it('is closed in the middle of anything, and leaves nothing that is in the way', async () => {
    const random = new SimRandom('closed');
    for (let round = 0; round < 6; round++) {
      const model = new Map<string, string>();
      const store = await open();
      const kept = contents(store);
      for (const [key, value] of kept) model.set(key, value);
      await write(store, model, random, 100);
      // So that the thread has been started.
      await new Promise((resolve) => store.flush(resolve));
      await write(store, model, random, 300 + random.between(0, 300));
      for (let turns = random.between(0, 60); turns > 0; turns--) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { flushedIndex } = store;
      store.close();
      // Whatever was under way has ended: the thread does nothing more in the time that it has left.
      const files = sizes();
      await builder.close();
      expect(sizes()).toEqual(files);
      builder = new ThreadRunBuilder('auto');
      const again = await open();
      expect(again.flushedIndex).toBe(flushedIndex);
      contents(again);
      again.close();
    }
  });

  // Only Linux tells of its mappings in a file.
  it.skipIf(process.platform !== 'linux' || !canMap())(
    'leaves nothing mapped when its thread has ended',
    async () => {
      const store = await open({
        mergeAtTables: 100,
        memtableBytes: 4 * MIB,
        tableBytes: 64 * MIB,
        stepBytes: MIB,
      });
      for (let index = 1; index <= 40; index++) {
        while (!store.writable) await new Promise((resolve) => setImmediate(resolve));
        store.beginEntry(index);
        store.put(utf8(`key-${index}`), new Uint8Array(MIB).fill(index));
      }
      const merge = merged(store);
      // Amid the merge, when the thread has its tables mapped.
      await settle(() => (store.compaction?.doneBytes ?? 0) > 4 * MIB);
      store.close();
      await builder.close();
      expect(await merge).toBeInstanceOf(Error);
      await settle(() => !readFileSync('/proc/self/maps', 'utf8').includes(directory));
    },
  );

  it('names the damaged file when a merge meets damage', async () => {
    const random = new SimRandom('damage');
    const store = await open({ mergeAtTables: 100, slowAtRuns: 1000, stopAtRuns: 1000 });
    await write(store, new Map(), random, 1500);
    await new Promise((resolve) => store.flush(resolve));
    const [name = ''] = readdirSync(directory).filter((each) => each.startsWith('table-'));
    const path = join(directory, name);
    const bytes = readFileSync(path);
    bytes[10] = (bytes[10] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const failed = new Promise<Error>((resolve) => {
      store.onFailure = resolve;
    });
    const error = await merged(store);
    expect(error).toBeInstanceOf(CorruptionError);
    expect(error).toBe(await failed);
    expect((error as CorruptionError).path).toBe(path);
    expect(error?.message.match(/corruption in/g)).toHaveLength(1);
    store.close();
  });
});
