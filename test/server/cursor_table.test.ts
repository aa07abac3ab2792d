import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { CursorTable } from '../../src/server/cursor_table.ts';

describe('remembered cursors', () => {
  it('stand for their keys, and for none in another life of the node', () => {
    const random = new SimRandom('cursors');
    const table = new CursorTable(random);
    const key = new Uint8Array(9);
    const cursor = table.remember(key);
    expect(table.find(cursor)).toBe(key);
    expect(table.find(cursor + 1n)).toBeNull();
    expect(table.remember(key)).not.toBe(cursor);
    const later = new CursorTable(random);
    later.remember(key);
    expect(later.find(cursor)).toBeNull();
  });

  it('are forgotten, the oldest first, when their keys take too much memory', () => {
    const table = new CursorTable(new SimRandom('cursors'));
    const cursors = Array.from({ length: 300 }, () => table.remember(new Uint8Array(65_536)));
    const known = cursors.map((cursor) => table.find(cursor) !== null);
    expect(known.filter(Boolean)).toHaveLength(255);
    expect(known.slice(-255)).not.toContain(false);
    const many = new CursorTable(new SimRandom('many'));
    const first = many.remember(new Uint8Array(8));
    for (let n = 0; n < 10_000; n++) many.remember(new Uint8Array(8));
    expect(many.find(first)).toBeNull();
  });
});
