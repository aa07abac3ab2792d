import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { AssertionError } from '../../src/base/errors.ts';
import { compareBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { Memtable, MemtableCursor } from '../../src/lsm/memtable.ts';
import { RecordKind } from '../../src/lsm/record.ts';

const EMPTY = new Uint8Array(0);

function all(cursor: MemtableCursor): string[] {
  const found: string[] = [];
  for (cursor.seekToFirst(); cursor.isValid; cursor.next()) {
    const text = cursor.kind === RecordKind.Put ? fromUtf8(cursor.value.slice()) : 'gone';
    found.push(`${fromUtf8(cursor.key.slice())}@${cursor.sequence}=${text}`);
  }
  return found;
}

function add(memtable: Memtable, sequence: number, key: string, value: string | null): void {
  const kind = value === null ? RecordKind.Tombstone : RecordKind.Put;
  memtable.add(utf8(key), sequence, kind, value === null ? EMPTY : utf8(value));
}

describe('a memtable', () => {
  it('orders keys as bytes, and versions of a key from new to old', () => {
    const memtable = new Memtable(4096);
    add(memtable, 1, 'b', 'first');
    add(memtable, 2, 'a', 'x');
    add(memtable, 2, 'ab', 'y');
    add(memtable, 3, 'b', null);
    add(memtable, 2 ** 40, 'b', 'third');
    add(memtable, 2 ** 40, '', 'empty key');
    expect(all(new MemtableCursor(memtable))).toEqual([
      `@${2 ** 40}=empty key`,
      'a@2=x',
      'ab@2=y',
      `b@${2 ** 40}=third`,
      'b@3=gone',
      'b@1=first',
    ]);
    expect(memtable.entries).toBe(6);
    expect(memtable.lastIndex).toBe(2 ** 40);
  });

  it('lets the later of two writes of one entry win', () => {
    const memtable = new Memtable(4096);
    add(memtable, 5, 'k', 'one');
    add(memtable, 5, 'k', 'two');
    expect(fromUtf8(memtable.valueAt(memtable.find(utf8('k'))).slice())).toBe('two');
  });

  it('shows a cursor what was there when it was made, even of the entry under way', () => {
    const memtable = new Memtable(64);
    add(memtable, 1, 'b', 'old');
    add(memtable, 2, 'd', 'old');
    const cursor = new MemtableCursor(memtable);
    // These also make the arena grow and move.
    for (const key of ['a', 'b', 'c', 'd', 'e']) add(memtable, 2, key, 'x'.repeat(1000));
    expect(all(cursor)).toEqual(['b@1=old', 'd@2=old']);
    cursor.seek(utf8('c'));
    expect(cursor.sequence).toBe(2);
  });

  it('holds an entry of any size', () => {
    const memtable = new Memtable(16);
    const value = new Uint8Array(3 << 20).fill(7);
    memtable.add(utf8('large'), 1, RecordKind.Put, value);
    memtable.add(utf8('larger'), 1, RecordKind.Put, value);
    expect(compareBytes(memtable.valueAt(memtable.find(utf8('large'))), value)).toBe(0);
  });

  it('refuses an entry that is older than what it holds', () => {
    const memtable = new Memtable(1024);
    add(memtable, 2, 'a', '');
    expect(() => add(memtable, 1, 'b', '')).toThrow(AssertionError);
  });

  it('finds every key when many came behind those that it has chosen its clues for', () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = new SimRandom(`clues ${seed}`);
      const memtable = new Memtable(16 * 1024);
      const added = new Set<string>();
      let group = random.between(250, 290);
      for (let sequence = 1; sequence <= 300; sequence++) {
        // Behind 299 the keys share less than the clues rest on.
        if (random.below(5) === 0) group += random.below(3);
        const key = `b${group}/${random.pick(['', 'test/', 'authors/'])}${random.below(40)}`;
        add(memtable, sequence, key, 'v');
        added.add(key);
      }
      const lost = [...added].filter((key) => memtable.find(utf8(key)) === 0);
      expect({ seed, lost }).toEqual({ seed, lost: [] });
      const sorted = [...added].sort();
      for (let other = 249; other < group + 2; other++) {
        const sought = `b${other}/k`;
        const node = memtable.seek(utf8(sought));
        const found = node === 0 ? undefined : fromUtf8(memtable.keyAt(node).slice());
        expect(found).toBe(sorted.find((key) => key >= sought));
      }
    }
  });

  it('finds exactly what a sorted map finds, with keys that share long prefixes', () => {
    const key = fc
      .tuple(fc.constantFrom('', 'bucket/', 'bucket/user:', 'bucket/user:0'), fc.string({ maxLength: 3 }))
      .map(([prefix, rest]) => prefix + rest);
    fc.assert(
      fc.property(fc.array(key, { maxLength: 200 }), fc.array(key, { maxLength: 30 }), (keys, probes) => {
        const memtable = new Memtable(256);
        const model = new Map<string, number>();
        keys.forEach((name, n) => {
          add(memtable, n + 1, name, String(n));
          model.set(name, n);
        });
        const sorted = [...model.keys()].map(utf8).sort(compareBytes);
        for (const name of [...probes, ...model.keys()]) {
          const node = memtable.find(utf8(name));
          const expected = model.get(name);
          expect(node !== 0).toBe(expected !== undefined);
          if (node !== 0) expect(fromUtf8(memtable.valueAt(node).slice())).toBe(String(expected));
          const behind = memtable.seek(utf8(name));
          const expectedBehind = sorted.find((other) => compareBytes(other, utf8(name)) >= 0);
          expect(behind === 0 ? undefined : memtable.keyAt(behind).slice()).toEqual(expectedBehind);
        }
      }),
      { numRuns: 60 },
    );
  });
});
