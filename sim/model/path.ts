/** Paths through the model: as text to read, as data to keep, and shortened. */
import { unreachable } from '../../src/base/assert.ts';
import { EnvelopeError } from '../../src/base/errors.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { Letter, LocalState } from './local_states.ts';
import type { GlobalState, Model, Step } from './model.ts';
import type { Input } from './model_node.ts';
import { PropertyViolation } from './properties.ts';
import { takeStep } from './search.ts';

/** A step as it is kept in a file. Messages are told by what they say. */
export type SavedStep =
  | {
      readonly step: 'deliver' | 'duplicate' | 'drop';
      readonly from: NodeId;
      readonly to: NodeId;
      readonly message: unknown;
    }
  | { readonly step: 'local'; readonly node: NodeId; readonly input: Input };

export class PathError extends EnvelopeError {
  constructor(message: string) {
    super('FORMAT', message);
  }
}

export function saveStep(step: Step): SavedStep {
  if (step.type === 'local') return { step: 'local', node: step.node, input: step.cause.input };
  const { from, to, message } = step.letter;
  return { step: step.type, from, to, message: plainMessage(message) };
}

/** @returns null when `state` does not allow the step. */
export function findStep(model: Model, state: GlobalState, saved: SavedStep): Step | null {
  const text = JSON.stringify(saved);
  return model.steps(state).find((step) => JSON.stringify(saveStep(step)) === text) ?? null;
}

export interface Played {
  readonly state: GlobalState;
  readonly steps: readonly Step[];
  readonly violation: PropertyViolation | null;
  /** Position in what was to be played of the first step that was not possible, if any; it was left out. */
  readonly impossible: number | null;
}

/** Plays steps up to the first violation. */
export function play(model: Model, from: GlobalState, saved: readonly SavedStep[]): Played {
  let state = from;
  let impossible: number | null = null;
  const steps: Step[] = [];
  for (const [at, item] of saved.entries()) {
    const step = findStep(model, state, item);
    const reached = step === null ? null : takeStep(model, state, step);
    if (step === null || reached === null) {
      impossible ??= at;
      continue;
    }
    steps.push(step);
    if (reached instanceof PropertyViolation) return { state, steps, violation: reached, impossible };
    state = reached;
  }
  return { state, steps, violation: null, impossible };
}

/** Leaves out, one after the other, all steps without which the same property is violated still. */
export function shorten(model: Model, from: GlobalState, steps: readonly Step[], property: string): Step[] {
  let best = [...steps];
  for (let isShorter = true; isShorter; ) {
    isShorter = false;
    for (let at = best.length - 1; at >= 0; at--) {
      const saved = best.filter((_step, position) => position !== at).map(saveStep);
      const played = play(model, from, saved);
      if (played.violation?.property !== property) continue;
      best = [...played.steps];
      isShorter = true;
      at = Math.min(at, best.length);
    }
  }
  return best;
}

/** One line a step: what happens, and what has changed at the node. */
export function describePath(model: Model, from: GlobalState, steps: readonly Step[]): string[] {
  const lines: string[] = [];
  let state = from;
  for (const [at, step] of steps.entries()) {
    const node = step.type === 'local' ? step.node : step.letter.to;
    const before = state.nodes[node - 1];
    const reached = takeStep(model, state, step);
    const sent = sentBy(model, before, step);
    const after = reached instanceof PropertyViolation || reached === null ? null : reached.nodes[node - 1];
    const parts = [describeStep(step, before)];
    if (after !== null) parts.push(...describeChange(before, after));
    for (const letter of sent) parts.push(`-> ${describeMessage(letter.message)} to ${letter.to}`);
    lines.push(`${at + 1}. ${parts.join('; ')}`);
    if (reached instanceof PropertyViolation) lines.push(`   ${reached.message}`);
    else if (reached !== null) state = reached;
  }
  return lines;
}

export function describeNodes(model: Model, state: GlobalState): string[] {
  const { entryTerms } = model.locals;
  return state.nodes.map((local) => {
    const log = local.entries
      .map((entry, at) => `${entryTerms[entry]}${local.durableEntries[at] === entry ? '' : '?'}`)
      .join(' ');
    return `node ${local.node}: ${local.role} in term ${local.term}, terms of its log [${log}], committed ${local.commitIndex}`;
  });
}

function sentBy(model: Model, before: LocalState, step: Step): readonly Letter[] {
  if (step.type === 'drop') return [];
  const cause = step.type === 'local' ? step.cause : step.letter.input;
  return model.locals.transition(before, cause).letters;
}

function describeStep(step: Step, before: LocalState): string {
  if (step.type === 'local') return describeInput(step.node, step.cause.input, before);
  const { from, to, message } = step.letter;
  const what = `${describeMessage(message)} from ${from}`;
  if (step.type === 'drop') return `${what} to ${to} is lost`;
  return `node ${to} receives ${what}${step.type === 'duplicate' ? ' (and will again)' : ''}`;
}

function describeInput(node: NodeId, input: Input, before: LocalState): string {
  switch (input.type) {
    case 'timer':
      return before.role === 'leader' ? `node ${node} beats` : `node ${node} times out`;
    case 'lapse':
      return `node ${node} has not heard its leader for an election timeout`;
    case 'propose':
      return `a client proposes entry ${input.ordinal} to node ${node}`;
    case 'read':
      return `a client asks node ${node} for read ${input.id}`;
    case 'save':
      return `the hard state of node ${node} is durable`;
    case 'sync':
      return `${input.records} of ${before.pendingRecords} records of node ${node} are durable`;
    case 'reset':
      return `node ${node} finds its connection to node ${input.peer} made anew`;
    case 'crash':
      return `node ${node} crashes and restarts${describeKept(input, before)}`;
    case 'deliver':
      return `node ${node} receives ${describeMessage(input.message)}`;
    default:
      return unreachable(input);
  }
}

function describeKept(input: Input & { type: 'crash' }, before: LocalState): string {
  const { savesUnderWay, pendingRecords } = before;
  const parts: string[] = [];
  if (savesUnderWay > 0) parts.push(`${input.keptSaves} of ${savesUnderWay} hard states`);
  if (pendingRecords > 0) parts.push(`${input.keptRecords} of ${pendingRecords} records`);
  return parts.length === 0 ? '' : `, keeping ${parts.join(' and ')} not yet durable`;
}

function describeChange(before: LocalState, after: LocalState): string[] {
  const changes: string[] = [];
  if (after.role !== before.role || after.term !== before.term) {
    changes.push(`${after.role} in term ${after.term}`);
  }
  if (after.entries.length !== before.entries.length) {
    changes.push(`${after.entries.length} ${after.entries.length === 1 ? 'entry' : 'entries'}`);
  }
  if (after.commitIndex !== before.commitIndex) changes.push(`commits to ${after.commitIndex}`);
  return changes;
}

/** `Append(term 1, previous 0 of term 0, commit 0, terms [1])`. */
function describeMessage(message: Message): string {
  const { type, term, ...rest } = message;
  const name = type
    .split('-')
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join('');
  const fields = Object.entries(rest).map(([field, value]) =>
    Array.isArray(value)
      ? `terms [${value.map((entry: { readonly term: number }) => entry.term).join(' ')}]`
      : `${field} ${String(value)}`,
  );
  return `${name}(${[`term ${term}`, ...fields].join(', ')})`;
}

function plainMessage(message: Message): unknown {
  if (message.type !== 'append') return message;
  const entries = message.entries.map((entry) => ({ ...entry, payload: [...entry.payload] }));
  return { ...message, entries };
}
