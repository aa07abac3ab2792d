/** Operations and their answers in words, and as a lined-up table for a person. */
import { unreachable } from '../../src/base/assert.ts';
import type { Call, Op, Result } from './model.ts';

const TEXT_SHOWN_MAX = 32;

export function describeOp(op: Op): string {
  switch (op.type) {
    case 'read':
    case 'delete':
    case 'exists':
      return `${op.type} ${op.key}`;
    case 'write':
    case 'append':
    case 'getset':
      return `${op.type} ${op.key} ${shorten(op.value)}`;
    case 'cas':
      return `cas ${op.key} ${describeValue(op.expected)} -> ${shorten(op.value)}`;
    case 'increment':
      return `increment ${op.key} by ${op.by}`;
    case 'set-if':
      return `write ${op.key} ${shorten(op.value)} if ${op.when}`;
    case 'mget':
      return `mget ${op.keys.join(' ')}`;
    case 'scan': {
      const limit = op.limit === null ? '' : ` limit ${op.limit}`;
      const range =
        op.from === null && op.to === null ? '' : ` from ${op.from ?? 'first'} to ${op.to ?? 'last'}`;
      return `scan ${op.prefix}*${range}${limit}`;
    }
    case 'transaction': {
      const guards = op.guards.map(({ key, expected }) => `${key} = ${describeValue(expected)}`);
      const steps = op.steps.map(describeOp).join('; ');
      return `${guards.length > 0 ? `if ${guards.join(', ')}: ` : ''}{ ${steps} }`;
    }
    default:
      return unreachable(op);
  }
}

/** Empty if it says only that the operation was done. */
export function describeResult(result: Result): string {
  if (result.type === 'fail') return 'failed';
  if (result.type === 'unknown') return '';
  const { value } = result;
  if (value === undefined) return '';
  if (!Array.isArray(value)) return describeValue(typeof value === 'string' ? value : scalar(value));
  return `[${value.map(describeElement).join(', ')}]`;
}

/** What a key holds. */
export function describeValue(value: string | null): string {
  return value === null ? 'none' : shorten(value);
}

/**
 * One line a call, by time of invocation.
 *
 * @param marked Its line is pointed at; null: none is.
 */
export function formatCalls(calls: readonly Call[], marked: Call | null): string {
  const rows = [...calls]
    .sort((a, b) => a.call - b.call || a.id - b.id)
    .map((call) => [
      String(call.call),
      call.return === null ? 'unknown' : String(call.return),
      String(call.process),
      describeOp(call.op),
      [describeAnswer(call), call.id === marked?.id ? '<- cannot be placed' : ''].join(' ').trim(),
    ]);
  return alignColumns([['called', 'returned', 'process', 'operation', 'answer'], ...rows]);
}

export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows.map((row) => alignRow(row, widths)).join('\n');
}

function alignRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, at) => cell.padEnd(widths[at]))
    .join('  ')
    .trimEnd();
}

function describeAnswer(call: Call): string {
  const text = call.return === null ? '' : describeResult(call.result);
  return text === '' ? '' : `-> ${text}`;
}

function describeElement(element: unknown): string {
  if (Array.isArray(element)) return element.map((one) => shorten(String(one))).join('=');
  if (typeof element === 'object' && element !== null && 'type' in element) {
    const text = describeResult(element as Result);
    return text === '' ? 'ok' : text;
  }
  return typeof element === 'string' || element === null ? describeValue(element) : String(element);
}

function scalar(value: unknown): string | null {
  return value === null ? null : String(value);
}

/** A text on one line, of its first words only: a run of spaces or dots is padding. */
function shorten(text: string): string {
  const line = JSON.stringify(text).slice(1, -1);
  const quoted = text === '' || text === 'none' ? `'${line}'` : line;
  return quoted.length > TEXT_SHOWN_MAX ? `${quoted.slice(0, TEXT_SHOWN_MAX)}...` : quoted;
}
