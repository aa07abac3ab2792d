/**
 * Histories as text: JSON lines, one operation a line, in any order. `docs/histories.md` describes them.
 *
 *     {"process":0,"call":12,"return":15,"op":{"type":"write","key":"k","value":"1"},"result":{"type":"ok"}}
 */
import { EnvelopeError } from '../../src/base/errors.ts';
import { duplicateField } from './duplicate_field.ts';
import type { Call, Guard, KeyOp, Op, Result, Value } from './model.ts';

/** Not a history: the message names the line, and the field where it is one field's fault. */
export class HistoryFileError extends EnvelopeError {
  /** From 1. */
  readonly line: number;
  /** As in `op.key`; empty: the whole line. */
  readonly field: string;

  constructor(line: number, field: string, problem: string) {
    super('HISTORY', `line ${line}: ${field === '' ? problem : `${field} ${problem}`}`);
    this.line = line;
    this.field = field;
  }
}

const BYTE_ORDER_MARK = '\uFEFF';
const LINE_FEED = 0x0a;
/** Well below what a text can hold. */
const LINE_BYTES_MAX = 1 << 28;

/**
 * Empty lines are passed over, and a byte order mark before the first line. Calls are numbered as they stand.
 *
 * @param source A file as bytes may be larger than a text can be; they must be UTF-8.
 * @throws HistoryFileError
 */
export function parseHistory(source: string | Uint8Array): Call[] {
  const calls: Call[] = [];
  let number = 0;
  for (const line of typeof source === 'string' ? source.split('\n') : linesOf(source)) {
    number++;
    const text = number === 1 && line.startsWith(BYTE_ORDER_MARK) ? line.slice(1) : line;
    if (text.trim() !== '') calls.push(parseLine(text, number, calls.length));
  }
  return calls;
}

/** Bytes that are no text are refused: read as replacement characters, two keys could become one. */
function* linesOf(bytes: Uint8Array): Generator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let number = 0;
  for (let start = 0; start < bytes.length; ) {
    number++;
    const found = bytes.indexOf(LINE_FEED, start);
    const end = found < 0 ? bytes.length : found;
    if (end - start > LINE_BYTES_MAX)
      throw new HistoryFileError(number, '', `is longer than ${LINE_BYTES_MAX} bytes`);
    let line: string;
    try {
      line = decoder.decode(bytes.subarray(start, end));
    } catch {
      throw new HistoryFileError(number, '', 'is not UTF-8');
    }
    yield line;
    start = end + 1;
  }
}

/** One line a call, by time of invocation. */
export function formatHistory(calls: readonly Call[]): string {
  return [...calls]
    .sort((a, b) => a.call - b.call || a.id - b.id)
    .map((call) => `${formatCall(call)}\n`)
    .join('');
}

function formatCall({ process, call, return: returned, op, result }: Call): string {
  return JSON.stringify({ process, call, return: returned, op: withoutDefaults(op), result });
}

/** What says nothing is left out. */
function withoutDefaults(op: Op): object {
  if (op.type !== 'scan') return op;
  const entries = Object.entries(op).filter(([name, value]) => name === 'prefix' || value !== null);
  return Object.fromEntries(entries);
}

function parseLine(line: string, number: number, id: number): Call {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new HistoryFileError(number, '', 'is not JSON');
  }
  const twice = duplicateField(line);
  if (twice !== null) throw new HistoryFileError(number, twice, 'is there twice');
  const at = new Field(number, '', json);
  const process = at.get('process').integer();
  const call = at.get('call').time();
  const returned = at.get('return').timeOrNull();
  if (returned !== null && returned < call) at.get('return').fail('is before the call');
  const op = parseOp(at.get('op'));
  const result = parseResult(at.get('result'), op);
  if (returned === null && result.type !== 'unknown') {
    at.get('return').fail(`is null, but the result is '${result.type}'`);
  }
  // When an error came back that leaves the outcome open does not say when the operation takes effect.
  return { id, process, call, return: result.type === 'unknown' ? null : returned, op, result };
}

const KEY_OPS = [
  'read',
  'write',
  'cas',
  'append',
  'delete',
  'exists',
  'increment',
  'getset',
  'set-if',
] as const;
const OPS = [...KEY_OPS, 'mget', 'scan', 'transaction'] as const;

function parseOp(at: Field): Op {
  const type = at.get('type').oneOf(OPS);
  switch (type) {
    case 'mget':
      return { type, keys: at.get('keys').list((one) => one.text()) };
    case 'scan':
      return {
        type,
        prefix: at.optional('prefix')?.text() ?? '',
        from: at.optional('from')?.text() ?? null,
        to: at.optional('to')?.text() ?? null,
        limit: at.optional('limit')?.count() ?? null,
      };
    case 'transaction':
      return {
        type,
        guards: at.optional('guards')?.list(parseGuard) ?? [],
        steps: at.get('steps').list(parseKeyOp),
      };
    default:
      return parseKeyOp(at);
  }
}

function parseGuard(at: Field): Guard {
  return { key: at.get('key').text(), expected: at.get('expected').textOrNull() };
}

function parseKeyOp(at: Field): KeyOp {
  const type = at.get('type').oneOf(KEY_OPS);
  const key = at.get('key').text();
  switch (type) {
    case 'read':
    case 'delete':
    case 'exists':
      return { type, key };
    case 'write':
    case 'append':
    case 'getset':
      return { type, key, value: at.get('value').text() };
    case 'cas':
      return { type, key, expected: at.get('expected').textOrNull(), value: at.get('value').text() };
    case 'increment':
      return { type, key, by: at.optional('by')?.integer() ?? 1 };
    case 'set-if': {
      const when = at.get('when').oneOf(['absent', 'present'] as const);
      return { type, key, value: at.get('value').text(), when };
    }
  }
}

function parseResult(at: Field, op: Op): Result {
  const type = at.get('type').oneOf(['ok', 'fail', 'unknown'] as const);
  return type === 'ok' ? parseAnswer(at, op) : { type };
}

function parseAnswer(at: Field, op: Op): Result {
  const type = 'ok';
  switch (op.type) {
    case 'write':
    case 'append':
    case 'cas':
    case 'set-if':
      return { type };
    case 'delete': {
      const existed = at.optional('value');
      return existed === null ? { type } : { type, value: existed.flag() };
    }
    case 'exists':
      return { type, value: at.get('value').flag() };
    case 'increment':
      return { type, value: at.get('value').integer() };
    case 'read':
    case 'getset':
      return { type, value: at.get('value').textOrNull() };
    case 'mget': {
      const value = at.get('value').list((one) => one.textOrNull());
      if (value.length !== op.keys.length) at.get('value').fail('is not as long as the keys');
      return { type, value };
    }
    case 'scan':
      return { type, value: at.get('value').list(parseEntry) };
    case 'transaction': {
      // Of an MSET no more is known than that it was carried out.
      const answers = at.optional('value');
      return answers === null ? { type } : { type, value: parseAnswers(answers, op.steps) };
    }
  }
}

function parseEntry(at: Field): readonly [string, string] {
  const [key, value, ...rest] = at.list((one) => one.text());
  if (key === undefined || value === undefined || rest.length > 0)
    return at.fail('is no pair of key and value');
  return [key, value];
}

function parseAnswers(at: Field, steps: readonly KeyOp[]): Value {
  const answers = at.list((one) => one);
  if (answers.length !== steps.length) at.fail('is not as long as the steps');
  return answers.map((answer, step) => parseResult(answer, steps[step]));
}

/** A place in a line's JSON, that knows its name. */
class Field {
  readonly #line: number;
  readonly #name: string;
  readonly #value: unknown;

  constructor(line: number, name: string, value: unknown) {
    this.#line = line;
    this.#name = name;
    this.#value = value;
  }

  fail(problem: string): never {
    throw new HistoryFileError(this.#line, this.#name, problem);
  }

  /** @throws HistoryFileError when it is missing. */
  get(name: string): Field {
    const field = this.#find(name);
    if (field.#value === undefined) field.fail('is missing');
    return field;
  }

  /** Null: it is missing, or null. */
  optional(name: string): Field | null {
    const field = this.#find(name);
    return field.#value === undefined || field.#value === null ? null : field;
  }

  text(): string {
    return typeof this.#value === 'string' ? this.#value : this.fail('is not a string');
  }

  textOrNull(): string | null {
    return this.#value === null || typeof this.#value === 'string'
      ? this.#value
      : this.fail('is neither a string nor null');
  }

  flag(): boolean {
    return typeof this.#value === 'boolean' ? this.#value : this.fail('is neither true nor false');
  }

  integer(): number {
    return typeof this.#value === 'number' && Number.isSafeInteger(this.#value)
      ? this.#value
      : this.fail('is not a whole number within +-(2^53 - 1)');
  }

  count(): number {
    const count = this.integer();
    return count >= 0 ? count : this.fail('is negative');
  }

  /** Times beyond 2^53 would lose their last digits, and with them their order. */
  time(): number {
    return typeof this.#value === 'number' && Math.abs(this.#value) <= Number.MAX_SAFE_INTEGER
      ? this.#value
      : this.fail('is not a number within +-(2^53 - 1)');
  }

  timeOrNull(): number | null {
    return this.#value === null ? null : this.time();
  }

  oneOf<const T extends string>(names: readonly T[]): T {
    const found = names.find((name) => name === this.#value);
    return found ?? this.fail(`is not one of ${names.join(', ')}`);
  }

  list<T>(parse: (element: Field) => T): T[] {
    if (!Array.isArray(this.#value)) return this.fail('is not a list');
    return this.#value.map((element: unknown, at) =>
      parse(new Field(this.#line, `${this.#name}[${at}]`, element)),
    );
  }

  #find(name: string): Field {
    const path = this.#name === '' ? name : `${this.#name}.${name}`;
    const object = this.#value;
    if (typeof object !== 'object' || object === null || Array.isArray(object))
      return this.fail('is not an object');
    const value: unknown = Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined;
    return new Field(this.#line, path, value);
  }
}
