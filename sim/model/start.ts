/** Where a search begins: in the beginning, or where a cluster has done its first steps without a fault. */
import type { GlobalState, Model, Step } from './model.ts';

export type Start = 'empty' | 'elected';

export interface Begun {
  readonly state: GlobalState;
  /** From the initial state of the model. */
  readonly steps: readonly Step[];
}

/** Rest is reached long before. */
const STEPS_MAX = 1000;

/** `elected`: node 1 leads in term 1, and all nodes hold and have committed what it wrote first. */
export function begin(model: Model, start: Start): Begun {
  if (start === 'empty') return { state: model.initial, steps: [] };
  const steps: Step[] = [];
  let state = take(
    model,
    model.initial,
    { type: 'local', node: 1, cause: model.locals.input({ type: 'timer' }) },
    steps,
  );
  state = settle(model, state, steps);
  // The followers hear of the commit by the next heartbeat.
  state = take(model, state, { type: 'local', node: 1, cause: model.locals.input({ type: 'timer' }) }, steps);
  state = settle(model, state, steps);
  return { state: { ...state, spent: 0 }, steps };
}

/** Makes everything durable and delivers everything, until there is nothing more. */
function settle(model: Model, from: GlobalState, steps: Step[]): GlobalState {
  let state = from;
  while (steps.length < STEPS_MAX) {
    const step = model
      .steps(state)
      .find(
        (candidate) =>
          candidate.type === 'deliver' ||
          (candidate.type === 'local' && ['save', 'sync'].includes(candidate.cause.input.type)),
      );
    if (step === undefined) return state;
    const next = model.take(state, step);
    if (next !== null) {
      state = next;
      steps.push(step);
      continue;
    }
    // A letter without effect is as good as lost.
    if (step.type === 'local') throw new Error('a save or a sync has an effect');
    const { letter } = step;
    state = { ...state, letters: state.letters.filter((other) => other !== letter) };
  }
  throw new Error('the cluster does not come to rest');
}

function take(model: Model, state: GlobalState, step: Step, steps: Step[]): GlobalState {
  const next = model.take(state, step);
  if (next === null) throw new Error('a timer has an effect');
  steps.push(step);
  return next;
}
