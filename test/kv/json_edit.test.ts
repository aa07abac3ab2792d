import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Edit, jsonAdd, jsonDelete, jsonSet } from '../../src/kv/json_edit.ts';
import { runs } from '../long.ts';

const document = (text: string): Edit => ({ type: 'document', text });

function shown(edit: Edit | null): string | null {
  if (edit === null) return null;
  return edit.type === 'document' ? edit.text : edit.type === 'error' ? `! ${edit.message}` : 'absent';
}

describe('jsonSet', () => {
  const table: readonly (readonly [string, string, string, string])[] = [
    ['{"a":1}', 'a', '2', '{"a":2}'],
    ['{ "a" : 1.50 , "b":2}', 'b', ' [ 1 ] ', '{ "a" : 1.50 , "b":[1]}'],
    ['{}', 'a', '1', '{"a":1}'],
    ['{ }', 'a', '1', '{"a":1 }'],
    ['{"a":1}', 'b', 'null', '{"a":1,"b":null}'],
    ['{"a":{}}', 'a["x.y"]', '"q"', '{"a":{"x.y":"q"}}'],
    ['{"a":1,"a":2}', 'a', '3', '{"a":1,"a":3}'],
    ['[1,2]', '[1]', '9', '[1,9]'],
    ['[1,2]', '[2]', '9', '[1,2,9]'],
    ['[]', '[0]', '9', '[9]'],
    ['[1]', '[2]', '9', '! index 2 is behind the end of an array of 1'],
    ['[1]', 'a', '9', '! field not found'],
    ['{"a":1}', '[0]', '9', '! field not found'],
    ['{"a":1}', 'b.c', '9', '! field not found'],
    ['{"a":"}{"}', 'b', '9', '{"a":"}{","b":9}'],
    ['oops', 'a', '1', '! invalid JSON'],
    ['oops', '$', '1', '1'],
    ['{}', 'a', '{', '! invalid JSON value'],
    ['{}', 'a..b', '1', "! invalid path 'a..b'"],
  ];
  for (const [text, path, json, expected] of table) {
    it(`${text}, ${path}, ${json}`, () => expect(shown(jsonSet(document(text), path, json))).toBe(expected));
  }

  it('makes a document only with the path of the whole', () => {
    expect(shown(jsonSet({ type: 'absent' }, '$', '{"a": 1}'))).toBe('{"a":1}');
    expect(shown(jsonSet({ type: 'absent' }, 'a', '1'))).toMatch(/^! there is no such key/);
  });

  it('refuses what is nested deeper than 512', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(shown(jsonSet({ type: 'absent' }, '$', nested(512)))).toBe(nested(512));
    expect(shown(jsonSet({ type: 'absent' }, '$', nested(513)))).toBe('! invalid JSON value');
  });
});

describe('jsonDelete', () => {
  const table: readonly (readonly [string, string, string | null])[] = [
    ['{"a":1,"b":2,"c":3}', 'a', '{"b":2,"c":3}'],
    ['{"a":1,"b":2,"c":3}', 'b', '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', 'c', '{"a":1,"b":2}'],
    ['{"a":1}', 'a', '{}'],
    ['{"a":1,"b":2,"a":3}', 'a', '{"b":2}'],
    ['[1, 2, 3]', '[1]', '[1, 3]'],
    ['{"a":[1]}', 'a[0]', '{"a":[]}'],
    ['{"a":1}', 'b', null],
    ['{"a":1}', 'b.c', null],
    ['{"a":1}', '$', '! a whole value is deleted with DEL'],
  ];
  for (const [text, path, expected] of table) {
    it(`${text}, ${path}`, () => expect(shown(jsonDelete(document(text), path))).toBe(expected));
  }
});

describe('jsonAdd', () => {
  const table: readonly (readonly [string, string, string, string])[] = [
    ['{"n":1}', 'n', '2', '{"n":3}'],
    ['{"n":9007199254740993}', 'n', '1', '{"n":9007199254740994}'],
    ['{"n":-1}', 'n', '1', '{"n":0}'],
    ['{"n":0.1}', 'n', '0.2', '{"n":0.30000000000000004}'],
    ['{"n":1e3}', 'n', '1', '{"n":1001}'],
    ['{"n":1e308}', 'n', '1e308', '! increment would overflow'],
    ['{"n":"1"}', 'n', '1', '! value is not a number'],
    ['{"n":1}', 'n', '01', '! increment is not a number'],
    ['{"n":1}', 'm', '1', '! field not found'],
  ];
  for (const [text, path, by, expected] of table) {
    it(`${text}, ${path}, ${by}`, () => expect(shown(jsonAdd(document(text), path, by))).toBe(expected));
  }
});

describe('edits', () => {
  it('do to any document what JavaScript does to the parsed one', () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ maxLength: 3 }), json, { maxKeys: 4 }),
        fc.string({ maxLength: 3 }),
        json,
        fc.constantFrom(0, 1),
        (object, name, value, indent) => {
          const text = JSON.stringify(object, null, indent);
          const path = `[${JSON.stringify(name)}]`;
          const set = jsonSet(document(text), path, JSON.stringify(value, null, indent));
          expect(set.type === 'document' && (JSON.parse(set.text) as unknown)).toEqual(
            JSON.parse(JSON.stringify(withMember(object, name, value))),
          );
          const rest = jsonDelete(document(text), path);
          const has = Object.hasOwn(object, name);
          expect(rest !== null).toBe(has);
          if (rest?.type === 'document') {
            const left = Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
            expect(JSON.parse(rest.text)).toEqual(JSON.parse(JSON.stringify(left)));
          }
        },
      ),
      { numRuns: runs(300) },
    );
  });
});

/** Also where the name is `__proto__`. */
function withMember(object: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  return Object.fromEntries([...Object.entries(object).filter(([key]) => key !== name), [name, value]]);
}
