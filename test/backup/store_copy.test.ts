/** Backups and restored stores, made of stores that nobody has open. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CopiedFile } from '../../src/backup/file_copy.ts';
import { decodeList, encodeList } from '../../src/backup/file_list.ts';
import { Target } from '../../src/backup/target.ts';
import { CorruptionError, type Outcome } from '../../src/base/errors.ts';
import { copyStore, type StoreCopy } from '../../src/inspect/store_copy.ts';
import type { EngineRig } from '../embedded/rig.ts';
import { flip, makeStore } from '../inspect/store_rig.ts';
import { IS_LONG, runs } from '../long.ts';
import { FailingDisk } from '../lsm/failing_disk.ts';
import { contentsIn, run } from './rig.ts';

type Purpose = 'backup' | 'restore';

function copied(
  rig: EngineRig,
  purpose: Purpose,
  from: string,
  to: string,
  disk = rig.disk.attach(rig.process),
) {
  return run<StoreCopy>(rig, () => {
    return copyStore(disk, from, new Target(disk, to), { purpose, compressions: [], onProgress: () => {} });
  });
}

function start(seed: string): { rig: EngineRig; expected: Record<string, string> | Error } {
  const rig = makeStore(seed);
  rig.process.run(() => rig.disk.attach(rig.process).makeDirectory('/copies'));
  return { rig, expected: contentsIn(rig, '/db') };
}

function filesUnder(rig: EngineRig, directory: string): string[] {
  return rig.disk.files().filter((path) => path.startsWith(`${directory}/`));
}

function failureOf(outcome: Outcome<StoreCopy> | null): Error | null {
  return outcome?.ok === false ? outcome.error : null;
}

describe('a backup', () => {
  it('can be restored, file by file the same', () => {
    const { rig, expected } = start('same');
    expect(copied(rig, 'backup', '/db', '/copies/backup')).toMatchObject({
      ok: true,
      value: { hasList: false, isNode: false, unknown: [] },
    });
    expect(copied(rig, 'restore', '/copies/backup', '/copies/restored')).toMatchObject({
      ok: true,
      value: { hasList: true },
    });
    for (const path of filesUnder(rig, '/db')) {
      expect(rig.disk.readRaw(path.replace('/db', '/copies/restored'))).toEqual(rig.disk.readRaw(path));
    }
    expect(contentsIn(rig, '/copies/restored')).toEqual(expected);
    expect(Object.keys(expected).length).toBeGreaterThan(30);
  });

  for (const purpose of ['backup', 'restore'] as const) {
    it(`is there as a whole or not at all, whatever operation of a ${purpose} a crash comes in`, () => {
      let [absent, whole] = [0, 0];
      for (let run = 2; ; run++) {
        // Each operation twice: as the seed draws it; and with all names kept that were given up to its end.
        const operation = Math.floor(run / 2);
        const isKept = run % 2 === 1;
        const { rig, expected } = start(`crash ${purpose} ${run}`);
        expect(copied(rig, 'backup', '/db', '/copies/first')?.ok).toBe(true);
        const from = purpose === 'backup' ? '/db' : '/copies/first';
        const before = filesUnder(rig, from).map((path) => ({ path, bytes: rig.disk.readRaw(path) }));
        rig.disk.crashInside(isKept ? { after: operation, at: 'after' } : { after: operation });
        const outcome = copied(rig, purpose, from, '/copies/second');
        rig.crash(isKept ? { names: 'keep-all' } : {});
        for (const { path, bytes } of before) {
          expect([path, Buffer.compare(rig.disk.readRaw(path), bytes)]).toEqual([path, 0]);
        }
        const isThere = filesUnder(rig, '/copies/second').length > 0;
        if (isThere) expect(contentsIn(rig, '/copies/second')).toEqual(expected);
        if (outcome !== null) {
          expect([outcome.ok, isThere]).toEqual([true, true]);
          break;
        }
        if (isThere) whole++;
        else absent++;
        if (isThere || (!IS_LONG && operation % 5 > 0)) continue;
        expect(copied(rig, purpose, from, '/copies/second')?.ok).toBe(true);
        expect(contentsIn(rig, '/copies/second')).toEqual(expected);
      }
      expect(absent).toBeGreaterThan(10);
      expect(whole).toBeGreaterThanOrEqual(1);
    }, 120_000);
  }

  it('ends with an error, and is not there, whatever operation fails', () => {
    const { rig } = start('failing');
    for (let operation = 1; ; operation += IS_LONG ? 1 : 3) {
      const disk = new FailingDisk(rig.disk.attach(rig.process), operation, (task) => rig.clock.later(task));
      disk.readsFailForGood = true;
      const outcome = copied(rig, 'backup', '/db', `/copies/${operation}`, disk);
      if (!disk.hasFailed) break;
      expect(outcome?.ok).toBe(false);
      // The name is there, and only its sync has failed.
      if (filesUnder(rig, `/copies/${operation}`).length > 0) {
        expect(failureOf(outcome)).toMatchObject({ path: '/copies', operation: 'syncDirectory' });
      }
    }
  });

  it('is refused by restore when any byte of it has changed, a file is missing or one has come to it', () => {
    const { rig } = start('changed');
    expect(copied(rig, 'backup', '/db', '/copies/backup')?.ok).toBe(true);
    for (const path of filesUnder(rig, '/copies/backup')) {
      const size = rig.disk.sizeOf(path);
      // Zeros behind the end of a log belong to it as well.
      for (let at = 0; at < size; at += Math.ceil(size / (IS_LONG ? 100 : 8))) {
        flip(rig, path, at);
        const failure = failureOf(copied(rig, 'restore', '/copies/backup', '/copies/restored'));
        expect([path, at, failure]).toEqual([path, at, expect.any(CorruptionError)]);
        expect((failure as CorruptionError).path).toBe(path);
        flip(rig, path, at);
      }
    }
    const last =
      filesUnder(rig, '/copies/backup')
        .filter((path) => path.endsWith('.log'))
        .at(-1) ?? '';
    rig.disk.loseName(last);
    expect(failureOf(copied(rig, 'restore', '/copies/backup', '/copies/restored'))?.message).toBe(
      `corruption in ${last} at offset 0: a file of the backup is missing`,
    );
    expect(copied(rig, 'backup', '/db', '/copies/other')?.ok).toBe(true);
    contentsIn(rig, '/copies/other');
    const opened = failureOf(copied(rig, 'restore', '/copies/other', '/copies/restored'));
    expect(opened?.message).toMatch(/in the list of the backup|a file of the backup is missing/);
    expect(filesUnder(rig, '/copies/restored')).toEqual([]);
  });

  it('is not made of a store that is damaged, and says where that is', () => {
    const { rig } = start('damaged');
    for (const part of ['/table-', '/manifest-', '.log']) {
      const path = filesUnder(rig, '/db').find((name) => name.includes(part)) ?? '';
      flip(rig, path, 50);
      const failure = failureOf(copied(rig, 'backup', '/db', '/copies/backup'));
      expect(failure).toBeInstanceOf(CorruptionError);
      expect((failure as CorruptionError).path).toBe(path);
      flip(rig, path, 50);
    }
    expect(filesUnder(rig, '/copies')).toEqual([]);
  });
});

describe('the list of a backup', () => {
  const sum = fc.record({ bytes: fc.nat(), checksum: fc.integer({ min: 0, max: 0xffffffff }) });
  const names = fc.constantFrom(
    'log/000001.log',
    'tables/table-7',
    'tables/CURRENT',
    'vote-a',
    'identity.json',
  );
  const lists = fc
    .array(fc.tuple(names, sum), { maxLength: 8 })
    .map((files) => new Map<string, CopiedFile>(files));

  it('is read as it was written', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const read = decodeList(encodeList(list), 'BACKUP');
        expect(read).toEqual(
          new Map([...list].map(([name, { bytes, checksum }]) => [name, { bytes, checksum }])),
        );
      }),
      { numRuns: runs(100) },
    );
  });

  it('is refused when any byte has changed, or is missing, or is not of it', () => {
    const read = (bytes: Uint8Array) => () => decodeList(bytes, 'BACKUP');
    fc.assert(
      fc.property(lists, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, at, change) => {
        const bytes = encodeList(list);
        const place = at % bytes.length;
        expect(read(bytes.slice(0, place))).toThrow(CorruptionError);
        bytes[place] ^= change;
        expect(read(bytes)).toThrow(CorruptionError);
      }),
      { numRuns: runs(200) },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(read(bytes)).toThrow(CorruptionError);
      }),
      { numRuns: runs(200) },
    );
  });
});
