/** Compares, then does one of two lists of commands: all of it at one revision, or, if one fails, none. */
import { equalBytes } from '../codec/bytes.ts';
import { Draft } from './draft.ts';
import { LiveKeys } from './live_keys.ts';
import { answerTooLong, readPoint, tooMuchMet } from './point_reads.ts';
import { writePoint } from './point_writes.ts';
import {
  ANSWER_BYTES_MAX,
  errorResult,
  type Guard,
  ITEM_BYTES,
  isPointWrite,
  MET_BYTES_MAX,
  type Point,
  type Result,
  TRANSACTION_VALUE_BYTES_MAX,
  type Transaction,
} from './request.ts';

/** @throws CorruptionError, DiskError as writes do. */
export function runTransaction(keys: LiveKeys, transaction: Transaction): Result {
  let branch: 'success' | 'failure' = 'success';
  for (const guard of transaction.guards) {
    if (!holds(keys, guard)) branch = 'failure';
    if (keys.touchedBytes > MET_BYTES_MAX) return tooMuchMet();
    if (branch === 'failure') break;
  }
  const draft = new Draft(keys.cells);
  const drafted = new LiveKeys(draft, keys.state);
  drafted.revision = keys.revision;
  const outcome = carryOut(drafted, transaction[branch]);
  // One that is refused has cost what it met until then.
  keys.touchedBytes += drafted.touchedBytes;
  if (!Array.isArray(outcome)) return outcome;
  draft.commit();
  return { type: 'transaction', branch, results: outcome };
}

/** The answers; the error that undoes all, if one fails. */
function carryOut(keys: LiveKeys, points: readonly Point[]): Result[] | Result {
  const results: Result[] = [];
  let bytes = 0;
  let changedBytes = 0;
  for (const [at, point] of points.entries()) {
    changedBytes += bytesToChange(keys, point);
    if (changedBytes > TRANSACTION_VALUE_BYTES_MAX) return aborted(at, TOO_MUCH);
    let result = isPointWrite(point) ? writePoint(keys, point) : readPoint(keys, point);
    bytes += valueBytes(result);
    if (bytes > ANSWER_BYTES_MAX) result = answerTooLong();
    else if (keys.touchedBytes > MET_BYTES_MAX) result = tooMuchMet();
    if (result.type === 'error') return aborted(at, result.message);
    results.push(result);
  }
  return results;
}

const TOO_MUCH = `the values that are changed have more than ${TRANSACTION_VALUE_BYTES_MAX} bytes together (max transaction value bytes)`;

function aborted(at: number, why: string): Result {
  return errorResult('aborted', `command ${at + 1} of the transaction failed: ${why}`);
}

/** Of the value that a command has to go through from end to end, whatever the part that it is about. */
function bytesToChange(keys: LiveKeys, point: Point): number {
  switch (point.type) {
    case 'json-get':
    case 'json-set':
    case 'json-delete':
    case 'json-add':
    case 'append':
    case 'expire':
    case 'get-expire':
    case 'persist':
      return keys.find(point.bucket, point.key)?.length ?? 0;
    default:
      return 0;
  }
}

function holds(keys: LiveKeys, guard: Guard): boolean {
  const found = keys.find(guard.bucket, guard.key);
  if (guard.type === 'value') {
    const isEqual = found !== null && equalBytes(found.value, guard.value);
    return guard.is === '=' ? isEqual : !isEqual;
  }
  const difference = (found?.revision ?? 0) - guard.revision;
  switch (guard.is) {
    case '=':
      return difference === 0;
    case '!=':
      return difference !== 0;
    case '<':
      return difference < 0;
    case '>':
      return difference > 0;
  }
}

/** As they count in an answer. */
function valueBytes(result: Result): number {
  if (result.type === 'list') return result.items.reduce((sum, item) => sum + valueBytes(item), ITEM_BYTES);
  return ITEM_BYTES + (result.type === 'value' ? (result.value?.length ?? 0) : 0);
}
