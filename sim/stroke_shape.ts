/** What a stroke that was written down must hold: a world that plays it trusts its fields. */
import type { StrokeAction } from './strokes.ts';

type Field = 'node' | 'count' | 'positive' | 'integer' | 'drift' | 'routes' | 'command' | readonly string[];

const FILES = ['log', 'spare', 'table', 'manifest', 'current', 'vote', 'temporary', 'other'] as const;
const SEEN = ['at-crash', 'at-once'] as const;
const OF_A_NODE = { node: 'node' } as const;
const AIM = { node: 'node', file: [...FILES, 'any'], after: 'positive', seen: SEEN } as const;

const FIELDS: Readonly<Record<StrokeAction['kind'], Readonly<Record<string, Field>>>> = {
  crash: OF_A_NODE,
  kill: OF_A_NODE,
  'crash-inside': { node: 'node', operation: 'positive' },
  boot: OF_A_NODE,
  stop: OF_A_NODE,
  pause: OF_A_NODE,
  resume: OF_A_NODE,
  'slow-cpu': { node: 'node', taskUs: 'count' },
  cut: { routes: 'routes' },
  join: { routes: 'routes' },
  reset: { node: 'node', peer: 'node' },
  'slow-network': { longTailPermille: 'count' },
  drift: { node: 'node', ppm: 'drift' },
  'wall-jump': { node: 'node', ms: 'integer' },
  freeze: OF_A_NODE,
  thaw: OF_A_NODE,
  'slow-disk': { node: 'node', factor: 'positive' },
  command: { node: 'node', text: 'command' },
  member: { node: 'node', change: ['add', 'remove'], subject: 'node' },
  'disk-error': { ...AIM, operation: ['read', 'write', 'sync'] },
  'stray-write': { ...AIM, goes: ['nowhere', 'same-file', 'other-file'] },
  'disk-full': { node: 'node', leftBytes: 'count' },
  'disk-free': OF_A_NODE,
  damage: {
    node: 'node',
    how: ['rot', 'lost-write', 'overwritten', 'bad-sector', 'lost-name'],
    file: FILES,
    which: 'count',
    where: 'count',
  },
  'disk-lost': OF_A_NODE,
};

/** Slower than that a clock does not run. */
const DRIFT_PPM_MIN = -500_000;

/**
 * @param machines How many there are: nodes are numbered from 1.
 * @returns What is wrong, beginning with the field, or null.
 */
export function strokeProblem(stroke: Readonly<Record<string, unknown>>, machines: number): string | null {
  const { kind } = stroke;
  if (typeof kind !== 'string' || !Object.hasOwn(FIELDS, kind)) return 'kind is not one that is known';
  for (const [name, field] of Object.entries(FIELDS[kind as StrokeAction['kind']])) {
    const problem = fieldProblem(stroke[name], field, machines);
    if (problem !== null) return `${name} is not ${problem}`;
  }
  return null;
}

function fieldProblem(value: unknown, field: Field, machines: number): string | null {
  if (typeof field !== 'string')
    return field.includes(String(value)) && typeof value === 'string' ? null : `one of ${field.join(', ')}`;
  switch (field) {
    case 'node':
      return isNode(value, machines) ? null : `a node from 1 to ${machines}`;
    case 'count':
      return isFrom(value, 0) ? null : 'a whole number';
    case 'positive':
      return isFrom(value, 1) ? null : 'a whole number from 1';
    case 'integer':
      return Number.isSafeInteger(value) ? null : 'a whole number, or one below 0';
    case 'drift':
      return isFrom(value, DRIFT_PPM_MIN + 1) ? null : `a whole number above ${DRIFT_PPM_MIN}`;
    case 'command':
      return /^(MERGE|FLUSH|MEMBER TRANSFER \d+)$/.test(String(value)) ? null : "an operator's command";
    case 'routes':
      return Array.isArray(value) && value.every((route) => isRoute(route, machines))
        ? null
        : `a list of pairs of nodes from 1 to ${machines}`;
  }
}

function isRoute(value: unknown, machines: number): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((node) => isNode(node, machines));
}

function isNode(value: unknown, machines: number): boolean {
  return isFrom(value, 1) && (value as number) <= machines;
}

function isFrom(value: unknown, low: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= low;
}
