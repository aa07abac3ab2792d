import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DiskFaults } from '../../sim/disk/faults.ts';
import { SimDisk } from '../../sim/disk.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { CorruptionError } from '../../src/base/errors.ts';
import { HardStateFile } from '../../src/replica/hard_state_file.ts';

const DIRECTORY = '/data';

/** A machine whose node opens, saves and crashes. */
class Machine {
  readonly scheduler = new Scheduler();
  readonly process = new SimProcess('node', this.scheduler);
  readonly disk: SimDisk;

  constructor(seed: string, faults: Partial<DiskFaults> = {}) {
    this.disk = new SimDisk({
      scheduler: this.scheduler,
      random: new SimRandom(seed),
      trace: new Trace(),
      faults,
    });
  }

  /** Everything that is under way on the disk ends as well. */
  open(node = 1): HardStateFile {
    const opened = this.openAtOnce(node);
    this.settle();
    return opened;
  }

  /** No later than the file is open: syncs of an earlier life may still be under way. */
  openAtOnce(node = 1): HardStateFile {
    let opened: HardStateFile | null = null;
    let failure: Error | null = null;
    const disk = this.disk.attach(this.process);
    HardStateFile.open({ disk, directory: DIRECTORY, group: 1, node }, (outcome) => {
      if (outcome.ok) opened = outcome.value;
      else failure = outcome.error;
    });
    while (opened === null && failure === null && this.scheduler.step()) {
      // One event at a time.
    }
    if (failure !== null) throw failure;
    if (opened === null) throw new Error('open did not call back');
    return opened;
  }

  settle(): void {
    while (this.scheduler.step()) {
      // Until nothing is left.
    }
  }

  crash(): void {
    this.process.crash();
    this.disk.crash();
    this.process.restart();
  }

  /** The process dies, the machine does not: what was written is there, durable or not. */
  kill(): void {
    this.process.crash();
    this.process.restart();
  }
}

describe('term and vote', () => {
  it('survive any crash once their save has called back, and are never invented', () => {
    const save = fc.record({ vote: fc.option(fc.integer({ min: 1, max: 5 })), events: fc.nat(6) });
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(fc.array(save, { maxLength: 5 }), { maxLength: 6 }),
        (seed, lives) => {
          const machine = new Machine(seed);
          let acknowledgedTerm = 0;
          const saved = new Map<number, number | null>([[0, null]]);
          let term = 0;
          for (const life of lives) {
            const file = machine.open();
            expect(file.initial.term).toBeGreaterThanOrEqual(acknowledgedTerm);
            expect(file.initial.vote).toBe(saved.get(file.initial.term));
            // What a crash left out may be written again, with another vote.
            term = file.initial.term;
            for (const { vote, events } of life) {
              const mine = ++term;
              saved.set(mine, vote);
              file.save({ term: mine, vote }, (error) => {
                expect(error).toBeNull();
                acknowledgedTerm = Math.max(acknowledgedTerm, mine);
              });
              for (let i = 0; i < events; i++) machine.scheduler.step();
            }
            machine.crash();
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('once handed out at a start survive a power loss, also when the life before was killed in a save', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(4), fc.nat(2), (seed, eventsBefore, eventsAfter) => {
        // Some syncs take long: they are still under way when the next life is at work.
        const machine = new Machine(seed, {
          longTailPermille: 500,
          longTailUs: { min: 10_000, max: 50_000 },
        });
        machine.open();
        machine.kill();
        machine.open().save({ term: 1, vote: 2 }, () => {});
        for (let i = 0; i < eventsBefore; i++) machine.scheduler.step();
        machine.kill();
        const second = machine.openAtOnce();
        const handedOut = second.initial;
        second.save({ term: 2, vote: 1 }, () => {});
        for (let i = 0; i < eventsAfter; i++) machine.scheduler.step();
        machine.crash();
        const { initial } = machine.open();
        expect(initial.term).toBeGreaterThanOrEqual(handedOut.term);
        if (initial.term === handedOut.term) expect(initial.vote).toBe(handedOut.vote);
      }),
      { numRuns: 3000 },
    );
  });

  it('are read from the other copy when a byte of one rots, wherever it is', () => {
    for (const name of ['vote-a', 'vote-b']) {
      for (let offset = 0; offset < 96; offset++) {
        const machine = new Machine(`rot ${offset}`);
        machine.open().save({ term: 7, vote: 2 }, () => {});
        machine.settle();
        machine.disk.flipByte(`${DIRECTORY}/${name}`, offset);
        machine.crash();
        expect(machine.open().initial).toMatchObject({ term: 7, vote: 2 });
        machine.crash();
        // And both copies are whole again.
        machine.disk.flipByte(`${DIRECTORY}/${name === 'vote-a' ? 'vote-b' : 'vote-a'}`, 20);
        machine.crash();
        expect(machine.open().initial).toMatchObject({ term: 7, vote: 2 });
      }
    }
  });

  it('are corruption when the end of both copies is damaged', () => {
    const machine = new Machine('both');
    machine.open().save({ term: 7, vote: 2 }, () => {});
    machine.settle();
    machine.disk.flipByte(`${DIRECTORY}/vote-a`, 60);
    machine.disk.flipByte(`${DIRECTORY}/vote-b`, 60);
    machine.crash();
    expect(() => machine.open()).toThrow(CorruptionError);
    // Nobody else can say whom it has voted for.
    expect(() => machine.open()).toThrow(/it must be replaced/);
  });

  it('of another node are refused by name', () => {
    const machine = new Machine('other');
    machine.open(1);
    machine.crash();
    expect(() => machine.open(2)).toThrow(/belongs to node 1 of group 1, not to node 2/);
  });

  it('joins the saves that come while one is under way', () => {
    const machine = new Machine('joined');
    const file = machine.open();
    const done: number[] = [];
    for (let term = 1; term <= 5; term++) file.save({ term, vote: null }, () => done.push(term));
    machine.settle();
    expect(done).toEqual([1, 2, 3, 4, 5]);
    // The initial record, the first save, and one for the other four.
    expect(machine.disk.readRaw(`${DIRECTORY}/vote-a`).length).toBe(3 * 48);
    machine.crash();
    expect(machine.open().initial).toMatchObject({ term: 5, vote: null });
  });
});
