/** Each class of faults alone: what it does to a cluster, and how often. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  drawOptions,
  type FaultMix,
  NO_FAULTS,
  PLAIN_SURROUNDINGS,
  PLAIN_TUNING,
  type WorldOptions,
} from '../../sim/options.ts';
import { SimRandom } from '../../sim/random.ts';
import type { Stroke, StrokeAction } from '../../sim/strokes.ts';
import { World } from '../../sim/world.ts';

const STORM_MS = 8000;
const EVERY_MS = 200;
/** About forty are due. Of pairs and of parts of a cluster some are empty: a quarter of parts, a third of pairs. */
const ROUNDS = { min: 15, max: 60 };

/** Seeds of three nodes that keep a majority sound, or of as many with spares. */
function seedsWith(hasSpares: boolean, howMany: number): readonly string[] {
  const seeds: string[] = [];
  for (let seed = 1; seeds.length < howMany; seed++) {
    const { nodes, spares, damage } = drawOptions(new SimRandom(`nemesis ${seed}`).fork('options'));
    if (nodes === 3 && spares > 0 === hasSpares && damage === 'recoverable') seeds.push(`nemesis ${seed}`);
  }
  return seeds;
}
const [SEED] = seedsWith(false, 1);
const [SEED_WITH_SPARES] = seedsWith(true, 1);

/** The strokes of a cluster of three that suffers nothing but this. Its checks must hold. */
function storm(faults: Partial<FaultMix>, seed = SEED): readonly Stroke[] {
  const world = new World(seed, null, null);
  const { options } = world;
  const quiet: WorldOptions = {
    ...options,
    timing: { heartbeatMs: 50, electionTimeoutMs: 300 },
    tuning: PLAIN_TUNING,
    surroundings: PLAIN_SURROUNDINGS,
    powerCutPermille: 0,
    maybes: {},
    faults: { ...NO_FAULTS, ...faults },
  };
  (world as { options: WorldOptions }).options = quiet;
  expect(world.run(STORM_MS, 'none').failure).toBeNull();
  return world.scenario(STORM_MS).strokes;
}

function count(strokes: readonly Stroke[], ...kinds: readonly StrokeAction['kind'][]): number {
  return strokes.filter(({ kind }) => kinds.includes(kind)).length;
}

describe('without faults', () => {
  it('nothing is done to a cluster', () => {
    expect(storm({})).toEqual([]);
  });
});

describe('a class of faults', () => {
  /** Strokes that it begins with, those that undo them, and how many of the former are one round. */
  const classes: [keyof FaultMix, StrokeAction['kind'][], StrokeAction['kind'][], number][] = [
    ['crashInsideEveryMs', ['crash-inside'], ['boot'], 1],
    ['pauseEveryMs', ['pause'], ['resume'], 1],
    ['slowCpuEveryMs', ['slow-cpu'], [], 2],
    ['resetEveryMs', ['reset'], [], 1],
    ['slowNetworkEveryMs', ['slow-network'], [], 2],
    ['slowDiskEveryMs', ['slow-disk'], [], 2],
    ['driftEveryMs', ['drift'], [], 1],
    ['wallJumpEveryMs', ['wall-jump'], [], 1],
    ['freezeEveryMs', ['freeze'], ['thaw'], 1],
    ['commandEveryMs', ['command'], [], 1],
    ['diskErrorEveryMs', ['disk-error'], ['boot'], 1],
    ['diskFullEveryMs', ['disk-full'], ['disk-free', 'boot'], 1],
    ['partitionEveryMs', ['cut'], ['join'], 1],
    ['oneWayEveryMs', ['cut'], ['join'], 1],
    ['partialEveryMs', ['cut'], ['join'], 1],
  ];
  it.each(classes)('%s strikes at its rate, and with nothing else', (name, begins, ends, each) => {
    const strokes = storm({ [name]: EVERY_MS });
    expect(strokes.filter(({ kind }) => ![...begins, ...ends].includes(kind))).toEqual([]);
    const rounds = count(strokes, ...begins) / each;
    expect(rounds).toBeGreaterThan(ROUNDS.min);
    expect(rounds).toBeLessThan(ROUNDS.max);
  });

  it('strikes half as often at twice the mean time', () => {
    const often = count(storm({ driftEveryMs: 100 }), 'drift');
    const seldom = count(storm({ driftEveryMs: 400 }), 'drift');
    expect(often / seldom).toBeGreaterThan(2.5);
    expect(often / seldom).toBeLessThan(6);
  });

  it('crashes and kills, and starts again', () => {
    const strokes = storm({ crashEveryMs: EVERY_MS });
    expect(count(strokes, 'crash')).toBeGreaterThan(3);
    expect(count(strokes, 'kill')).toBeGreaterThan(0);
    expect(count(strokes, 'boot')).toBeGreaterThan(3);
    expect(count(strokes, 'crash', 'kill', 'boot')).toBe(strokes.length);
  });

  it('crashes one node several times in a row in a restart storm, sometimes beside a slow leader', () => {
    const strokes = storm({ restartStormEveryMs: 2000 });
    const crashes = strokes.filter(({ kind }) => kind === 'crash' || kind === 'kill');
    const inARow = crashes.filter((stroke, at) => {
      const before = crashes[at - 1];
      return (
        before !== undefined &&
        'node' in stroke &&
        'node' in before &&
        stroke.node === before.node &&
        stroke.atUs - before.atUs <= 300_000
      );
    });
    expect(inARow.length).toBeGreaterThan(2);
    expect(count(strokes, 'slow-disk')).toBeGreaterThan(0);
  });

  it('crashes all nodes at once in a blackout', () => {
    const strokes = storm({ blackoutEveryMs: 2000 });
    const crashes = strokes.filter(({ kind }) => kind === 'crash' || kind === 'kill');
    const first = crashes.filter(({ atUs }) => atUs === crashes[0].atUs);
    expect(first.map((stroke) => 'node' in stroke && stroke.node).slice(0, 3)).toEqual([1, 2, 3]);
  });

  it('stops one after the other in order in an upgrade, and starts each again', () => {
    const strokes = storm({ upgradeEveryMs: 3000 });
    const stopped = new Set(strokes.flatMap((stroke) => (stroke.kind === 'stop' ? [stroke.node] : [])));
    expect([1, 2, 3].filter((node) => stopped.has(node))).toEqual([1, 2, 3]);
    expect(count(strokes, 'stop', 'boot')).toBe(strokes.length);
  });

  it('cuts both ways, one way, or single pairs', () => {
    const routes = (faults: Partial<FaultMix>): string[] =>
      storm(faults).flatMap((stroke) =>
        stroke.kind === 'cut'
          ? [
              stroke.routes.every(([a, b]) => stroke.routes.some(([c, d]) => a === d && b === c))
                ? 'both'
                : 'one',
            ]
          : [],
      );
    expect(new Set(routes({ partitionEveryMs: EVERY_MS }))).toEqual(new Set(['both']));
    expect(new Set(routes({ oneWayEveryMs: EVERY_MS }))).toEqual(new Set(['one']));
    expect(new Set(routes({ partialEveryMs: EVERY_MS }))).toEqual(new Set(['both']));
  });

  it('cuts and joins one link again and again where it flaps', () => {
    const cuts = storm({ flappingEveryMs: 2000 }).filter((stroke) => stroke.kind === 'cut');
    const same = cuts.filter((cut, at) => at > 0 && String(cut.routes) === String(cuts[at - 1].routes));
    expect(same.length).toBeGreaterThan(5);
    for (const { routes } of cuts) expect(routes).toHaveLength(2);
  });

  it('stops the clock of a leader that it cuts off', () => {
    const strokes = storm({ frozenLeaderEveryMs: 1500 });
    const frozen = strokes.filter((stroke) => stroke.kind === 'freeze');
    expect(frozen.length).toBeGreaterThan(0);
    for (const { atUs, node } of frozen) {
      const cut = strokes.find((stroke) => stroke.kind === 'cut' && stroke.atUs === atUs);
      expect(cut?.kind === 'cut' && cut.routes.every((route) => route.includes(node))).toBe(true);
    }
  });

  it.each([
    ['crashAtElectionPermille', { crashEveryMs: 1500 }],
    ['crashNewLeaderPermille', { crashEveryMs: 1500 }],
    ['crashAtVotePermille', { crashEveryMs: 1500 }],
    ['crashAtBootPermille', { crashEveryMs: 1500 }],
    ['crashAtMarkPermille', { crashEveryMs: 1500 }],
  ] as const)(
    '%s adds crashes where it says',
    (name, others) => {
      // Crashes fall on nodes that are down as well, so that one storm may have as many by chance.
      const crashes = (faults: Partial<FaultMix>): number =>
        count(
          seedsWith(false, 2).flatMap((seed) => storm(faults, seed)),
          'crash',
          'kill',
        );
      expect(crashes({ ...others, [name]: 1000 })).toBeGreaterThan(crashes(others) + 2);
    },
    120_000,
  );

  it('cuts each new leader off in a carousel, and lets it come back', () => {
    const strokes = storm({ carouselPermille: 1000 });
    expect(count(strokes, 'cut')).toBeGreaterThan(2);
    expect(count(strokes, 'join')).toBeGreaterThan(1);
    expect(count(strokes, 'cut', 'join')).toBe(strokes.length);
  });

  it.each([
    ['failedSyncEveryMs', 'disk-error'],
    ['damageEveryMs', 'damage'],
    ['tableRotEveryMs', 'damage'],
    ['strayWriteEveryMs', 'stray-write'],
    ['diskLostEveryMs', 'disk-lost'],
  ] as const)('%s harms one of three machines alone', (name, kind) => {
    const harmed = storm({ [name]: EVERY_MS }).filter((stroke) => stroke.kind === kind);
    expect(harmed.length).toBeGreaterThan(0);
    expect(new Set(harmed.map((stroke) => 'node' in stroke && stroke.node)).size).toBe(1);
  });

  it('aims rot of tables at tables alone', () => {
    const struck = storm({ tableRotEveryMs: EVERY_MS }).flatMap((one) =>
      one.kind === 'damage' ? [one.file] : [],
    );
    expect(new Set(struck)).toEqual(new Set(['table']));
  });

  it('adds spares and removes members where members change, and starts who was added', () => {
    const strokes = storm({ memberChangeEveryMs: 1000 }, SEED_WITH_SPARES);
    expect(new Set(strokes.map(({ kind }) => kind))).toEqual(new Set(['member', 'boot']));
    const changes = strokes.flatMap((stroke) => (stroke.kind === 'member' ? [stroke.change] : []));
    expect(new Set(changes)).toEqual(new Set(['add', 'remove']));
  });
});

it('every class of faults is tried here', () => {
  const text = readFileSync('test/sim/nemesis.test.ts', 'utf8');
  expect(Object.keys(NO_FAULTS).filter((name) => !text.includes(name))).toEqual([]);
});
