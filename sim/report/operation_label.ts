/** A client's operation in words: what it asked, and what it was told. */
import type { Operation, OperationKind } from '../check/history.ts';

const VALUE_LENGTH_MAX = 60;
const BLIND: ReadonlySet<OperationKind> = new Set(['set', 'delete', 'append', 'mset', 'drop']);

export function describeOperation({ kind, key, argument, parts }: Operation): string {
  if (kind === 'drop') return `drop bucket ${key.slice(0, key.indexOf('/'))}`;
  if (parts !== undefined) return `${kind} ${parts.map((part) => part.key).join(' ')}`;
  return argument === null ? `${kind} ${key}` : `${kind} ${key} ${shorten(argument)}`;
}

/** Null: it was not told, or only that it was done. */
export function describeAnswer({ kind, result, returnedAt }: Operation): string | null {
  if (returnedAt === null || BLIND.has(kind)) return null;
  return result === null ? 'none' : shorten(result);
}

export function isWriting({ kind }: Operation): boolean {
  return kind !== 'get' && kind !== 'exists' && kind !== 'mget' && kind !== 'scan';
}

function shorten(text: string): string {
  return text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}...` : text;
}
