/** How much is applied in one turn: heartbeats and clients wait for its end. */
import { describe, expect, it } from 'vitest';
import { EntryKind } from '../../src/log/entry.ts';
import { Applier, type ApplierOptions } from '../../src/replica/applier.ts';

const KIB = 1024;

/** Entries of ten bytes, all committed and durable, each of which meets values of so many bytes. */
function applied(entries: number, touchedBytes: number): number[] {
  let appliedIndex = 0;
  let isPlanned = false;
  const options = {
    store: {
      writable: true,
      get appliedIndex() {
        return appliedIndex;
      },
    },
    log: {
      durableIndex: entries,
      entries: (from: number, to: number) =>
        Array.from({ length: to - from }, (_none, at) => ({
          index: from + at,
          term: 1,
          kind: EntryKind.Command,
          payload: new Uint8Array(10),
        })),
    },
    stateMachine: {
      touchedBytes,
      apply: (index: number) => {
        appliedIndex = index;
        return null;
      },
    },
    raft: { commitIndex: entries },
    mender: { applyLimit: Number.POSITIVE_INFINITY },
    outbox: { isHoldingBack: false },
    snapshots: { isInstalling: false },
    proposals: { holds: () => false, onApplied: () => {} },
    planTurn: () => {
      isPlanned = true;
    },
  };
  const applier = new Applier(options as unknown as ApplierOptions);
  const turns: number[] = [];
  do {
    isPlanned = false;
    const before = appliedIndex;
    applier.apply();
    turns.push(appliedIndex - before);
  } while (isPlanned);
  return turns;
}

describe('a turn', () => {
  it('applies many entries that are cheap', () =>
    expect(applied(5000, 0)).toEqual([1024, 1024, 1024, 1024, 904]));

  it('ends when entries, however short, have met a mebibyte of values', () => {
    expect(applied(10, 400 * KIB)).toEqual([3, 3, 3, 1]);
    expect(applied(3, 16 * KIB * KIB)).toEqual([1, 1, 1]);
  });
});
