import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Log } from '../../src/log/log.ts';
import { drawsOf, Machine } from './harness.ts';
import { type Appended, describeLog, GROUPS, Model, type Step, stepsWithCrashes } from './steps.ts';

/** One life of a log across crashes: what was appended since the last start may survive up to any point. */
class Life {
  readonly #machine: Machine;
  #log: Log;
  /** What the last start has found, and what was appended since. */
  #base = new Model();
  #appended: Appended[] = [];
  #model = new Model();

  constructor(segmentBytes: number, preallocate: 'ahead' | 'never') {
    this.#machine = new Machine({ segmentBytes, preallocate, cacheBytes: 4096 });
    this.#log = this.#machine.open();
  }

  apply(step: Step): void {
    const machine = this.#machine;
    switch (step.do) {
      case 'append': {
        const appended = this.#model.next(step);
        this.#log.group(appended.group).append(appended.entry);
        this.#model.apply(appended);
        this.#appended.push(appended);
        break;
      }
      case 'flush':
        this.#log.flush();
        break;
      case 'task':
        machine.clock.runTask();
        break;
      case 'timer':
        machine.clock.runTimer();
        break;
      case 'complete':
        for (let i = 0; i < step.count; i++) machine.disk.completeNext();
        break;
      case 'crash':
      case 'kill':
        this.#restart(step.do, step.seed, step.openingSteps);
        break;
      case 'reopen':
        break;
    }
  }

  /** A crash now, and another one for every start that is not let through. */
  #restart(how: 'crash' | 'kill', seed: number, openingSteps: number): void {
    const machine = this.#machine;
    const durable = new Map(GROUPS.map((group) => [group, this.#log.group(group).durableIndex]));
    const draw = drawsOf(seed);
    machine.restart(how === 'crash' ? machine.disk.crash(draw) : machine.disk.kill());
    if (openingSteps <= 6) {
      machine.startOpen();
      for (let i = 0; i < openingSteps; i++) machine.step();
      machine.restart(machine.disk.crash(draw));
    }
    this.#log = machine.open();
    this.#adopt(durable);
  }

  /** Finds the prefix of the appended records that the log now holds, and that nothing reported durable is missing. */
  #adopt(durable: Map<number, number>): void {
    const found = describeLog(this.#log);
    const prefix = this.#base.copy();
    let applied = 0;
    while (prefix.describe() !== found && applied < this.#appended.length) {
      prefix.apply(this.#appended[applied++]);
    }
    expect(found, 'the log holds a prefix of what was appended').toBe(prefix.describe());
    for (const group of GROUPS) {
      const survived = durable.get(group) ?? 0;
      expect(prefix.entries(group).slice(0, survived), 'what was durable has survived').toEqual(
        this.#model.entries(group).slice(0, survived),
      );
      expect(this.#log.group(group).durableIndex).toBe(this.#log.group(group).lastIndex);
    }
    this.#base = prefix;
    this.#appended = [];
    this.#model = this.#model.continuedFrom(prefix);
  }
}

describe('after any crashes', () => {
  it('a log holds a prefix of what was appended, with all that was durable', () => {
    const segmentBytes = fc.constantFrom(256, 1024, 8192);
    const preallocate = fc.constantFrom('ahead' as const, 'never' as const);
    fc.assert(
      fc.property(segmentBytes, preallocate, stepsWithCrashes, fc.integer(), (bytes, mode, steps, seed) => {
        const life = new Life(bytes, mode);
        for (const step of steps) life.apply(step);
        life.apply({ do: 'crash', seed, openingSteps: 0 });
        life.apply({ do: 'crash', seed: seed + 1, openingSteps: 12 });
      }),
      { numRuns: 300 },
    );
  });
});
