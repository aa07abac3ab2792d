/** Which memory the memtables of a store keep for later. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import type { Memtable } from '../../src/lsm/memtable.ts';
import { Memtables } from '../../src/lsm/memtables.ts';

const CAPACITY_BYTES = 4096;

/** Until the active memtable is filled by this part. */
function fill(memtables: Memtables, part: number): void {
  while (memtables.filled < part) {
    const index = memtables.appliedIndex + 1;
    memtables.begin(index);
    memtables.put(utf8(`key-${index}`), new Uint8Array(100));
  }
}

function active(memtables: Memtables): Memtable {
  const [newest] = memtables.list();
  if (newest === undefined) return expect.fail('there is always one');
  return newest;
}

/** Two have been filled, and the first is in tables; the second is filled by this part. */
function flushedOne(part: number, beforeItIs: (memtables: Memtables) => void = () => {}) {
  const memtables = new Memtables(CAPACITY_BYTES, 0);
  const first = active(memtables);
  fill(memtables, 1);
  memtables.rotate();
  fill(memtables, part);
  beforeItIs(memtables);
  memtables.retireOldest();
  return { memtables, first };
}

describe('the memtables of a store', () => {
  it('use one that was flushed again while writes come fast, and what was in it is gone', () => {
    const { memtables, first } = flushedOne(0.5);
    memtables.rotate();
    expect(active(memtables)).toBe(first);
    expect(first.isEmpty).toBe(true);
    expect(first.find(utf8('key-1'))).toBe(0);
  });

  it('keep none where writes come slowly', () => {
    const { memtables, first } = flushedOne(0.1);
    memtables.rotate();
    expect(memtables.list()).not.toContain(first);
  });

  it('let go of the one that they keep when writes rest', () => {
    const { memtables, first } = flushedOne(0.5);
    memtables.rest();
    memtables.rotate();
    expect(memtables.list()).not.toContain(first);
  });

  it('keep none whose flush ends when writes rest already', () => {
    const { memtables, first } = flushedOne(0.5, (resting) => resting.rest());
    memtables.rotate();
    expect(memtables.list()).not.toContain(first);
  });

  it('keep one again when writes go on', () => {
    const { memtables, first } = flushedOne(0.5, (resting) => {
      resting.rest();
      fill(resting, 0.6);
    });
    memtables.rotate();
    expect(active(memtables)).toBe(first);
  });
});
