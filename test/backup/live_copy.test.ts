/** Copies of a store that is open: what is in them, and what a crash leaves. */
import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { readList } from '../../src/backup/file_list.ts';
import { type CopyProgress, copyLive, type LiveCopy } from '../../src/backup/live_copy.ts';
import { runSteps } from '../../src/backup/steps.ts';
import { Target } from '../../src/backup/target.ts';
import { CorruptionError, DiskError, type Outcome } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Engine, EngineOptions } from '../../src/embedded/engine.ts';
import { verify } from '../../src/inspect/verify.ts';
import type { Disk } from '../../src/io/disk.ts';
import { EngineRig } from '../embedded/rig.ts';
import { IS_LONG } from '../long.ts';
import { FailingDisk } from '../lsm/failing_disk.ts';
import { contentsIn, contentsOf, outcomeOf } from './rig.ts';

const TUNING = {
  segmentBytes: 4096,
  store: { memtableBytes: 4096, blockBytes: 256, tableBytes: 1024, mergeAtTables: 4 },
};
const TARGET = '/copies/one';

interface Started {
  readonly rig: EngineRig;
  readonly engine: Engine;
}

function put(engine: Engine, at: number, value: string, durability: 'sync' | 'buffered' = 'sync'): void {
  const key = utf8(`k${String(at % 97).padStart(2, '0')}`);
  engine.write({ type: 'set', bucket: 'b', key, value: utf8(value) }, durability, () => {});
}

/** Tables of several levels, and a log behind them. */
function begin(seed: string, writes = 300, tuning: Partial<EngineOptions> = TUNING): Started {
  const rig = new EngineRig(seed, tuning);
  const engine = rig.mustOpen();
  rig.process.run(() => rig.disk.attach(rig.process).makeDirectory('/copies'));
  for (let at = 0; at < writes; at++) rig.process.run(() => put(engine, at, `value ${at} ${'x'.repeat(20)}`));
  rig.pass(2_000_000);
  for (let at = 0; at < 5; at++) rig.process.run(() => put(engine, at, `latest ${at}`));
  rig.process.run(() => engine.write({ type: 'delete', bucket: 'b', keys: [utf8('k09')] }, 'sync', () => {}));
  rig.pass(500_000);
  return { rig, engine };
}

function copy(
  { rig, engine }: Started,
  tables: 'link' | 'copy',
  disk: Disk,
  done: (outcome: Outcome<LiveCopy>) => void,
  onProgress: (progress: CopyProgress) => void = () => {},
): void {
  const { clock } = rig;
  const options = { disk, clock, logger: { log: () => {} }, tables, compressions: [runLength], onProgress };
  runSteps(copyLive(engine.hold(), new Target(disk, TARGET), options), clock, () => null, done);
}

function copied(started: Started, tables: 'link' | 'copy', disk?: Disk): Outcome<LiveCopy> | null {
  const { rig } = started;
  return outcomeOf(rig, (done) => copy(started, tables, disk ?? rig.disk.attach(rig.process), done));
}

function filesUnder(rig: EngineRig, directory: string): string[] {
  return rig.disk.files().filter((path) => path.startsWith(`${directory}/`));
}

for (const tables of ['link', 'copy'] as const) {
  describe(`a copy of an open store by '${tables}'`, () => {
    it('holds the state of the moment in which it was asked for, whatever is written meanwhile', () => {
      const started = begin(`moment ${tables}`);
      const { rig, engine } = started;
      let outcome: Outcome<LiveCopy> | null = null;
      let expected: Record<string, string> = {};
      rig.process.run(() => {
        // Not durable yet: what readers see is in it all the same.
        put(engine, 3, 'buffered', 'buffered');
        expected = contentsOf(engine);
        copy(started, tables, rig.disk.attach(rig.process), (found) => {
          outcome = found;
        });
      });
      const merged = engine.store.statistics().merges;
      for (let round = 0; outcome === null || round < 300; round++) {
        rig.process.run(() => put(engine, round * 7, `meanwhile ${round} ${'y'.repeat(30)}`));
        rig.pass(1000);
      }
      const found = outcome as Outcome<LiveCopy>;
      expect(found).toMatchObject({ ok: true, value: { whyCopied: null } });
      expect(engine.store.statistics().merges).toBeGreaterThan(merged);
      const now = contentsOf(engine);
      expect(now).not.toEqual(expected);
      expect(contentsIn(rig, TARGET)).toEqual(expected);
      rig.crash();
      expect(contentsIn(rig, '/db')).toEqual(now);
      expect(contentsIn(rig, TARGET)).toEqual(expected);
    });

    it('is there as a whole or not at all, whatever operation a crash comes in, and the store loses nothing', () => {
      let [absent, whole] = [0, 0];
      for (let run = 2; ; run++) {
        // Each operation twice: as the seed draws it; and with all names kept that were given up to its end.
        const operation = Math.floor(run / 2);
        const isKept = run % 2 === 1;
        const started = begin(`crash ${tables} ${run}`, IS_LONG ? 300 : 60);
        const { rig, engine } = started;
        const expected = contentsOf(engine);
        rig.disk.crashInside(isKept ? { after: operation, at: 'after' } : { after: operation });
        const outcome = copied(started, tables);
        if (outcome !== null) {
          expect(outcome.ok).toBe(true);
          // What has been told to be there is there.
          rig.crash();
          expect(contentsIn(rig, TARGET)).toEqual(expected);
          break;
        }
        rig.crash(isKept ? { names: 'keep-all' } : {});
        const isThere = filesUnder(rig, TARGET).length > 0;
        if (isThere) whole++;
        else absent++;
        if (isThere) expect(contentsIn(rig, TARGET)).toEqual(expected);
        const again = { rig, engine: rig.mustOpen() };
        expect(contentsOf(again.engine)).toEqual(expected);
        if (isThere) continue;
        expect(copied(again, tables)?.ok).toBe(true);
        expect(contentsIn(rig, TARGET)).toEqual(expected);
      }
      expect(absent).toBeGreaterThan(10);
      expect(whole).toBeGreaterThanOrEqual(1);
    }, 120_000);

    it('ends with an error, and leaves nothing, whatever operation fails', () => {
      let failures = 0;
      for (let operation = 1; ; operation += IS_LONG ? 1 : 4) {
        const started = begin(`failing ${tables}`);
        const { rig, engine } = started;
        const disk = new FailingDisk(rig.disk.attach(rig.process), operation, (task) =>
          rig.clock.later(task),
        );
        disk.readsFailForGood = true;
        const outcome = copied(started, tables, disk);
        if (!disk.hasFailed) break;
        failures++;
        // A link that cannot be made is a copy.
        if (outcome?.ok === false) {
          expect(outcome.error).toBeInstanceOf(DiskError);
          const named = filesUnder(rig, TARGET);
          // Only when the last sync fails, of the name itself, it is not known what a crash would leave.
          if (named.length > 0) expect((outcome.error as DiskError).path).toBe('/copies');
        } else {
          // Nor does a copy rest on it whether a spare segment of its log is still there.
          expect(outcome?.value.whyCopied ?? 'this one fails').toMatch(/this one fails/);
          expect(contentsIn(rig, TARGET)).toEqual(contentsOf(engine));
        }
        rig.process.run(() => put(engine, 1, 'goes on'));
        rig.pass(200_000);
        expect(contentsOf(engine)['b/k01']).toBe('goes on');
      }
      expect(failures).toBeGreaterThan(10);
    }, 120_000);
  });
}

describe('a copy of an open store', () => {
  it('shares its tables by links, and takes copies where the disk has no links', () => {
    const started = begin('links');
    const { rig } = started;
    const disk = rig.disk.attach(rig.process);
    const linked = copied(started, 'link');
    if (linked?.ok !== true) throw new Error('it was not copied');
    expect(linked.value.linked).toBe(linked.value.tables);
    expect(linked.value.tables).toBeGreaterThan(2);
    rig.process.run(() => {
      for (const path of filesUnder(rig, TARGET)) disk.remove(path);
      for (const name of ['log', 'tables']) disk.removeDirectory(`${TARGET}/${name}`);
    });
    const unlinkable: Disk = {
      ...boundTo(disk),
      link: (from) => {
        throw new DiskError('link', from, 'EXDEV', 'another file system');
      },
    };
    const other = copied(started, 'link', unlinkable);
    expect(other).toMatchObject({
      ok: true,
      value: {
        linked: 0,
        tables: linked.value.tables,
        whyCopied: expect.stringMatching(/EXDEV: another file/),
      },
    });
    expect(contentsIn(rig, TARGET)).toEqual(contentsOf(started.engine));
  });

  it('has a list of its files, and tells how far it is, when every byte is copied', () => {
    const started = begin('list');
    const { rig } = started;
    const told: CopyProgress[] = [];
    const outcome = outcomeOf<LiveCopy>(rig, (done) => {
      copy(started, 'copy', rig.disk.attach(rig.process), done, (progress) => told.push(progress));
    });
    expect(outcome?.ok).toBe(true);
    const { totalBytes } = told[0] ?? { totalBytes: 0 };
    expect(told.at(-1)).toEqual({ copiedBytes: totalBytes, checkedBytes: totalBytes, totalBytes });
    for (let at = 1; at < told.length; at++) {
      expect(told[at].copiedBytes).toBeGreaterThanOrEqual(told[at - 1].copiedBytes);
    }
    rig.process.run(() => {
      const list = readList(rig.disk.attach(rig.process), TARGET);
      const names = [...(list?.keys() ?? [])].map((name) => `${TARGET}/${name}`);
      expect(names.sort()).toEqual(
        filesUnder(rig, TARGET)
          .filter((path) => !path.endsWith('BACKUP'))
          .sort(),
      );
      expect(verify(rig.disk.attach(rig.process), TARGET).damage).toEqual([]);
    });
  });

  it('is refused where something is already, and leaves it alone', () => {
    const started = begin('occupied');
    const { rig } = started;
    rig.process.run(() => {
      const disk = rig.disk.attach(rig.process);
      disk.makeDirectory(TARGET);
      disk.create(`${TARGET}/notes.txt`).close();
    });
    const outcome = copied(started, 'link');
    expect(outcome).toMatchObject({ ok: false });
    expect((outcome as { error?: Error }).error?.message).toBe(
      `${TARGET} is not empty: notes.txt is in it; name a new directory`,
    );
    expect(filesUnder(rig, '/copies')).toEqual([`${TARGET}/notes.txt`]);
  });

  it('removes what an earlier attempt has left, and nothing that none could have left', () => {
    const started = begin('leftovers');
    const { rig } = started;
    const disk = rig.disk.attach(rig.process);
    const make = (path: string): void => rig.process.run(() => disk.create(path).close());
    rig.process.run(() => disk.makeDirectory(`${TARGET}.partial/tables`));
    make(`${TARGET}.partial/tables/table-77`);
    make(`${TARGET}.partial/letter.txt`);
    const refused = copied(started, 'link');
    expect((refused as { error?: Error }).error?.message).toContain('letter.txt is in it');
    expect(filesUnder(rig, `${TARGET}.partial`)).toHaveLength(2);
    rig.process.run(() => disk.remove(`${TARGET}.partial/letter.txt`));
    expect(copied(started, 'link')?.ok).toBe(true);
    expect(filesUnder(rig, TARGET).filter((path) => path.includes('table-77'))).toEqual([]);
  });

  it('checks compressed tables as they are, and notices damage to them', () => {
    const store = { ...TUNING.store, compression: runLength.name };
    const started = begin('compressed', 100, { ...TUNING, store, compressions: [runLength] });
    const { rig } = started;
    expect(copied(started, 'copy')?.ok).toBe(true);
    expect(contentsIn(rig, TARGET)).toEqual(contentsOf(started.engine));
    const other = begin('compressed', 100, { ...TUNING, store, compressions: [runLength] });
    const table = other.rig.disk.files().find((path) => path.startsWith('/db/tables/table-')) ?? '';
    other.rig.disk.flipByte(table, 20);
    expect(copied(other, 'copy')).toMatchObject({ ok: false, error: { path: table } });
  });

  it('names the table of the store that is damaged, and is not made', () => {
    const started = begin('damage');
    const { rig } = started;
    const table = rig.disk.files().find((path) => path.startsWith('/db/tables/table-')) ?? '';
    rig.disk.flipByte(table, 40);
    const outcome = copied(started, 'copy');
    const error = outcome?.ok === false ? outcome.error : null;
    expect(error).toBeInstanceOf(CorruptionError);
    expect((error as CorruptionError).path).toBe(table);
    expect(filesUnder(rig, '/copies')).toEqual([]);
  });
});

/** Methods of a class instance as own properties, so that one can be replaced. */
function boundTo(disk: Disk): Omit<Disk, 'link'> {
  return {
    list: (directory) => disk.list(directory),
    exists: (path) => disk.exists(path),
    makeDirectory: (path) => disk.makeDirectory(path),
    open: (path) => disk.open(path),
    create: (path) => disk.create(path),
    openAppend: (path, position) => disk.openAppend(path, position),
    preallocate: (path, bytes, done) => disk.preallocate(path, bytes, done),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    renameDirectory: (from, to) => disk.renameDirectory(from, to),
    removeDirectory: (path) => disk.removeDirectory(path),
    syncDirectory: (path, done) => disk.syncDirectory(path, done),
  };
}
