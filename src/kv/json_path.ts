/**
 * Reads a part of a JSON document by path: `name`, `items[0].price`, `[2]`, `["a.b"].c`.
 *
 * The part is located in the text and handed out as it was written, so that numbers keep digits that JavaScript would
 * lose. The walk is a scanner without recursion: nesting costs no stack.
 */
import { utf8 } from '../codec/bytes.ts';
import { errorResult, type Result } from './request.ts';

export type Step = string | number;

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The path of the whole document. A member of this name is `["$"]`. */
export const ROOT = '$';

/** A string is answered raw, anything else as JSON text without the spaces that mean nothing. */
export function jsonGet(document: string, path: string): Result {
  const steps = path === ROOT ? [] : parsePath(path);
  if (steps === null) return errorResult('invalid', `invalid path '${path.slice(0, 64)}'`);
  try {
    JSON.parse(document);
  } catch (error) {
    const tooDeep = error instanceof RangeError;
    return errorResult('invalid', tooDeep ? 'invalid JSON: nested too deeply' : 'invalid JSON');
  }
  const range = findPart(document, steps);
  if (range === null) return errorResult('invalid', 'field not found');
  const text = document.slice(range.start, range.end);
  return { type: 'value', value: utf8(text[0] === '"' ? (JSON.parse(text) as string) : compact(text)) };
}

/** Null when it is not a path. An index is written `[0]`; `["name"]` is a name with any characters. */
export function parsePath(path: string): Step[] | null {
  const steps: Step[] = [];
  let at = 0;
  while (at < path.length) {
    if (path[at] === '[') {
      const end = path[at + 1] === '"' ? endOfString(path, at + 1) : path.indexOf(']', at);
      if (end < 0 || end > path.length) return null;
      const inside = path.slice(at + 1, end);
      const step = inside[0] === '"' ? parseName(inside) : parseIndex(inside);
      if (step === null || path[end] !== ']') return null;
      steps.push(step);
      at = end + 1;
    } else {
      if (at > 0) {
        if (path[at] !== '.') return null;
        at++;
      }
      const start = at;
      while (at < path.length && path[at] !== '.' && path[at] !== '[') at++;
      if (at === start) return null;
      steps.push(path.slice(start, at));
    }
  }
  return steps.length === 0 ? null : steps;
}

function parseIndex(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function parseName(text: string): string | null {
  try {
    const name: unknown = JSON.parse(text);
    return typeof name === 'string' ? name : null;
  } catch {
    return null;
  }
}

// From here on the document is known to be valid JSON.

export function findPart(document: string, steps: readonly Step[]): Range | null {
  let range: Range | null = valueAt(document, 0);
  for (const step of steps) {
    range = typeof step === 'string' ? findMember(document, range, step) : findElement(document, range, step);
    if (range === null) return null;
  }
  return range;
}

/** The value that begins at or behind `from`. */
export function valueAt(text: string, from: number): Range {
  const start = skipSpace(text, from);
  return { start, end: endOfValue(text, start) };
}

export function findMember(text: string, object: Range, name: string): Range | null {
  if (text[object.start] !== '{') return null;
  let found: Range | null = null;
  let at = skipSpace(text, object.start + 1);
  while (text[at] === '"') {
    const keyEnd = endOfString(text, at);
    const key = text.slice(at, keyEnd);
    const value = valueAt(text, skipSpace(text, keyEnd) + 1);
    // Of members with one name the last counts, as for JSON.parse.
    if (JSON.parse(key) === name) found = value;
    at = nextItem(text, value.end);
  }
  return found;
}

export function findElement(text: string, array: Range, index: number): Range | null {
  if (text[array.start] !== '[') return null;
  let at = skipSpace(text, array.start + 1);
  for (let i = 0; text[at] !== ']'; i++) {
    const value = valueAt(text, at);
    if (i === index) return value;
    at = nextItem(text, value.end);
  }
  return null;
}

/** Where the next member or element begins, or its container ends. */
export function nextItem(text: string, valueEnd: number): number {
  const at = skipSpace(text, valueEnd);
  return text[at] === ',' ? skipSpace(text, at + 1) : at;
}

function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return endOfString(text, start);
  if (first !== '{' && first !== '[') {
    let at = start;
    while (at < text.length && !isDelimiter(text.charCodeAt(at))) at++;
    return at;
  }
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at) - 1;
    else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** Behind the closing quote of the string that begins at `start`. */
export function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

export function compact(text: string): string {
  let out = '';
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') at = endOfString(text, at) - 1;
    else if (isSpace(text.charCodeAt(at))) {
      out += text.slice(from, at);
      from = at + 1;
    }
  }
  return out + text.slice(from);
}

export function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** What ends a number, `true`, `false` or `null`. */
function isDelimiter(code: number): boolean {
  return isSpace(code) || code === 0x2c || code === 0x5d || code === 0x7d;
}
