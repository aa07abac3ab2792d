import { describe, expect, it } from 'vitest';
import { pictureOf } from '../../../sim/model/picture.ts';

const now = { nowMs: 100, timeMemoryMs: 3 };

describe('pictureOf', () => {
  it('tells values apart, and where they stand', () => {
    const pictures = [{ a: 1 }, { a: '1' }, { a: null }, { a: [1] }, { b: 1 }, { a: { a: 1 } }].map((value) =>
      pictureOf(value, now),
    );
    expect(new Set(pictures).size).toBe(pictures.length);
  });

  it('takes moments relative to now, and all that are further back than matters for one', () => {
    const at = (deadlineMs: number, nowMs: number): string =>
      pictureOf({ deadlineMs }, { nowMs, timeMemoryMs: 3 });
    expect(at(105, 100)).toBe(at(15, 10));
    expect(at(105, 100)).not.toBe(at(104, 100));
    expect(at(97, 100)).toBe(at(Number.NEGATIVE_INFINITY, 100));
    expect(at(98, 100)).not.toBe(at(97, 100));
  });

  it('does not depend on the order in which a map was filled', () => {
    const one = new Map([
      [2, 'b'],
      [1, 'a'],
    ]);
    const other = new Map([
      [1, 'a'],
      [2, 'b'],
    ]);
    expect(pictureOf({ one }, now)).toBe(pictureOf({ one: other }, now));
  });

  it('ends on a graph with cycles', () => {
    class Node {
      next: Node | null = null;
    }
    const [one, two] = [new Node(), new Node()];
    one.next = two;
    two.next = one;
    expect(pictureOf(one, now)).toContain('@0');
  });

  it('refuses state that it cannot see into', () => {
    expect(() => pictureOf({ act: () => 1 }, now)).toThrow('holds a function');
  });
});
