/** Where a search begins: in the beginning, or where a cluster has done its first steps without a fault. */
import type { NodeId } from '../../src/raft/message.ts';
import { BOUND_MAX } from './bounds.ts';
import type { Letter } from './local_states.ts';
import type { GlobalState, Model, Step } from './model.ts';
import type { Input } from './model_node.ts';

export type Start = 'empty' | 'elected' | 'diverged';

export const STARTS: readonly Start[] = ['empty', 'elected', 'diverged'];

export interface Begun {
  readonly state: GlobalState;
  /** From the initial state of the model. */
  readonly steps: readonly Step[];
}

/** Rest is reached long before. */
const STEPS_MAX = 1000;

/**
 * - `elected`: node 1 leads in term 1, and all nodes hold and have committed what it wrote first.
 * - `diverged`, of three nodes or more: then node 1 wrote an entry that it alone holds, node 3 was elected in term 2 and
 *   wrote one that it alone holds; node 1 restarted and follows in term 2: where figure 8 of the Raft paper begins.
 *
 * @throws PropertyViolation when a property fails on the way.
 */
export function begin(model: Model, start: Start): Begun {
  const way = new Way(model);
  if (start === 'empty') return way.end();
  const everyone = model.initial.nodes.map(({ node }) => node);
  way.act(1, { type: 'timer' });
  way.settle(everyone);
  // The followers hear of the commit by the next heartbeat.
  way.act(1, { type: 'timer' });
  way.settle(everyone);
  if (start === 'elected') return way.end();
  way.act(1, { type: 'propose', ordinal: BOUND_MAX });
  way.settle([1]);
  way.act(3, { type: 'timer' });
  way.act(2, { type: 'lapse' });
  for (const { node } of model.initial.nodes) if (node > 3) way.act(node, { type: 'lapse' });
  way.settle(
    everyone.filter((node) => node !== 1),
    (letter) => letter.message.type !== 'append',
  );
  way.act(1, { type: 'crash', keptSaves: 0, keptRecords: 0 });
  // It hears of term 2 as it asks for votes in it.
  way.act(1, { type: 'timer' });
  way.settle([1, 2]);
  return way.end();
}

class Way {
  readonly #model: Model;
  readonly #steps: Step[] = [];
  #state: GlobalState;

  constructor(model: Model) {
    this.#model = model;
    this.#state = model.initial;
  }

  act(node: NodeId, input: Input): void {
    this.#take({ type: 'local', node, cause: this.#model.locals.input(input) });
  }

  /** Makes everything durable and delivers what is between the given nodes, until there is nothing more. */
  settle(among: readonly NodeId[], delivers: (letter: Letter) => boolean = () => true): void {
    while (this.#steps.length < STEPS_MAX) {
      const local = this.#state.nodes.find((node) => node.savesUnderWay > 0 || node.pendingRecords > 0);
      const [letter] = this.#state.letters;
      if (local !== undefined) {
        const { node, savesUnderWay, pendingRecords } = local;
        this.act(node, savesUnderWay > 0 ? { type: 'save' } : { type: 'sync', records: pendingRecords });
      } else if (letter === undefined) return;
      else if (among.includes(letter.from) && among.includes(letter.to) && delivers(letter)) {
        this.#take({ type: 'deliver', letter });
      } else this.#lose(letter);
    }
    throw new Error('the cluster does not come to rest');
  }

  end(): Begun {
    return { state: { ...this.#state, spent: 0 }, steps: this.#steps };
  }

  #take(step: Step): void {
    const next = this.#model.take(this.#state, step);
    if (next !== null) {
      this.#state = next;
      this.#steps.push(step);
    } else if (step.type === 'deliver') this.#lose(step.letter);
    else throw new Error(`a step on the way to the start has no effect: ${JSON.stringify(step)}`);
  }

  #lose(letter: Letter): void {
    this.#state = { ...this.#state, letters: this.#state.letters.filter((other) => other !== letter) };
  }
}
