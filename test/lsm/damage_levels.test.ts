/** A small store with everything in it: two levels, several versions of a key, range tombstones, the manifest, CURRENT. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError, EnvelopeError } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Disk } from '../../src/io/disk.ts';
import { readManifest } from '../../src/lsm/manifest.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import { decodeFooter, decodeProperties, decodeRangeTombstones } from '../../src/lsm/table_format.ts';
import { openTable } from '../../src/lsm/table_reader.ts';
import { contents, get, put, Rig } from './rig.ts';

const LONG = process.env.ENVELOPEDB_LONG_TESTS === '1' ? 40 : 1;
/** All bytes, or every so manieth. */
const STRIDE = LONG > 1 ? 1 : 7;
const OPTIONS: Partial<StoreOptions> = {
  memtableBytes: 1 << 20,
  blockBytes: 120,
  restartInterval: 3,
  tableBytes: 250,
  levelBytes: 1 << 20,
  mergeAtTables: 100,
};
const NAMES = Array.from({ length: 14 }, (_none, n) => `key${n}`);

function build(): { rig: Rig; files: string[] } {
  const rig = new Rig('everything');
  const store = rig.open(OPTIONS);
  let index = 0;
  const entry = (work: () => void): void => {
    store.beginEntry(++index);
    work();
  };
  for (const name of NAMES) entry(() => put(store, name, `first ${name}`));
  const snapshot = store.takeSnapshot();
  for (const name of NAMES.slice(0, 6)) entry(() => put(store, name, `second ${name}`));
  entry(() => store.deleteRange(utf8('key5'), utf8('key8')));
  store.merge(() => {});
  rig.settle();
  for (const name of NAMES.slice(2, 4)) entry(() => store.delete(utf8(name)));
  entry(() => store.deleteRange(utf8('key12'), utf8('key2')));
  entry(() => put(store, 'key13', 'third'));
  store.flush(() => {});
  rig.settle();
  snapshot.release();
  const { levels, rangeTombstones, entries } = store.statistics();
  expect(levels.map(({ level }) => level)).toEqual([0, 1]);
  expect(rangeTombstones).toBeGreaterThan(1);
  expect(entries).toBeGreaterThan(NAMES.length + 4);
  store.close();
  return { rig, files: rig.disk.files() };
}

const INTACT = ((): readonly [string, string][] => {
  const store = build().rig.open(OPTIONS);
  return contents(store);
})();
const EXPECTED = new Map(INTACT);

/** Right, or an error that names a file; how often it was an error. */
function readAll(store: Store): number {
  let errors = 0;
  const attempt = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      errors++;
    }
  };
  for (const name of [...NAMES, 'absent']) {
    attempt(() => {
      const found = get(store, name);
      if (found !== (EXPECTED.get(name) ?? null)) expect.fail(`${name} is ${found}`);
    });
  }
  for (const reverse of [false, true]) {
    attempt(() => {
      const iterator = store.iterator({ reverse });
      const wanted = reverse ? [...INTACT].reverse() : INTACT;
      for (const [name, value] of wanted) {
        const isThere = iterator.next();
        const found = isThere ? fromUtf8(iterator.key().slice()) : 'the end';
        if (found !== name || fromUtf8(iterator.value().slice()) !== value) {
          expect.fail(`${name} should come, it is ${found}`);
        }
      }
      if (iterator.next()) expect.fail('something comes behind the last key');
      iterator.close();
    });
  }
  return errors;
}

describe('a store of several levels', () => {
  for (const damagedTables of ['refuse', 'quarantine'] as const) {
    it(`gives no wrong answer whatever byte of its files changes, opened with '${damagedTables}'`, () => {
      const { rig, files } = build();
      const copies = new Map(files.map((path) => [path, rig.disk.readRaw(path)]));
      let noticed = 0;
      let harmless = 0;
      let machine = rig;
      for (const [path, bytes] of copies) {
        for (let offset = 0; offset < bytes.length; offset += STRIDE) {
          machine.disk.flipByte(path, offset);
          const store = machine.tryOpen({ ...OPTIONS, damagedTables });
          if (store instanceof Error) {
            if (!(store instanceof CorruptionError)) throw store;
            noticed++;
            while (machine.disk.readRaw(path)[offset] !== bytes[offset]) machine.disk.flipByte(path, offset);
            continue;
          }
          if (readAll(store) > 0) noticed++;
          else harmless++;
          store.close();
          // Opening has changed files.
          machine = build().rig;
        }
      }
      // A damaged end of the manifest is what a crash may leave of its last edit: then the state before it counts.
      expect(harmless).toBeLessThan(noticed / 10);
    });
  }
});

describe('the parsers', () => {
  /** Bytes of a real file with a few changes, or cut short, or anything at all. */
  const mangled = (real: Uint8Array): fc.Arbitrary<Uint8Array> =>
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
        .map((changes) => {
          const bytes = real.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          return bytes;
        }),
      fc.nat(real.length).map((length) => real.slice(0, length)),
    );
  const onlyKnownErrors = (parse: () => void): void => {
    try {
      parse();
    } catch (error) {
      const isKnown =
        error instanceof CorruptionError || (error instanceof EnvelopeError && error.code === 'FORMAT');
      if (!isKnown) throw error;
    }
  };
  const { rig, files } = build();
  const fileOf = (part: string): { path: string; bytes: Uint8Array; number: number } => {
    const path = files.find((name) => name.includes(part)) ?? '';
    return { path, bytes: rig.disk.readRaw(path), number: Number(/(\d+)$/.exec(path)?.[1]) };
  };

  it('of manifests meet any bytes with an error that says so', () => {
    const { path, bytes, number } = fileOf('/manifest-');
    fc.assert(
      fc.property(mangled(bytes), (input) => onlyKnownErrors(() => readManifest(input, path, number))),
      { numRuns: 300 * LONG },
    );
  });

  it('of tables meet any bytes with an error that says so', () => {
    const { path, bytes, number } = fileOf('/table-');
    fc.assert(
      fc.property(mangled(bytes), (input) =>
        onlyKnownErrors(() => {
          const file = {
            path,
            size: input.length,
            view: (at: number, length: number) => input.subarray(at, at + length),
            close: () => {},
          };
          const reader = openTable({ exists: () => true, open: () => file } as unknown as Disk, path, number);
          for (let block = 0; block < reader.blocks; block++) {
            const records = reader.copyBlock(block, 'each', null);
            for (records.seekToFirst(); records.isValid; records.next()) records.key.slice();
            for (records.seekToLast(); records.isValid; records.previous()) records.key.slice();
          }
        }),
      ),
      { numRuns: 300 * LONG },
    );
  });

  it('of the parts of a table meet bytes that a checksum would let pass with an error that says so', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(5), (input, count) => {
        onlyKnownErrors(() => decodeProperties(input, 3, 'p', 0));
        onlyKnownErrors(() => decodeRangeTombstones(input, count, 'p', 0));
        if (input.length === 64) onlyKnownErrors(() => decodeFooter(input, 'p', 0, 1));
      }),
      { numRuns: 500 * LONG },
    );
  });
});
