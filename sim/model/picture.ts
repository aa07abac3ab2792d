/**
 * The canonical text of an object graph: two nodes with the same text behave the same from here on.
 *
 * It is taken from the objects as they are, field by field, with three abstractions.
 *
 * - **Time.** A field whose name ends in `Ms` is a moment of the node's own clock. Only differences from now decide
 *   anything, so the difference is written; and as the core compares silences with the election timeout and nothing
 *   longer, a moment further back than `timeMemoryMs` is written as that.
 * - **Order of maps.** Maps are written in the order of their keys. They are keyed by node, and the core visits them
 *   by its list of peers or does not care.
 * - **What is constant or scratch.** The fields in `LEFT_OUT`, and any whose name ends in `Scratch`.
 */

/** Constants of a node, and the seams that the model brings itself. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'log',
  'timing',
  'flow',
  'options',
  'random',
  'voters',
  'peers',
]);

export interface Moment {
  readonly nowMs: number;
  /** Differences from `nowMs` into the past are cut off here. */
  readonly timeMemoryMs: number;
}

/** @throws Error when the graph holds something that has no picture, such as a function. */
export function pictureOf(root: object, moment: Moment): string {
  const seen = new Map<object, number>();
  return draw(root, moment, seen);
}

function draw(value: unknown, moment: Moment, seen: Map<object, number>): string {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'string':
      return JSON.stringify(value);
    case 'object':
      return value === null ? 'null' : drawObject(value, moment, seen);
    default:
      throw new Error(`the state of a node holds a ${typeof value}, which has no picture`);
  }
}

function drawObject(value: object, moment: Moment, seen: Map<object, number>): string {
  if (value instanceof Uint8Array) return `<${value.join(' ')}>`;
  const known = seen.get(value);
  if (known !== undefined) return `@${known}`;
  if (Array.isArray(value)) {
    let text = '[';
    for (const item of value) text += `${draw(item, moment, seen)},`;
    return `${text}]`;
  }
  // Plain data is often shared, such as the entries of two messages: whether it is must not tell states apart.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype) seen.set(value, seen.size);
  if (value instanceof Map) {
    const keys = [...value.keys()].sort(ascending);
    let text = '{';
    for (const key of keys) text += `${draw(key, moment, seen)}=>${draw(value.get(key), moment, seen)},`;
    return `${text}}`;
  }
  if (value instanceof Set) return `{${[...value].sort(ascending).join()}}`;
  let text = '(';
  for (const [field, content] of Object.entries(value)) {
    const name = field.startsWith('$') ? field.slice(1) : field;
    if (LEFT_OUT.has(name) || name.endsWith('Scratch') || name === 'nowMs') continue;
    text += `${name}:`;
    text +=
      isMoment(name) && typeof content === 'number'
        ? String(Math.max(content - moment.nowMs, -moment.timeMemoryMs))
        : draw(content, moment, seen);
    text += ';';
  }
  return `${text})`;
}

function ascending(a: unknown, b: unknown): number {
  return Number(a) - Number(b);
}

/** Told from a length of time by its name. */
function isMoment(name: string): boolean {
  return name.endsWith('Ms') && !name.endsWith('WaitMs');
}
