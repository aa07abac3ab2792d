import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { jsonGet, parsePath } from '../../src/kv/json_path.ts';
import { runs } from '../long.ts';

function ask(document: string, path: string): string {
  const result = jsonGet(document, path);
  if (result.type === 'error') return `error: ${result.message}`;
  return result.type === 'value' && result.value !== null ? fromUtf8(result.value) : 'nothing';
}

const DOCUMENT = `{
  "name": "Alice", "score": 100, "big": 12345678901234567890, "huge": 1e400, "none": null, "yes": true,
  "tags": ["a", {"b": [1, 2.50]}, []], "a.b": {"c": "dotted"}, "quote\\"d": "\\u00e9\\n", "": "empty name",
  "twice": 1, "twice": 2, "nested": { "x" : [ 1 , 2 ] , "s": "two  words" }
}`;

const table: readonly (readonly [string, string])[] = [
  ['name', 'Alice'],
  ['score', '100'],
  ['big', '12345678901234567890'],
  ['huge', '1e400'],
  ['none', 'null'],
  ['yes', 'true'],
  ['tags[0]', 'a'],
  ['tags[1].b[1]', '2.50'],
  ['tags[1]', '{"b":[1,2.50]}'],
  ['tags[2]', '[]'],
  ['["a.b"].c', 'dotted'],
  ['["quote\\"d"]', 'é\n'],
  ['[""]', 'empty name'],
  ['twice', '2'],
  ['nested', '{"x":[1,2],"s":"two  words"}'],
  ['missing', 'error: field not found'],
  ['name.first', 'error: field not found'],
  ['tags[3]', 'error: field not found'],
  ['tags.length', 'error: field not found'],
  ['__proto__', 'error: field not found'],
  ['constructor', 'error: field not found'],
  ['score[0]', 'error: field not found'],
  ['', "error: invalid path ''"],
  ['a..b', "error: invalid path 'a..b'"],
  ['tags[x]', "error: invalid path 'tags[x]'"],
  ['tags[0', "error: invalid path 'tags[0'"],
  ['tags[0]x', "error: invalid path 'tags[0]x'"],
];

describe('JSON paths', () => {
  for (const [path, expected] of table) {
    it(`find ${JSON.stringify(path)}`, () => expect(ask(DOCUMENT, path)).toBe(expected));
  }

  it('refuse what is not JSON', () => {
    for (const text of ['', 'Pending', '{"a":1', "{'a':1}", '{"a":1} x', 'NaN']) {
      expect(ask(text, 'a')).toBe('error: invalid JSON');
    }
  });

  it('walk documents nested deeper than any stack', () => {
    const depth = 200_000;
    const answer = ask(`${'['.repeat(depth)}7${']'.repeat(depth)}`, '[0]');
    expect(answer === 'error: invalid JSON: nested too deeply' || answer.length === 2 * (depth - 1) + 1).toBe(
      true,
    );
  });

  it('find in any document what JSON.parse and walking find', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.nat(2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        for (const [path, found] of leaves(JSON.parse(text), '')) {
          if (path === '') continue;
          const expected = typeof found === 'string' ? found : JSON.stringify(found);
          expect(ask(text, path)).toBe(wellFormed(expected));
        }
      }),
      { numRuns: runs(300) },
    );
  });

  it('parse into the steps that they show', () => {
    expect(parsePath('a[0].b["c.d"][12]')).toEqual(['a', 0, 'b', 'c.d', 12]);
  });
});

function leaves(value: unknown, path: string): [string, unknown][] {
  const own: [string, unknown][] = [[path, value]];
  if (Array.isArray(value)) return own.concat(value.flatMap((one, at) => leaves(one, `${path}[${at}]`)));
  if (typeof value !== 'object' || value === null) return own;
  return own.concat(
    Object.entries(value).flatMap(([name, one]) => leaves(one, `${path}[${JSON.stringify(name)}]`)),
  );
}

/** What UTF-8 makes of a text: half a surrogate pair cannot be encoded. */
function wellFormed(text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}
