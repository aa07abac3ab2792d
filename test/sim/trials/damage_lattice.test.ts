/** Every way in which the copies of three entries on five nodes can be intact, damaged, missing or out of reach. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import {
  expectedOf,
  type NodeState,
  nodeStates,
  type Outcome,
  tryLattice,
} from '../../../sim/trials/damage_lattice.ts';
import { IS_LONG, limitMs } from '../../long.ts';

const NODES = 5;
const ENTRIES = 3;
/** The same leader wrote them all, or two or three did. */
const TERMS = [
  [1, 1, 1],
  [1, 1, 2],
  [1, 2, 3],
];
const SAMPLE = 250;

/** Nodes are alike: only how many are in which state matters. */
function* assignments(states: readonly NodeState[], nodes: number, from = 0): Generator<NodeState[]> {
  if (nodes === 0) {
    yield [];
    return;
  }
  for (let at = from; at < states.length; at++) {
    for (const rest of assignments(states, nodes - 1, at)) yield [states[at] ?? null, ...rest];
  }
}

describe('the lattice of damaged copies', () => {
  const all = [...assignments(nodeStates(ENTRIES), NODES)];

  it('has 15504 points', () => {
    expect(all.length).toBe(15_504);
  });

  it(
    'is recovered, discarded or waited for as what committed means demands',
    () => {
      const random = new SimRandom('lattice');
      const counts: Record<Outcome, number> = { recovered: 0, discarded: 0, waiting: 0 };
      const points = IS_LONG ? all : Array.from({ length: SAMPLE }, () => random.pick(all));
      for (const states of points) {
        const terms = random.pick(TERMS);
        const point = states.map(stateText).join(' ');
        try {
          counts[tryLattice({ states, terms }, random.fork(point))]++;
        } catch (error) {
          const expected = JSON.stringify(expectedOf(states, ENTRIES));
          throw new Error(`${point}, terms ${terms.join(' ')}, expected ${expected}: ${String(error)}`);
        }
      }
      // The sample, as the whole, has its share of each.
      expect(counts.recovered).toBeGreaterThan(points.length / 20);
      expect(counts.waiting).toBeGreaterThan(points.length / 20);
      expect(counts.discarded).toBeGreaterThan(points.length / 100);
      if (IS_LONG) console.log(counts);
    },
    limitMs(60_000),
  );
});

describe('the lattice with a node that has forgotten what it held', () => {
  it('loses nothing by its word', { timeout: limitMs(60_000) }, () => {
    const random = new SimRandom('forgetful lattice');
    const known = nodeStates(ENTRIES);
    const counts: Record<Outcome, number> = { recovered: 0, discarded: 0, waiting: 0 };
    for (let point = 0; point < SAMPLE; point++) {
      const nodes = random.pick([3, NODES]);
      const states = Array.from({ length: nodes - 1 }, () => random.pick(known));
      const forgetful = random.pick(known.filter((state) => state !== null && state.length < ENTRIES));
      if (forgetful === null) throw new Error('it is up');
      states.push({ ...forgetful, forgets: true });
      counts[tryLattice({ states, terms: random.pick(TERMS) }, random.fork(`${point}`))]++;
    }
    expect(counts.recovered).toBeGreaterThan(SAMPLE / 20);
    expect(counts.waiting).toBeGreaterThan(SAMPLE / 20);
  });
});

function stateText(state: NodeState): string {
  if (state === null) return 'down';
  let text = '';
  for (let index = 1; index <= ENTRIES; index++) {
    text += index > state.length ? '-' : state.damaged.has(index) ? 'x' : 'o';
  }
  return text;
}
