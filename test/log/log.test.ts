import { describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import { EntryKind } from '../../src/log/entry.ts';
import { DIRECTORY, describeEntry, dump, entry, Machine } from './harness.ts';

const SEGMENT_1 = `${DIRECTORY}/000001.log`;

describe('a log', () => {
  it('gives back what was appended, from memory and after a start', () => {
    const machine = new Machine({ segmentBytes: 4096 });
    const log = machine.open();
    const noop = { index: 1, term: 1, kind: EntryKind.Noop, payload: new Uint8Array(0) };
    log.group(7).append(noop);
    log.group(7).append(entry(2, 3, 'hello'));
    expect(describeEntry(log.group(7).entry(1))).toBe(describeEntry(noop));
    log.flush();
    expect(machine.close(log)).toBe(null);

    const again = machine.open();
    expect(again.groups()).toEqual([7]);
    expect(dump(again, 7)).toEqual([noop, entry(2, 3, 'hello')].map(describeEntry));
    const group = again.group(7);
    expect([group.firstIndex, group.lastIndex, group.lastTerm, group.durableIndex]).toEqual([1, 2, 3, 2]);
    expect([group.termAt(0), group.termAt(1), group.termAt(2)]).toEqual([0, 1, 3]);
    expect(again.group(7)).toBe(group);
  });

  it('goes on across 2^32 entries, and is opened there', () => {
    const machine = new Machine({ segmentBytes: 4096 });
    const log = machine.open();
    const start = 2 ** 32 - 1100;
    log.group(0).reset(start, 1);
    const entries = Array.from({ length: 2200 }, (_none, n) => entry(start + 1 + n, 1, `${n}`));
    for (const one of entries) {
      log.group(0).append(one);
      if (one.index % 100 === 0) {
        log.flush();
        machine.finish();
      }
    }
    expect(dump(log, 0)).toEqual(entries.map(describeEntry));
    expect(machine.close(log)).toBe(null);
    const again = machine.open();
    expect(dump(again, 0)).toEqual(entries.map(describeEntry));
    for (const kept of [1500, 800, 100]) {
      again.group(0).compact(start + 2200 - kept);
      expect(dump(again, 0)).toEqual(entries.slice(-kept).map(describeEntry));
    }
    again.group(0).append(entry(start + 2201, 2));
    expect(again.group(0).lastIndex).toBe(start + 2201);
  });

  it('copies the payload at append', () => {
    const machine = new Machine();
    const log = machine.open();
    const payload = new Uint8Array([1, 2, 3]);
    log.group(0).append(entry(1, 1, payload));
    payload.fill(9);
    log.flush();
    expect([...log.group(0).entry(1).payload]).toEqual([1, 2, 3]);
  });

  it('writes many appends as one write with one sync, and what comes meanwhile as the next', () => {
    const machine = new Machine();
    const log = machine.open();
    machine.finish();
    const appends = machine.disk.count('append');
    const syncs = machine.disk.count('sync');
    const durable: number[] = [];
    log.group(0).onDurable = (index) => durable.push(index);

    for (let index = 1; index <= 10; index++) log.group(0).append(entry(index, 1));
    log.flush();
    for (let index = 11; index <= 30; index++) {
      log.group(0).append(entry(index, 1));
      log.flush();
    }
    expect(machine.disk.count('append')).toBe(appends + 1);
    expect(machine.disk.count('sync')).toBe(syncs + 1);
    expect(durable).toEqual([]);
    machine.finish();
    expect(machine.disk.count('append')).toBe(appends + 2);
    expect(machine.disk.count('sync')).toBe(syncs + 2);
    expect(durable).toEqual([10, 30]);
    expect(log.statistics()).toMatchObject({ segments: 1, syncs: 2, records: 30 });
  });

  it('writes nothing that was not flushed', () => {
    const machine = new Machine();
    const log = machine.open();
    log.group(0).append(entry(1, 1));
    log.flush();
    log.group(0).append(entry(2, 1));
    machine.settle();
    expect(log.group(0).durableIndex).toBe(1);
    log.flush();
    machine.finish();
    expect(log.group(0).durableIndex).toBe(2);
  });

  it('lets an entry at or below the last index replace the suffix, also after a start', () => {
    const machine = new Machine();
    const log = machine.open();
    for (let index = 1; index <= 5; index++) log.group(1).append(entry(index, 1));
    log.flush();
    machine.finish();
    log.group(1).append(entry(3, 2));
    expect([log.group(1).lastIndex, log.group(1).lastTerm, log.group(1).durableIndex]).toEqual([3, 2, 2]);
    log.flush();
    machine.finish();
    expect(log.group(1).durableIndex).toBe(3);
    machine.close(log);
    expect(dump(machine.open(), 1)).toEqual([entry(1, 1), entry(2, 1), entry(3, 2)].map(describeEntry));
  });

  it('does not take a replaced suffix for durable when the sync of the old one completes', () => {
    const machine = new Machine();
    const log = machine.open();
    const group = log.group(0);
    const durable: number[] = [];
    group.onDurable = (index) => durable.push(index);
    for (let index = 1; index <= 4; index++) group.append(entry(index, 1));
    log.flush();
    for (let index = 3; index <= 6; index++) group.append(entry(index, 2));
    machine.finish();
    expect([group.durableIndex, durable]).toEqual([2, [2]]);
    log.flush();
    machine.finish();
    expect([group.durableIndex, durable]).toEqual([6, [2, 6]]);
  });

  it('refuses an entry that leaves a gap or an earlier term', () => {
    const log = new Machine().open();
    log.group(0).append(entry(1, 5));
    expect(() => log.group(0).append(entry(3, 5))).toThrow('does not continue');
    expect(() => log.group(0).append(entry(0, 5))).toThrow('does not continue');
    expect(() => log.group(0).append(entry(2, 4))).toThrow('follows the later term 5');
  });

  it('bounds the bytes of a range but gives at least one entry', () => {
    const machine = new Machine();
    const group = machine.open().group(0);
    for (let index = 1; index <= 5; index++) group.append(entry(index, 1, new Uint8Array(100)));
    expect(group.entries(2, 6, 250).map((e) => e.index)).toEqual([2, 3]);
    expect(group.entries(2, 6, 0).map((e) => e.index)).toEqual([2]);
    expect(group.entries(2, 2, 100)).toEqual([]);
    expect(() => group.entries(1, 7, 0)).toThrow('the range is in the log');
  });

  it('reads what has left its memory from the files, in many segments, and keeps no view', () => {
    const machine = new Machine({ segmentBytes: 2048, cacheBytes: 0 });
    const log = machine.open();
    const expected: string[] = [];
    for (let index = 1; index <= 200; index++) {
      const appended = entry(index, index, new Uint8Array(index % 90).fill(index));
      log.group(0).append(appended);
      expected.push(describeEntry(appended));
      if (index % 3 === 0) log.flush();
      if (index % 2 === 0) machine.finish();
    }
    log.flush();
    machine.finish();
    const views = machine.disk.count('view');
    const entries = log.group(0).entries(1, 201, Number.POSITIVE_INFINITY);
    expect(machine.disk.count('view')).toBeGreaterThan(views + 5);
    machine.disk.poisonViews();
    expect(entries.map(describeEntry)).toEqual(expected);
    expect(log.statistics().segments).toBeGreaterThan(5);
    machine.close(log);
    expect(dump(machine.open(), 0)).toEqual(expected);
  });

  it('reads neighbours together, no more of them than are asked for, also where other groups stand between', () => {
    const machine = new Machine({ segmentBytes: 1 << 20, cacheBytes: 0 });
    const log = machine.open();
    const expected: string[] = [];
    for (let index = 1; index <= 2000; index++) {
      const appended = entry(index, 1, new Uint8Array(40).fill(index));
      log.group(0).append(appended);
      log.group(1).append(entry(index, 2, new Uint8Array(9)));
      expected.push(describeEntry(appended));
      if (index % 100 === 0) log.flush();
      if (index % 100 === 0) machine.finish();
    }
    const viewsOf = (from: number, to: number, maxBytes: number): number => {
      const before = machine.disk.count('view');
      const found = log.group(0).entries(from, to, maxBytes);
      expect(found.map(describeEntry)).toEqual(expected.slice(from - 1, from - 1 + found.length));
      return machine.disk.count('view') - before;
    };
    // 80 bytes and 56 of the other group's each, and a marker now and then: some 270 kB in pieces of 64 KiB.
    expect(viewsOf(1, 1901, Number.POSITIVE_INFINITY)).toBe(4);
    expect(viewsOf(500, 501, Number.POSITIVE_INFINITY)).toBe(1);
    const bytes = machine.disk.viewedBytes;
    expect(log.group(0).entries(1, 1000, 200).length).toBe(5);
    expect(machine.disk.viewedBytes - bytes).toBe(4 * 136 + 80);
    machine.close(log);
    const reopened = machine.open();
    const views = machine.disk.count('view');
    expect(reopened.group(0).entries(1, 2001, Number.POSITIVE_INFINITY).map(describeEntry)).toEqual(expected);
    expect(machine.disk.count('view') - views).toBe(5);
  });

  it('reads what stands before a place that the disk does not read, and says what stands there', () => {
    const machine = new Machine({ segmentBytes: 1 << 20, cacheBytes: 0 });
    const log = machine.open();
    for (let index = 1; index <= 300; index++) log.group(0).append(entry(index, 1, new Uint8Array(24)));
    log.flush();
    machine.finish();
    // Records of 64 bytes behind the header of the segment, and a batch that is not in memory any more.
    log.group(0).append(entry(301, 1, new Uint8Array(100_000)));
    log.flush();
    machine.finish();
    const path = `${DIRECTORY}/000001.log`;
    machine.disk.makeUnreadable(path, 32 + 99 * 64 + 10, 32 + 99 * 64 + 20);
    const group = log.group(0);
    expect(group.entries(1, 100, Number.POSITIVE_INFINITY)).toHaveLength(99);
    expect(group.entries(101, 301, Number.POSITIVE_INFINITY)).toHaveLength(200);
    const views = machine.disk.count('view');
    expect(() => group.entries(90, 301, Number.POSITIVE_INFINITY)).toThrow(
      `the record of group 0 index 100 term 1 at offset ${32 + 99 * 64} cannot be read`,
    );
    // All at once, then ten by themselves, then that one again and again.
    expect(machine.disk.count('view') - views).toBeLessThan(20);
  });

  it('keeps a batch whole that is larger than a segment', () => {
    const machine = new Machine({ segmentBytes: 1024 });
    const log = machine.open();
    for (let index = 1; index <= 3; index++) {
      log.group(0).append(entry(index, 1, new Uint8Array(50_000).fill(index)));
    }
    log.flush();
    log.group(0).append(entry(4, 1));
    log.flush();
    machine.finish();
    expect(log.statistics().segments).toBe(2);
    const before = dump(log, 0);
    machine.close(log);
    expect(dump(machine.open(), 0)).toEqual(before);
  });
});

describe('a marker', () => {
  it('is left by a log at rest, and only once', () => {
    const machine = new Machine();
    const log = machine.open();
    log.group(0).append(entry(1, 1));
    log.flush();
    machine.finish();
    const appends = machine.disk.count('append');
    machine.settle();
    expect(machine.disk.count('append')).toBe(appends + 1);
    const { bytes } = log.statistics();
    log.group(0).append(entry(2, 1, new Uint8Array(0)));
    log.flush();
    expect(log.statistics().bytes).toBe(bytes + 40);
  });

  it('is never written while a sync is in flight: it would attest what is not durable', () => {
    const machine = new Machine();
    const log = machine.open();
    log.group(0).append(entry(1, 1));
    log.flush();
    machine.finish();
    log.group(0).append(entry(2, 1));
    log.flush();
    const appends = machine.disk.count('append');
    expect(machine.clock.runTimer()).toBe(true);
    expect(machine.disk.count('append')).toBe(appends);
  });
});

describe('a log at rest', () => {
  it('says so once, when all that was written is durable', () => {
    const machine = new Machine();
    const log = machine.open();
    const group = log.group(0);
    const rests: number[] = [];
    log.onRest = () => rests.push(group.durableIndex);
    machine.settle();
    expect(rests).toEqual([]);
    group.append(entry(1, 1));
    log.flush();
    machine.finish();
    expect(rests).toEqual([]);
    machine.settle();
    expect(rests).toEqual([1]);
    machine.settle();
    group.append(entry(2, 1));
    log.flush();
    machine.settle();
    expect(rests).toEqual([1, 2]);
  });

  it('is not one that is being written to', () => {
    const machine = new Machine();
    const log = machine.open();
    let rests = 0;
    log.onRest = () => {
      rests++;
    };
    log.group(0).append(entry(1, 1));
    log.flush();
    machine.finish();
    log.group(0).append(entry(2, 1));
    log.flush();
    expect(machine.clock.runTimer()).toBe(true);
    expect(rests).toBe(0);
  });
});

describe('segments', () => {
  it('are allocated ahead, so that appending does not grow the file', () => {
    const machine = new Machine({ segmentBytes: 4096 });
    const log = machine.open();
    expect(machine.disk.contents(SEGMENT_1).length).toBe(4096);
    log.group(0).append(entry(1, 1, new Uint8Array(3000)));
    log.flush();
    machine.finish();
    expect(machine.disk.list(DIRECTORY)).toEqual(['000001.log', 'spare.tmp']);
    log.group(0).append(entry(2, 1, new Uint8Array(3000)));
    log.flush();
    machine.finish();
    log.group(0).append(entry(3, 1));
    log.flush();
    machine.finish();
    expect(machine.disk.list(DIRECTORY)).toEqual(['000001.log', '000002.log']);
    expect(machine.disk.contents(`${DIRECTORY}/000002.log`).length).toBe(4096);
    expect(machine.events.filter(({ level }) => level === 'warn')).toEqual([]);
    machine.close(log);
    expect(machine.disk.list(DIRECTORY)).toEqual(['000001.log', '000002.log']);
  });

  it('go on in a plain file, with a warning, when there is no space to allocate', () => {
    const machine = new Machine({ segmentBytes: 1024 });
    machine.disk.failFrom('preallocate', 0, 'ENOSPC');
    const log = machine.open();
    for (let index = 1; index <= 20; index++) {
      log.group(0).append(entry(index, 1, new Uint8Array(200)));
      log.flush();
      machine.finish();
    }
    expect(log.group(0).durableIndex).toBe(20);
    expect(log.statistics().segments).toBeGreaterThan(2);
    expect(machine.events.map(({ event }) => event)).toContain('log-preallocation-failed');
    expect(machine.disk.list(DIRECTORY)).not.toContain('spare.tmp');
    const before = dump(log, 0);
    machine.close(log);
    expect(dump(machine.open(), 0)).toEqual(before);
  });

  it('hold nothing durable before their name is', () => {
    const machine = new Machine({ segmentBytes: 128, preallocate: 'never' });
    const log = machine.open();
    log.group(0).append(entry(1, 1, new Uint8Array(200)));
    log.flush();
    machine.finish();
    log.group(0).append(entry(2, 1));
    log.flush();
    expect(machine.disk.completeNext()).toBe(true);
    expect(log.group(0).durableIndex).toBe(1);
    expect(machine.disk.completeNext()).toBe(true);
    expect(log.group(0).durableIndex).toBe(2);
  });
});

describe('a failure of the disk', () => {
  it('of a sync is final, reported once, and nothing becomes durable afterwards', () => {
    const machine = new Machine();
    const log = machine.open();
    const failures: Error[] = [];
    log.onFailure = (error) => failures.push(error);
    log.group(0).append(entry(1, 1));
    log.flush();
    machine.finish();
    machine.disk.failFrom('sync', 0, 'EIO');
    log.group(0).append(entry(2, 1));
    log.flush();
    log.group(0).append(entry(3, 1));
    log.flush();
    machine.settle();
    expect(failures.map((error) => (error as DiskError).errno)).toEqual(['EIO']);
    expect(log.group(0).durableIndex).toBe(1);
    expect(() => log.group(0).append(entry(4, 1))).toThrow(DiskError);
    expect(() => log.flush()).toThrow(DiskError);
    expect(describeEntry(log.group(0).entry(1))).toBe(describeEntry(entry(1, 1)));
    expect(machine.close(log)).toBe(failures[0]);
    expect(failures.length).toBe(1);
  });

  it('of a write is reported when the call is over', () => {
    const machine = new Machine({ preallocate: 'never' });
    const log = machine.open();
    const failures: Error[] = [];
    log.onFailure = (error) => failures.push(error);
    machine.disk.failFrom('append', 0, 'ENOSPC');
    log.group(0).append(entry(1, 1));
    log.flush();
    expect(failures).toEqual([]);
    machine.settle();
    expect(failures.map((error) => (error as DiskError).errno)).toEqual(['ENOSPC']);
    expect(log.group(0).durableIndex).toBe(0);
    expect(() => log.flush()).toThrow(DiskError);
  });

  it.each([
    'sync',
    'syncDirectory',
    'append',
    'create',
  ] as const)('of a %s while opening is the outcome', (operation) => {
    const machine = new Machine({ preallocate: 'never' });
    machine.disk.failFrom(operation, 0, 'EIO');
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'DISK', errno: 'EIO' } });
  });
});

describe('closing', () => {
  it('waits for the sync in flight and makes durable what was not flushed', () => {
    const machine = new Machine();
    const log = machine.open();
    log.group(0).append(entry(1, 1));
    log.flush();
    log.group(0).append(entry(2, 1));
    expect(machine.close(log)).toBe(null);
    expect(() => log.flush()).toThrow('the log is closed');
    machine.restart(machine.disk.crash(() => 0));
    expect(dump(machine.open(), 0)).toEqual([entry(1, 1), entry(2, 1)].map(describeEntry));
  });

  it('leaves a marker that survives a crash, also when the log had one already', () => {
    for (const rest of ['none', 'some'] as const) {
      const machine = new Machine({ preallocate: 'never' });
      const log = machine.open();
      log.group(0).append(entry(1, 1));
      log.flush();
      // With time to rest, the log leaves a marker that it does not sync.
      if (rest === 'some') machine.settle();
      else machine.finish();
      expect(machine.close(log)).toBe(null);
      const path = `${DIRECTORY}/000001.log`;
      const closed = machine.disk.contents(path);
      machine.restart(machine.disk.crash(() => 0));
      expect(machine.disk.contents(path)).toEqual(closed);
    }
  });

  it('may be asked for twice', () => {
    const machine = new Machine();
    const log = machine.open();
    expect(machine.close(log)).toBe(null);
    expect(machine.close(log)).toBe(null);
  });

  it('and starting again adds nothing to an unchanged log', () => {
    const machine = new Machine();
    let log = machine.open();
    log.group(0).append(entry(1, 1));
    machine.close(log);
    log = machine.open();
    const { bytes } = log.statistics();
    machine.settle();
    machine.close(log);
    expect(machine.open().statistics().bytes).toBe(bytes);
  });
});
