/**
 * Changes a part of a JSON document by path. Only the text of that part changes: everything else keeps its bytes, so
 * numbers keep digits that JavaScript would lose. Paths are those of `json_path.ts`.
 */
import {
  compact,
  endOfString,
  findPart,
  nextItem,
  parsePath,
  type Range,
  ROOT,
  type Step,
  skipSpace,
  valueAt,
} from './json_path.ts';

export type Edit =
  | { readonly type: 'absent' }
  /** `part`: the text of the part that was changed, where the caller wants to know it. */
  | { readonly type: 'document'; readonly text: string; readonly part?: string }
  | { readonly type: 'error'; readonly message: string };

/** So that no replica's stack decides what is a document. */
const DEPTH_MAX = 512;
const DIGITS_MAX = 400;

/**
 * Replaces the part at `path`, or adds it: a member to an object, an element at the end of an array. What it is to be
 * added to must be there. `$` replaces all.
 */
export function jsonSet(document: Edit, path: string, json: string): Edit {
  if (document.type === 'error') return document;
  if (!isJson(json)) return failed('invalid JSON value');
  const value = compact(json);
  const steps = stepsOf(path);
  if (steps === null) return invalidPath(path);
  const last = steps[steps.length - 1];
  if (last === undefined) return { type: 'document', text: value };
  if (document.type === 'absent')
    return failed("there is no such key: set all of it first, with the path '$'");
  const { text } = document;
  if (!isJson(text)) return failed('invalid JSON');
  const found = findPart(text, steps);
  if (found !== null) return replaced(text, found, value);
  const parent = findPart(text, steps.slice(0, -1));
  if (parent === null) return failed('field not found');
  const items = itemsOf(text, parent);
  if (typeof last === 'string') {
    if (text[parent.start] !== '{') return failed('field not found');
    return added(text, parent, items, `${JSON.stringify(last)}:${value}`);
  }
  if (text[parent.start] !== '[') return failed('field not found');
  if (last > items.length) return failed(`index ${last} is behind the end of an array of ${items.length}`);
  return added(text, parent, items, value);
}

/** Null when there is no such part. */
export function jsonDelete(document: Edit, path: string): Edit | null {
  if (document.type !== 'document') return document;
  const steps = stepsOf(path);
  if (steps === null) return invalidPath(path);
  const last = steps[steps.length - 1];
  if (last === undefined) return failed('a whole value is deleted with DEL');
  if (!isJson(document.text)) return failed('invalid JSON');
  const { text } = document;
  const parent = findPart(text, steps.slice(0, -1));
  if (parent === null || findPart(text, steps) === null) return null;
  return { type: 'document', text: without(text, itemsOf(text, parent), last) };
}

/** Adds to a number: exactly, where both are written as integers, else as JavaScript adds. `part` is the sum. */
export function jsonAdd(document: Edit, path: string, by: string): Edit {
  if (document.type !== 'document') return document;
  const steps = stepsOf(path);
  if (steps === null) return invalidPath(path);
  if (!isNumber(by)) return failed('increment is not a number');
  const { text } = document;
  if (!isJson(text)) return failed('invalid JSON');
  const range = findPart(text, steps);
  if (range === null) return failed('field not found');
  const before = text.slice(range.start, range.end);
  if (!isNumber(before)) return failed('value is not a number');
  const sum = add(before, by);
  return sum === null ? failed('increment would overflow') : { ...replaced(text, range, sum), part: sum };
}

interface Item {
  /** Where it begins: its name, in an object. */
  readonly start: number;
  readonly value: Range;
  readonly name: string | null;
}

/** Members of an object, elements of an array; none of anything else. */
function itemsOf(text: string, container: Range): Item[] {
  const isObject = text[container.start] === '{';
  const items: Item[] = [];
  if (!isObject && text[container.start] !== '[') return items;
  let at = skipSpace(text, container.start + 1);
  while (at < container.end - 1) {
    const start = at;
    let name: string | null = null;
    if (isObject) {
      const nameEnd = endOfString(text, at);
      name = JSON.parse(text.slice(at, nameEnd)) as string;
      at = skipSpace(text, nameEnd) + 1;
    }
    const value = valueAt(text, at);
    items.push({ start, value, name });
    at = nextItem(text, value.end);
  }
  return items;
}

function replaced(text: string, range: Range, value: string): { type: 'document'; text: string } {
  return { type: 'document', text: text.slice(0, range.start) + value + text.slice(range.end) };
}

function added(text: string, container: Range, items: readonly Item[], item: string): Edit {
  const at = items[items.length - 1]?.value.end ?? container.start + 1;
  const comma = items.length === 0 ? '' : ',';
  return { type: 'document', text: text.slice(0, at) + comma + item + text.slice(at) };
}

/**
 * Cuts out an element, or all members of a name (the last counts, and behind it the one before would come to light),
 * together with the commas that they needed.
 */
function without(text: string, items: readonly Item[], step: Step): string {
  const [first] = items;
  const end = items[items.length - 1]?.value.end;
  if (first === undefined || end === undefined) return text;
  let out = text.slice(0, first.start);
  let isEmpty = true;
  for (const [at, { name, value, start }] of items.entries()) {
    if (typeof step === 'number' ? at === step : name === step) continue;
    const from = isEmpty ? start : items[at - 1].value.end;
    out += text.slice(from, value.end);
    isEmpty = false;
  }
  return out + text.slice(end);
}

function stepsOf(path: string): Step[] | null {
  return path === ROOT ? [] : parsePath(path);
}

function add(a: string, b: string): string | null {
  if (/^-?\d+$/.test(a) && /^-?\d+$/.test(b)) return (BigInt(a) + BigInt(b)).toString();
  const sum = Number(a) + Number(b);
  return Number.isFinite(sum) ? String(sum) : null;
}

function isNumber(text: string): boolean {
  return text.length <= DIGITS_MAX && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text);
}

function isJson(text: string): boolean {
  if (isTooDeep(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at) - 1;
    else if (char === '{' || char === '[') {
      depth++;
      if (depth > DEPTH_MAX) return true;
    } else if (char === '}' || char === ']') depth--;
  }
  return false;
}

function failed(message: string): Edit {
  return { type: 'error', message };
}

function invalidPath(path: string): Edit {
  return failed(`invalid path '${path.slice(0, 64)}'`);
}
