import { describe, expect, it } from 'vitest';
import { Cluster, cutOff, type Mail, TIMING } from './cluster.ts';

/** Pre-votes that node 3 is asked for. */
function countAsks(cluster: Cluster): { count: number } {
  const asks = { count: 0 };
  cluster.onSend = ({ to, message }) => {
    if (to === 3 && message.type === 'pre-vote') asks.count++;
  };
  return asks;
}

/** Nearly two election timeouts, in which these nodes act when they are due. */
function pass(cluster: Cluster, nodes: readonly number[], drop: (mail: Mail) => boolean): void {
  for (const until = cluster.nowMs + 1.9 * TIMING.electionTimeoutMs; cluster.nowMs < until; ) {
    cluster.nowMs++;
    for (const id of nodes) if (cluster.raft(id).deadlineMs <= cluster.nowMs) cluster.tick(id);
    cluster.settle(drop);
  }
}

describe('election', () => {
  it('elects the first to campaign, with a no-op of the new term', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    expect(cluster.raft(1).role).toBe('leader');
    expect(cluster.members.map(({ raft }) => raft.leader)).toEqual([1, 1, 1]);
    expect(cluster.members.map(({ raft }) => raft.term)).toEqual([1, 1, 1]);
    expect(cluster.member(3).log.terms()).toEqual([1]);
  });

  it('refuses to go on when the leader knows entries of it that its log does not hold', () => {
    const cluster = new Cluster(3);
    // As a node finds itself whose disk was taken: told of a commit that it had acknowledged itself.
    const heartbeat = { type: 'heartbeat', term: 1, commitIndex: 7, round: 1, sentAtMs: 0 } as const;
    expect(() => cluster.deliver({ from: 1, to: 2, message: heartbeat })).toThrow(
      expect.objectContaining({
        code: 'REFUSED',
        message: expect.stringContaining('holds entries up to 7, but its log ends at 0') as string,
      }) as Error,
    );
    expect(cluster.raft(2).commitIndex).toBe(0);
  });

  it('lets a group of one lead at once', () => {
    const cluster = new Cluster(1);
    cluster.tick(1);
    cluster.settle();
    expect(cluster.raft(1).role).toBe('leader');
    expect(cluster.raft(1).commitIndex).toBe(1);
  });

  it('does not raise the term of a node that cannot win: pre-vote', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const cut = cutOff(3);
    for (let i = 0; i < 5; i++) {
      cluster.beat(20, cut);
      cluster.tick(3);
      cluster.settle(cut);
    }
    expect(cluster.raft(3).role).toBe('candidate');
    expect(cluster.raft(3).term).toBe(1);
    cluster.inbox = [];
    cluster.beat();
    expect(cluster.raft(1).role).toBe('leader');
    expect(cluster.raft(3).leader).toBe(1);
    expect(cluster.raft(1).term).toBe(1);
  });

  it('does not hear out a candidate while the leader is alive: stickiness', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.beat(2);
    // A candidate that skipped the pre-vote, as an old one of a later term might look.
    const { lastIndex, lastTerm } = cluster.member(3).log;
    cluster.deliver({
      from: 3,
      to: 2,
      message: { type: 'vote', term: 9, lastIndex, lastTerm, transfer: false },
    });
    expect(cluster.raft(2).term).toBe(1);
    expect(cluster.inbox).toEqual([]);
  });

  it('campaigns against a leader whose connection is lost as early as promised, one node after the other', () => {
    for (let draw = 0; draw < 50; draw++) {
      let drawn = 37 * draw;
      const cluster = new Cluster(3, { below: (limit) => drawn++ % limit });
      cluster.elect(1);
      cluster.beat();
      const heardAtMs = cluster.nowMs;
      const follower = cluster.raft(2);
      // Another peer's connection says nothing of the leader.
      const before = follower.deadlineMs;
      follower.onPeerLost(3);
      expect(follower.deadlineMs).toBe(before);
      follower.onPeerLost(1);
      cluster.raft(3).onPeerLost(1);
      const [second, third] = [2, 3].map((id) => cluster.raft(id).deadlineMs - heardAtMs);
      expect(second).toBeGreaterThanOrEqual(TIMING.electionTimeoutMs);
      expect(third).toBeGreaterThanOrEqual((second ?? 0) + TIMING.electionTimeoutMs / 16);
      expect(third).toBeLessThanOrEqual(1.5 * TIMING.electionTimeoutMs);
      // It lives: as if nothing had been.
      cluster.beat();
      expect(follower.leader).toBe(1);
      cluster.raft(1).onPeerLost(2);
      expect(cluster.raft(1).role).toBe('leader');
    }
  });

  it('asks again soon when one that heard the lost leader later refuses, and has a shorter log itself', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.beat();
    cluster.propose(1, 'only the second gets it');
    const { commitIndex } = cluster.raft(3);
    cluster.beat(1, cutOff(3));
    const heardAtMs = cluster.nowMs;
    cluster.nowMs += 20;
    const heartbeat = { type: 'heartbeat', term: 1, commitIndex, round: 99, sentAtMs: heardAtMs } as const;
    cluster.deliver({ from: 1, to: 3, message: heartbeat });
    for (const id of [2, 3]) cluster.raft(id).onPeerLost(1);
    const refused: number[] = [];
    cluster.onSend = ({ to, message }) => {
      if (message.type === 'pre-vote-reply' && !message.granted) refused.push(to);
    };
    while (cluster.raft(2).role !== 'leader') {
      expect(cluster.nowMs - heardAtMs).toBeLessThan(1.25 * TIMING.electionTimeoutMs);
      cluster.nowMs++;
      for (const id of [2, 3]) if (cluster.raft(id).deadlineMs <= cluster.nowMs) cluster.tick(id);
      cluster.settle(cutOff(1));
    }
    expect(refused).toContain(2);
  });

  it.each([
    ['one of two others', 3],
    ['all others', 5],
  ])('asks again a few times only, as long as the leader that it lost is heard by %s', (_who, nodes) => {
    const cluster = new Cluster(nodes);
    cluster.elect(1);
    cluster.beat();
    cluster.raft(2).onPeerLost(1);
    const asks = countAsks(cluster);
    pass(cluster, [1, 2], ({ from, to }) => from + to === 3);
    expect(cluster.raft(1).role).toBe('leader');
    expect(asks.count).toBe(5);
  });

  it('waits for a leader that was lost and heard again as for any other', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.raft(2).onPeerLost(1);
    cluster.beat();
    const asks = countAsks(cluster);
    const dead = cutOff(1);
    pass(cluster, [2], (mail) => dead(mail) || mail.message.type === 'pre-vote');
    expect(asks.count).toBe(1);
  });

  it('steps down when a majority is silent: CheckQuorum', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.beat(25, cutOff(1));
    expect(cluster.raft(1).role).toBe('follower');
    expect(cluster.raft(1).leader).toBeNull();
  });

  it('votes once a term, and keeps to it after a restart', () => {
    const cluster = new Cluster(3);
    cluster.nowMs = 10_000;
    const vote = { type: 'vote', term: 5, lastIndex: 0, lastTerm: 0, transfer: false } as const;
    cluster.deliver({ from: 1, to: 2, message: vote });
    expect(cluster.inbox.pop()?.message).toEqual({ type: 'vote-reply', term: 5, granted: true });
    cluster.deliver({ from: 3, to: 2, message: vote });
    expect(cluster.inbox.pop()?.message).toEqual({ type: 'vote-reply', term: 5, granted: false });
    cluster.restart(2);
    cluster.deliver({ from: 3, to: 2, message: vote });
    expect(cluster.inbox.pop()?.message).toEqual({ type: 'vote-reply', term: 5, granted: false });
    cluster.deliver({ from: 1, to: 2, message: vote });
    expect(cluster.inbox.pop()?.message).toEqual({ type: 'vote-reply', term: 5, granted: true });
  });

  it('refuses a candidate whose log is behind', () => {
    const cluster = new Cluster(3);
    cluster.elect(1, cutOff(3));
    cluster.propose(1, 'a');
    cluster.settle(cutOff(3));
    // Node 3 lacks two entries; nobody has heard of a leader for long.
    cluster.elect(3);
    expect(cluster.raft(3).role).not.toBe('leader');
    cluster.elect(2);
    expect(cluster.raft(2).role).toBe('leader');
    expect(cluster.member(3).log.terms()).toEqual([1, 1, 2]);
  });

  it('never forgets a term that its log has seen', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    const member = cluster.member(2);
    // The entry became durable, the hard state of its term did not.
    member.durable = { term: 0, vote: null };
    cluster.restart(2);
    expect(cluster.raft(2).term).toBe(1);
    expect(cluster.raft(2).vote).toBeNull();
  });

  it('elects again within two timeouts of the leader going silent', () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.nowMs += TIMING.electionTimeoutMs;
    cluster.tick(2);
    cluster.settle(cutOff(1));
    // Node 3 is sticky no longer: it has been silent for as long.
    expect(cluster.raft(2).role).toBe('leader');
    expect(cluster.raft(2).term).toBe(2);
    cluster.inbox = [];
    cluster.beat();
    expect(cluster.raft(1).role).toBe('follower');
    expect(cluster.raft(1).leader).toBe(2);
  });
});

describe('a group of one', () => {
  it('is led only when its own vote is durable: a crash before that must not leave a term with two leaderships', () => {
    const cluster = new Cluster(1);
    const raft = cluster.raft(1);
    raft.tick(0);
    const { hardState } = raft.takeOutput();
    expect(hardState).toEqual({ term: 1, vote: 1 });
    expect(raft.role).toBe('candidate');
    expect(raft.propose(new Uint8Array(1))).toBe('not-leader');
    raft.onHardStateDurable(1, 0);
    expect(raft.role).toBe('leader');
  });
});
