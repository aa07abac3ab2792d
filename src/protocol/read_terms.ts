/**
 * What a read may rest on, chosen for a connection (`CONSISTENCY terms`) or for one command (`READ terms command`).
 * Terms are `LINEARIZABLE`, `LEASE`, or `STALE [MAXAGE ms] [MINREV revision] [REV]`.
 */
import { DEFAULT_MAX_AGE_MS, type ReadTerms, type StaleTerms, TIME_MS_MAX } from '../kv/request.ts';
import { type Invalid, integerIn, invalid, isInvalid, isWord, printable, syntaxError } from './arguments.ts';
import type { ClientCommand } from './command.ts';

interface ParsedTerms {
  readonly terms: ReadTerms;
  /** What follows them. */
  readonly rest: readonly Uint8Array[];
}

/** `CONSISTENCY` alone asks which terms are in force. */
export function consistency(args: readonly Uint8Array[]): ClientCommand {
  if (args.length === 0) return { verb: 'consistency', terms: null };
  const parsed = parseTerms('CONSISTENCY', args);
  if (isInvalid(parsed)) return parsed;
  return parsed.rest.length === 0
    ? { verb: 'consistency', terms: parsed.terms }
    : syntaxError('CONSISTENCY', parsed.rest[0]);
}

/** @param parse What a verb and its arguments mean. */
export function read(
  args: readonly Uint8Array[],
  parse: (words: readonly Uint8Array[]) => ClientCommand,
): ClientCommand {
  const parsed = parseTerms('READ', args);
  if (isInvalid(parsed)) return parsed;
  if (parsed.rest.length === 0) return syntaxError('READ', undefined);
  const command = parse(parsed.rest);
  return command.verb === 'invalid' ? command : { verb: 'read', terms: parsed.terms, command };
}

/** As they are written. */
export function formatTerms(terms: ReadTerms): string {
  const word = terms.consistency.toUpperCase();
  if (terms.consistency !== 'stale') return word;
  const words = [word, 'MAXAGE', String(terms.maxAgeMs)];
  if (terms.minRevision > 0) words.push('MINREV', String(terms.minRevision));
  if (terms.answer === 'with-revision') words.push('REV');
  return words.join(' ');
}

function parseTerms(verb: string, args: readonly Uint8Array[]): ParsedTerms | Invalid {
  const [word] = args;
  const rest = args.slice(1);
  if (isWord(word, 'LINEARIZABLE')) return { terms: { consistency: 'linearizable' }, rest };
  if (isWord(word, 'LEASE')) return { terms: { consistency: 'lease' }, rest };
  if (isWord(word, 'STALE')) return parseStale(verb, rest);
  return invalid(`'${printable(word)}' in '${verb}' is not LINEARIZABLE, LEASE or STALE`);
}

function parseStale(verb: string, args: readonly Uint8Array[]): ParsedTerms | Invalid {
  let maxAgeMs: number | null = null;
  let minRevision: number | null = null;
  let answer: StaleTerms['answer'] = 'plain';
  let at = 0;
  for (; at < args.length; at++) {
    if (isWord(args[at], 'MAXAGE') && maxAgeMs === null) {
      maxAgeMs = integer(args[++at], 1, TIME_MS_MAX);
      if (maxAgeMs === null) return badNumber(verb, 'MAXAGE', args[at], 'a number of milliseconds from 1 on');
    } else if (isWord(args[at], 'MINREV') && minRevision === null) {
      minRevision = integer(args[++at], 0, Number.MAX_SAFE_INTEGER);
      if (minRevision === null) return badNumber(verb, 'MINREV', args[at], 'a whole number from 0 on');
    } else if (isWord(args[at], 'REV')) {
      answer = 'with-revision';
    } else break;
  }
  const terms: ReadTerms = {
    consistency: 'stale',
    maxAgeMs: maxAgeMs ?? DEFAULT_MAX_AGE_MS,
    minRevision: minRevision ?? 0,
    answer,
  };
  return { terms, rest: args.slice(at) };
}

function integer(word: Uint8Array | undefined, min: number, max: number): number | null {
  return word === undefined ? null : integerIn(word, min, max);
}

function badNumber(verb: string, option: string, word: Uint8Array | undefined, what: string): Invalid {
  if (word === undefined) return syntaxError(verb, undefined);
  return invalid(`${option} '${printable(word)}' in '${verb}' is not ${what}`);
}
