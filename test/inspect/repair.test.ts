/** What is repaired is right, or said to be lost or uncertain: never silently wrong. */
import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { Target } from '../../src/backup/target.ts';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import type { Loss } from '../../src/inspect/loss.ts';
import { type Repair, type RepairOptions, repairStore } from '../../src/inspect/repair.ts';
import { verify } from '../../src/inspect/verify.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import { contentsIn, run } from '../backup/rig.ts';
import { EngineRig } from '../embedded/rig.ts';
import { IS_LONG } from '../long.ts';
import { close, flip, flush, makeStore, putOf, replace, TUNING, writeAll } from './store_rig.ts';

type Contents = Record<string, string>;

const TO = '/repaired';
/** Rounds that one simulated machine is good for: its disk remembers all that was ever on it, and gets slower. */
const ROUNDS_MAX = 50;

function repaired(
  rig: EngineRig,
  options: Partial<RepairOptions> = {},
  disk = rig.disk.attach(rig.process),
  to = TO,
): Repair {
  const { clock } = rig;
  const all: RepairOptions = {
    clock,
    compressions: [runLength],
    as: 'store',
    log: 'around',
    onProgress: () => {},
    ...options,
  };
  const outcome = run<Repair>(rig, () => repairStore(disk, '/db', new Target(disk, to), all));
  if (outcome?.ok !== true) throw outcome?.error ?? new Error('it has crashed');
  return outcome.value;
}

function contents(rig: EngineRig, directory: string): Contents {
  const found = contentsIn(rig, directory);
  if (found instanceof Error) throw found;
  return found;
}

function filesUnder(rig: EngineRig, directory: string): string[] {
  return rig.disk.files().filter((path) => path.startsWith(`${directory}/`));
}

function file(rig: EngineRig, part: string, which = 0): string {
  return filesUnder(rig, '/db').filter((path) => path.includes(part))[which] ?? '';
}

function images(rig: EngineRig): Map<string, Uint8Array> {
  return new Map(filesUnder(rig, '/db').map((path) => [path, rig.disk.readRaw(path)]));
}

/** So that another repair can be tried. */
function clear(rig: EngineRig, directory = TO): void {
  rig.process.run(() => {
    const disk = rig.disk.attach(rig.process);
    for (const path of filesUnder(rig, directory)) disk.remove(path);
    for (const name of ['/log', '/tables', '']) {
      if (disk.exists(`${directory}${name}`)) disk.removeDirectory(`${directory}${name}`);
    }
  });
}

function covers({ keys }: Loss, name: string): boolean {
  if (keys === null) return false;
  const key = storeKey('b', utf8(name.slice('b/'.length)));
  return (
    (keys.from === null || compareBytes(keys.from, key) <= 0) &&
    (keys.to === null || compareBytes(keys.to, key) >= 0)
  );
}

/** Keys that do not hold what they should, and of which no loss says so. */
function silentlyWrong(expected: Contents, found: Contents, losses: readonly Loss[]): string[] {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return [...names].filter(
    (name) => expected[name] !== found[name] && !losses.some((loss) => covers(loss, name)),
  );
}

function isCertain({ losses }: Repair): boolean {
  return losses.every(({ keys }) => keys === null);
}

/** As `makeStore`, and what is in it. */
function start(): { rig: EngineRig; expected: Contents; before: Map<string, Uint8Array> } {
  const rig = makeStore('repair');
  const expected = contents(rig, '/db');
  return { rig, expected, before: images(rig) };
}

/** As `start`, but the tables have been merged, so that what deletes hid is gone, and another flush lies above. */
function startCompacted(): ReturnType<typeof start> {
  const rig = makeStore('compacted');
  const engine = rig.mustOpen();
  rig.process.run(() => engine.compact(() => {}));
  rig.pass(1_000_000);
  writeAll(rig, engine, [
    putOf(5, 'above'),
    { type: 'delete', bucket: 'b', keys: [utf8('k006'), utf8('k007')] },
  ]);
  flush(rig, engine);
  writeAll(rig, engine, [putOf(8, 'in the log')]);
  close(rig, engine);
  const expected = contents(rig, '/db');
  return { rig, expected, before: images(rig) };
}

/** As `start`, with tables whose blocks are compressed. */
function startCompressed(): ReturnType<typeof start> {
  const store = { ...TUNING.store, compression: runLength.name };
  const rig = makeStore('compressed', { ...TUNING, store, compressions: [runLength] }, 'x'.repeat(60));
  const expected = contents(rig, '/db');
  return { rig, expected, before: images(rig) };
}

/** Puts the files back as they were. */
function mend(rig: EngineRig, before: ReadonlyMap<string, Uint8Array>): void {
  for (const path of filesUnder(rig, '/db')) if (!before.has(path)) rig.disk.loseName(path);
  for (const [path, bytes] of before) replace(rig, path, bytes);
}

describe('a repaired store', () => {
  it('is the same as before when nothing is damaged, and the old one is left as it is', () => {
    const { rig, expected, before } = start();
    const repair = repaired(rig);
    expect(repair).toMatchObject({ losses: [], notes: [] });
    expect(repair.tablesRead).toBeGreaterThan(2);
    expect(repair.entriesKept).toBeGreaterThan(5);
    expect(images(rig)).toEqual(before);
    expect(contents(rig, TO)).toEqual(expected);
    expect(Object.keys(expected).length).toBeGreaterThan(30);
  });

  for (const [kind, begin] of [
    ['flushed', start],
    ['compacted', startCompacted],
    ['compressed', startCompressed],
  ] as const)
    it(`is right, or says where it may not be, whatever byte of a ${kind} store has changed`, () => {
      let { rig, expected } = begin();
      let [certain, narrow, unbounded] = [0, 0, 0];
      for (const path of filesUnder(rig, '/db')) {
        const size = path.endsWith('.log') ? lastByte(rig, path) : rig.disk.sizeOf(path);
        const samples = IS_LONG ? size : 16;
        for (let sample = 0; sample < Math.min(size, samples); sample++) {
          const offset = Math.floor((sample * size) / Math.min(size, samples));
          if (sample % ROUNDS_MAX === ROUNDS_MAX - 1) ({ rig, expected } = begin());
          flip(rig, path, offset);
          const repair = repaired(rig);
          const found = contents(rig, TO);
          expect([path, offset, silentlyWrong(expected, found, repair.losses)]).toEqual([path, offset, []]);
          if (isCertain(repair)) {
            certain++;
            expect([path, offset, found]).toEqual([path, offset, expected]);
          } else if (repair.losses.some(({ keys }) => keys?.from === null && keys.to === null)) unbounded++;
          else narrow++;
          for (const loss of repair.losses) expect(loss.path.startsWith('/db')).toBe(true);
          clear(rig);
          flip(rig, path, offset);
        }
      }
      // Not everything is given up for lost.
      expect(certain).toBeGreaterThan(10);
      expect(narrow).toBeGreaterThan(20);
      expect(unbounded).toBeGreaterThan(10);
      const all = certain + narrow + unbounded;
      expect(unbounded).toBeLessThan(all / 2);
    }, 300_000);

  it('is right, or says where it may not be, when several places are damaged at once', () => {
    let { rig, expected, before } = start();
    const paths = [...before.keys()];
    let differences = 0;
    for (let round = 0; round < (IS_LONG ? 1000 : 60); round++) {
      if (round % ROUNDS_MAX === ROUNDS_MAX - 1) ({ rig, expected, before } = start());
      for (let place = 0; place <= round % 5; place++) {
        const path = paths[(round * 7 + place * 3) % paths.length] ?? '';
        const size = path.endsWith('.log') ? lastByte(rig, path) : rig.disk.sizeOf(path);
        flip(rig, path, ((round + 1) * 7919 + place * 104_729) % size);
      }
      const repair = repaired(rig);
      const found = contents(rig, TO);
      expect([round, silentlyWrong(expected, found, repair.losses)]).toEqual([round, []]);
      if (JSON.stringify(found) !== JSON.stringify(expected)) differences++;
      clear(rig);
      mend(rig, before);
    }
    expect(differences).toBeGreaterThan(5);
  }, 300_000);

  for (const [kind, begin] of [
    ['plain', start],
    ['compressed', startCompressed],
  ] as const)
    it(`needs no filter, no index and no properties of its ${kind} tables`, () => {
      const { rig, expected } = begin();
      for (const part of ['filterOffset', 'indexOffset', 'propertiesOffset'] as const) {
        for (let which = 0; file(rig, '/table-', which) !== ''; which++) {
          const path = file(rig, '/table-', which);
          const bytes = rig.disk.readRaw(path);
          const view = new DataView(bytes.buffer, bytes.length - 64);
          const at = { filterOffset: 0, indexOffset: 8, propertiesOffset: 24 }[part];
          const offset = view.getUint32(at, true);
          flip(rig, path, offset);
          const repair = repaired(rig);
          expect([part, repair.losses]).toMatchObject([part, [{ path, offset, keys: null }]]);
          expect(contents(rig, TO)).toEqual(expected);
          clear(rig);
          flip(rig, path, offset);
        }
      }
    });

  it('finds the good blocks of a compressed table that has lost its index too', () => {
    const { rig, expected } = startCompressed();
    const path = file(rig, '/table-');
    const bytes = rig.disk.readRaw(path);
    const indexOffset = new DataView(bytes.buffer, bytes.length - 64).getUint32(8, true);
    flip(rig, path, indexOffset);
    flip(rig, path, 120);
    const repair = repaired(rig);
    const found = contents(rig, TO);
    const lost = Object.keys(expected).filter((name) => found[name] === undefined);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(12);
    expect(silentlyWrong(expected, found, repair.losses)).toEqual([]);
  });

  it('keeps the good blocks of a damaged table, and names the keys of the others', () => {
    const { rig, expected } = start();
    const path = file(rig, '/table-');
    flip(rig, path, 300);
    const { losses } = repaired(rig);
    expect(losses).toHaveLength(1);
    expect(losses[0]).toMatchObject({ path, what: 'the checksum of a data block does not match' });
    const found = contents(rig, TO);
    const lost = Object.keys(expected).filter((name) => found[name] === undefined);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(12);
  });

  it('is put together from the tables that are there when the manifest is lost', () => {
    for (const part of ['/CURRENT', '/manifest-']) {
      const { rig, expected } = start();
      rig.disk.loseName(file(rig, part));
      const { losses } = repaired(rig);
      expect(losses).toHaveLength(1);
      expect(losses[0]?.effect).toMatch(/put together from the \d+ tables .* may have come back/);
      // Nothing had been replaced: nothing comes back.
      expect(contents(rig, TO)).toEqual(expected);
    }
  });

  it('carries out no entry twice when the manifest is lost, whatever the log still has', () => {
    const rig = new EngineRig('twice', { ...TUNING, segmentBytes: 1 << 20 });
    const engine = rig.mustOpen();
    const add = { type: 'add', bucket: 'b', key: utf8('counter'), by: 1n } as const;
    writeAll(rig, engine, [add, add, putOf(1)]);
    flush(rig, engine);
    writeAll(rig, engine, [add, putOf(2)]);
    flush(rig, engine);
    writeAll(rig, engine, [add, putOf(3)]);
    close(rig, engine);
    rig.disk.loseName(file(rig, '/CURRENT'));
    repaired(rig);
    expect(contents(rig, TO)['b/counter']).toBe('4');
  });

  it('names the keys of a table that is missing, and what is lost with the log', () => {
    const { rig, expected } = start();
    const table = file(rig, '/table-', 1);
    rig.disk.loseName(table);
    const repair = repaired(rig);
    expect(repair.losses).toMatchObject([{ path: table, what: 'the table is missing' }]);
    expect(silentlyWrong(expected, contents(rig, TO), repair.losses)).toEqual([]);
    clear(rig);
    for (const path of filesUnder(rig, '/db/log')) rig.disk.loseName(path);
    const other = repaired(rig);
    expect(other.losses[0]?.what).toBe('there is no segment of the log');
    expect(contents(rig, TO)['b/counter']).toBeUndefined();
  });

  it('goes around a lost entry of the log, or only up to it', () => {
    const { rig, expected } = start();
    const path = file(rig, '.log', filesUnder(rig, '/db/log').length - 1);
    const bytes = rig.disk.readRaw(path);
    // The first of the five sets behind the last flush: its value.
    const offset = Buffer.from(bytes).indexOf('value 50');
    flip(rig, path, offset);
    const around = repaired(rig);
    expect(around.losses).toHaveLength(1);
    expect(around.losses[0]?.effect).toBe(
      'entry 54 of the log is lost: any key may hold what it held before; those behind were carried out on what is left',
    );
    expect(contents(rig, TO)).toEqual(without(expected, ['b/k050']));
    clear(rig);
    const until = repaired(rig, { log: 'until' });
    expect(until.losses[0]?.effect).toContain('so are those up to 61 behind');
    const lost = [50, 51, 52, 53, 54, 90].map((at) => `b/k0${at}`);
    expect(contents(rig, TO)).toEqual({
      ...without(expected, [...lost, 'b/counter']),
      'b/k003': 'value 3 value 3 value 3 ',
    });
  });

  it('leaves out a torn end of the log, which nobody was told of', () => {
    const rig = makeStore('torn');
    const engine = rig.mustOpen();
    writeAll(rig, engine, [putOf(70)]);
    rig.process.run(() => {
      for (let at = 71; at < 75; at++) engine.write(putOf(at), 'sync', () => {});
    });
    // Handed to the disk and not synced.
    rig.pass(1);
    rig.crash({ content: 'lose-all' });
    const repair = repaired(rig);
    expect(repair.losses).toEqual([]);
    const found = contents(rig, TO);
    expect([found['b/k070'], found['b/k071']]).toEqual(['value 70 value 70 value 70 ', undefined]);
    expect(contents(rig, '/db')).toEqual(found);
  });

  it('reads around sectors that cannot be read', () => {
    const { rig, expected } = start();
    for (const part of ['/table-', '.log', '/manifest-']) {
      const path = file(rig, part);
      rig.disk.breakSector(path, 512 < rig.disk.sizeOf(path) ? 512 : 0);
      const repair = repaired(rig);
      const found = contents(rig, TO);
      expect([part, silentlyWrong(expected, found, repair.losses)]).toEqual([part, []]);
      clear(rig);
    }
  });

  it('appears as a whole or not at all, whatever operation a crash comes in, and the old one stays', () => {
    let [absent, whole] = [0, 0];
    for (let round = 2; ; round++) {
      const operation = Math.floor(round / 2);
      const isKept = round % 2 === 1;
      const rig = makeStore(`crash ${round}`);
      // Durable, all of it: a crash takes nothing of the old store.
      rig.crash({ content: 'keep-all', names: 'keep-all' });
      rig.disk.flipByte(file(rig, '/table-'), 300);
      const before = images(rig);
      rig.disk.crashInside(isKept ? { after: operation, at: 'after' } : { after: operation });
      const disk = rig.disk.attach(rig.process);
      const options: RepairOptions = { clock: rig.clock, as: 'store', log: 'around', onProgress: () => {} };
      const outcome = run<Repair>(rig, () => repairStore(disk, '/db', new Target(disk, TO), options));
      rig.crash(isKept ? { names: 'keep-all' } : {});
      for (const [path, bytes] of before) {
        expect([path, Buffer.compare(rig.disk.readRaw(path), bytes)]).toEqual([path, 0]);
      }
      const isThere = filesUnder(rig, TO).length > 0;
      if (isThere) expect(Object.keys(contents(rig, TO)).length).toBeGreaterThan(20);
      if (outcome !== null) {
        expect([outcome.ok, isThere]).toEqual([true, true]);
        break;
      }
      if (isThere) whole++;
      else absent++;
    }
    expect(absent).toBeGreaterThan(10);
    expect(whole).toBeGreaterThanOrEqual(1);
  }, 120_000);

  it('has a term and a vote when it is to be that of a standalone server', () => {
    const { rig, expected } = start();
    const { notes } = repaired(rig, { as: 'server' });
    expect(notes).toHaveLength(1);
    expect(filesUnder(rig, TO)).toEqual(expect.arrayContaining([`${TO}/vote-a`, `${TO}/vote-b`]));
    rig.process.run(() => expect(verify(rig.disk.attach(rig.process), TO).damage).toEqual([]));
    expect(contents(rig, TO)).toEqual(expected);
  });
});

function lastByte(rig: EngineRig, path: string): number {
  const bytes = rig.disk.readRaw(path);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

function without(contents: Contents, names: readonly string[]): Contents {
  return Object.fromEntries(Object.entries(contents).filter(([name]) => !names.includes(name)));
}
