/** Faults that strike once: what each takes from a simulated disk, and what it must leave. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Injury, SimDisk } from '../../../sim/disk.ts';
import type { SimProcess } from '../../../sim/process.ts';
import { DiskError } from '../../../src/base/errors.ts';
import type { AppendFile, Disk } from '../../../src/io/disk.ts';
import { runs } from '../../long.ts';
import { Rig } from '../rig.ts';

/** A machine with a directory `/d`. */
class Machine {
  readonly rig: Rig;
  readonly process: SimProcess;
  readonly injuries: string[] = [];
  readonly sim: SimDisk;
  disk: Disk;

  constructor(seed: string) {
    this.rig = new Rig(seed);
    const { scheduler, trace, random } = this.rig;
    const onInjury = ({ kind, path, start, end }: Injury): void => {
      this.injuries.push(`${kind} ${path} ${start}-${end}`);
    };
    this.sim = new SimDisk({ scheduler, trace, random: random.fork('disk'), faults: {}, onInjury });
    this.process = this.rig.process('p');
    this.disk = this.sim.attach(this.process);
    this.disk.makeDirectory('/d');
  }

  /** A file with a durable name and durable content. */
  make(path: string, content: Uint8Array): AppendFile {
    const file = this.disk.create(path);
    file.append(content);
    expect([this.sync(file), this.syncDirectory()]).toEqual(['ok', 'ok']);
    return file;
  }

  sync(file: AppendFile): string {
    let outcome = 'no answer';
    file.sync((error) => {
      outcome = error?.errno ?? 'ok';
    });
    this.rig.run(100_000);
    return outcome;
  }

  syncDirectory(): string {
    let outcome = 'no answer';
    this.disk.syncDirectory('/d', (error) => {
      outcome = error?.errno ?? 'ok';
    });
    this.rig.run(100_000);
    return outcome;
  }

  content(path: string): Uint8Array {
    const file = this.disk.open(path);
    const bytes = file.view(0, file.size).slice();
    file.close();
    return bytes;
  }

  /** The machine stops and starts again. */
  restart(crash: () => void = () => this.sim.crash()): void {
    this.process.crash();
    crash();
    this.process.restart();
    this.disk = this.sim.attach(this.process);
  }
}

/** Bytes that are not zero and differ from their neighbours. */
function pattern(length: number, start = 0): Uint8Array {
  return Uint8Array.from({ length }, (_none, i) => 1 + ((start + i) % 251));
}

function outcomeOf(operation: () => unknown): string {
  try {
    operation();
    return 'ok';
  } catch (error) {
    if (error instanceof DiskError) return error.errno;
    throw error;
  }
}

function inSeeds(test: (machine: Machine, run: number) => void): void {
  for (let run = 0; run < 20; run++) test(new Machine(`one shot ${run}`), run);
}

describe('a failed sync', () => {
  it('takes what it covered at the next crash although later syncs succeed, and nothing else', () => {
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(512));
      file.append(pattern(512, 512));
      machine.sim.failSync({ seen: 'at-crash' });
      expect(machine.sync(file)).toBe('EIO');
      // What is in memory is shown as if nothing had happened, also to a process that starts anew.
      expect(machine.content('/d/f')).toEqual(pattern(1024));
      const again = machine.disk.openAppend('/d/f', 1024);
      again.append(pattern(512, 1024));
      expect(machine.sync(again)).toBe('ok');
      machine.restart();
      const left = machine.content('/d/f');
      expect(left.subarray(0, 512)).toEqual(pattern(512));
      expect(left.subarray(512, 1024)).toEqual(new Uint8Array(512));
      expect(left.subarray(1024)).toEqual(pattern(512, 1024));
    });
  });

  it('takes it at once where the old pages are brought back', () => {
    const machine = new Machine('at once');
    const file = machine.make('/d/f', pattern(700));
    file.append(pattern(300, 700));
    machine.sim.failSync({ seen: 'at-once' });
    expect(machine.sync(file)).toBe('EIO');
    expect(machine.content('/d/f').subarray(0, 700)).toEqual(pattern(700));
    expect(machine.content('/d/f').subarray(700)).toEqual(new Uint8Array(300));
  });

  it('leaves what was appended to the same sector since: the next sync takes all of the sector along', () => {
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(100));
      file.append(pattern(100, 100));
      machine.sim.failSync({ seen: 'at-crash' });
      expect(machine.sync(file)).toBe('EIO');
      const again = machine.disk.openAppend('/d/f', 200);
      again.append(pattern(100, 200));
      expect(machine.sync(again)).toBe('ok');
      machine.restart();
      expect(machine.content('/d/f')).toEqual(pattern(300));
    });
  });

  it('is final for the open file: it writes nothing more, and vouches for nothing more', () => {
    const machine = new Machine('final');
    const file = machine.make('/d/f', pattern(10));
    const outcomes: string[] = [];
    machine.sim.failSync({ seen: 'at-crash' });
    file.append(pattern(10, 10));
    // The second is under way when the first fails: it would vouch for pages that the first has lost.
    for (let i = 0; i < 2; i++) file.sync((error) => outcomes.push(error?.errno ?? 'ok'));
    machine.rig.run(100_000);
    expect(outcomes).toContain('EIO');
    expect(machine.sync(file)).toBe('EIO');
    expect(outcomeOf(() => file.append(pattern(1)))).toBe('EIO');
    expect(outcomeOf(() => file.truncate(0))).toBe('EIO');
    expect([file.position, file.size]).toEqual([20, 20]);
    expect(file.view(0, 20)).toEqual(pattern(20));
    file.close();
    expect(outcomeOf(() => file.append(pattern(1)))).toBe('EBADF');
  });

  it('strikes once, at the n-th sync of a file of its kind', () => {
    const machine = new Machine('aim');
    const table = machine.make('/d/table-1', pattern(10));
    const log = machine.make('/d/000001.log', pattern(10));
    machine.sim.failSync({ seen: 'at-crash', after: 2, kind: 'log' });
    expect([machine.sync(table), machine.sync(log), machine.sync(table), machine.syncDirectory()]).toEqual(
      Array(4).fill('ok'),
    );
    expect(machine.sync(log)).toBe('EIO');
    expect(machine.sync(machine.disk.openAppend('/d/000001.log', 0))).toBe('ok');
    expect(machine.injuries).toEqual(['failed-sync /d/000001.log 0-10']);
  });

  it('of a directory leaves its new names to the next crash, whatever a later one says', () => {
    let lost = 0;
    inSeeds((machine) => {
      machine.make('/d/old', pattern(10));
      machine.disk.create('/d/new');
      machine.sim.failSync({ seen: 'at-crash' });
      expect([machine.syncDirectory(), machine.syncDirectory()]).toEqual(['EIO', 'ok']);
      machine.restart(() => machine.sim.crash({ names: 'lose-all' }));
      expect(machine.disk.exists('/d/old')).toBe(true);
      if (!machine.disk.exists('/d/new')) lost++;
    });
    expect(lost).toBe(20);
  });
});

describe('a read or a write that fails', () => {
  it('is one: the next read of the same bytes succeeds', () => {
    const machine = new Machine('read');
    const file = machine.make('/d/table-1', pattern(1000));
    machine.sim.failRead({ after: 2, kind: 'table' });
    const read = (): string => outcomeOf(() => file.view(0, 1000));
    expect([read(), read(), read()]).toEqual(['ok', 'EIO', 'ok']);
    expect(machine.injuries).toEqual(['failed-read /d/table-1 0-1000']);
  });

  it('leaves a part of what it was given and the position as it was', () => {
    const written = new Set<string>();
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(10));
      machine.sim.failWrite({});
      expect(outcomeOf(() => file.append(pattern(3, 10)))).toBe('EIO');
      expect(file.position).toBe(10);
      const left = machine.content('/d/f');
      expect(left).toEqual(pattern(left.length));
      written.add(`${left.length - 10}`);
      file.append(pattern(3, 10));
      expect(machine.content('/d/f')).toEqual(pattern(13));
    });
    expect([...written].sort()).toEqual(['0', '1', '2', '3']);
  });
});

describe('a full disk', () => {
  it('takes what fits and refuses the rest until there is space again', () => {
    const machine = new Machine('full');
    const file = machine.make('/d/f', pattern(100));
    machine.disk.preallocate('/d/spare', 100, () => {});
    machine.rig.run(10_000);
    machine.sim.fullFor(50_000, 10);
    file.append(pattern(10, 100));
    expect(outcomeOf(() => file.append(pattern(1)))).toBe('ENOSPC');
    expect(outcomeOf(() => file.truncate(200))).toBe('ENOSPC');
    // What has its space already can still be written, and made durable.
    const spare = machine.disk.openAppend('/d/spare', 0);
    expect(outcomeOf(() => spare.append(pattern(100)))).toBe('ok');
    let done = '';
    spare.sync((error) => {
      done = error?.errno ?? 'ok';
    });
    machine.rig.run(20_000);
    expect(done).toBe('ok');
    expect(outcomeOf(() => file.append(pattern(1)))).toBe('ENOSPC');
    machine.rig.run(50_000);
    expect(outcomeOf(() => file.append(pattern(1)))).toBe('ok');
    expect(machine.injuries).toEqual(Array(3).fill('full /d/f 0-0'));
  });

  it('that is filled again is not emptied by the end of the first time', () => {
    const machine = new Machine('full twice');
    const file = machine.make('/d/f', pattern(100));
    machine.sim.fullFor(10_000, 0);
    machine.rig.run(5000);
    machine.sim.fill(1);
    machine.rig.run(10_000);
    expect(outcomeOf(() => file.append(pattern(2)))).toBe('ENOSPC');
    machine.sim.heal();
    expect(outcomeOf(() => file.append(pattern(2)))).toBe('ok');
  });
});

describe('a slow disk', () => {
  it('is slow for its time and as fast as before afterwards', () => {
    const machine = new Machine('slow');
    const file = machine.make('/d/f', pattern(100));
    const { scheduler } = machine.rig;
    const took = (): number => {
      const startUs = scheduler.nowUs;
      let endUs = 0;
      file.sync(() => {
        endUs = scheduler.nowUs;
      });
      machine.rig.run(1_000_000);
      return endUs - startUs;
    };
    machine.sim.slow(100, 1_500_000);
    expect(took()).toBeGreaterThan(9000);
    expect(took()).toBeGreaterThan(9000);
    expect(took()).toBeLessThanOrEqual(1000);
  });
});

describe('a lost write', () => {
  it('is in memory and not on the platter, whatever syncs say', () => {
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(512));
      machine.sim.loseWrite({ seen: 'at-crash' });
      file.append(pattern(600, 512));
      expect(machine.sync(file)).toBe('ok');
      file.append(pattern(512, 1112));
      expect(machine.sync(file)).toBe('ok');
      expect(machine.content('/d/f')).toEqual(pattern(1624));
      machine.restart();
      const left = machine.content('/d/f');
      expect(left.length).toBe(1624);
      expect(left.subarray(0, 512)).toEqual(pattern(512));
      expect(left.subarray(512, 1024)).toEqual(new Uint8Array(512));
      // The sector in which the next write begins was written with it.
      expect(left.subarray(1024)).toEqual(pattern(600, 1024));
      expect(machine.injuries).toEqual(['lost-write /d/f 512-1112']);
    });
  });

  it('leaves what was there before, also where it is seen at once', () => {
    const machine = new Machine('stale');
    machine.make('/d/f', pattern(1000));
    const file = machine.disk.openAppend('/d/f', 0);
    machine.sim.loseWrite({ seen: 'at-once' });
    file.append(new Uint8Array(1100).fill(255));
    expect(file.position).toBe(1100);
    expect(machine.content('/d/f').subarray(0, 1000)).toEqual(pattern(1000));
    expect(machine.content('/d/f').subarray(1000)).toEqual(new Uint8Array(100));
  });

  it('survives the death of the process: only the machine forgets', () => {
    const machine = new Machine('killed');
    const file = machine.make('/d/f', pattern(512));
    machine.sim.loseWrite({ seen: 'at-crash' });
    file.append(pattern(512, 512));
    machine.restart(() => {});
    expect(machine.content('/d/f')).toEqual(pattern(1024));
    machine.restart();
    expect(
      machine
        .content('/d/f')
        .subarray(512)
        .every((byte) => byte === 0),
    ).toBe(true);
  });
});

describe('a misdirected write', () => {
  it('leaves the place that it was for as it was, and overwrites sectors before it in its file', () => {
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(5 * 512));
      const other = machine.make('/d/g', pattern(5 * 512));
      machine.sim.misdirectWrite({ onto: 'same-file' });
      file.append(new Uint8Array(512).fill(255));
      expect(machine.sync(file)).toBe('ok');
      machine.restart();
      const left = machine.content('/d/f');
      expect(left.subarray(5 * 512)).toEqual(new Uint8Array(512));
      const hit = [0, 1, 2, 3, 4].filter((sector) => left[sector * 512] === 255);
      expect(hit).toHaveLength(1);
      for (let at = 0; at < 5 * 512; at++) {
        const isHit = Math.floor(at / 512) === hit[0];
        if (left[at] !== (isHit ? 255 : pattern(1, at)[0])) expect.fail(`byte ${at} is ${left[at]}`);
      }
      expect(machine.content('/d/g')).toEqual(pattern(5 * 512));
      expect(other.size).toBe(5 * 512);
      expect(machine.injuries[0]).toBe('lost-write /d/f 2560-3072');
      expect(machine.injuries[1]).toBe(`overwritten /d/f ${hit[0] * 512}-${hit[0] * 512 + 512}`);
    });
  });

  it('overwrites another file, within its size', () => {
    inSeeds((machine) => {
      const file = machine.make('/d/f', pattern(512));
      machine.make('/d/g', pattern(700));
      machine.sim.misdirectWrite({ onto: 'other-file' });
      file.append(new Uint8Array(2000).fill(255));
      const hit = machine.content('/d/g');
      expect(hit.length).toBe(700);
      const from = hit.indexOf(255);
      expect([0, 512]).toContain(from);
      expect(hit.subarray(from).every((byte) => byte === 255)).toBe(true);
      expect(machine.content('/d/f').subarray(0, 512)).toEqual(pattern(512));
    });
  });
});

describe('a lost disk', () => {
  it('holds nothing any more, and whoever worked on it finds that the machine has gone', () => {
    const machine = new Machine('wiped');
    const file = machine.make('/d/f', pattern(10));
    let calls = 0;
    file.sync(() => calls++);
    machine.sim.wipe();
    expect(() => file.append(pattern(1))).toThrow(/crashed/);
    machine.restart(() => {});
    expect(machine.sim.files()).toEqual([]);
    expect(machine.disk.exists('/d')).toBe(false);
    machine.rig.run();
    expect(calls).toBe(0);
    machine.disk.makeDirectory('/d');
    machine.make('/d/f', pattern(3));
    expect(machine.content('/d/f')).toEqual(pattern(3));
  });
});

describe('a lost name', () => {
  it('stays lost at a crash, and others stay', () => {
    const machine = new Machine('name');
    machine.make('/d/f', pattern(10));
    machine.make('/d/g', pattern(10));
    machine.disk.rename('/d/f', '/d/h');
    machine.sim.loseName('/d/h');
    expect(machine.disk.list('/d')).toEqual(['g']);
    machine.restart(() => machine.sim.crash({ names: 'keep-all' }));
    expect(machine.disk.exists('/d/h')).toBe(false);
    expect(machine.content('/d/g')).toEqual(pattern(10));
  });
});

describe('a crash of a given shape', () => {
  for (const [names, left] of [
    ['keep-all', ['new']],
    ['lose-all', ['old']],
    ['tear-all', ['new', 'old']],
  ] as const) {
    it(`leaves of a rename, at ${names}: ${left.join(' and ')}`, () => {
      const machine = new Machine('shape');
      machine.make('/d/old', pattern(10));
      machine.disk.rename('/d/old', '/d/new');
      machine.restart(() => machine.sim.crash({ names }));
      expect(machine.disk.list('/d')).toEqual(left);
    });
  }
});

describe('a crash inside an operation', () => {
  it('comes where it is asked for', () => {
    const lengths = new Map<string, Set<number>>();
    for (const at of ['before', 'partly', 'after'] as const) {
      const seen = new Set<number>();
      lengths.set(at, seen);
      inSeeds((machine) => {
        const file = machine.make('/d/f', pattern(10));
        machine.sim.crashInside({ after: 2, at });
        machine.process.run(() => {
          file.append(pattern(1, 10));
          file.append(pattern(2, 11));
        });
        expect(machine.process.alive).toBe(false);
        seen.add(machine.sim.readRaw('/d/f').length);
      });
    }
    expect([...(lengths.get('before') ?? [])]).toEqual([11]);
    expect([...(lengths.get('partly') ?? [])].sort()).toEqual([11, 12, 13]);
    expect([...(lengths.get('after') ?? [])]).toEqual([13]);
  });
});

describe('what is armed', () => {
  it('does nothing any more when the disk is healed', () => {
    const machine = new Machine('healed');
    const file = machine.make('/d/f', pattern(10));
    machine.sim.failSync({ seen: 'at-crash' });
    machine.sim.failRead({});
    machine.sim.failWrite({});
    machine.sim.loseWrite({ seen: 'at-once' });
    machine.sim.misdirectWrite({ onto: 'same-file' });
    machine.sim.crashInsideAfter(1);
    machine.sim.heal();
    file.append(pattern(10, 10));
    expect([machine.sync(file), machine.injuries]).toEqual(['ok', []]);
    expect(machine.content('/d/f')).toEqual(pattern(20));
  });

  it('takes nothing of what was synced before, wherever and whatever it strikes', () => {
    const fault = fc.constantFrom<(disk: SimDisk, after: number) => void>(
      (disk, after) => disk.failSync({ seen: 'at-crash', after }),
      (disk, after) => disk.failSync({ seen: 'at-once', after }),
      (disk, after) => disk.failWrite({ after }),
      (disk, after) => disk.loseWrite({ seen: 'at-crash', after }),
      (disk, after) => disk.loseWrite({ seen: 'at-once', after }),
      (disk) => disk.fill(300),
    );
    fc.assert(
      fc.property(
        fc.string({ maxLength: 5 }),
        fault,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 2000 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 900 }), fc.boolean()), { maxLength: 8 }),
        (seed, arm, after, before, appends) => {
          const machine = new Machine(seed);
          const file = machine.make('/d/f', pattern(before));
          arm(machine.sim, after);
          for (const [length, isSynced] of appends) {
            if (outcomeOf(() => file.append(pattern(length, file.position))) !== 'ok') break;
            if (isSynced && machine.sync(file) !== 'ok') break;
          }
          machine.restart();
          const left = machine.content('/d/f');
          expect(left.subarray(0, before)).toEqual(pattern(before));
          left.forEach((byte, at) => {
            if (byte !== 0 && byte !== pattern(1, at)[0]) expect.fail(`byte ${at} was never written`);
          });
        },
      ),
      { numRuns: runs(200) },
    );
  });
});
