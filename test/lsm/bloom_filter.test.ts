import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { FilterBuilder, hashKey, mayContain } from '../../src/lsm/bloom_filter.ts';

function build(keys: readonly string[], bitsPerKey: number): { filter: Uint8Array; steps: number } {
  const builder = new FilterBuilder(bitsPerKey);
  for (const key of keys) builder.add(hashKey(utf8(key)));
  const steps = builder.build();
  for (let count = 1; ; count++) {
    const { done, value } = steps.next();
    if (done === true) return { filter: value, steps: count };
  }
}

function keysOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_none, n) => `${prefix}${n}`);
}

describe('a filter', () => {
  it('never denies a key that it was given', () => {
    for (const count of [0, 1, 7, 1000, 40_000]) {
      const keys = keysOf('key', count);
      const { filter } = build(keys, 10);
      expect(keys.filter((key) => !mayContain(filter, hashKey(utf8(key))))).toEqual([]);
    }
  });

  it('denies all but about one of a hundred other keys, at ten bits a key', () => {
    const { filter } = build(keysOf('in', 20_000), 10);
    const wrong = keysOf('out', 20_000).filter((key) => mayContain(filter, hashKey(utf8(key)))).length;
    expect(wrong / 20_000).toBeLessThan(0.02);
    expect(filter.length).toBe(20_000 * (10 / 8) + 1);
  });

  it('is made in steps when there are many keys', () => {
    expect(build(keysOf('k', 100), 10).steps).toBe(1);
    expect(build(keysOf('k', 60_000), 10).steps).toBe(4);
  });

  it('denies everything when it holds nothing, and nothing when it is switched off', () => {
    expect(mayContain(build([], 10).filter, hashKey(utf8('a')))).toBe(false);
    const { filter } = build(['a'], 0);
    expect(filter.length).toBe(0);
    expect(mayContain(filter, hashKey(utf8('b')))).toBe(true);
  });
});
