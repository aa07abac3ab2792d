/** Numbers that no store can have are refused by name, before anything is made of them. */
import { describe, expect, it } from 'vitest';
import { EnvelopeError } from '../../src/base/errors.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { Rig } from './rig.ts';

const REFUSED: readonly [Record<string, unknown>, RegExp][] = [
  [{ memtableBytes: -1 }, /memtableBytes is a whole number, 0 to 1073741824, not -1/],
  [{ memtableBytes: 4e9 }, /memtableBytes/],
  [{ memtableBytes: Number.NaN }, /memtableBytes.*NaN/],
  [{ memtableBytes: '16' }, /memtableBytes/],
  [{ blockBytes: 0 }, /blockBytes is a whole number, 1 to 67108864, not 0/],
  [{ blockBytes: 100.5 }, /blockBytes/],
  [{ filterBitsPerKey: 1001 }, /filterBitsPerKey/],
  [{ mergeAtTables: 0 }, /mergeAtTables is a whole number, 1 or more, not 0/],
  [{ compaction: 'tiered' }, /compaction is one of levelled, size-tiered, not tiered/],
];

describe('options of a store', () => {
  it.each(REFUSED)('such as %j are refused', (options, message) => {
    const rig = new Rig('options');
    const refusal = rig.tryOpen(options as Partial<StoreOptions>);
    expect(refusal).toBeInstanceOf(EnvelopeError);
    expect(refusal).toMatchObject({ code: 'INVALID', message: expect.stringMatching(message) });
    // Nothing was begun, and the directory can be opened rightly.
    expect(rig.tryOpen()).not.toBeInstanceOf(Error);
  });

  it('may be odd', () => {
    const odd = { memtableBytes: 0, blockBytes: 1, stopAtRuns: Number.POSITIVE_INFINITY };
    expect(new Rig('odd').tryOpen(odd)).not.toBeInstanceOf(Error);
  });
});
