/** The front of the log: entries that nobody needs any more, and logs that go on behind a snapshot. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryKind } from '../../src/log/entry.ts';
import type { GroupLog } from '../../src/log/group_log.ts';
import type { Log } from '../../src/log/log.ts';
import { drawsOf, Machine } from './harness.ts';

const GROUP = 1;
const OPTIONS = { segmentBytes: 1024, preallocate: 'never' as const };

function append(machine: Machine, log: Log, count: number, term = 1): void {
  const group = log.group(GROUP);
  for (let n = 0; n < count; n++) {
    const index = group.lastIndex + 1;
    group.append({ index, term, kind: EntryKind.Command, payload: new Uint8Array(100).fill(index) });
    log.flush();
    machine.finish();
  }
}

/** The entries held, each checked to be the one that was appended there. */
function held(group: GroupLog): [number, number] {
  for (let index = group.firstIndex; index <= group.lastIndex; index++) {
    expect(group.entry(index).payload[0]).toBe(index % 256);
  }
  return [group.firstIndex, group.lastIndex];
}

describe('compaction', () => {
  it('removes the segments that hold nothing else, and keeps the term before the first entry', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    append(machine, log, 50);
    const { bytes, segments } = log.statistics();
    log.group(GROUP).compact(40);
    machine.finish();
    expect(held(log.group(GROUP))).toEqual([41, 50]);
    expect(log.group(GROUP).termAt(40)).toBe(1);
    expect(log.statistics().segments).toBeLessThan(segments / 2);
    expect(log.statistics().bytes).toBeLessThan(bytes / 2);
  });

  it('leaves a log that opens again, and goes on', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    append(machine, log, 50);
    log.group(GROUP).compact(40);
    machine.finish();
    log.close(() => {});
    machine.finish();
    const again = machine.open();
    const [first, last] = held(again.group(GROUP));
    // Whole segments were removed: some entries before 41 are there again.
    expect(first).toBeGreaterThan(30);
    expect(first).toBeLessThanOrEqual(41);
    expect(last).toBe(50);
    append(machine, again, 10, 2);
    expect(held(again.group(GROUP))[1]).toBe(60);
  });

  it('keeps what another group needs', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    const other = log.group(2);
    other.append({ index: 1, term: 1, kind: EntryKind.Command, payload: new Uint8Array(1).fill(1) });
    append(machine, log, 50);
    log.group(GROUP).compact(40);
    machine.finish();
    expect(held(other)).toEqual([1, 1]);
    log.close(() => {});
    machine.finish();
    expect(held(machine.open().group(2))).toEqual([1, 1]);
  });

  it('finds the log whole behind entries that were superseded before the segments were removed', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    const group = log.group(GROUP);
    append(machine, log, 30);
    // A new leader replaces entries that stand in an earlier segment.
    group.append({ index: 12, term: 2, kind: EntryKind.Command, payload: new Uint8Array(100).fill(12) });
    append(machine, log, 20, 2);
    for (const compacted of [12, 15, 20]) {
      group.compact(compacted);
      machine.finish();
      const [first, last] = held(group);
      expect([first, last]).toEqual([compacted + 1, 32]);
    }
    log.close(() => {});
    machine.finish();
    const again = machine.open().group(GROUP);
    expect(held(again)[1]).toBe(32);
    expect(again.firstIndex).toBeLessThanOrEqual(21);
    expect(again.lastTerm).toBe(2);
  });

  it('survives a power loss at any step: the log is whole from some entry at or before the first needed', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(40), fc.integer({ min: 1, max: 60 }), (seed, steps, compacted) => {
        const machine = new Machine(OPTIONS);
        const log = machine.open();
        append(machine, log, 60);
        log.group(GROUP).compact(compacted);
        for (let n = 0; n < steps && machine.step(); n++) {}
        machine.restart(machine.disk.crash(drawsOf(seed)));
        const [first, last] = held(machine.open().group(GROUP));
        expect(first).toBeLessThanOrEqual(compacted + 1);
        expect(last).toBe(60);
      }),
      { numRuns: 150 },
    );
  });
});

describe('a reset', () => {
  it('voids what is there and goes on behind the snapshot, also after a restart', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    append(machine, log, 10);
    const group = log.group(GROUP);
    group.reset(100_000, 7);
    expect([group.firstIndex, group.lastIndex, group.lastTerm]).toEqual([100_001, 100_000, 7]);
    append(machine, log, 30, 8);
    expect(held(group)).toEqual([100_001, 100_030]);
    group.compact(100_010);
    machine.finish();
    log.close(() => {});
    machine.finish();
    const again = machine.open().group(GROUP);
    expect(held(again)[1]).toBe(100_030);
    expect(again.firstIndex).toBeLessThanOrEqual(100_011);
  });

  it('is there with the next durable flush, with or without entries behind it', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    append(machine, log, 3);
    log.group(GROUP).reset(50, 4);
    log.flush();
    machine.finish();
    machine.restart(machine.disk.crash(drawsOf(1)));
    const again = machine.open().group(GROUP);
    expect([again.firstIndex, again.lastIndex, again.lastTerm, again.durableIndex]).toEqual([51, 50, 4, 50]);
  });

  it('tells when nobody has to do it again after a crash', () => {
    const machine = new Machine(OPTIONS);
    const log = machine.open();
    const group = log.group(GROUP);
    expect(group.isResetDurable).toBe(true);
    append(machine, log, 3);
    const told: number[] = [];
    group.onDurable = (index) => told.push(index);
    group.reset(50, 4);
    log.flush();
    group.reset(60, 4);
    expect(group.durableIndex).toBe(60);
    log.flush();
    // The batch of the first, which is not the last any more, is durable before that of the second.
    while (told.length === 0) {
      expect(group.isResetDurable).toBe(false);
      expect(machine.step()).toBe(true);
    }
    expect(told).toEqual([60]);
    expect(group.isResetDurable).toBe(true);
    machine.restart(machine.disk.crash(drawsOf(1)));
    expect(machine.open().group(GROUP).lastIndex).toBe(60);
  });
});
