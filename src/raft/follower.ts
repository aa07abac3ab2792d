/**
 * The passive role: takes what the leader of the term sends, acknowledges what has become durable, and turns
 * candidate when it hears nothing for an election timeout.
 */

import { assert } from '../base/assert.ts';
import { sometimes } from '../base/rare.ts';
import type { Entry, Index, Term } from '../log/entry.ts';
import type { Core } from './core.ts';
import type { AppendMessage, Message, NodeId } from './message.ts';

export class Follower {
  readonly role = 'follower';
  readonly #core: Core;
  /** The leader of the term, once it is known. There is at most one. */
  leader: NodeId | null;
  electionDeadlineMs: number;
  #heardLeaderAtMs: number;
  /** Our log equals the leader's up to here; only this much may be acknowledged or committed. */
  #matchIndex: Index = 0;
  #acknowledgedIndex: Index = 0;

  constructor(core: Core, leader: NodeId | null) {
    this.#core = core;
    this.leader = leader;
    this.#heardLeaderAtMs = leader === null ? Number.NEGATIVE_INFINITY : core.nowMs;
    this.electionDeadlineMs = core.drawElectionDeadline();
  }

  /** The leader is alive as far as this node can tell: candidates are not heard out (thesis, section 4.2.3). */
  get isSticky(): boolean {
    return (
      this.leader !== null && this.#core.nowMs - this.#heardLeaderAtMs < this.#core.timing.electionTimeoutMs
    );
  }

  onAppend(from: NodeId, message: AppendMessage): void {
    this.#hearLeader(from);
    const core = this.#core;
    const { log } = core;
    const { prevIndex, prevTerm } = message;
    if (prevIndex > log.lastIndex || log.termAt(prevIndex) !== prevTerm) {
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
    this.#matchIndex = Math.max(this.#matchIndex, expected - 1);
    // Behind the last entry of this message our log may still differ from the leader's.
    core.advanceCommit(Math.min(message.commitIndex, expected - 1));
    // Even when it says nothing new: the answer to a probe, or to a repetition after a lost answer.
    if (log.durableIndex >= expected - 1) this.#acknowledge(from);
  }

  onHeartbeat(from: NodeId, message: Message & { type: 'heartbeat' }): void {
    this.#hearLeader(from);
    // The leader capped it at what we acknowledged in this term, so it lies within what matches.
    this.#core.advanceCommit(message.commitIndex);
    this.#core.send(from, { type: 'heartbeat-reply', term: this.#core.term, round: message.round });
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
    this.#heardLeaderAtMs = this.#core.nowMs;
    this.electionDeadlineMs = this.#core.drawElectionDeadline();
  }

  #take(entry: Entry): void {
    const { log, commitIndex } = this.#core;
    // Truncate only at a real conflict: an old append, delivered late, must not drop what came after it.
    if (entry.index <= log.lastIndex && log.termAt(entry.index) === entry.term) {
      sometimes('an append repeats what the log holds');
      return;
    }
    assert(entry.index > commitIndex, 'a committed entry is never replaced', {
      index: entry.index,
      commitIndex,
    });
    if (entry.index <= log.lastIndex) sometimes('a conflicting suffix is replaced');
    assert(entry.term <= this.#core.term, 'no entry is newer than its leader', { term: entry.term });
    log.append(entry);
  }

  #acknowledge(leader: NodeId): void {
    const matchIndex = Math.min(this.#core.log.durableIndex, this.#matchIndex);
    this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, matchIndex);
    this.#core.send(leader, { type: 'append-accepted', term: this.#core.term, matchIndex });
  }

  #reject(leader: NodeId, rejectedIndex: Index, leaderTerm: Term): void {
    const { log } = this.#core;
    let hintIndex = Math.min(rejectedIndex - 1, log.lastIndex);
    while (hintIndex > 0 && log.termAt(hintIndex) > leaderTerm) hintIndex--;
    this.#core.send(leader, {
      type: 'append-rejected',
      term: this.#core.term,
      rejectedIndex,
      hintIndex,
      hintTerm: log.termAt(hintIndex),
    });
  }
}
