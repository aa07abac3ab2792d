/** Nodes whose logs have rotted while they were down. */
import { describe, expect, it } from 'vitest';
import type { NodeOptions } from '../../src/server/node.ts';
import { type LogRecord, recordsOf, rotHeader, rotPayload } from './log_records.ts';
import { ServerRig, type TestMachine } from './rig.ts';

/** All writes stay in the log. */
const LONG_LOG: Partial<NodeOptions> = { log: { segmentBytes: 4096, cacheBytes: 1024 } };
const WRITES = 40;

interface Written {
  readonly rig: ServerRig;
  readonly leader: number;
  readonly followers: readonly [number, number];
}

function written(options = LONG_LOG): Written {
  const rig = new ServerRig(3, options);
  const leader = rig.leader();
  const [a, b] = rig.machines.map(({ id }) => id).filter((id) => id !== leader);
  if (a === undefined || b === undefined) throw new Error('three nodes');
  const client = rig.connect(leader);
  for (let n = 0; n < WRITES; n++) {
    expect(client.ask(`SET key${n} ${'x'.repeat(100)}${n}\r\n`, 20)).toBe('+OK\r\n');
  }
  rig.run(200);
  return { rig, leader, followers: [a, b] };
}

function entryAt(rig: ServerRig, machine: TestMachine, index: number): LogRecord {
  const record = recordsOf(rig, machine).findLast((one) => one.kind === 'entry' && one.index === index);
  if (record === undefined) throw new Error(`no record of entry ${index}`);
  return record;
}

function nodeOf(rig: ServerRig, id: number): NonNullable<TestMachine['node']> {
  const { node, failure } = rig.machine(id);
  if (node === null) throw failure ?? new Error(`node ${id} is down`);
  return node;
}

/** The entries as they are in the log, to compare. */
function entriesOf(rig: ServerRig, id: number): string[] {
  const { groupLog } = nodeOf(rig, id);
  const { firstIndex, lastIndex } = groupLog;
  return groupLog
    .entries(firstIndex, lastIndex + 1, Number.POSITIVE_INFINITY)
    .map(({ index, term, payload }) => `${index}/${term} ${Buffer.from(payload).toString('hex')}`);
}

function expectAllWritten(rig: ServerRig, id: number): void {
  const client = rig.connect(id);
  for (let n = 0; n < WRITES; n++) {
    expect(client.ask(`GET key${n}\r\n`, 200)).toContain(`${'x'.repeat(100)}${n}`);
  }
}

describe('a follower with a damaged entry', () => {
  it('starts, fetches it from the leader that is in office, and holds it durably', () => {
    const { rig, leader, followers } = written();
    const [id] = followers;
    rig.crash(id);
    rotPayload(rig.machine(id), entryAt(rig, rig.machine(id), 10));
    rotPayload(rig.machine(id), entryAt(rig, rig.machine(id), 11));
    rig.boot(id);
    rig.run(50);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 2, mending_index: 10 });
    expect(nodeOf(rig, id).groupLog.durableIndex).toBe(9);
    rig.run(1000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expect(entriesOf(rig, id)).toEqual(entriesOf(rig, leader));
    rig.crash(id);
    rig.crash(leader);
    rig.crash(followers[1]);
    // Alone: nobody could give it anything.
    rig.boot(id);
    rig.run(50);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    rig.boot(followers[1]);
    rig.run(3000);
    expectAllWritten(rig, id);
  });

  it('does so whatever byte of whatever record it is, also when nothing names the entry any more', () => {
    const { rig, leader, followers } = written();
    const [id] = followers;
    const machine = rig.machine(id);
    rig.crash(id);
    const records = recordsOf(rig, machine).slice(0, -1);
    for (let at = 0; at < records.length; at += 7) {
      const record = records[at];
      if (record === undefined) continue;
      rotHeader(machine, record);
      rig.boot(id);
      rig.run(2500);
      expect(nodeOf(rig, id).status(), `record ${at}`).toMatchObject({ damaged_entries: 0 });
      rig.leader();
      expect(entriesOf(rig, id), `record ${at}`).toEqual(entriesOf(rig, rig.leader()));
      rig.crash(id);
    }
    rig.boot(id);
    rig.run(1000);
    expect(rig.machine(leader).failure).toBeNull();
    expectAllWritten(rig, id);
  });
});

describe('damage that nobody can mend entry by entry', () => {
  const SHORT: Partial<NodeOptions> = {
    log: { segmentBytes: 4096, cacheBytes: 4096 },
    store: { memtableBytes: 4096, blockBytes: 256 },
    snapshots: { logTailEntries: 10, chunkBytes: 500, bytesPerSecondMax: 1_000_000 },
  };

  it('is let go where tables cover it', () => {
    const { rig, followers } = written({ ...SHORT, snapshots: { logTailEntries: 1000 } });
    const [id] = followers;
    const { flushedIndex } = nodeOf(rig, id).store;
    expect(flushedIndex).toBeGreaterThan(10);
    rig.kill(id);
    const machine = rig.machine(id);
    for (const index of [3, flushedIndex]) rotPayload(machine, entryAt(rig, machine, index));
    rig.boot(id);
    rig.run(1000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expect(nodeOf(rig, id).groupLog.firstIndex).toBe(flushedIndex + 1);
    expectAllWritten(rig, id);
  });

  it('is made up for by a snapshot where the others have compacted it', () => {
    const { rig, leader, followers } = written({ ...SHORT, store: { memtableBytes: 1 << 20 } });
    const [id] = followers;
    // Tables of the leader cover what this node has in its log only.
    rig.kill(id);
    const machine = rig.machine(id);
    rotPayload(machine, entryAt(rig, machine, 5));
    let isFlushed = false;
    nodeOf(rig, leader).store.flush(() => {
      isFlushed = true;
    });
    rig.run(500);
    expect(isFlushed).toBe(true);
    expect(rig.connect(leader).ask('SET more two\r\n')).toBe('+OK\r\n');
    expect(nodeOf(rig, leader).groupLog.firstIndex).toBeGreaterThan(5);
    rig.boot(id);
    rig.run(5000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expectAllWritten(rig, id);
    expect(rig.connect(id).ask('GET more\r\n')).toContain('two');
    rig.crash(id);
    rig.boot(id);
    rig.run(1000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
  });
});

describe('a node with a damaged entry that comes to lead', () => {
  it('mends its log before it takes or answers anything', () => {
    const { rig, leader, followers } = written();
    const [id, other] = followers;
    rig.crash(other);
    // Only these two have the last of it.
    const client = rig.connect(leader);
    expect(client.ask('SET last one\r\n')).toBe('+OK\r\n');
    rig.crash(leader);
    rig.crash(id);
    rotPayload(rig.machine(id), entryAt(rig, rig.machine(id), 12));
    rig.boot(id);
    rig.boot(other);
    rig.run(5000);
    expect(nodeOf(rig, id).replica.isLeader).toBe(true);
    expect(rig.connect(id).ask('GET last\r\n', 1000)).toContain('one');
    expectAllWritten(rig, id);
  });

  it('waits, and says for what, when nobody who answers can give it', () => {
    const { rig, leader, followers } = written();
    const [id, other] = followers;
    rig.crash(other);
    expect(rig.connect(leader).ask('SET last one\r\n')).toBe('+OK\r\n');
    rig.crash(leader);
    rig.kill(id);
    const records = recordsOf(rig, rig.machine(id)).filter(({ kind }) => kind === 'entry');
    const last = records.at(-1);
    if (last === undefined) throw new Error('no record');
    rotPayload(rig.machine(id), last);
    rig.boot(id);
    rig.boot(other);
    rig.run(5000);
    const { replica } = nodeOf(rig, id);
    expect(replica.isLeader).toBe(true);
    expect(nodeOf(rig, id).status()).toMatchObject({
      damaged_entries: 1,
      mending_index: last.index,
      mending_unheard: `${leader}`,
    });
    const client = rig.connect(id);
    expect(client.ask('GET last\r\n', 12_000)).toMatch(/^-ERR the leader waits/);
    expect(client.ask('SET more two\r\n', 12_000)).toMatch(/^-ERR the leader waits/);
    rig.boot(leader);
    rig.run(3000);
    expect(client.ask('GET last\r\n', 1000)).toContain('one');
    expect(client.ask('SET more two\r\n', 1000)).toBe('+OK\r\n');
  });

  it('discards it when a majority never had it', () => {
    const { rig, leader, followers } = written();
    const [a, b] = followers;
    const { lastIndex } = nodeOf(rig, leader).groupLog;
    rig.crash(a);
    rig.crash(b);
    // Nobody is told that this is executed.
    expect(rig.connect(leader).ask('SET lost one\r\n', 100)).toBe('');
    rig.kill(leader);
    const machine = rig.machine(leader);
    const last = entryAt(rig, machine, lastIndex + 1);
    rotPayload(machine, last);
    rig.boot(leader);
    rig.run(50);
    expect(nodeOf(rig, leader).groupLog.lastIndex).toBe(lastIndex + 1);
    // With the first of them it leads, and cannot know; with both it can.
    rig.boot(a);
    rig.run(3000);
    expect(nodeOf(rig, leader).replica.isLeader).toBe(true);
    expect(nodeOf(rig, leader).status()).toMatchObject({ damaged_entries: 1, mending_unheard: `${b}` });
    rig.boot(b);
    rig.run(3000);
    expect(nodeOf(rig, leader).status()).toMatchObject({ damaged_entries: 0 });
    const client = rig.connect(leader);
    expect(client.ask('GET lost\r\n', 1000)).toMatch(/NIL|null|\$-1/i);
    expect(client.ask('SET more two\r\n', 1000)).toBe('+OK\r\n');
    expectAllWritten(rig, leader);
  });
});

describe('damage that is met while a node runs', () => {
  /** A follower that lags: the leader has to read what it lacks from its segments. */
  function lagging(options: Partial<NodeOptions> = {}): Written & { readonly seen: string[] } {
    const seen: string[] = [];
    const logger = { log: (_level: string, event: string) => seen.push(event) };
    const group = written({ ...LONG_LOG, logger, ...options });
    const { rig, leader, followers } = group;
    rig.kill(followers[0]);
    const client = rig.connect(leader);
    for (let n = 0; n < WRITES; n++) {
      expect(client.ask(`SET key${n} ${'x'.repeat(100)}${n}\r\n`, 20)).toBe('+OK\r\n');
    }
    rig.run(200);
    return { ...group, seen };
  }

  for (const [what, rot] of [
    ['payload', rotPayload],
    ['header', rotHeader],
  ] as const) {
    it(`is mended when an entry is read for a follower (${what})`, () => {
      const { rig, leader, followers, seen } = lagging();
      const { lastIndex } = nodeOf(rig, leader).groupLog;
      for (const index of [lastIndex - 30, lastIndex - 29, lastIndex - 20]) {
        rot(rig.machine(leader), entryAt(rig, rig.machine(leader), index));
        if (what === 'header') break;
      }
      rig.boot(followers[0]);
      rig.run(3000);
      expect(rig.machine(leader).failure).toBeNull();
      expect(seen).toContain('log-damaged');
      expect(seen).toContain('log-whole');
      expect(nodeOf(rig, leader).status()).toMatchObject({ damaged_entries: 0 });
      for (const id of followers) expect(entriesOf(rig, id)).toEqual(entriesOf(rig, leader));
      expectAllWritten(rig, followers[0]);
      // What was mended is there after a crash.
      rig.crash(leader);
      rig.boot(leader);
      rig.run(3000);
      expect(entriesOf(rig, leader)).toEqual(entriesOf(rig, followers[0]));
    });
  }

  it('is asked for at once, entry by entry, when there is much of it', () => {
    const { rig, leader, followers } = lagging();
    const { lastIndex } = nodeOf(rig, leader).groupLog;
    for (let index = lastIndex - 35; index < lastIndex - 5; index++) {
      rotPayload(rig.machine(leader), entryAt(rig, rig.machine(leader), index));
    }
    rig.boot(followers[0]);
    let refusingMs = 0;
    for (let ms = 0; ms < 1000; ms++) {
      rig.run(1);
      if (nodeOf(rig, leader).groupLog.damagedCount > 0) refusingMs++;
    }
    // Each takes a question, an answer and a sync.
    expect(refusingMs).toBeGreaterThan(0);
    expect(refusingMs).toBeLessThan(300);
    expect(entriesOf(rig, followers[0])).toEqual(entriesOf(rig, leader));
  });

  it('is told when another node asks for the entry, which then comes from a third', () => {
    const seen: unknown[] = [];
    const logger = { log: (_level: string, event: string) => seen.push(event) };
    const { rig, leader, followers } = written({ ...LONG_LOG, logger });
    const [a, b] = followers;
    rig.kill(a);
    rotPayload(rig.machine(a), entryAt(rig, rig.machine(a), 10));
    rotPayload(rig.machine(leader), entryAt(rig, rig.machine(leader), 10));
    rig.boot(a);
    rig.run(3000);
    // At its start, and by the one that was asked.
    expect(seen.filter((event) => event === 'log-damaged')).toHaveLength(2);
    for (const id of [a, leader]) {
      expect(rig.machine(id).failure).toBeNull();
      expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
      expect(entriesOf(rig, id)).toEqual(entriesOf(rig, b));
    }
  });

  it('holds up applying until the entry is mended', () => {
    const seen: unknown[] = [];
    const logger = { log: (_level: string, event: string) => seen.push(event) };
    const { rig, leader, followers } = written({ ...LONG_LOG, logger });
    const [id, other] = followers;
    for (const one of [leader, id, other]) rig.crash(one);
    rig.boot(id);
    rig.run(20);
    // Nothing is committed before there is a leader.
    expect(nodeOf(rig, id).replica.appliedIndex).toBe(0);
    rotPayload(rig.machine(id), entryAt(rig, rig.machine(id), 10));
    rig.boot(leader);
    rig.run(4000);
    expect(seen.filter((event) => event === 'log-damaged')).toHaveLength(1);
    expect(rig.machine(id).failure).toBeNull();
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expectAllWritten(rig, id);
  });

  it('is flushed where it was applied and the others have compacted it', () => {
    const { rig, leader, followers } = lagging({
      store: { memtableBytes: 1 << 20 },
      snapshots: { logTailEntries: 10 },
    });
    const [id, other] = followers;
    let isFlushed = false;
    nodeOf(rig, other).store.flush(() => {
      isFlushed = true;
    });
    rig.run(500);
    expect(isFlushed).toBe(true);
    const damaged = entryAt(rig, rig.machine(leader), WRITES + 10);
    expect(nodeOf(rig, other).groupLog.firstIndex).toBeGreaterThan(damaged.index);
    expect(nodeOf(rig, leader).store.flushedIndex).toBe(0);
    rotPayload(rig.machine(leader), damaged);
    rig.boot(id);
    rig.run(5000);
    // Neither has an entry more been applied that a snapshot could be newer by, nor can one be: it takes no writes.
    expect(nodeOf(rig, leader).status()).toMatchObject({ role: 'leader', damaged_entries: 0 });
    expect(rig.connect(leader).ask('SET more two\r\n')).toBe('+OK\r\n');
    expectAllWritten(rig, id);
  });

  it('stops the node with segment, offset and entry when the disk refuses to read', () => {
    const { rig, leader, followers } = lagging();
    const { lastIndex } = nodeOf(rig, leader).groupLog;
    const { path, offset, index } = entryAt(rig, rig.machine(leader), lastIndex - 30);
    rig.machine(leader).disk.breakSector(path, offset);
    rig.boot(followers[0]);
    rig.run(3000);
    expect(rig.machine(leader).failure?.message).toMatch(
      new RegExp(`${path}: EIO: the record of group 1 index \\d+ term \\d+ at offset \\d+ cannot be read`),
    );
    expect(index).toBeGreaterThan(0);
  });
});

describe('a record whose name is lost', () => {
  it('makes a group that is silent since then go through one election, and no more', () => {
    const { rig, followers } = written({ ...LONG_LOG, groups: [1, 2] });
    const [id] = followers;
    const machine = rig.machine(id);
    rig.kill(id);
    const records = recordsOf(rig, machine);
    const lost = records.findLast(({ kind, index }) => kind === 'entry' && index === 30);
    if (lost === undefined) throw new Error('no record');
    rotHeader(machine, lost);
    rig.boot(id);
    rig.run(50);
    const silent = nodeOf(rig, id).groups.get(2);
    const busy = nodeOf(rig, id).groups.get(1);
    // What follows in its log names the entry for the busy group; of the silent one nothing follows.
    expect([busy?.log.isFenced, silent?.log.isFenced]).toEqual([false, true]);
    expect(silent?.replica.raft.term).toBe((silent?.log.fenceTerm ?? 0) + 1);
    rig.run(3000);
    expect([silent?.log.isFenced, silent?.replica.leader !== null]).toEqual([false, true]);
    const term = silent?.replica.raft.term;
    rig.kill(id);
    rig.boot(id);
    rig.run(3000);
    expect(nodeOf(rig, id).groups.get(2)?.log.isFenced).toBe(false);
    expect(nodeOf(rig, id).groups.get(2)?.replica.raft.term).toBe(term);
    expectAllWritten(rig, id);
  });
});

describe('a sector that cannot be read', () => {
  it('is mended in the middle of the log, and is no torn tail at its end', () => {
    const { rig, followers } = written();
    const [id] = followers;
    const machine = rig.machine(id);
    rig.kill(id);
    const middle = entryAt(rig, machine, 10);
    machine.disk.breakSector(middle.path, middle.offset);
    rig.boot(id);
    rig.run(2500);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expect(nodeOf(rig, id).groupLog.durableIndex).toBe(nodeOf(rig, rig.leader()).groupLog.lastIndex);
    rig.kill(id);
    const last = lastSegmentOf(machine);
    machine.disk.breakSector(last, 0);
    machine.disk.breakSector(last, machine.disk.sizeOf(last) - 1);
    rig.boot(id);
    rig.run(1000);
    expect(machine.node).toBeNull();
    expect(machine.failure?.message).toMatch(/EIO/);
  });
});

describe('a segment whose file is missing', () => {
  const SMALL_SEGMENTS: Partial<NodeOptions> = { log: { segmentBytes: 1024, cacheBytes: 1024 } };

  it('is mended where its neighbours tell what it held', () => {
    const seen: string[] = [];
    const logger = { log: (_level: string, event: string) => seen.push(event) };
    const { rig, leader, followers } = written({ ...SMALL_SEGMENTS, logger });
    const [id] = followers;
    const machine = rig.machine(id);
    rig.kill(id);
    const { path } = entryAt(rig, machine, 20);
    const lost = recordsOf(rig, machine).filter((one) => one.path === path && one.kind === 'entry');
    expect(lost.length).toBeGreaterThan(2);
    machine.disk.loseName(path);
    rig.boot(id);
    rig.run(3000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expect(seen).toContain('log-damaged');
    expect(seen).toContain('log-mending');
    expect(seen).not.toContain('log-entries-forgotten');
    expect(entriesOf(rig, id)).toEqual(entriesOf(rig, leader));
    rig.crash(id);
    rig.boot(id);
    rig.run(3000);
    expect(nodeOf(rig, id).status()).toMatchObject({ damaged_entries: 0 });
    expect(entriesOf(rig, id)).toEqual(entriesOf(rig, leader));
    expectAllWritten(rig, id);
  });

  it('is named by the error where they do not', () => {
    const { rig, followers } = written({ ...SMALL_SEGMENTS, groups: [1, 2] });
    const [id] = followers;
    const machine = rig.machine(id);
    rig.kill(id);
    // The other group has nothing behind it.
    const { path } = entryAt(rig, machine, 20);
    machine.disk.loseName(path);
    rig.boot(id);
    rig.run(1000);
    expect(machine.node).toBeNull();
    expect(machine.failure?.message).toContain(path);
    expect(machine.failure?.message).toMatch(/its neighbours do not tell .* put the file back, or replace/);
  });
});

describe('reads that fail for once', () => {
  it('are no damage of the log, whichever of those of a start they are', () => {
    const seen: string[] = [];
    const logger = { log: (_level: string, event: string) => seen.push(event) };
    const { rig, followers } = written();
    const [id] = followers;
    const { disk } = rig.machine(id);
    for (let after = 1; after <= 12; after++) {
      rig.kill(id);
      // The read of a whole segment, then one of its sectors.
      disk.failRead({ after, kind: 'log' });
      disk.failRead({ after: after + 1 + (after % 3), kind: 'log' });
      rig.bootWith(id, { logger });
      rig.run(100);
    }
    expect(seen.filter((event) => event.startsWith('log-'))).toEqual([]);
    expect(seen).toContain('node-started');
    // However many there are, nothing is forgotten because of them: the start that meets too many ends with the error.
    for (let reads = 2; reads < 40; reads++) {
      rig.kill(id);
      for (let after = 1; after <= reads; after++) disk.failRead({ after, kind: 'log' });
      rig.bootWith(id, { logger });
      rig.run(100);
      const { failure } = rig.machine(id);
      if (failure !== null) expect(failure.message).toMatch(/EIO/);
    }
    expect(seen).not.toContain('log-entries-forgotten');
    // Those that no start has met.
    rig.run(1000);
    rig.kill(id);
    rig.boot(id);
    rig.run(2500);
    expect(nodeOf(rig, id).groupLog.durableIndex).toBe(nodeOf(rig, rig.leader()).groupLog.lastIndex);
  });
});

function lastSegmentOf({ disk }: TestMachine): string {
  const segments = disk.files().filter((path) => path.startsWith('/data/log/0'));
  return segments.sort().at(-1) ?? '';
}
