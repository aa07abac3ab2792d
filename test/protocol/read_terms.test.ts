import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { ReadTerms } from '../../src/kv/request.ts';
import { DEFAULT_LIMITS } from '../../src/protocol/command.ts';
import { formatTerms } from '../../src/protocol/read_terms.ts';
import { makeCommand } from '../../src/protocol/verbs.ts';

function parse(line: string): unknown {
  const [verb, ...args] = line.split(' ').map(utf8);
  return makeCommand(verb ?? utf8(''), args, DEFAULT_LIMITS);
}

const invalid = (message: string): unknown => ({ verb: 'invalid', message, fatal: false });
const stale = (fields: object): unknown => ({
  consistency: 'stale',
  maxAgeMs: 10_000,
  minRevision: 0,
  answer: 'plain',
  ...fields,
});

const terms: fc.Arbitrary<ReadTerms> = fc.oneof(
  fc.constantFrom<ReadTerms>({ consistency: 'linearizable' }, { consistency: 'lease' }),
  fc.record({
    consistency: fc.constant('stale' as const),
    maxAgeMs: fc.integer({ min: 1, max: 1e9 }),
    minRevision: fc.nat(),
    answer: fc.constantFrom('plain' as const, 'with-revision' as const),
  }),
);

describe('the terms of a read', () => {
  it.each([
    ['CONSISTENCY', { verb: 'consistency', terms: null }],
    ['CONSISTENCY lease', { verb: 'consistency', terms: { consistency: 'lease' } }],
    ['CONSISTENCY STALE', { verb: 'consistency', terms: stale({}) }],
    ['READ STALE PING', { verb: 'read', terms: stale({}), command: { verb: 'ping', message: null } }],
    [
      'READ STALE REV MAXAGE 7 DBSIZE',
      { verb: 'read', terms: stale({ maxAgeMs: 7, answer: 'with-revision' }), command: { verb: 'count' } },
    ],
    ['READ STALE', invalid("wrong number of arguments for 'READ'")],
    ['READ STALE REV', invalid("syntax error in 'READ': something is missing at its end")],
    ['READ STALE MAXAGE', invalid("syntax error in 'READ': something is missing at its end")],
    ['READ STALE GET', invalid("wrong number of arguments for 'GET'")],
    [
      'READ STALE MAXAGE -1 DBSIZE',
      invalid("MAXAGE '-1' in 'READ' is not a number of milliseconds from 1 on"),
    ],
    ['READ STALE MAXAGE 1 MAXAGE 2 DBSIZE', invalid("unknown command 'MAXAGE'")],
    ['CONSISTENCY LEASE REV', invalid("syntax error in 'CONSISTENCY' at 'REV'")],
    ['CONSISTENCY EVENTUAL', invalid("'EVENTUAL' in 'CONSISTENCY' is not LINEARIZABLE, LEASE or STALE")],
  ])('%s', (line, command) => {
    expect(parse(line)).toEqual(command);
  });

  it('are read back as they are written', () => {
    fc.assert(
      fc.property(terms, (chosen) => {
        expect(parse(`CONSISTENCY ${formatTerms(chosen)}`)).toEqual({ verb: 'consistency', terms: chosen });
      }),
    );
  });
});
