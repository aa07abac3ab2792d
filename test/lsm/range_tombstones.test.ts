import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, utf8 } from '../../src/codec/bytes.ts';
import { Memtable } from '../../src/lsm/memtable.ts';
import { clipTombstones, type RangeTombstone, RangeTombstones } from '../../src/lsm/range_tombstones.ts';

const key = fc.integer({ min: 0, max: 40 }).map((n) => utf8(String(n).padStart(2, '0')));
const tombstone = fc
  .tuple(key, key, fc.integer({ min: 1, max: 50 }))
  .filter(([a, b]) => compareBytes(a, b) !== 0)
  .map(([a, b, sequence]): RangeTombstone => {
    return compareBytes(a, b) < 0 ? { gte: a, lt: b, sequence } : { gte: b, lt: a, sequence };
  });
const list = fc.array(tombstone, { maxLength: 100, size: 'max' });
const NOTHING_ABOVE = 1000;

/** The newest that covers the key, one by one. */
function coverOf(tombstones: readonly RangeTombstone[], at: Uint8Array, visible: number): number {
  const covering = tombstones.filter(
    ({ gte, lt, sequence }) => sequence <= visible && compareBytes(gte, at) <= 0 && compareBytes(lt, at) > 0,
  );
  return Math.max(0, ...covering.map(({ sequence }) => sequence));
}

describe('a set of range tombstones', () => {
  it('knows of each key the newest tombstone that covers it, of those that are visible', () => {
    fc.assert(
      fc.property(list, key, fc.nat(60), (tombstones, at, visible) => {
        const cover = RangeTombstones.of(tombstones)?.coverAt(at, visible) ?? 0;
        expect(cover).toBe(coverOf(tombstones, at, visible));
      }),
    );
  });

  it('is in order, without overlaps, and the same when it is made of its own list', () => {
    fc.assert(
      fc.property(list, (tombstones) => {
        const set = RangeTombstones.of(tombstones);
        if (set === null) return;
        set.fragments.forEach(({ gte, lt, sequences }, at) => {
          expect(compareBytes(gte, lt)).toBeLessThan(0);
          expect([...sequences].sort((a, b) => b - a)).toEqual(sequences);
          const before = set.fragments[at - 1];
          if (before !== undefined) expect(compareBytes(before.lt, gte)).toBeLessThanOrEqual(0);
        });
        expect(RangeTombstones.of(set.toList())?.fragments).toEqual(set.fragments);
      }),
    );
  });

  it('is whole again when it has been cut at any key', () => {
    fc.assert(
      fc.property(list, key, key, (tombstones, border, at) => {
        const parts = [
          ...clipTombstones(tombstones, null, border),
          ...clipTombstones(tombstones, border, null),
        ];
        expect(coverOf(parts, at, NOTHING_ABOVE)).toBe(coverOf(tombstones, at, NOTHING_ABOVE));
        const below = clipTombstones(tombstones, null, border);
        if (compareBytes(at, border) >= 0) expect(coverOf(below, at, NOTHING_ABOVE)).toBe(0);
      }),
    );
  });

  it('in a memtable says the same while it grows', () => {
    fc.assert(
      fc.property(list, key, fc.nat(60), (tombstones, at, visible) => {
        const memtable = new Memtable(1024);
        const sorted = [...tombstones].sort((a, b) => a.sequence - b.sequence);
        sorted.forEach(({ gte, lt, sequence }, n) => {
          memtable.addRange(gte, lt, sequence);
          expect(memtable.coverAt(at, visible)).toBe(coverOf(sorted.slice(0, n + 1), at, visible));
        });
        expect(memtable.ranges?.coverAt(at, visible) ?? 0).toBe(coverOf(sorted, at, visible));
      }),
    );
  });
});
