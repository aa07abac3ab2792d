/**
 * The states that single nodes can be in, each kept once, and what an input does to them.
 *
 * A global state is then a few small numbers, and most of its successors are found by looking up what an input did to
 * the one node that takes it: the production code runs only for a pair of state and input that is new. It runs
 * unchanged and is never copied: a node in a given state is made by playing the inputs that first led there.
 *
 * **Symmetry.** The nodes differ in nothing but their numbers. What a state looks like when the numbers are exchanged
 * is found in the same way, by playing its inputs with their senders exchanged, to the node with the exchanged number.
 * So no part of this file knows which fields of the core hold numbers of nodes.
 */
import { AssertionError } from '../../src/base/errors.ts';
import type { Entry, Index, Term } from '../../src/log/entry.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { Envelope, ReadState } from '../../src/raft/output.ts';
import { type Input, ModelNode, type NodeSetup } from './model_node.ts';

/** A message on its way; two that are equal are one object. */
export interface Letter {
  readonly id: number;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
  readonly input: KnownInput;
  /** By number of the permutation. */
  readonly permuted: Letter[];
}

export interface KnownInput {
  readonly id: number;
  readonly input: Input;
}

/** Who gave whom its vote, as a message tells. */
export interface ShownVote {
  readonly term: Term;
  readonly candidate: NodeId;
}

export interface LocalState {
  readonly id: number;
  readonly node: NodeId;
  readonly parent: LocalState | null;
  /** What led here from `parent`. */
  readonly cause: KnownInput | null;
  readonly role: 'follower' | 'candidate' | 'leader';
  readonly term: Term;
  readonly commitIndex: Index;
  readonly canLapse: boolean;
  readonly savesUnderWay: number;
  readonly pendingRecords: number;
  /** Numbers of the entries by index, from 0 for index 1: equal entries have equal numbers. */
  readonly entries: readonly number[];
  /** The entries that a crash leaves for certain. */
  readonly durableEntries: readonly number[];
  readonly after: Map<number, Transition>;
  readonly permuted: LocalState[];
}

export interface Transition {
  /** Null: the core failed. */
  readonly next: LocalState | null;
  readonly failure: AssertionError | null;
  readonly letters: readonly Letter[];
  readonly reads: readonly ReadState[];
  readonly votes: readonly ShownVote[];
  /** Something has changed or was sent. */
  readonly hasEffect: boolean;
}

/** `permutation[id]` is the number that node `id` gets; position 0 is unused. */
export type Permutation = readonly NodeId[];

export class LocalStates {
  readonly permutations: readonly Permutation[];
  /** By entry number. */
  readonly entryTerms: Term[] = [];
  readonly #setup: NodeSetup;
  readonly #states = new Map<string, LocalState>();
  readonly #letters: Letter[] = [];
  readonly #letterIds = new Map<string, number>();
  readonly #inputs = new Map<string, KnownInput>();
  readonly #entryIds = new Map<string, number>();
  /** Runs of production code: transitions that were not known. */
  executed = 0;

  constructor(setup: NodeSetup, permutations: readonly Permutation[]) {
    this.#setup = setup;
    this.permutations = permutations;
  }

  get count(): number {
    return this.#states.size;
  }

  initial(node: NodeId): LocalState {
    return this.#intern(new ModelNode(node, this.#setup), null, null);
  }

  letter(id: number): Letter {
    return this.#letters[id];
  }

  input(input: Input): KnownInput {
    const key = keyOfInput(input);
    let known = this.#inputs.get(key);
    if (known === undefined) {
      known = { id: this.#inputs.size, input };
      this.#inputs.set(key, known);
    }
    return known;
  }

  transition(state: LocalState, cause: KnownInput): Transition {
    const known = state.after.get(cause.id);
    if (known !== undefined) return known;
    const transition = this.#execute(state, cause);
    state.after.set(cause.id, transition);
    return transition;
  }

  /** @param which Number of the permutation. */
  permute(state: LocalState, which: number): LocalState {
    const known = state.permuted[which];
    if (known !== undefined) return known;
    const permuted = this.#findPermuted(state, which);
    state.permuted[which] = permuted;
    return permuted;
  }

  permuteLetter(letter: Letter, which: number): Letter {
    const known = letter.permuted[which];
    if (known !== undefined) return known;
    const permutation = this.permutations[which];
    const permuted = this.#internLetter(permutation[letter.from], permutation[letter.to], letter.message);
    letter.permuted[which] = permuted;
    return permuted;
  }

  #findPermuted(state: LocalState, which: number): LocalState {
    const permutation = this.permutations[which];
    if (state.parent === null || state.cause === null) return this.initial(permutation[state.node]);
    const { input } = state.cause;
    const parent = this.permute(state.parent, which);
    const { next } = this.transition(parent, this.input(permuteInput(input, permutation)));
    if (next === null) throw new Error('the core fails for one numbering of the nodes and not for another');
    return next;
  }

  #execute(state: LocalState, cause: KnownInput): Transition {
    this.executed++;
    const node = this.#play(state);
    try {
      node.apply(cause.input);
    } catch (error) {
      if (!isAssertion(error)) throw error;
      return { next: null, failure: error, letters: [], reads: [], votes: [], hasEffect: true };
    }
    const { sent, reads } = node.takeEffects();
    const next = this.#intern(node, state, cause);
    const letters = sent.map(({ to, message }) => this.#internLetter(state.node, to, message));
    const votes = sent.flatMap((envelope) => shownVote(state.node, envelope));
    const hasEffect = next !== state || letters.length > 0 || reads.length > 0;
    return { next, failure: null, letters, reads, votes, hasEffect };
  }

  #play(state: LocalState): ModelNode {
    const inputs: Input[] = [];
    for (let at = state; at.parent !== null && at.cause !== null; at = at.parent) inputs.push(at.cause.input);
    const node = new ModelNode(state.node, this.#setup);
    for (let i = inputs.length - 1; i >= 0; i--) node.apply(inputs[i]);
    node.takeEffects();
    return node;
  }

  #intern(node: ModelNode, parent: LocalState | null, cause: KnownInput | null): LocalState {
    const picture = node.picture();
    const known = this.#states.get(picture);
    if (known !== undefined) return known;
    const { raft, log } = node;
    const state: LocalState = {
      id: this.#states.size,
      node: node.id,
      parent,
      cause,
      role: raft.role,
      term: raft.term,
      commitIndex: raft.commitIndex,
      canLapse: node.canLapse,
      savesUnderWay: node.savesUnderWay,
      pendingRecords: log.pending.length,
      entries: log.all.map((entry) => this.#internEntry(entry)),
      durableEntries: log.durable.map((entry) => this.#internEntry(entry)),
      after: new Map(),
      permuted: [],
    };
    this.#states.set(picture, state);
    return state;
  }

  #internEntry(entry: Entry): number {
    const key = keyOfEntry(entry);
    let id = this.#entryIds.get(key);
    if (id === undefined) {
      id = this.#entryIds.size;
      this.#entryIds.set(key, id);
      this.entryTerms.push(entry.term);
    }
    return id;
  }

  #internLetter(from: NodeId, to: NodeId, message: Message): Letter {
    const key = `${from}>${to} ${keyOfMessage(message)}`;
    const known = this.#letterIds.get(key);
    if (known !== undefined) return this.#letters[known];
    const input = this.input({ type: 'deliver', from, message });
    const letter: Letter = { id: this.#letters.length, from, to, message, input, permuted: [] };
    this.#letters.push(letter);
    this.#letterIds.set(key, letter.id);
    return letter;
  }
}

/** All numberings of the nodes 1 to `count`; the first changes nothing. */
export function permutationsOf(count: number): Permutation[] {
  let lists: NodeId[][] = [[]];
  for (let id = 1; id <= count; id++) {
    lists = lists.flatMap((list) =>
      Array.from({ length: id }, (_none, at) => [
        ...list.slice(0, id - 1 - at),
        id,
        ...list.slice(id - 1 - at),
      ]),
    );
  }
  return lists.map((list) => [0, ...list]);
}

function permuteInput(input: Input, permutation: Permutation): Input {
  if (input.type === 'deliver') return { ...input, from: permutation[input.from] };
  if (input.type === 'reset') return { ...input, peer: permutation[input.peer] };
  return input;
}

function shownVote(from: NodeId, { to, message }: Envelope): ShownVote[] {
  if (message.type === 'vote') return [{ term: message.term, candidate: from }];
  if (message.type === 'vote-reply' && message.granted) return [{ term: message.term, candidate: to }];
  return [];
}

function keyOfInput(input: Input): string {
  return input.type === 'deliver' ? `${input.from} ${keyOfMessage(input.message)}` : JSON.stringify(input);
}

function keyOfMessage(message: Message): string {
  if (message.type !== 'append') return JSON.stringify(message);
  return JSON.stringify({ ...message, entries: message.entries.map(keyOfEntry) });
}

function keyOfEntry({ index, term, kind, payload }: Entry): string {
  return `${index} ${term} ${kind} ${payload.join(' ')}`;
}

/** The core that is checked has classes of its own: it is told by its code. */
function isAssertion(error: unknown): error is AssertionError {
  return (
    error instanceof AssertionError ||
    (error instanceof Error && 'code' in error && error.code === 'ASSERTION')
  );
}
