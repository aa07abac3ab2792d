/** What the nemesis does to disks: who may be struck, and what a run written down keeps of it. */
import { describe, expect, it } from 'vitest';
import type { DiskStroke } from '../../sim/disk_strokes.ts';
import { NO_FAULTS, PLAIN_SURROUNDINGS, PLAIN_TUNING } from '../../sim/options.ts';
import { describeScenario, encodeScenario, parseScenario, type Scenario } from '../../sim/scenario.ts';
import type { Stroke } from '../../sim/strokes.ts';
import { recordSeed, runScenario } from '../../sim/world.ts';

const STORM_MS = 3000;
const plain: Scenario = withoutFaults(recordSeed('disks', STORM_MS).scenario);

function withoutFaults(scenario: Scenario): Scenario {
  const { options } = scenario;
  return {
    ...scenario,
    strokes: [],
    options: {
      ...options,
      nodes: 3,
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

function strokes(...actions: readonly DiskStroke[]): Stroke[] {
  return actions.map((action, at) => ({ atUs: 1_500_000 + at, ...action }));
}

function rot(node: number): DiskStroke {
  return { kind: 'damage', node, how: 'rot', file: 'log', which: 0, where: 900 };
}

describe('strokes at disks', () => {
  it('harm what is durable on a minority alone', () => {
    const injuries = [1, 2, 3].map((node) => runScenario({ ...plain, strokes: strokes(rot(node)) }).injuries);
    expect(injuries.toSorted()).toEqual([0, 0, 1]);
  });

  it('harm any machine where the run need not recover, and the cluster then waits rightly', () => {
    const lost = [1, 2].map((node): DiskStroke => ({ kind: 'disk-lost', node }));
    const options = { ...plain.options, damage: 'unrecoverable' } as const;
    const result = runScenario({ ...plain, options, strokes: strokes(...lost) });
    expect(result).toMatchObject({ failure: null, machinesLost: 2, waited: 1 });
  });

  it('that only pass may hit any machine, and cost none', () => {
    const errors = [1, 2, 3].map(
      (node): DiskStroke => ({
        kind: 'disk-error',
        node,
        operation: 'write',
        file: 'log',
        after: 1,
        seen: 'at-once',
      }),
    );
    const result = runScenario({ ...plain, strokes: strokes(...errors) });
    expect(result).toMatchObject({ failure: null, machinesLost: 0 });
    expect(result.injuries).toBeGreaterThan(0);
  });

  it('are told in words and read back as they were written', () => {
    const all = strokes(
      rot(1),
      { kind: 'disk-full', node: 2, leftBytes: 100 },
      { kind: 'disk-free', node: 2 },
      { kind: 'stray-write', node: 3, file: 'table', after: 2, goes: 'nowhere', seen: 'at-crash' },
      { kind: 'disk-lost', node: 1 },
    );
    const scenario = { ...plain, batches: [], strokes: all };
    expect(describeScenario(scenario).split('\n')).toEqual([
      "1500.000 ms  rot in a file of the kind 'log' of node 1",
      '1500.001 ms  the disk of node 2 has 100 bytes left',
      '1500.002 ms  the disk of node 2 has space again',
      "1500.003 ms  on node 3 the 2nd write to a file of the kind 'table' from now is lost",
      '1500.004 ms  node 1 loses its disk',
    ]);
    expect(parseScenario(encodeScenario(scenario)).strokes).toEqual(all);
  });

  it('are missing from scenarios that are older than they are: those run without them', () => {
    const { damage, powerCutPermille, maybes, ...older } = plain.options;
    expect([damage, powerCutPermille, maybes]).toEqual(['recoverable', 0, {}]);
    const { diskErrorEveryMs, damageEveryMs, diskLostEveryMs, ...faults } = older.faults;
    expect([diskErrorEveryMs, damageEveryMs, diskLostEveryMs]).toEqual([0, 0, 0]);
    const text = encodeScenario({ ...plain, options: { ...older, faults } as Scenario['options'] });
    expect(parseScenario(text)).toEqual(plain);
  });
});
