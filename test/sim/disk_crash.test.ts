/** What a crash may take from a simulated disk, and what it may not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SimDisk } from '../../sim/disk.ts';
import type { AppendFile, Disk } from '../../src/io/disk.ts';
import { runs } from '../long.ts';
import { Rig } from './rig.ts';

const seed = fc.string({ minLength: 1, maxLength: 8 });

/** `length` bytes of which none is zero and neighbours differ. */
function pattern(length: number, start = 0): Uint8Array {
  return Uint8Array.from({ length }, (_none, i) => 1 + ((start + i) % 251));
}

/** A file whose name is durable, as is what `content` holds. */
function makeDurable(rig: Rig, disk: Disk, path: string, content: Uint8Array): AppendFile {
  const file = disk.create(path);
  file.append(content);
  let syncs = 0;
  file.sync((error) => {
    expect(error).toBeNull();
    syncs++;
  });
  disk.syncDirectory('/d', (error) => {
    expect(error).toBeNull();
    syncs++;
  });
  rig.run();
  expect(syncs).toBe(2);
  return file;
}

function start(seedText: string): { rig: Rig; machine: SimDisk; disk: Disk } {
  const rig = new Rig(seedText);
  const machine = rig.disk();
  const disk = machine.attach(rig.process('p'));
  disk.makeDirectory('/d');
  return { rig, machine, disk };
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(1500) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), us: fc.nat(1200) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), permille: fc.nat(1200) }) },
);

describe('a crash of a simulated disk', () => {
  it('keeps every byte that a completed sync covers, and invents none', () => {
    fc.assert(
      fc.property(seed, fc.array(step, { maxLength: 30 }), (seedText, steps) => {
        const { rig, machine, disk } = start(seedText);
        const file = makeDurable(rig, disk, '/d/f', new Uint8Array(0));
        let content = new Uint8Array(0);
        /** Bytes from the start that must survive; a cut that is not synced may or may not. */
        let safe = 0;
        let wasCut = false;
        /** Syncs under way and the bytes, from the start, that will be safe when they land. */
        const flights: { covered: number }[] = [];
        for (const action of steps) {
          if (action.kind === 'append') {
            const at = file.position;
            const bytes = pattern(action.bytes, at);
            file.append(bytes);
            const longer = new Uint8Array(Math.max(content.length, at + bytes.length));
            longer.set(content);
            longer.set(bytes, at);
            content = longer;
            // Writing over what a cut has added makes it unsynced again.
            safe = Math.min(safe, at);
            for (const flight of flights) flight.covered = Math.min(flight.covered, at);
          } else if (action.kind === 'sync') {
            const flight = { covered: content.length };
            flights.push(flight);
            file.sync((error) => {
              expect(error).toBeNull();
              safe = Math.max(safe, Math.min(flight.covered, content.length));
              flights.splice(flights.indexOf(flight), 1);
            });
          } else if (action.kind === 'wait') {
            rig.run(action.us);
          } else {
            const size = Math.floor((content.length * action.permille) / 1000);
            if (size !== content.length) wasCut = true;
            file.truncate(size);
            const cut = new Uint8Array(size);
            cut.set(content.subarray(0, size));
            content = cut;
            // A sync under way covers the old size; nothing is promised about bytes beyond the cut.
            safe = Math.min(safe, size);
            rig.run(2000);
          }
        }
        expect(machine.readRaw('/d/f')).toEqual(content);
        machine.crash();
        const left = machine.readRaw('/d/f');
        expect(left.length).toBeGreaterThanOrEqual(safe);
        expect(left.subarray(0, safe)).toEqual(content.subarray(0, safe));
        if (wasCut) return;
        expect(left.length).toBeLessThanOrEqual(content.length);
        left.forEach((byte, i) => {
          if (byte !== content[i] && byte !== 0) expect.fail(`byte ${i} was never written`);
        });
      }),
      { numRuns: runs(150) },
    );
  });

  it('loses, keeps, tears and reorders what was not synced, each of them often', () => {
    const seen = { lost: 0, kept: 0, torn: 0, reordered: 0, shorter: 0 };
    for (let run = 0; run < 400; run++) {
      const { rig, machine, disk } = start(`often${run}`);
      const file = makeDurable(rig, disk, '/d/f', pattern(700));
      const whole = pattern(700 + 6 * 512);
      file.append(whole.subarray(700));
      machine.crash();
      const left = machine.readRaw('/d/f');
      expect(left.subarray(0, 700)).toEqual(whole.subarray(0, 700));
      if (left.length === 700) seen.lost++;
      if (left.length < whole.length) seen.shorter++;
      // Per sector: how many of its new bytes are there.
      const shares: number[] = [];
      for (let sector = 2; sector * 512 < left.length; sector++) {
        const bytes = left.subarray(sector * 512, (sector + 1) * 512);
        shares.push(bytes.filter((byte) => byte !== 0).length / Math.min(512, whole.length - sector * 512));
      }
      if (left.length === whole.length && shares.every((share) => share === 1)) seen.kept++;
      if (shares.some((share) => share > 0 && share < 1)) seen.torn++;
      if (shares.some((share, i) => share < 1 && shares.slice(i + 1).some((later) => later === 1))) {
        seen.reordered++;
      }
    }
    for (const [what, count] of Object.entries(seen)) {
      expect(count, what).toBeGreaterThan(40);
      expect(count, what).toBeLessThan(360);
    }
  });

  it('does not cover by a sync what was appended while it was under way', () => {
    let lost = 0;
    for (let run = 0; run < 50; run++) {
      const { rig, machine, disk } = start(`flight${run}`);
      const file = makeDurable(rig, disk, '/d/f', pattern(10));
      file.append(pattern(10, 10));
      let done = false;
      file.sync(() => {
        done = true;
      });
      file.append(pattern(10, 20));
      rig.run();
      expect(done).toBe(true);
      machine.crash();
      const left = machine.readRaw('/d/f');
      expect(left.subarray(0, 20)).toEqual(pattern(20));
      if (left.length < 30) lost++;
    }
    expect(lost).toBeGreaterThan(10);
  });

  it('never calls back a sync that was under way, and kills files and disk of the life before', () => {
    const rig = new Rig('callbacks');
    const machine = rig.disk();
    const process = rig.process('p');
    const disk = machine.attach(process);
    const file = disk.create('/f');
    file.append(pattern(10));
    let calls = 0;
    file.sync(() => calls++);
    disk.syncDirectory('/', () => calls++);
    disk.preallocate('/g', 10, () => calls++);
    process.crash();
    machine.crash();
    process.restart();
    rig.run();
    expect(calls).toBe(0);
    expect(() => file.append(pattern(1))).toThrow(/crashed/);
    expect(() => disk.exists('/f')).toThrow(/crashed/);
    expect(machine.attach(process).exists('/nothing')).toBe(false);
  });

  it('loses names without a sync of their directory sometimes, and never with one', () => {
    let lost = 0;
    for (let run = 0; run < 60; run++) {
      const { rig, machine, disk } = start(`names${run}`);
      makeDurable(rig, disk, '/d/synced', pattern(5));
      const file = disk.create('/d/unsynced');
      file.append(pattern(5));
      file.sync(() => {});
      rig.run();
      machine.crash();
      expect(machine.files()).toContain('/d/synced');
      if (!machine.files().includes('/d/unsynced')) lost++;
    }
    expect(lost).toBeGreaterThan(10);
    expect(lost).toBeLessThan(50);
  });

  it('leaves a file under its old name, its new one or both when a rename is not synced', () => {
    const seen = new Map<string, number>();
    for (let run = 0; run < 200; run++) {
      const { rig, machine, disk } = start(`rename${run}`);
      makeDurable(rig, disk, '/d/new', pattern(1, 100));
      makeDurable(rig, disk, '/d/temporary', pattern(1, 200));
      disk.rename('/d/temporary', '/d/new');
      machine.crash();
      const target = machine.readRaw('/d/new')[0];
      expect([pattern(1, 100)[0], pattern(1, 200)[0]]).toContain(target);
      const state = `${target === pattern(1, 200)[0]} ${machine.files().includes('/d/temporary')}`;
      seen.set(state, (seen.get(state) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual(['false true', 'true false', 'true true']);
    for (const count of seen.values()) expect(count).toBeGreaterThan(5);
  });

  it('leaves a directory under its old name or its new one, with all that is durable in it', () => {
    const seen = new Map<string, number>();
    for (let run = 0; run < 100; run++) {
      const { rig, machine, disk } = start(`directory${run}`);
      disk.makeDirectory('/top/old');
      makeDurable(rig, disk, '/d/f', pattern(100));
      disk.link('/d/f', '/top/old/f');
      let isSynced = false;
      disk.syncDirectory('/top/old', () => {
        isSynced = true;
      });
      rig.run();
      expect(isSynced).toBe(true);
      disk.renameDirectory('/top/old', '/top/new');
      if (run % 2 === 1) {
        disk.syncDirectory('/top', () => {});
        rig.run();
      }
      // What a crash of another world leaves at worst is what one of this world may leave.
      const worst = machine.survivor({
        scheduler: rig.scheduler,
        trace: rig.trace,
        random: rig.random,
        faults: {},
      });
      expect(worst.files()).toContain(run % 2 === 1 ? '/top/new/f' : '/top/old/f');
      machine.crash();
      const [name = '', ...others] = machine.files().filter((path) => path.startsWith('/top'));
      expect(others).toEqual([]);
      expect([...machine.readRaw(name)]).toEqual([...pattern(100)]);
      const state = `${run % 2} ${name}`;
      seen.set(state, (seen.get(state) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual(['0 /top/new/f', '0 /top/old/f', '1 /top/new/f']);
  });

  it('gives each name a meaning that it has had since the last completed sync of its directory', () => {
    const names = ['a', 'b', 'c'];
    const operation = fc.oneof(
      fc.record({
        kind: fc.constantFrom('create' as const, 'remove' as const),
        name: fc.constantFrom(...names),
      }),
      fc.record({
        kind: fc.constant('rename' as const),
        name: fc.constantFrom(...names),
        to: fc.constantFrom(...names),
      }),
      fc.record({ kind: fc.constant('sync' as const), name: fc.constant('') }),
      fc.record({ kind: fc.constant('wait' as const), name: fc.constant('') }),
    );
    fc.assert(
      fc.property(seed, fc.array(operation, { maxLength: 25 }), (seedText, operations) => {
        const { rig, machine, disk } = start(seedText);
        /** Meanings over time: [time, name, first byte of the file or null]. */
        const log: [string, number | null][] = [];
        const now = new Map<string, number>();
        let base = 0;
        let files = 0;
        for (const action of operations) {
          const path = `/d/${action.name}`;
          const current = now.get(action.name);
          if (action.kind === 'create' && current === undefined) {
            const file = disk.create(path);
            file.append(Uint8Array.of(++files));
            file.sync(() => {});
            // A sync makes content durable even where the name isn't; only names are looked at here.
            rig.run(2000);
            now.set(action.name, files);
            log.push([action.name, files]);
          } else if (action.kind === 'remove' && current !== undefined) {
            disk.remove(path);
            now.delete(action.name);
            log.push([action.name, null]);
          } else if (action.kind === 'rename' && current !== undefined && action.name !== action.to) {
            disk.rename(path, `/d/${action.to}`);
            now.delete(action.name);
            now.set(action.to, current);
            log.push([action.to, current], [action.name, null]);
          } else if (action.kind === 'sync') {
            const mark = log.length;
            disk.syncDirectory('/d', (error) => {
              expect(error).toBeNull();
              base = Math.max(base, mark);
            });
          } else if (action.kind === 'wait') {
            rig.run(1000);
          }
        }
        expect(disk.list('/d')).toEqual([...now.keys()].sort());
        machine.crash();
        for (const name of names) {
          const before = log.slice(0, base).findLast(([of]) => of === name);
          const since = log.slice(base).filter(([of]) => of === name);
          const possible = [before?.[1] ?? null, ...since.map(([, meaning]) => meaning)];
          const left = machine.files().includes(`/d/${name}`) ? machine.readRaw(`/d/${name}`)[0] : null;
          expect(possible).toContain(left);
        }
      }),
      { numRuns: runs(150) },
    );
  });

  it('makes preallocated space durable with the callback', () => {
    for (let run = 0; run < 20; run++) {
      const { rig, machine, disk } = start(`allocate${run}`);
      let done = 0;
      disk.preallocate('/d/f', 5000, (error) => {
        expect(error).toBeNull();
        done++;
        disk.syncDirectory('/d', () => done++);
      });
      rig.run();
      expect(done).toBe(2);
      const file = disk.openAppend('/d/f', 0);
      file.append(pattern(100));
      expect([file.position, file.size]).toEqual([100, 5000]);
      machine.crash();
      expect(machine.readRaw('/d/f').length).toBe(5000);
      expect(machine.readRaw('/d/f').subarray(512)).toEqual(new Uint8Array(4488));
    }
  });

  it('may take what a failed sync covered although a later one succeeds', () => {
    let lost = 0;
    for (let run = 0; run < 50; run++) {
      const rig = new Rig(`failed${run}`);
      const machine = rig.disk();
      const disk = machine.attach(rig.process('p'));
      disk.makeDirectory('/d');
      const file = makeDurable(rig, disk, '/d/f', pattern(512));
      file.append(pattern(512, 512));
      const outcomes: string[] = [];
      machine.setFaults({ syncErrorPerMillion: 1_000_000 });
      file.sync((error) => outcomes.push(error?.errno ?? 'ok'));
      machine.setFaults({ syncErrorPerMillion: 0 });
      rig.run();
      const again = disk.openAppend('/d/f', 1024);
      again.append(pattern(512, 1024));
      again.sync((error) => outcomes.push(error?.errno ?? 'ok'));
      rig.run();
      expect(outcomes).toEqual(['EIO', 'ok']);
      expect(disk.open('/d/f').view(512, 512)).toEqual(pattern(512, 512));
      machine.crash();
      const left = machine.readRaw('/d/f');
      expect(left.subarray(0, 512)).toEqual(pattern(512));
      expect(left.subarray(1024)).toEqual(pattern(512, 1024));
      if (left[600] === 0) lost++;
    }
    expect(lost).toBeGreaterThan(10);
  });
});
