import { describe, expect, it } from 'vitest';
import { EntryKind } from '../../src/log/entry.ts';
import { Cluster, cutOff } from './cluster.ts';

describe('replication', () => {
  it('commits when a majority has the entry durable, not before', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    expect(cluster.raft(1).commitIndex).toBe(1);
    expect(cluster.propose(1, 'a')).toBe(2);
    // Delivered to both followers, but nobody has synced.
    for (const mail of cluster.inbox.splice(0)) cluster.deliver(mail);
    expect(cluster.inbox).toEqual([]);
    expect(cluster.raft(1).commitIndex).toBe(1);
    cluster.sync(1);
    expect(cluster.raft(1).commitIndex).toBe(1);
    cluster.sync(2);
    for (const mail of cluster.inbox.splice(0)) cluster.deliver(mail);
    expect(cluster.raft(1).commitIndex).toBe(2);
  });

  it('commits by the followers alone while the leader still syncs', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.propose(1, 'a');
    for (const mail of cluster.inbox.splice(0)) cluster.deliver(mail);
    cluster.sync(2);
    cluster.sync(3);
    for (const mail of cluster.inbox.splice(0)) cluster.deliver(mail);
    expect(cluster.member(1).log.durableIndex).toBe(1);
    expect(cluster.raft(1).commitIndex).toBe(2);
  });

  it('sends what a turn has gathered as one append a follower', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const raft = cluster.raft(1);
    for (const text of ['a', 'b', 'c']) raft.propose(new TextEncoder().encode(text));
    cluster.collect(1);
    const appends = cluster.inbox.map(({ to, message }) => [
      to,
      message.type === 'append' && message.entries.length,
    ]);
    expect(appends).toEqual([
      [2, 3],
      [3, 3],
    ]);
  });

  it('never commits an entry of an earlier term by counting copies (figure 8 of the paper)', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    // Node 1 appends, reaches only itself; node 2 leads and commits nothing; node 1 leads again.
    cluster.propose(1, 'x');
    cluster.settle(cutOff(1));
    cluster.elect(2, cutOff(1));
    expect(cluster.member(1).log.terms()).toEqual([1, 1]);
    expect(cluster.member(3).log.terms()).toEqual([1, 2]);
    // Node 2's no-op of term 2 was committed by 2 and 3, so node 1's entry must go.
    cluster.inbox = [];
    cluster.beat(3);
    expect(cluster.member(1).log.terms()).toEqual([1, 2]);
  });

  it('brings a follower with a long divergent log back to the leader in few round trips', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    for (let i = 0; i < 200; i++) cluster.propose(1, `lost${i}`);
    cluster.settle(cutOff(1));
    expect(cluster.member(1).log.lastIndex).toBe(201);
    cluster.elect(2, cutOff(1));
    for (let i = 0; i < 100; i++) cluster.propose(2, `kept${i}`);
    cluster.settle(cutOff(1));
    let rejections = 0;
    cluster.inbox = [];
    for (let i = 0; i < 5; i++) {
      cluster.beat(1, ({ message }) => {
        if (message.type === 'append-rejected') rejections++;
        return false;
      });
    }
    expect(cluster.member(1).log.terms()).toEqual(cluster.member(2).log.terms());
    expect(rejections).toBeLessThanOrEqual(3);
  });

  it('does not truncate at an old append that arrives late', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const entry = { index: 2, term: 1, kind: EntryKind.Command, payload: new Uint8Array([1]) } as const;
    const append = { type: 'append', term: 1, prevIndex: 1, prevTerm: 1, commitIndex: 1 } as const;
    cluster.deliver({ from: 1, to: 2, message: { ...append, entries: [entry, { ...entry, index: 3 }] } });
    cluster.deliver({ from: 1, to: 2, message: { ...append, entries: [entry] } });
    expect(cluster.member(2).log.terms()).toEqual([1, 1, 1]);
  });

  it('takes no commit index beyond the last entry that it knows to match', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.deliver({
      from: 1,
      to: 2,
      message: { type: 'append', term: 1, prevIndex: 1, prevTerm: 1, commitIndex: 50, entries: [] },
    });
    expect(cluster.raft(2).commitIndex).toBe(1);
  });

  it('starts again from what is known after a connection was lost', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.inbox = cluster.inbox.filter(({ to }) => to !== 2);
    cluster.settle();
    expect(cluster.member(2).log.lastIndex).toBe(1);
    cluster.raft(1).onPeerReset(2);
    cluster.collect(1);
    cluster.settle();
    expect(cluster.member(2).log.lastIndex).toBe(2);
  });

  it('bounds what is in flight to a follower that does not answer', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    for (let i = 0; i < 500; i++) cluster.propose(1, 'x');
    expect(cluster.inbox.filter(({ to }) => to === 2).length).toBeLessThanOrEqual(64);
    cluster.settle();
    cluster.beat(2);
    expect(cluster.member(2).log.lastIndex).toBe(501);
  });
});

describe('reads', () => {
  it('are confirmed by a majority that answers a heartbeat sent after they came', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.raft(1).readIndex(7, 'round', cluster.nowMs);
    cluster.collect(1);
    expect(cluster.member(1).reads).toEqual([]);
    cluster.settle(cutOff(2));
    expect(cluster.member(1).reads).toEqual([{ id: 7, index: 1 }]);
  });

  it('wait for the first commit of the term', () => {
    const cluster = new Cluster(3);
    cluster.nowMs = 10_000;
    cluster.tick(1);
    for (let i = 0; i < 4; i++) for (const mail of cluster.inbox.splice(0)) cluster.deliver(mail);
    expect(cluster.raft(1).role).toBe('leader');
    cluster.raft(1).readIndex(1, 'round', cluster.nowMs);
    cluster.collect(1);
    cluster.beat(0);
    expect(cluster.member(1).reads).toEqual([]);
    cluster.settle();
    cluster.beat();
    expect(cluster.member(1).reads).toEqual([{ id: 1, index: 1 }]);
  });

  it('are not confirmed for a leader that was deposed', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.elect(2, cutOff(1));
    cluster.raft(1).readIndex(3, 'round', cluster.nowMs);
    cluster.collect(1);
    cluster.settle();
    expect(cluster.member(1).reads).toEqual([{ id: 3, index: null }]);
  });

  it('share one round: those that come while it is out wait for the next', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const raft = cluster.raft(1);
    raft.readIndex(1, 'round', cluster.nowMs);
    cluster.collect(1);
    const first = cluster.inbox.length;
    raft.readIndex(2, 'round', cluster.nowMs);
    raft.readIndex(3, 'round', cluster.nowMs);
    cluster.collect(1);
    expect(cluster.inbox.length).toBe(first);
    cluster.settle();
    expect(cluster.member(1).reads.map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  it('survive a lost round at the next heartbeat', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.raft(1).readIndex(1, 'round', cluster.nowMs);
    cluster.collect(1);
    cluster.inbox = [];
    cluster.beat();
    expect(cluster.member(1).reads).toEqual([{ id: 1, index: 1 }]);
  });
});
