/** What each stroke does to a world, at the moment at which it is struck. How that breaks things, the seams' tests say. */
import { describe, expect, it, vi } from 'vitest';
import type { DiskStroke } from '../../sim/disk_strokes.ts';
import type { Machine } from '../../sim/machine.ts';
import { NO_FAULTS, PLAIN_SURROUNDINGS, PLAIN_TUNING } from '../../sim/options.ts';
import type { Scenario } from '../../sim/scenario.ts';
import type { StrokeAction } from '../../sim/strokes.ts';
import { recordSeed, World } from '../../sim/world.ts';

const STORM_MS = 3000;
const plain: Scenario = withoutFaults(recordSeed('strokes', STORM_MS).scenario);

function withoutFaults(scenario: Scenario): Scenario {
  const { options } = scenario;
  return {
    ...scenario,
    strokes: [],
    options: {
      ...options,
      nodes: 3,
      spares: 0,
      timing: { heartbeatMs: 50, electionTimeoutMs: 300 },
      tuning: PLAIN_TUNING,
      surroundings: PLAIN_SURROUNDINGS,
      faults: NO_FAULTS,
      damage: 'recoverable',
      powerCutPermille: 0,
      maybes: {},
    },
    batches: scenario.batches.map((batch) => ({ ...batch, node: 1 + (batch.node % 3) })),
  };
}

/** In the middle of a storm in which nothing else happens; what follows must hold its checks. */
class Storm {
  readonly world = new World(plain.seed, plain, (line) => this.lines.push(line));
  readonly lines: string[] = [];
  /** One that may be harmed. */
  readonly machine: Machine;

  constructor() {
    const { atlas, machines } = this.world;
    const machine = machines.find(({ id }) => atlas.allows(id, 'rot'));
    if (machine === undefined) throw new Error('no machine may be harmed');
    this.machine = machine;
  }

  at(ms: number, task: (machine: Machine) => void): this {
    this.world.scheduler.at(1000 * ms, () => task(this.machine));
    return this;
  }

  strike(ms: number, stroke: (node: number) => StrokeAction): this {
    return this.at(ms, ({ id }) => this.world.strike(stroke(id)));
  }

  run(): void {
    expect(this.world.run(STORM_MS, 'none').failure).toBeNull();
  }

  notes(label: string): string[] {
    return this.lines.filter((line) => line.split(' ')[1] === label);
  }
}

describe('a stroke at a process', () => {
  it.each(['crash', 'kill'] as const)('%s ends it at once, and boot starts it anew', (kind) => {
    const lives: (boolean | number)[] = [];
    const storm = new Storm()
      .at(1400, ({ process }) => lives.push(process.generation))
      .strike(1500, (node) => ({ kind, node }))
      .at(1501, ({ process }) => lives.push(process.alive))
      .strike(1600, (node) => ({ kind: 'boot', node }))
      .at(1601, ({ process }) => lives.push(process.alive, process.generation))
      .at(2000, ({ node }) => lives.push(node !== null));
    storm.run();
    const [before, down, up, after, isOpen] = lives;
    expect([down, up, isOpen]).toEqual([false, true, true]);
    expect(Number(after)).toBeGreaterThan(Number(before));
    // The first of that kind; the blackout behind the storm crashes all of them.
    expect(storm.notes(kind)[0]).toBe(`1500.000 ${kind} ${storm.machine.id} 0`);
  });

  it('crash-inside ends it in a later operation on its disk', () => {
    const lives: boolean[] = [];
    const storm: Storm = new Storm()
      .strike(1500, (node) => ({ kind: 'crash-inside', node, operation: 1 }))
      .strike(1501, () => ({ kind: 'command', node: storm.machine.id, text: 'FLUSH' }))
      .at(2500, ({ process }) => lives.push(process.alive));
    storm.run();
    expect(lives).toEqual([false]);
  });

  it('stop ends it in order', () => {
    const lives: boolean[] = [];
    const storm = new Storm()
      .strike(1500, (node) => ({ kind: 'stop', node }))
      .at(2900, ({ process }) => lives.push(process.alive));
    storm.run();
    expect(lives).toEqual([false]);
    expect(storm.notes('exit')[0]).toMatch(new RegExp(` exit ${storm.machine.id} `));
  });

  it('pause holds it back until resume', () => {
    const paused: boolean[] = [];
    const look = ({ process }: Machine): unknown => paused.push(process.paused);
    new Storm()
      .strike(1500, (node) => ({ kind: 'pause', node }))
      .at(1600, look)
      .strike(1700, (node) => ({ kind: 'resume', node }))
      .at(1800, look)
      .run();
    expect(paused).toEqual([true, false]);
  });

  it('slow-cpu makes callbacks wait for each other, until they take no time again', () => {
    const ran: number[] = [];
    const runTwo = ({ process }: Machine): void => {
      let tasks = 0;
      process.run(() => tasks++);
      process.run(() => tasks++);
      ran.push(tasks);
    };
    new Storm()
      .at(1400, runTwo)
      .strike(1500, (node) => ({ kind: 'slow-cpu', node, taskUs: 1000 }))
      .at(1501, runTwo)
      .strike(1600, (node) => ({ kind: 'slow-cpu', node, taskUs: 0 }))
      .at(2500, runTwo)
      .run();
    expect(ran[0]).toBe(2);
    expect(ran[1]).toBeLessThan(2);
    expect(ran[2]).toBe(2);
  });
});

describe('a stroke at a clock', () => {
  /** By how much monotonic and wall time go on in 100 ms behind the stroke. */
  function pace(stroke: (node: number) => StrokeAction): [number, number] {
    const shown: [number, number][] = [];
    const look = ({ clock }: Machine): unknown => shown.push([clock.monotonicMs(), clock.wallMs()]);
    new Storm().at(1500, look).strike(1500, stroke).at(1600, look).run();
    const round = (at: 0 | 1): number => Math.round(shown[1][at] - shown[0][at]);
    return [round(0), round(1)];
  }

  it('lets it drift, jump or stand still', () => {
    expect(pace((node) => ({ kind: 'drift', node, ppm: 0 }))).toEqual([100, 100]);
    expect(pace((node) => ({ kind: 'drift', node, ppm: 300_000 }))).toEqual([130, 130]);
    expect(pace((node) => ({ kind: 'wall-jump', node, ms: -5000 }))).toEqual([100, -4900]);
    expect(pace((node) => ({ kind: 'freeze', node }))).toEqual([0, 0]);
  });

  it('thaw lets it go on', () => {
    const shown: number[] = [];
    const look = ({ clock }: Machine): unknown => shown.push(clock.monotonicMs());
    new Storm()
      .strike(1500, (node) => ({ kind: 'freeze', node }))
      .strike(1600, (node) => ({ kind: 'thaw', node }))
      .at(1600, look)
      .at(1700, look)
      .run();
    expect(shown[1] - shown[0]).toBeGreaterThan(60);
  });
});

describe('a stroke at the network', () => {
  it('cuts and joins routes, each in its own direction', () => {
    const states: string[] = [];
    const storm = new Storm();
    const look = (): unknown =>
      states.push(
        storm.world.network.isBlocked('node1', 'node2'),
        storm.world.network.isBlocked('node2', 'node1'),
      );
    storm
      .strike(1500, () => ({ kind: 'cut', routes: [[1, 2]] }))
      .at(1501, look)
      .strike(1600, () => ({ kind: 'join', routes: [[1, 2]] }))
      .at(1601, look)
      .run();
    expect(states).toEqual(['blocked', 'free', 'free', 'free']);
  });

  it('breaks connections, and makes pieces late', () => {
    const storm = new Storm()
      .strike(1500, () => ({ kind: 'reset', node: 1, peer: 2 }))
      .strike(1600, () => ({ kind: 'slow-network', longTailPermille: 300 }));
    const reset = vi.spyOn(storm.world.network, 'resetConnections');
    const setFaults = vi.spyOn(storm.world.network, 'setFaults');
    storm.run();
    expect(reset.mock.calls[0]).toEqual(['node1', 'node2']);
    expect(setFaults.mock.calls[0]).toEqual([{ longTailPermille: 300 }]);
  });
});

describe('a stroke of an operator', () => {
  it('has a node flush what it holds in memory', () => {
    const flushed: number[] = [];
    const look = ({ node }: Machine): unknown => flushed.push(node?.store.flushedIndex ?? -1);
    new Storm()
      .at(1500, look)
      .strike(1500, (node) => ({ kind: 'command', node, text: 'FLUSH' }))
      .at(2500, look)
      .run();
    expect(flushed[1]).toBeGreaterThan(flushed[0]);
  });

  it('asks for a change of members', () => {
    const storm = new Storm().strike(1500, (node) => ({
      kind: 'member',
      node,
      change: 'remove',
      subject: 3,
    }));
    const ask = vi.spyOn(storm.world.members, 'ask').mockReturnValue(undefined);
    storm.run();
    expect(ask.mock.calls).toEqual([
      [{ kind: 'member', node: storm.machine.id, change: 'remove', subject: 3 }],
    ]);
  });
});

describe('a stroke at a disk', () => {
  const arms = { node: 0, file: 'log', after: 2, seen: 'at-once' } as const;
  const harms = { node: 0, kind: 'damage', file: 'log', which: 0, where: 500 } as const;
  const path = expect.stringMatching(/\.log$/);
  const cases: [DiskStroke, keyof Machine['disk'], unknown[]][] = [
    [{ ...arms, kind: 'disk-error', operation: 'read' }, 'failRead', [{ after: 2, kind: 'log' }]],
    [{ ...arms, kind: 'disk-error', operation: 'write' }, 'failWrite', [{ after: 2, kind: 'log' }]],
    [
      { ...arms, kind: 'disk-error', operation: 'sync' },
      'failSync',
      [{ after: 2, kind: 'log', seen: 'at-once' }],
    ],
    [
      { ...arms, kind: 'stray-write', goes: 'nowhere' },
      'loseWrite',
      [{ after: 2, kind: 'log', seen: 'at-once' }],
    ],
    [
      { ...arms, kind: 'stray-write', goes: 'same-file' },
      'misdirectWrite',
      [{ after: 2, kind: 'log', onto: 'same-file' }],
    ],
    [
      { ...arms, kind: 'stray-write', goes: 'other-file' },
      'misdirectWrite',
      [{ after: 2, kind: 'log', onto: 'other-file' }],
    ],
    [{ kind: 'disk-full', node: 0, leftBytes: 100 }, 'fill', [100]],
    [{ kind: 'disk-free', node: 0 }, 'restoreSpace', []],
    [{ ...harms, how: 'rot' }, 'flipByte', [path, expect.any(Number)]],
    [{ ...harms, how: 'lost-write' }, 'loseSector', [path, expect.any(Number)]],
    [{ ...harms, how: 'bad-sector' }, 'breakSector', [path, expect.any(Number)]],
    [{ ...harms, how: 'overwritten' }, 'misdirectSector', [path, expect.any(Number), expect.any(Number)]],
    [{ ...harms, how: 'lost-name' }, 'loseName', [path]],
    [{ kind: 'disk-lost', node: 0 }, 'wipe', []],
  ];
  it.each(cases)('%j', (stroke, method, args) => {
    const storm = new Storm().strike(1500, (node) => ({ ...stroke, node }));
    const calls: unknown[][] = [];
    storm.at(1499, ({ disk }) => {
      const spy = vi.spyOn(disk, method as 'wipe').mockImplementation((...given: unknown[]) => {
        calls.push(given);
      });
      storm.at(1501, () => spy.mockRestore());
    });
    storm.run();
    expect(calls).toEqual([args]);
  });

  it('makes its syncs slow', () => {
    const storm = new Storm().strike(1500, (node) => ({ kind: 'slow-disk', node, factor: 10 }));
    const slow = vi.spyOn(storm.machine.disk, 'setSlowness');
    storm.run();
    expect(slow.mock.calls[0]).toEqual([10]);
  });
});
