/** Groups of the main world whose members change: what may be asked for, and that schedules with it can be played. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Atlas } from '../../sim/atlas.ts';
import { drawOptions } from '../../sim/options.ts';
import { SimRandom } from '../../sim/random.ts';
import { encodeScenario, parseScenario, type Scenario } from '../../sim/scenario.ts';
import { withoutNode } from '../../sim/shrink.ts';
import { recordSeed, runScenario } from '../../sim/world.ts';
import { runs } from '../long.ts';

const STORM_MS = 6000;

/** A group to which changes happen late, or never: as an atlas has to reckon with. */
class Group {
  /** Known to be so. */
  readonly voters: Set<number>;
  readonly asked = new Set<number>();

  constructor(founders: number) {
    this.voters = new Set(Array.from({ length: founders }, (_none, at) => at + 1));
  }

  get certain(): number[] {
    return [...this.voters].filter((id) => !this.asked.has(id));
  }
}

describe('the atlas, where members change', () => {
  it('leaves a majority of sound members, whichever of the removals take effect', () => {
    const step = fc.record({
      what: fc.constantFrom('ask', 'happen', 'join'),
      which: fc.nat(20),
    });
    let removals = 0;
    let admitted = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.string(),
        fc.array(step, { maxLength: 30 }),
        (founders, seed, steps) => {
          const random = new SimRandom(seed);
          const atlas = new Atlas({
            machines: founders,
            spares: 5,
            mode: 'recoverable',
            random,
            filesOf: () => [],
          });
          const group = new Group(founders);
          let lastId = founders;
          for (const { what, which } of steps) {
            const all = [...group.voters];
            const id = all[which % all.length];
            if (what === 'join' && lastId < founders + 5) {
              group.voters.add(++lastId);
              atlas.admit(lastId, group.certain, [...group.voters]);
              if (atlas.allows(lastId, 'rot')) admitted++;
            } else if (what === 'ask' && atlas.allowsRemoval(id, group.certain, all)) {
              group.asked.add(id);
              removals++;
            } else if (what === 'happen' && group.asked.has(id)) {
              group.voters.delete(id);
              group.asked.delete(id);
            }
            // Any of those that were asked for may happen now, and the others never.
            const open = [...group.asked];
            for (let set = 0; set < 1 << open.length; set++) {
              const left = [...group.voters].filter((one) => {
                const at = open.indexOf(one);
                return at < 0 || ((set >> at) & 1) === 0;
              });
              const sound = left.filter((one) => !atlas.allows(one, 'rot'));
              expect(2 * sound.length).toBeGreaterThan(left.length);
            }
          }
        },
      ),
      { numRuns: runs(500) },
    );
    expect(removals).toBeGreaterThan(100);
    expect(admitted).toBeGreaterThan(20);
  });
});

/** The first seed of a group that changes. */
function seedOf(fits: (scenario: Scenario) => boolean): {
  readonly scenario: Scenario;
  readonly hash: string;
} {
  for (let seed = 1; ; seed++) {
    const { spares } = drawOptions(new SimRandom(`${seed}`).fork('options'));
    if (spares === 0) continue;
    const { scenario, result } = recordSeed(`${seed}`, STORM_MS);
    expect(result.failure).toBeNull();
    if (fits(scenario) && result.marks.includes('a node that was added to a world votes'))
      return { scenario, hash: result.hash };
  }
}

describe('a schedule with changes of membership', () => {
  const { scenario } = seedOf(({ strokes }) =>
    strokes.some((stroke) => stroke.kind === 'member' && stroke.change === 'remove'),
  );

  it('is played as it was recorded, also when it was written and read', () => {
    const again = runScenario(parseScenario(encodeScenario(scenario)));
    expect(again.failure).toBeNull();
    expect(again.marks).toContain('a node that was added to a world votes');
    expect(again.hash).toBe(runScenario(scenario).hash);
  });

  it('holds in any part of it, and without any of its nodes', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.boolean()), (draws) => {
        const keep = (): boolean => draws.next().value;
        const { strokes, batches } = scenario;
        const part = { ...scenario, strokes: strokes.filter(keep), batches: batches.filter(keep) };
        expect(runScenario(part).failure).toBeNull();
      }),
      { numRuns: runs(3) },
    );
    const { nodes, spares } = scenario.options;
    for (let node = 1; node <= nodes + spares; node++) {
      const smaller = withoutNode(scenario, node);
      expect(smaller.options.nodes + smaller.options.spares).toBe(nodes + spares - 1);
      for (const stroke of smaller.strokes) {
        if (stroke.kind === 'member') expect(stroke.subject).toBeLessThan(nodes + spares);
      }
    }
    expect(runScenario(withoutNode(scenario, nodes + spares)).failure).toBeNull();
    expect(runScenario(withoutNode(scenario, 1)).failure).toBeNull();
  });
});
