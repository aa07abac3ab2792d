import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_FLOW, type FlowLimits } from '../../src/raft/flow.ts';
import { Progress } from '../../src/raft/progress.ts';
import { Uncommitted } from '../../src/raft/uncommitted.ts';
import { Cluster, cutOff, type Mail, TIMING } from './cluster.ts';

const SMALL: FlowLimits = {
  ...DEFAULT_FLOW,
  appendBytesMax: 100,
  inFlightMax: 4,
  inFlightBytesMax: 250,
  uncommittedBytesMax: 1000,
};

function smallCluster(flow: FlowLimits = SMALL): Cluster {
  const cluster = new Cluster(3, undefined, flow);
  cluster.elect(1);
  cluster.beat();
  return cluster;
}

function appendsTo(cluster: Cluster, id: number): Mail[] {
  return cluster.inbox.filter(({ to, message }) => to === id && message.type === 'append');
}

describe('flow control', () => {
  it('commits at the pace of the majority while a follower answers nothing, and keeps a bounded number on the way', () => {
    const cluster = smallCluster();
    const held: Mail[] = [];
    const hold = (mail: Mail): boolean => {
      if (mail.to !== 3) return false;
      held.push(mail);
      return true;
    };
    for (let n = 0; n < 50; n++) {
      cluster.propose(1, `value ${n}`);
      cluster.settle(hold);
    }
    expect(cluster.raft(1).commitIndex).toBe(51);
    expect(held.length).toBe(SMALL.inFlightMax);
    for (const mail of held) cluster.deliver(mail);
    cluster.settle();
    expect(cluster.member(3).log.lastIndex).toBe(51);
  });

  it('keeps a bounded number of bytes on the way to a follower, in appends of a bounded size', () => {
    const cluster = smallCluster();
    for (let n = 0; n < 100; n++) cluster.raft(1).propose(new Uint8Array(10));
    cluster.collect(1);
    const sizes = appendsTo(cluster, 2).map(({ message }) =>
      message.type === 'append' ? message.entries.reduce((sum, { payload }) => sum + payload.length, 0) : 0,
    );
    expect(sizes).toEqual([100, 100, 100]);
    cluster.settle();
    expect(cluster.raft(1).commitIndex).toBe(101);
  });

  it('makes a bounded number of appends in a turn, of a bounded number of entries, however short they are', () => {
    const flow = { ...DEFAULT_FLOW, appendEntriesMax: 8, appendsPerTurnMax: 3 };
    const cluster = smallCluster(flow);
    const raft = cluster.raft(1);
    for (let n = 0; n < 60; n++) raft.propose(new Uint8Array(0));
    const turn = (): { counts: Record<number, number[]>; arrays: number; isUnfinished: boolean } => {
      const counts: Record<number, number[]> = { 2: [], 3: [] };
      const arrays = new Set<unknown>();
      const { messages, isUnfinished } = raft.takeOutput();
      for (const { to, message } of messages) {
        if (message.type !== 'append') continue;
        counts[to].push(message.entries.length);
        arrays.add(message.entries);
      }
      return { counts, arrays: arrays.size, isUnfinished };
    };
    const full = [8, 8, 8];
    // What both are sent is read once.
    expect(turn()).toEqual({ counts: { 2: full, 3: full }, arrays: 3, isUnfinished: true });
    expect(turn()).toEqual({ counts: { 2: full, 3: full }, arrays: 3, isUnfinished: true });
    expect(turn()).toEqual({ counts: { 2: [8, 4], 3: [8, 4] }, arrays: 2, isUnfinished: false });
    expect(turn()).toEqual({ counts: { 2: [], 3: [] }, arrays: 0, isUnfinished: false });
    // No turn is made for nothing.
    for (let n = 0; n < 24; n++) raft.propose(new Uint8Array(0));
    expect(turn()).toEqual({ counts: { 2: full, 3: full }, arrays: 3, isUnfinished: false });
  });

  it('refuses proposals when too much is not committed, and takes them again when it is', () => {
    const cluster = smallCluster();
    const raft = cluster.raft(1);
    for (let n = 0; n < 10; n++) expect(typeof raft.propose(new Uint8Array(100))).toBe('number');
    expect(raft.propose(new Uint8Array(1))).toBe('overloaded');
    cluster.collect(1);
    cluster.settle(cutOff(1));
    expect(raft.propose(new Uint8Array(1))).toBe('overloaded');
    cluster.raft(1).onPeerReset(2);
    cluster.collect(1);
    cluster.settle();
    expect(typeof raft.propose(new Uint8Array(1000))).toBe('number');
  });

  it('takes one proposal that is larger than the bound, alone', () => {
    const raft = smallCluster().raft(1);
    expect(typeof raft.propose(new Uint8Array(5000))).toBe('number');
    expect(raft.propose(new Uint8Array(1))).toBe('overloaded');
  });

  it('sends nothing but heartbeats to a follower that is gone', () => {
    const cluster = smallCluster();
    cluster.raft(1).onPeerReset(3);
    cluster.collect(1);
    let appends = 0;
    const lose = (mail: Mail): boolean => {
      if (mail.to === 3 && mail.message.type === 'append') appends++;
      return mail.to === 3;
    };
    for (let n = 0; n < 50; n++) {
      cluster.propose(1, `value ${n}`);
      cluster.beat(1, lose);
    }
    expect(appends).toBe(1);
    expect(cluster.raft(1).commitIndex).toBe(51);
  });

  it('does not repeat an offer because it was answered with what was known', () => {
    const progress = new Progress({ flow: SMALL, probeMinMs: 50, probeMaxMs: 200 }, 10, 0);
    progress.onAccepted(4, 0);
    progress.onSnapshotOffered(0);
    // As a follower does whose log is damaged behind that: it has all of it committed, and can read no more.
    expect(progress.onAccepted(4, 1)).toBe(false);
    expect(progress.canSend).toBe(false);
    progress.onHeartbeatReply(49);
    expect(progress.canSend).toBe(false);
    progress.onHeartbeatReply(50);
    expect(progress.canSend).toBe(true);
    progress.onSnapshotOffered(50);
    expect(progress.onAccepted(9, 51)).toBe(true);
    expect(progress).toMatchObject({ state: 'replicate', nextIndex: 10, canSend: true });
  });

  it('repeats a probe that is not answered more and more seldom', () => {
    const cluster = smallCluster();
    cluster.raft(1).onPeerReset(3);
    cluster.collect(1);
    cluster.inbox = [];
    const probedAtMs: number[] = [];
    const lose = (mail: Mail): boolean => {
      const isLost = mail.to === 3 && mail.message.type === 'append';
      if (isLost) probedAtMs.push(cluster.nowMs);
      return isLost;
    };
    for (let n = 0; n < 60; n++) cluster.beat(1, lose);
    const gaps = probedAtMs.slice(1).map((at, before) => at - (probedAtMs[before] ?? 0));
    // The first repetition came at the first heartbeat.
    expect(gaps.slice(0, 3)).toEqual([100, 200, 400]);
    expect(gaps.slice(3).every((gap) => gap === TIMING.electionTimeoutMs)).toBe(true);
    // And the first answer ends the waiting.
    cluster.beat(11);
    expect(cluster.member(3).log.lastIndex).toBe(cluster.member(1).log.lastIndex);
  });
});

describe('the count of what is not committed', () => {
  it('is the sum of the sizes behind the last committed index', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.array(fc.oneof(fc.record({ add: fc.nat(1000) }), fc.record({ commit: fc.nat(5) }))),
        (first, steps) => {
          const counted = new Uncommitted(first);
          const sizes: number[] = [];
          let committed = first;
          let last = first;
          for (const step of steps) {
            if ('add' in step) {
              counted.add(++last, step.add);
              sizes.push(step.add);
            } else {
              committed = Math.min(last, committed + step.commit);
              counted.onCommit(committed);
            }
            const expected = sizes.slice(committed - first).reduce((sum, size) => sum + size, 0);
            expect(counted.bytes).toBe(expected);
          }
        },
      ),
    );
  });

  it('has limits that let the largest value through', () => {
    expect(DEFAULT_FLOW.uncommittedBytesMax).toBeGreaterThan(16 * 1024 * 1024);
  });
});
