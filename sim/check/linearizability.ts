/**
 * Linearizability of what clients saw, in the words of `History`.
 * The search is that of `check_calls.ts`.
 *
 * A value that expires may vanish, once, at any time from its earliest: a delete of unknown outcome that takes effect only
 * where that value is. That it does vanish in time is checked beside this, see `expiry.ts`.
 *
 * Operations of one client on one key take effect in the order in which it asked for them, also when they overlap in a
 * pipeline: the server promises that, and it keeps the search small.
 */
import { type CheckOptions as CallCheckOptions, CHECK_DEFAULTS, checkCalls } from './check_calls.ts';
import { explain } from './explain.ts';
import type { Operation, OperationKind, Part } from './history.ts';
import type { Call, KeyOp, Op, Result } from './model.ts';

export type Verdict =
  | { readonly ok: true; readonly statesVisited: number }
  | {
      readonly ok: false;
      readonly key: string;
      /** The smallest beginning of the key's history, by return time, that already contradicts itself. */
      readonly operations: readonly Operation[];
      /** Which operation cannot be placed, and what the key could have held. */
      readonly explanation: string;
    }
  /** Gave up: neither proven nor refuted. */
  | { readonly ok: null; readonly key: string; readonly statesVisited: number };

export interface CheckOptions {
  /** Configurations to enter, per key, before giving up. */
  readonly statesMax: number;
}

/** Operations that happen at equal times are concurrent. */
export function checkLinearizability(
  history: readonly Operation[],
  { statesMax }: CheckOptions = CHECK_DEFAULTS,
): Verdict {
  const options: CallCheckOptions = { ...CHECK_DEFAULTS, order: 'program', statesMax };
  const verdict = checkCalls(history.flatMap(toCalls), options);
  switch (verdict.type) {
    case 'linearizable':
      return { ok: true, statesVisited: verdict.statesVisited };
    case 'gave up':
      return { ok: null, key: verdict.keys.join(' '), statesVisited: verdict.statesVisited };
    case 'not linearizable': {
      const asked = new Map(history.map((operation) => [operation.id, operation]));
      const operations = verdict.calls.flatMap(({ id, return: returned }) => {
        const operation = asked.get(id);
        if (operation === undefined) return [];
        return returned === null ? { ...operation, returnedAt: null, result: null } : operation;
      });
      const { reason } = explain(verdict, 'program');
      return { ok: false, key: verdict.keys.join(' '), operations, explanation: reason };
    }
  }
}

/** The operation in the words of the model, and what expires by it. */
export function toCalls(operation: Operation): Call[] {
  const { id, key, argument, expiry } = operation;
  const call = toCall(operation);
  if (expiry === undefined) return [call];
  const op: Op = {
    type: 'transaction',
    guards: [{ key, expected: argument ?? '' }],
    steps: [{ type: 'delete', key }],
  };
  const name = -1 - id;
  return [
    call,
    { id: name, process: name, call: expiry.earliestAt, return: null, op, result: { type: 'unknown' } },
  ];
}

export function toCall(operation: Operation): Call {
  const { id, client, invokedAt, returnedAt } = operation;
  const isTold = returnedAt !== null && operation.isNarrowed !== true;
  const result: Result = isTold ? resultOf(operation) : { type: 'unknown' };
  // Of what was asked over a connection that broke the client's order is not kept.
  const isInOrder = operation.isNarrowed !== true && operation.isRepeated !== true;
  const process = isInOrder ? client : -1 - id;
  return { id, process, call: invokedAt, return: returnedAt, op: opOf(operation), result };
}

export function opOf({ kind, key, argument, expected, guard, parts = [] }: Operation): Op {
  const value = argument ?? '';
  switch (kind) {
    case 'set':
      return { type: 'write', key, value };
    case 'cas':
      return { type: 'cas', key, expected: expected ?? null, value };
    case 'setnx':
      return { type: 'set-if', key, value, when: 'absent' };
    case 'increment':
      return { type: 'increment', key, by: Number(argument) };
    case 'mget':
      return { type: 'mget', keys: parts.map((part) => part.key) };
    case 'mset':
      return {
        type: 'transaction',
        guards: [],
        steps: parts.map((part) => ({ type: 'write', key: part.key, value: part.value ?? '' })),
      };
    case 'txn':
    case 'exec':
      return { type: 'transaction', guards: guard === undefined ? [] : [guard], steps: parts.map(stepOf) };
    case 'drop':
      return {
        type: 'transaction',
        guards: [],
        steps: parts.map((part) => ({ type: 'delete', key: part.key })),
      };
    case 'scan':
      return { type: 'scan', prefix: bucketOf(key), from: null, to: null, limit: null };
    case 'append':
    case 'getset':
      return { type: kind, key, value };
    case 'get':
      return { type: 'read', key };
    case 'delete':
    case 'exists':
      return { type: kind, key };
  }
}

function stepOf({ key, value }: Part): KeyOp {
  return value === null ? { type: 'read', key } : { type: 'write', key, value };
}

/** Keys are named `bucket/key`. */
function bucketOf(key: string): string {
  return key.slice(0, key.indexOf('/') + 1);
}

function resultOf({ kind, key, result, results = [], entries = [], parts = [] }: Operation): Result {
  switch (kind) {
    case 'set':
    case 'delete':
    case 'append':
    case 'mset':
    case 'drop':
      return { type: 'ok' };
    case 'mget':
      return { type: 'ok', value: results };
    case 'scan':
      return { type: 'ok', value: entries.map(([name, value]) => [bucketOf(key) + name, value] as const) };
    case 'txn':
    case 'exec': {
      if (result === '0') return { type: 'fail' };
      const steps = parts.map(
        ({ value }, at): Result =>
          value === null ? { type: 'ok', value: results[at] ?? null } : { type: 'ok' },
      );
      return { type: 'ok', value: steps };
    }
    case 'cas':
    case 'setnx':
      return { type: result === '1' ? 'ok' : 'fail' };
    case 'increment':
      return { type: 'ok', value: Number(result) };
    case 'getset':
    case 'get':
      return { type: 'ok', value: result };
    case 'exists':
      return { type: 'ok', value: result === '1' };
  }
}

/** A table for a person: one line an operation, by time of invocation. */
export function formatOperations(operations: readonly Operation[]): string {
  const rows = [...operations]
    .sort((a, b) => a.invokedAt - b.invokedAt)
    .map(({ client, kind, argument, expected, result, invokedAt, returnedAt }) => [
      String(invokedAt),
      returnedAt === null ? 'unknown' : String(returnedAt),
      `client ${client}`,
      argument === null
        ? kind
        : `${kind} ${shorten(argument)}${expected === null || expected === undefined ? '' : ` for ${shorten(expected)}`}`,
      returnedAt === null || BLIND.has(kind) ? '' : `-> ${result === null ? 'none' : shorten(result)}`,
    ]);
  const header = ['invoked', 'returned', 'client', 'operation', 'answer'];
  const widths = header.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const BLIND: ReadonlySet<OperationKind> = new Set(['set', 'delete', 'append', 'drop']);

function shorten(value: string): string {
  const first = value.split(/[ .]{2,}/)[0] ?? '';
  return first.length > 24 ? `${first.slice(0, 24)}...` : first;
}
