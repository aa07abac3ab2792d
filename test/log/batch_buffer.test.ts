import { describe, expect, it } from 'vitest';
import { BatchBuffer } from '../../src/log/batch_buffer.ts';

const CACHE_BYTES = 4096;
const RECORD_BYTES = 64;
const RECORDS = 1000;

/** Writes records, each filled with bytes that follow from its number, and looks at some of them. */
function run(isKept: (record: number) => boolean): { kept: [number, Uint8Array][]; buffers: number } {
  const buffer = new BatchBuffer(CACHE_BYTES);
  const kept: [number, Uint8Array][] = [];
  const buffers = new Set<unknown>();
  for (let record = 0; record < RECORDS; record++) {
    buffer.begin(1, record * RECORD_BYTES);
    const at = buffer.reserve(RECORD_BYTES);
    const { target } = buffer;
    expect(target.subarray(at, at + RECORD_BYTES).every((byte) => byte === 0)).toBe(true);
    target.fill(filling(record), at, at + RECORD_BYTES);
    buffers.add(target.buffer);
    expect(buffer.takeBatch()).toHaveLength(RECORD_BYTES);
    if (isKept(record)) {
      const view = buffer.find(1, record * RECORD_BYTES, RECORD_BYTES);
      expect(view).not.toBeNull();
      if (view !== null) kept.push([record, view]);
    }
  }
  return { kept, buffers: buffers.size };
}

function filling(record: number): number {
  return 1 + (record % 251);
}

describe('the end of the log in memory', () => {
  it('is written over where nobody has looked', () => {
    // What the cache holds, the block at hand, and one to spare.
    expect(run(() => false).buffers).toBeLessThanOrEqual(CACHE_BYTES / 1024 + 2);
  });

  it('may hold what stands behind the first record that it holds, and nothing while it is empty', () => {
    const buffer = new BatchBuffer(CACHE_BYTES);
    expect(buffer.mayHold(1, 0)).toBe(false);
    for (let record = 0; record < RECORDS; record++) {
      buffer.begin(2, record * RECORD_BYTES);
      buffer.reserve(RECORD_BYTES);
      buffer.takeBatch();
      for (let other = 0; other <= record; other += 7) {
        const offset = other * RECORD_BYTES;
        expect([other, buffer.find(2, offset, RECORD_BYTES) !== null]).toEqual([
          other,
          buffer.mayHold(2, offset),
        ]);
      }
    }
    expect(buffer.mayHold(2, 0)).toBe(false);
    expect(buffer.mayHold(1, RECORDS * RECORD_BYTES)).toBe(false);
    expect(buffer.mayHold(2, (RECORDS - 1) * RECORD_BYTES)).toBe(true);
    expect(buffer.mayHold(3, 0)).toBe(true);
  });

  it('stays as it was for whoever holds a view of it', () => {
    const { kept, buffers } = run((record) => record % 100 === 7);
    expect(buffers).toBeGreaterThan(CACHE_BYTES / 1024 + 2);
    for (const [record, view] of kept) expect(view.every((byte) => byte === filling(record))).toBe(true);
  });
});
