/**
 * The passive role: takes what the leader of the term sends, acknowledges what has become durable, and turns
 * candidate when it hears nothing for an election timeout.
 */

import { assert } from '../base/assert.ts';
import { EnvelopeError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { Entry, Index, Term } from '../log/entry.ts';
import type { Core } from './core.ts';
import { ForwardedReads } from './forwarded_reads.ts';
import type { AppendMessage, Message, NodeId, ReadBasis } from './message.ts';

/**
 * Those who have lost the connection to their leader campaign one after the other: they have heard it at about the same
 * time, and who campaigns together splits the votes. They keep apart by a step for each that comes before, all of them
 * within half an election timeout.
 */
const LOST_STEPS_MAX = 4;
/** How often it asks for the pre-vote, a step later each time, before it takes the time of any other. */
const LOST_ASKS_MAX = 5;

export class Follower {
  readonly role = 'follower';
  readonly #core: Core;
  /** The leader of the term, once it is known. There is at most one. */
  leader: NodeId | null;
  electionDeadlineMs: number;
  /** How often it may soon ask for the pre-vote; see `Candidate.asksLeft`. */
  asksLeft = 0;
  readonly #reads: ForwardedReads;
  /** Our log equals the leader's up to here; only this much may be acknowledged or committed. */
  #matchIndex: Index = 0;
  #acknowledgedIndex: Index = 0;

  constructor(core: Core, leader: NodeId | null) {
    this.#core = core;
    this.leader = leader;
    if (leader !== null) core.heardLeaderAtMs = core.nowMs;
    this.#reads = new ForwardedReads(core.random);
    this.electionDeadlineMs = core.drawElectionDeadline();
  }

  onAppend(from: NodeId, message: AppendMessage): void {
    this.#hearLeader(from);
    const core = this.#core;
    const { log } = core;
    const { prevIndex, prevTerm } = message;
    // Below its first entry the log was compacted: all that is committed, and so the same as the leader's.
    const isCompacted = prevIndex < log.firstIndex - 1;
    if (!isCompacted && (prevIndex > log.lastIndex || log.termAt(prevIndex) !== prevTerm)) {
      assert(prevIndex > core.commitIndex, 'committed entries match the leader', {
        prevIndex,
        commit: core.commitIndex,
      });
      sometimes('an append does not fit the log');
      this.#reject(from, prevIndex, prevTerm);
      return;
    }
    let expected = prevIndex + 1;
    for (const entry of message.entries) {
      assert(entry.index === expected, 'entries of an append have no gaps', { index: entry.index, expected });
      this.#take(entry);
      expected++;
    }
    // Nothing new in it: what is committed matches all the same.
    if (expected < log.firstIndex) expected = log.firstIndex;
    this.#matchIndex = Math.max(this.#matchIndex, expected - 1);
    // Behind the last entry of this message our log may still differ from the leader's.
    core.advanceCommit(Math.min(message.commitIndex, expected - 1));
    // Even when it says nothing new: the answer to a probe, or to a repetition after a lost answer.
    // And what can't be read holds nothing else up: the leader goes on, and sends it again, from where it can.
    if (log.durableIndex >= expected - 1 || log.damage.damagedCount > 0) this.#acknowledge(from);
  }

  onHeartbeat(from: NodeId, message: Message & { type: 'heartbeat' }): void {
    this.#hearLeader(from);
    const core = this.#core;
    // The leader capped it at what we acknowledged in this term, so it lies within what matches.
    if (message.commitIndex > core.log.lastIndex)
      throw lostLog(from, message.commitIndex, core.log.lastIndex);
    core.advanceCommit(message.commitIndex);
    const { round, sentAtMs } = message;
    core.send(from, { type: 'heartbeat-reply', term: core.term, round, sentAtMs });
    this.#reads.repeat(core.nowMs, core.timing.heartbeatMs);
  }

  onSnapshotOffer(from: NodeId, message: Message & { type: 'snapshot-offer' }): void {
    this.#hearLeader(from);
    const { index, snapshotTerm } = message;
    // Its log holds the very entry that the snapshot ends with: all up to there is the leader's, and committed (Raft, section
    // 7). A leader whose tables are damaged could not give the snapshot out, and may need this node's state for its own.
    if (this.#holds(index, snapshotTerm)) {
      sometimes('an offered snapshot is in the log already');
      this.#core.advanceCommit(index);
    }
    const { commitIndex, output } = this.#core;
    if (index > commitIndex) output.snapshot = { from, index, term: snapshotTerm };
    else this.onRestored();
  }

  /** Up to this entry, in a way that it can be read. */
  #holds(index: Index, term: Term): boolean {
    const { log, commitIndex } = this.#core;
    if (index <= commitIndex || index > log.lastIndex || log.termAt(index) !== term) return false;
    return log.damage.firstDamaged > index;
  }

  /** What is committed matches the leader's log, however it came here. */
  onRestored(): void {
    this.#matchIndex = Math.max(this.#matchIndex, this.#core.commitIndex);
    if (this.leader !== null) this.#acknowledge(this.leader);
  }

  /** Asks the leader, if there is one; the answer is a `ReadState`. */
  readIndex(id: number, basis: ReadBasis): void {
    if (this.leader === null) this.#core.output.reads.push({ id, index: null });
    else this.#reads.add(id, basis);
  }

  onReadIndexReply(from: NodeId, message: Message & { type: 'read-index-reply' }): void {
    if (from !== this.leader) return;
    sometimes('a follower may answer a read');
    this.#reads.onReply(message.id, message.index, this.#core.output.reads);
  }

  /** What was sent to the leader may be lost. */
  onPeerReset(peer: NodeId): void {
    if (peer === this.leader) this.#reads.repeat(this.#core.nowMs, 0);
  }

  /**
   * The leader's process may have ended. Nobody votes before an election timeout is over in any case; but it need not be
   * waited for much longer, as with a leader that is only silent. Should it live, its next message puts this off.
   */
  onLeaderLost(): void {
    const { heardLeaderAtMs, timing, configuration, id } = this.#core;
    const before = configuration.voters.filter((voter) => voter < id && voter !== this.leader).length;
    const stepsMs = this.#core.drawStepsMs(Math.min(before, LOST_STEPS_MAX));
    sometimes('a follower loses the connection to its leader');
    this.asksLeft = LOST_ASKS_MAX;
    this.electionDeadlineMs = heardLeaderAtMs + timing.electionTimeoutMs + stepsMs;
  }

  /** Sends one request for all reads that the turn has gathered. */
  flush(): void {
    if (this.leader === null) return;
    const request = this.#reads.next(this.#core.nowMs);
    if (request !== null)
      this.#core.send(this.leader, { type: 'read-index', term: this.#core.term, ...request });
  }

  abandon(): void {
    this.#reads.abandon(this.#core.output.reads);
  }

  onDurable(durableIndex: Index): void {
    if (this.leader === null) return;
    if (Math.min(durableIndex, this.#matchIndex) > this.#acknowledgedIndex) this.#acknowledge(this.leader);
  }

  #hearLeader(from: NodeId): void {
    assert(this.leader === null || this.leader === from, 'a term has one leader', {
      term: this.#core.term,
      leader: this.leader,
      other: from,
    });
    this.leader = from;
    this.#core.heardLeaderAtMs = this.#core.nowMs;
    this.asksLeft = 0;
    this.electionDeadlineMs = this.#core.drawElectionDeadline();
  }

  #take(entry: Entry): void {
    const { log, commitIndex } = this.#core;
    // Truncate only at a real conflict: an old append, delivered late, must not drop what came after it.
    if (entry.index < log.firstIndex) return;
    if (entry.index <= log.lastIndex && log.termAt(entry.index) === entry.term) {
      sometimes('an append repeats what the log holds');
      if (log.damage.isDamaged(entry.index)) {
        sometimes('a damaged entry comes with an append');
        log.damage.mend(entry);
      }
      return;
    }
    assert(entry.index > commitIndex, 'a committed entry is never replaced', {
      index: entry.index,
      commitIndex,
    });
    if (entry.index <= log.lastIndex) sometimes('a conflicting suffix is replaced');
    assert(entry.term <= this.#core.term, 'no entry is newer than its leader', { term: entry.term });
    this.#core.append(entry);
  }

  #acknowledge(leader: NodeId): void {
    const matchIndex = Math.min(this.#core.log.durableIndex, this.#matchIndex);
    this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, matchIndex);
    this.#core.send(leader, { type: 'append-accepted', term: this.#core.term, matchIndex });
  }

  #reject(leader: NodeId, rejectedIndex: Index, leaderTerm: Term): void {
    const { log } = this.#core;
    let hintIndex = Math.min(rejectedIndex - 1, log.lastIndex);
    while (hintIndex >= log.firstIndex && log.termAt(hintIndex) > leaderTerm) hintIndex--;
    this.#core.send(leader, {
      type: 'append-rejected',
      term: this.#core.term,
      rejectedIndex,
      hintIndex,
      hintTerm: log.termAt(hintIndex),
    });
  }
}

/** What a node has acknowledged is on its disk: this one was emptied, has lost it, or another took its place. */
function lostLog(leader: NodeId, acknowledged: Index, last: Index): EnvelopeError {
  return new EnvelopeError(
    'REFUSED',
    `node ${leader} leads and has heard from this node that it holds entries up to ${acknowledged}, but its log ends at ` +
      `${last}: its disk has lost them, or is not the one that it had. Remove this node from the group, and add it anew`,
  );
}
