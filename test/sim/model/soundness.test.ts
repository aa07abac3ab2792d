/** What the search takes for the same is the same: checked on random ways through the model. */
import { describe, expect, it } from 'vitest';
import { Fingerprinter } from '../../../sim/model/fingerprints.ts';
import type { GlobalState, Model, Step } from '../../../sim/model/model.ts';
import { type Input, ModelNode } from '../../../sim/model/model_node.ts';
import { loadOpenedRaft } from '../../../sim/model/opened_raft.ts';
import { SimRandom } from '../../../sim/random.ts';
import { makeModel } from './rig.ts';

const BOUNDS = {
  entries: 2,
  reads: 1,
  crashes: 1,
  timeouts: 4,
  beats: 2,
  lapses: 2,
  resets: 1,
  duplicates: 1,
};

/** A random way of steps that have an effect. */
function walk(
  model: Model,
  random: SimRandom,
  length: number,
  onStep: (step: Step, next: GlobalState) => void,
): void {
  let state = model.initial;
  for (let taken = 0; taken < length; taken++) {
    const steps = model.steps(state);
    let next: GlobalState | null = null;
    while (next === null && steps.length > 0) {
      const [step] = steps.splice(random.below(steps.length), 1);
      next = model.take(state, step);
      if (next !== null) onStep(step, next);
    }
    if (next === null) return;
    state = next;
  }
}

describe('the state of a node', () => {
  it('decides what the node does next, whatever led to it', async () => {
    const model = await makeModel({ bounds: BOUNDS, persistence: 'steps' });
    const raftClass = await loadOpenedRaft({});
    const random = new SimRandom('soundness');
    const make = (id: number, inputs: readonly Input[]): ModelNode => {
      const node = new ModelNode(id, { raftClass, voters: [1, 2, 3], persistence: 'steps' });
      for (const input of inputs) node.apply(input);
      node.takeEffects();
      return node;
    };
    const histories = new Map<string, readonly Input[]>();
    const messages: Input[] = [];
    let compared = 0;
    for (let way = 0; way < 25; way++) {
      const inputs: Input[][] = [[], [], [], []];
      walk(model, random, 40, (step) => {
        if (step.type === 'drop') return;
        const id = step.type === 'local' ? step.node : step.letter.to;
        const { input } = step.type === 'local' ? step.cause : step.letter.input;
        if (input.type === 'deliver') messages.push(input);
        inputs[id].push(input);
        const picture = make(id, inputs[id]).picture();
        const other = histories.get(picture);
        if (other === undefined) histories.set(picture, [...inputs[id]]);
        if (other === undefined || other.length === inputs[id].length) return;
        const tries: Input[] = [
          { type: 'timer' },
          { type: 'propose', ordinal: 3 },
          { type: 'read', id: 9 },
          { type: 'save' },
          { type: 'crash', keptSaves: 0, keptRecords: 0 },
          messages[random.below(messages.length || 1)] ?? { type: 'timer' },
        ];
        for (const next of tries) {
          const [one, two] = [make(id, inputs[id]), make(id, other)];
          const outcomes = [one, two].map((node) => {
            try {
              node.apply(next);
              return { picture: node.picture(), effects: node.takeEffects() };
            } catch (error) {
              return { failure: String(error) };
            }
          });
          expect(outcomes[0]).toEqual(outcomes[1]);
          compared++;
        }
      });
    }
    // Otherwise nothing was tested.
    expect(compared).toBeGreaterThan(100);
  });
});

describe('a fingerprint', () => {
  it('does not depend on how the nodes are numbered, and tells a state from the next', async () => {
    const model = await makeModel({ bounds: BOUNDS, persistence: 'steps' });
    const { locals } = model;
    const random = new SimRandom('symmetry');
    const fingerprinter = new Fingerprinter(model);
    const take = (state: GlobalState): string => {
      fingerprinter.take(state);
      return `${fingerprinter.high} ${fingerprinter.low}`;
    };
    for (let way = 0; way < 20; way++) {
      const which = 1 + (way % (locals.permutations.length - 1));
      const permutation = locals.permutations[which];
      let mirrored = model.initial;
      let before = take(model.initial);
      walk(model, random, 40, (step, next) => {
        const mirroredNext = model.take(mirrored, mirror(step));
        if (mirroredNext === null) throw new Error('the mirrored step has no effect');
        mirrored = mirroredNext;
        const print = take(next);
        expect(take(mirrored)).toBe(print);
        expect(print).not.toBe(before);
        before = print;
      });
      function mirror(step: Step): Step {
        if (step.type !== 'local')
          return { type: step.type, letter: locals.permuteLetter(step.letter, which) };
        const { input } = step.cause;
        const cause =
          input.type === 'reset' ? locals.input({ ...input, peer: permutation[input.peer] }) : step.cause;
        return { type: 'local', node: permutation[step.node], cause };
      }
    }
  });
});
