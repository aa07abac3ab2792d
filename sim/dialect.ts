/** What a simulated client writes for a request, in either dialect of the server, and what it takes from the reply. */
import type { ClientReply } from '../src/client/reply_reader.ts';
import { fromUtf8 } from '../src/codec/bytes.ts';
import type { Operation, OperationKind } from './check/history.ts';
import { bucketName, type WorkloadRequest } from './workload.ts';

export type Dialect = 'text' | 'resp';

/** What is to come for a command: what its operation waits for, or one of these words. */
export type Expected = 'answer' | 'OK' | 'QUEUED';

export interface Command {
  readonly words: readonly string[];
  readonly expects: Expected;
}

/** What an operation was told. */
export interface Answer {
  readonly result: string | null;
  readonly results?: readonly (string | null)[];
  readonly entries?: readonly (readonly [key: string, value: string])[];
}

const RANGE_LIMIT = '10000';

/** In the order in which they are to be written. */
export function commandsOf(request: WorkloadRequest, dialect: Dialect): Command[] {
  if (request.kind !== 'exec') return [{ words: wordsOf(request, dialect), expects: 'answer' }];
  const { parts = [] } = request;
  return [
    { words: ['MULTI'], expects: 'OK' },
    ...parts.map(({ key, value }): Command => ({ words: stepOf(key, value), expects: 'QUEUED' })),
    { words: ['EXEC'], expects: 'answer' },
  ];
}

function wordsOf(request: WorkloadRequest, dialect: Dialect): string[] {
  const { kind, key, field, expected, ttlMs, parts = [] } = request;
  const value = request.value ?? '';
  switch (kind) {
    case 'set': {
      if (ttlMs === undefined) return ['SET', key, value];
      const expiry = ['PX', String(ttlMs)];
      return dialect === 'text' ? ['SETX', key, ...expiry, 'VALUE', value] : ['SET', key, value, ...expiry];
    }
    case 'drop':
      return ['DROP', 'BUCKET', bucketName(request.bucket)];
    case 'delete':
      return ['del', key];
    case 'exists':
      return ['EXISTS', key];
    case 'cas':
      return dialect === 'text'
        ? ['SETX', key, 'IFEQ', expected ?? '', 'VALUE', value]
        : ['SET', key, value, 'IFEQ', expected ?? ''];
    case 'mget':
      return ['MGET', ...parts.map((part) => part.key)];
    case 'mset':
      return ['MSET', ...parts.flatMap((part) => [part.key, part.value ?? ''])];
    case 'setnx':
      return ['SETNX', key, value];
    case 'increment':
      return ['INCRBY', key, value];
    case 'append':
      return ['APPEND', key, value];
    case 'getset':
      return ['GETSET', key, value];
    case 'get':
      return field === true ? ['JGET', key, 'v'] : ['Get', key];
    case 'scan':
      return ['RANGE', '-', '+', 'LIMIT', RANGE_LIMIT];
    case 'txn':
    case 'exec':
      return transactionOf(request);
  }
}

function transactionOf({ guard, parts = [] }: WorkloadRequest): string[] {
  const words = ['TXN'];
  if (guard !== undefined) {
    const { key, expected } = guard;
    words.push('IF', ...(expected === null ? ['ABSENT', key] : ['VALUE', key, '=', expected]));
  }
  words.push('THEN');
  for (const { key, value } of parts) {
    const step = stepOf(key, value);
    words.push(String(step.length), ...step);
  }
  return words;
}

function stepOf(key: string, value: string | null): string[] {
  return value === null ? ['GET', key] : ['SET', key, value];
}

/** The command as it is written. Everything that is asked in simulation is ASCII: a character is a byte. */
export function format(words: readonly string[], dialect: Dialect): string {
  if (dialect === 'text') return `${words.join(' ')}\r\n`;
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

/** They are answered with a number: what was counted, found, done. */
const BY_NUMBER: ReadonlySet<OperationKind> = new Set(['exists', 'setnx', 'increment', 'append']);
const BY_OK: ReadonlySet<OperationKind> = new Set(['set', 'mset', 'delete', 'drop']);

/** What a reply that is no error says to an operation; null: it is none that this operation may be given. */
export function readAnswer(
  { kind, parts = [] }: Operation,
  reply: ClientReply,
  dialect: Dialect,
): Answer | null {
  switch (reply.type) {
    case 'simple':
      if (reply.text !== 'OK') return null;
      if (BY_OK.has(kind)) return { result: null };
      return kind === 'cas' ? { result: '1' } : null;
    case 'integer':
      if (kind === 'delete' && dialect === 'resp') return { result: null };
      return BY_NUMBER.has(kind) ? { result: String(reply.value) } : null;
    case 'bulk':
      if (kind === 'get' || kind === 'getset') return { result: textOf(reply) };
      return kind === 'cas' && reply.value === null ? { result: '0' } : null;
    case 'array': {
      const { items } = reply;
      if (items === null) return null;
      if (kind === 'mget') return listed(items.map(textOf));
      if (kind === 'scan') return readEntries(items);
      if (kind === 'exec') return readSteps(parts, items);
      return kind === 'txn' ? readTransaction(parts, items) : null;
    }
    default:
      return null;
  }
}

function listed(results: readonly (string | null)[]): Answer {
  return { result: results.map((text) => text ?? 'none').join(', '), results };
}

type Steps = NonNullable<Operation['parts']>;

function readTransaction(parts: Steps, [branch, answers]: readonly ClientReply[]): Answer | null {
  if (branch?.type !== 'integer' || answers?.type !== 'array' || answers.items === null) return null;
  if (branch.value === 1) return readSteps(parts, answers.items);
  return branch.value === 0 && answers.items.length === 0 ? { result: '0' } : null;
}

function readSteps(parts: Steps, items: readonly ClientReply[]): Answer | null {
  if (items.length !== parts.length) return null;
  for (const [at, { value }] of parts.entries()) {
    const item = items[at];
    const fits = value === null ? item?.type === 'bulk' : item?.type === 'simple' && item.text === 'OK';
    if (!fits) return null;
  }
  return { result: '1', results: items.map(textOf) };
}

/** Where to go on (nowhere: it was all), then keys and values by turns. */
function readEntries([next, list]: readonly ClientReply[]): Answer | null {
  if (next?.type !== 'bulk' || next.value !== null || list?.type !== 'array' || list.items === null)
    return null;
  const entries: [string, string][] = [];
  for (let at = 0; at < list.items.length; at += 2) {
    const key = textOf(list.items[at]);
    const value = textOf(list.items[at + 1]);
    if (key === null || value === null) return null;
    entries.push([key, value]);
  }
  return { result: `${entries.length} keys`, entries };
}

/** Null for what is no value. */
function textOf(reply: ClientReply | undefined): string | null {
  return reply?.type === 'bulk' && reply.value !== null ? fromUtf8(reply.value) : null;
}
