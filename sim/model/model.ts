/**
 * The transition system that is searched: all that a few nodes and the network between them can do next.
 *
 * A global state is the state of each node, the letters on their way (a multiset: any may arrive next, or never), what
 * has been spent of the bounds, and the memory of the properties. `successors` enumerates the steps in a fixed order, so
 * that a step is named by itself and a path by its steps.
 */
import { unreachable } from '../../src/base/assert.ts';
import type { NodeId } from '../../src/raft/message.ts';
import { type Bounds, type Kind, type Spent, spend, spentOf } from './bounds.ts';
import {
  type KnownInput,
  type Letter,
  type LocalState,
  LocalStates,
  permutationsOf,
  type Transition,
} from './local_states.ts';
import type { Persistence } from './model_node.ts';
import type { RaftClass } from './opened_raft.ts';
import { type Memory, Properties } from './properties.ts';

export interface ModelOptions {
  readonly raftClass: RaftClass;
  readonly nodes: number;
  readonly persistence: Persistence;
  readonly bounds: Bounds;
  /** Nobody campaigns for a later term. */
  readonly maxTerm: number;
  /** Letters on their way, at most; a state with more is not searched on. */
  readonly maxLetters: number;
  /** Equal letters on their way, at most: more are not queued. */
  readonly copies: number;
}

export interface GlobalState {
  /** From position 0 for node 1. */
  readonly nodes: readonly LocalState[];
  /** Rising by id. */
  readonly letters: readonly Letter[];
  readonly spent: Spent;
  readonly memory: Memory;
}

/** One step, as data: what a path consists of. Letters are told by their number, which only this model knows. */
export type Step =
  | { readonly type: 'deliver' | 'duplicate' | 'drop'; readonly letter: Letter }
  | { readonly type: 'local'; readonly node: NodeId; readonly cause: KnownInput };

/** Takes a successor. */
export type Visit = (step: Step, next: GlobalState) => void;

/** Symmetry among more nodes costs more than it saves. */
const SYMMETRIC_NODES_MAX = 4;

export class Model {
  readonly options: ModelOptions;
  readonly locals: LocalStates;
  readonly properties: Properties;
  readonly initial: GlobalState;
  readonly #timer: KnownInput;
  readonly #lapse: KnownInput;
  readonly #save: KnownInput;
  /** States that were left alone because too many letters were on their way. */
  crowded = 0;

  constructor(options: ModelOptions) {
    this.options = options;
    const { nodes, raftClass, persistence } = options;
    const voters = Array.from({ length: nodes }, (_none, at) => at + 1);
    const permutations = nodes > SYMMETRIC_NODES_MAX ? [[0, ...voters]] : permutationsOf(nodes);
    this.locals = new LocalStates({ raftClass, voters, persistence }, permutations);
    this.properties = new Properties(this.locals);
    this.initial = {
      nodes: voters.map((id) => this.locals.initial(id)),
      letters: [],
      spent: 0,
      memory: this.properties.initial(nodes),
    };
    this.#timer = this.locals.input({ type: 'timer' });
    this.#lapse = this.locals.input({ type: 'lapse' });
    this.#save = this.locals.input({ type: 'save' });
  }

  /** All steps that `state` allows. */
  steps(state: GlobalState): Step[] {
    const steps: Step[] = [];
    if (state.letters.length > this.options.maxLetters) {
      this.crowded++;
      return steps;
    }
    const mayDrop = this.#allows(state, 'drops');
    const mayRepeat = this.#allows(state, 'duplicates');
    let last: Letter | null = null;
    for (const letter of state.letters) {
      if (letter === last) continue;
      last = letter;
      steps.push({ type: 'deliver', letter });
      if (mayRepeat) steps.push({ type: 'duplicate', letter });
      if (mayDrop) steps.push({ type: 'drop', letter });
    }
    for (const node of state.nodes) this.#localSteps(state, node, steps);
    return steps;
  }

  /**
   * @returns null when the step changes nothing that matters: what can follow it can follow without it.
   * @throws PropertyViolation
   */
  take(state: GlobalState, step: Step): GlobalState | null {
    switch (step.type) {
      case 'local': {
        const { cause, node } = step;
        const next = this.#act(state, state.nodes[node - 1], cause, state.letters);
        const kind = kindOf(cause, state.nodes[node - 1]);
        return next === null || kind === null ? next : { ...next, spent: spend(state.spent, kind) };
      }
      case 'deliver': {
        const { letter } = step;
        return this.#act(state, state.nodes[letter.to - 1], letter.input, without(state.letters, letter));
      }
      case 'duplicate': {
        const { letter } = step;
        const next = this.#act(state, state.nodes[letter.to - 1], letter.input, state.letters);
        return next === null ? null : { ...next, spent: spend(state.spent, 'duplicates') };
      }
      case 'drop':
        return {
          ...state,
          letters: without(state.letters, step.letter),
          spent: spend(state.spent, 'drops'),
        };
      default:
        return unreachable(step);
    }
  }

  #allows(state: GlobalState, kind: Kind): boolean {
    return spentOf(state.spent, kind) < this.options.bounds[kind];
  }

  #localSteps(state: GlobalState, local: LocalState, steps: Step[]): void {
    const { node } = local;
    const { locals } = this;
    if (local.savesUnderWay > 0) steps.push({ type: 'local', node, cause: this.#save });
    for (let records = 1; records <= local.pendingRecords; records++) {
      steps.push({ type: 'local', node, cause: locals.input({ type: 'sync', records }) });
    }
    if (local.role === 'leader') {
      if (this.#allows(state, 'entries')) {
        const ordinal = spentOf(state.spent, 'entries') + 1;
        steps.push({ type: 'local', node, cause: locals.input({ type: 'propose', ordinal }) });
      }
      if (this.#allows(state, 'reads')) {
        const id = spentOf(state.spent, 'reads') + 1;
        steps.push({ type: 'local', node, cause: locals.input({ type: 'read', id }) });
      }
      if (this.#allows(state, 'beats')) steps.push({ type: 'local', node, cause: this.#timer });
      if (this.#allows(state, 'resets')) {
        for (const peer of state.nodes) {
          if (peer.node === node) continue;
          steps.push({ type: 'local', node, cause: locals.input({ type: 'reset', peer: peer.node }) });
        }
      }
    } else if (local.term < this.options.maxTerm && this.#allows(state, 'timeouts')) {
      steps.push({ type: 'local', node, cause: this.#timer });
    }
    if (local.canLapse && this.#allows(state, 'lapses')) {
      steps.push({ type: 'local', node, cause: this.#lapse });
    }
    if (!this.#allows(state, 'crashes')) return;
    for (let keptSaves = 0; keptSaves <= local.savesUnderWay; keptSaves++) {
      for (let keptRecords = 0; keptRecords <= local.pendingRecords; keptRecords++) {
        const cause = locals.input({ type: 'crash', keptSaves, keptRecords });
        steps.push({ type: 'local', node, cause });
      }
    }
  }

  #act(
    state: GlobalState,
    before: LocalState,
    cause: KnownInput,
    letters: readonly Letter[],
  ): GlobalState | null {
    const transition = this.locals.transition(before, cause);
    // To deliver what has no effect is to lose it, and what is lost could as well have stayed on its way.
    if (!transition.hasEffect) return null;
    const nodes = withNode(state.nodes, transition);
    const memory = this.properties.observe(state.memory, before, cause, transition, nodes);
    // What was on its way to a node is lost with its connections.
    const arriving = cause.input.type === 'crash' ? letters.filter(({ to }) => to !== before.node) : letters;
    const next = this.#withLetters(arriving, transition.letters);
    return { nodes, letters: next, spent: state.spent, memory };
  }

  #withLetters(letters: readonly Letter[], sent: readonly Letter[]): readonly Letter[] {
    if (sent.length === 0) return letters;
    const next = [...letters];
    for (const letter of sent) {
      let at = next.length;
      while (at > 0 && next[at - 1].id > letter.id) at--;
      let copies = 0;
      while (at - copies > 0 && next[at - copies - 1] === letter) copies++;
      if (copies < this.options.copies) next.splice(at, 0, letter);
    }
    return next;
  }
}

/** Which bound an input of a node counts against. */
function kindOf({ input }: KnownInput, before: LocalState): Kind | null {
  switch (input.type) {
    case 'timer':
      return before.role === 'leader' ? 'beats' : 'timeouts';
    case 'lapse':
      return 'lapses';
    case 'propose':
      return 'entries';
    case 'read':
      return 'reads';
    case 'reset':
      return 'resets';
    case 'crash':
      return 'crashes';
    case 'save':
    case 'sync':
    case 'deliver':
      return null;
    default:
      return unreachable(input);
  }
}

function withNode(nodes: readonly LocalState[], { next }: Transition): readonly LocalState[] {
  if (next === null) return nodes;
  const changed = nodes.slice();
  changed[next.node - 1] = next;
  return changed;
}

function without(letters: readonly Letter[], letter: Letter): readonly Letter[] {
  const at = letters.indexOf(letter);
  const rest = letters.slice();
  rest.splice(at, 1);
  return rest;
}
