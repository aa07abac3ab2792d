/** The faults of a simulated disk other than crashes of the machine, and what the world can do to it. */
import { describe, expect, it } from 'vitest';
import type { SimProcess } from '../../sim/process.ts';
import { DiskError } from '../../src/base/errors.ts';
import { Rig } from './rig.ts';

function errnoOf(operation: () => unknown): string {
  try {
    operation();
  } catch (error) {
    if (error instanceof DiskError) return error.errno;
    throw error;
  }
  return 'none';
}

function workload(seed: string, faultSeed = seed): Rig {
  const rig = new Rig(faultSeed);
  const machine = rig.disk();
  const disk = machine.attach(rig.process('p'));
  const file = disk.create('/f');
  disk.syncDirectory('/', () => rig.trace.event('named'));
  for (let i = 0; i < 50; i++) {
    file.append(Uint8Array.of(i, seed.length));
    if (i % 5 === 0) file.sync(() => rig.trace.event('called back', i));
    rig.run(150);
  }
  machine.crash();
  rig.trace.event('left', machine.readRaw('/f').length);
  return rig;
}

describe('a simulated disk', () => {
  it('does the same from the same seed and other things from another', () => {
    expect(workload('seed').trace.hash()).toBe(workload('seed').trace.hash());
    expect(workload('seed').trace.hash()).not.toBe(workload('seed', 'other').trace.hash());
    expect(workload('seed').trace.count).toBeGreaterThan(60);
  });

  it('names its errors as the seam does', () => {
    const disk = new Rig('errors').disk().attach(new Rig('errors').process('p'));
    expect(errnoOf(() => disk.create('/no/f'))).toBe('ENOENT');
    expect(errnoOf(() => disk.open('/f'))).toBe('ENOENT');
    expect(errnoOf(() => disk.list('/no'))).toBe('ENOENT');
    const file = disk.create('/f');
    expect(errnoOf(() => disk.create('/f'))).toBe('EEXIST');
    file.append(Uint8Array.of(1, 2, 3));
    expect(errnoOf(() => disk.openAppend('/f', 4))).toBe('EINVAL');
    for (const [offset, length] of [
      [0, 4],
      [4, 0],
      [-1, 1],
      [1, -1],
      [0.5, 1],
    ]) {
      expect(errnoOf(() => file.view(offset, length))).toBe('EINVAL');
    }
    expect(file.view(3, 0).length).toBe(0);
    file.close();
    file.close();
    expect(errnoOf(() => file.append(Uint8Array.of(1)))).toBe('EBADF');
    expect(errnoOf(() => file.view(0, 1))).toBe('EBADF');
    expect(errnoOf(() => disk.rename('/no', '/g'))).toBe('ENOENT');
    expect(errnoOf(() => disk.remove('/no'))).toBe('ENOENT');
  });

  it('lists, renames over and removes names, and lets open files outlive theirs', () => {
    const disk = new Rig('names').disk().attach(new Rig('names').process('p'));
    disk.makeDirectory('data/log');
    disk.makeDirectory('data/log');
    for (const name of ['b', 'a', 'C']) disk.create(`data/${name}`).append(Uint8Array.of(name.charCodeAt(0)));
    expect(disk.list('data')).toEqual(['C', 'a', 'b', 'log']);
    const old = disk.open('data/a');
    disk.rename('data/b', 'data/a');
    expect(disk.list('data/')).toEqual(['C', 'a', 'log']);
    expect([disk.exists('data/b'), disk.exists('data/log'), disk.exists('data/a')]).toEqual([
      false,
      true,
      true,
    ]);
    expect(disk.open('data/a').view(0, 1)[0]).toBe('b'.charCodeAt(0));
    expect(old.view(0, 1)[0]).toBe('a'.charCodeAt(0));
    disk.remove('data/C');
    expect(disk.list('/data')).toEqual(['a', 'log']);
  });

  it('completes a sync while the process is paused and tells it afterwards', () => {
    const rig = new Rig('paused');
    const machine = rig.disk();
    const process = rig.process('p');
    const disk = machine.attach(process);
    const file = disk.create('/f');
    file.append(Uint8Array.of(1));
    let calls = 0;
    file.sync(() => calls++);
    disk.syncDirectory('/', () => calls++);
    process.pause();
    rig.run();
    expect(calls).toBe(0);
    process.resume();
    rig.run(1);
    expect(calls).toBe(2);
  });

  it('overwrites views at the end of the event, if asked, and never the file', () => {
    const rig = new Rig('poison');
    const disk = rig.disk({ poisonViews: true }).attach(rig.process('p'));
    const file = disk.create('/f');
    file.append(Uint8Array.of(1, 2, 3));
    let kept: Uint8Array = new Uint8Array(0);
    rig.scheduler.soon(() => {
      kept = file.view(0, 3);
      expect([...kept]).toEqual([1, 2, 3]);
    });
    rig.run();
    expect([...kept]).toEqual([0xdb, 0xdb, 0xdb]);
    expect([...file.view(0, 3)]).toEqual([1, 2, 3]);
  });

  it('hands out views without copying, otherwise', () => {
    const rig = new Rig('views');
    const disk = rig.disk().attach(rig.process('p'));
    const file = disk.create('/f');
    file.append(new Uint8Array(1000));
    expect(file.view(10, 20).buffer).toBe(disk.open('/f').view(500, 500).buffer);
  });

  it('fails reads of rotten sectors until they are written again, and flips one bit of a byte', () => {
    const rig = new Rig('rot');
    const machine = rig.disk();
    const disk = machine.attach(rig.process('p'));
    const file = disk.create('/f');
    file.append(new Uint8Array(2000));
    machine.breakSector('/f', 600);
    expect(file.view(0, 512).length).toBe(512);
    expect(errnoOf(() => file.view(511, 2))).toBe('EIO');
    expect(errnoOf(() => disk.open('/f').view(1023, 1))).toBe('EIO');
    disk.openAppend('/f', 512).append(new Uint8Array(512));
    expect(file.view(0, 2000).length).toBe(2000);
    machine.flipByte('/f', 700);
    const changed = [...machine.readRaw('/f').entries()].filter(([, byte]) => byte !== 0);
    expect(changed.map(([offset]) => offset)).toEqual([700]);
    expect([1, 2, 4, 8, 16, 32, 64, 128]).toContain(changed[0]?.[1]);
  });

  it('loses and misdirects sectors that it had acknowledged', () => {
    const rig = new Rig('misdirect');
    const machine = rig.disk();
    const disk = machine.attach(rig.process('p'));
    const file = disk.create('/f');
    for (let sector = 1; sector <= 4; sector++)
      file.append(new Uint8Array(sector < 4 ? 512 : 100).fill(sector));
    file.sync(() => {});
    disk.syncDirectory('/', () => {});
    rig.run();
    machine.loseSector('/f', 512 + 7);
    machine.misdirectSector('/f', 0, 1600);
    const firstBytes = (): number[] =>
      [0, 512, 1024, 1536, 1635].map((offset) => machine.readRaw('/f')[offset]);
    expect(firstBytes()).toEqual([1, 0, 3, 1, 1]);
    machine.crash();
    expect(firstBytes()).toEqual([1, 0, 3, 1, 1]);
    expect(machine.readRaw('/f').length).toBe(3 * 512 + 100);
  });

  it('refuses what does not fit, with the position unmoved, and takes it when space is freed', () => {
    const rig = new Rig('full');
    const disk = rig.disk({ capacityBytes: 1000 }).attach(rig.process('p'));
    const first = disk.create('/a');
    first.append(new Uint8Array(600));
    const second = disk.create('/b');
    expect(errnoOf(() => second.append(new Uint8Array(500)))).toBe('ENOSPC');
    expect(second.position).toBe(0);
    expect(second.size).toBeLessThanOrEqual(400);
    let failure = 'none';
    disk.preallocate('/c', 500, (error) => {
      failure = error?.errno ?? 'none';
    });
    rig.run();
    expect([failure, disk.exists('/c')]).toEqual(['ENOSPC', false]);
    disk.remove('/a');
    second.append(new Uint8Array(500));
    expect(second.position).toBe(500);
  });

  it('injects failing reads, writes and syncs at their rates', () => {
    const rig = new Rig('rates');
    const machine = rig.disk();
    const disk = machine.attach(rig.process('p'));
    disk.create('/f').append(new Uint8Array(100));
    machine.setFaults({
      readErrorPerMillion: 100_000,
      writeErrorPerMillion: 100_000,
      syncErrorPerMillion: 100_000,
    });
    const failures = { read: 0, write: 0, sync: 0 };
    for (let i = 0; i < 1000; i++) {
      // A new one each time: after a failed sync a file takes nothing more.
      const file = disk.openAppend('/f', 100);
      if (errnoOf(() => file.view(0, 100)) === 'EIO') failures.read++;
      const before = file.position;
      if (errnoOf(() => file.append(Uint8Array.of(1))) === 'EIO') {
        failures.write++;
        expect(file.position).toBe(before);
      }
      file.sync((error) => {
        if (error?.errno === 'EIO') failures.sync++;
      });
    }
    rig.run();
    for (const count of Object.values(failures)) {
      expect(count).toBeGreaterThan(50);
      expect(count).toBeLessThan(200);
    }
  });

  it('crashes the process inside an operation, before, in the middle of or after its effect', () => {
    const sizes = new Set<number>();
    let crashes = 0;
    for (let run = 0; run < 100; run++) {
      const rig = new Rig(`inside${run}`);
      const machine = rig.disk();
      const process: SimProcess = rig.process('p');
      const disk = machine.attach(process);
      const file = disk.create('/f');
      machine.setFaults({ crashInsidePerMillion: 1_000_000 });
      let went = 'unwound';
      process.onCrashInside = () => {
        crashes++;
        process.crash();
      };
      process.run(() => {
        file.append(new Uint8Array(3));
        went = 'went on';
      });
      expect([went, process.alive]).toEqual(['unwound', false]);
      sizes.add(machine.readRaw('/f').length);
    }
    expect(crashes).toBe(100);
    expect([...sizes].sort()).toEqual([0, 1, 2, 3]);
  });
});
