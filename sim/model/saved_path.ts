/** A way through the model as a file: what it is in, and its steps, one a line. */
import { BOUND_MAX, KINDS } from './bounds.ts';
import type { Persistence } from './model_node.ts';
import { PathError, type SavedStep } from './path.ts';
import type { Setup } from './portfolio.ts';
import { STARTS } from './start.ts';

const FORMAT = 'envelopedb-model-path-1';

export interface SavedPath {
  readonly mutant: string | null;
  /** What is violated at its end. */
  readonly property: string;
  readonly setup: Setup;
  readonly steps: readonly SavedStep[];
}

export const PERSISTENCES: readonly Persistence[] = ['steps', 'at-once'];

/** Lowest and highest value of what of a `Setup` is a number. */
export const SETUP_RANGES = {
  nodes: [1, 7],
  maxTerm: [1, 100],
  letters: [1, 1000],
  copies: [1, 100],
} as const;

const STEPS = ['deliver', 'duplicate', 'drop', 'local'];

export function formatPath({ steps, ...head }: SavedPath): string {
  const lines = steps.map((step) => `    ${JSON.stringify(step)}`).join(',\n');
  return `${JSON.stringify({ format: FORMAT, ...head }, null, 2).slice(0, -2)},\n  "steps": [\n${lines}\n  ]\n}\n`;
}

/** @throws PathError that names the field. What a step says of its message is compared when it is played, not here. */
export function parsePath(text: string): SavedPath {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PathError('it is not JSON');
  }
  const { format, setup, steps } = fieldsOf(value, 'it');
  if (format !== FORMAT) throw new PathError(`'format' must be '${FORMAT}'`);
  checkSetup(fieldsOf(setup, "'setup'"));
  if (!Array.isArray(steps)) throw new PathError("'steps' must be a list");
  for (const [at, step] of steps.entries()) checkStep(fieldsOf(step, `'steps[${at}]'`), at);
  return value as SavedPath;
}

function checkSetup(setup: Readonly<Record<string, unknown>>): void {
  for (const [name, [min, max]] of Object.entries(SETUP_RANGES)) {
    checkNumber(setup[name], `setup.${name}`, min, max);
  }
  checkChoice(setup.start, 'setup.start', STARTS);
  checkChoice(setup.persistence, 'setup.persistence', PERSISTENCES);
  const { rarePaths } = setup;
  if (!Array.isArray(rarePaths) || rarePaths.some((name) => typeof name !== 'string')) {
    throw new PathError("'setup.rarePaths' must be a list of names");
  }
  const bounds = fieldsOf(setup.bounds, "'setup.bounds'");
  for (const kind of KINDS) checkNumber(bounds[kind], `setup.bounds.${kind}`, 0, BOUND_MAX);
}

function checkStep(step: Readonly<Record<string, unknown>>, at: number): void {
  checkChoice(step.step, `steps[${at}].step`, STEPS);
  const names = step.step === 'local' ? ['node'] : ['from', 'to'];
  for (const name of names) checkNumber(step[name], `steps[${at}].${name}`, 1, SETUP_RANGES.nodes[1]);
}

function fieldsOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new PathError(`${name} is not an object`);
  return value as Record<string, unknown>;
}

function checkNumber(value: unknown, name: string, min: number, max: number): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw new PathError(`'${name}' is from ${min} to ${max}, not ${JSON.stringify(value)}`);
}

function checkChoice(value: unknown, name: string, choices: readonly string[]): void {
  if (choices.includes(value as string)) return;
  throw new PathError(`'${name}' is one of ${choices.join(', ')}, not ${JSON.stringify(value)}`);
}
