/**
 * Raft's safety properties (thesis, figure 3.2), checked after every event against what all nodes have ever shown:
 *
 * - election safety: a term has at most one leader;
 * - log matching: two logs that hold the same term at an index hold the same entry there and before;
 * - leader completeness: a leader's log holds every entry committed before its term;
 * - state machine safety: no two nodes have different entries committed (or applied) at an index;
 * - what the first three rest on, in each half of a joint configuration: a leader has durable votes of a majority, an
 *   entry is committed by a leader and held durably by a majority, and a node applies only what its log or its
 *   tables hold durably;
 * - a node goes by the last configuration in its log, or by the last one before it;
 * - a configuration is appended only when the one before it is committed, and gives nobody a number that was given before;
 * - a leader that goes by its lease is alone: nobody leads a later term;
 * - a restart finds all that was durable before, or does not come about;
 * - no write is proposed again that may have taken effect (`write_ledger.ts`);
 * - and of each node: term, commit index and what is applied never fall, a vote is not changed within a term, while it
 *   lives; nothing is applied that isn't committed.
 *
 * The work is incremental: a node is looked at only where it has changed, so a step costs a few comparisons.
 */
import { CorruptionError, DiskError } from '../src/base/errors.ts';
import { equalBytes } from '../src/codec/bytes.ts';
import { crc32 } from '../src/codec/crc32.ts';
import { type Entry, EntryKind } from '../src/log/entry.ts';
import type { GroupLog } from '../src/log/group_log.ts';
import type { Store } from '../src/lsm/store.ts';
import { type Configuration, decodeConfiguration, encodeConfiguration } from '../src/raft/configuration.ts';
import type { HardStateFile } from '../src/replica/hard_state_file.ts';
import type { Replica } from '../src/replica/replica.ts';
import { WriteLedger } from './write_ledger.ts';

export class InvariantViolation extends Error {
  readonly invariant: string;

  constructor(invariant: string, details: Readonly<Record<string, unknown>>) {
    super(`${invariant} violated: ${JSON.stringify(details)}`);
    this.name = 'InvariantViolation';
    this.invariant = invariant;
  }
}

/** What is looked at of a node, or of what stands for one. */
export interface FollowedNode {
  readonly replica: Pick<Replica, 'raft' | 'appliedIndex'> &
    Partial<Pick<Replica, 'isStopped' | 'isInstalling'>>;
  readonly groupLog: Pick<
    GroupLog,
    'firstIndex' | 'lastIndex' | 'lastTerm' | 'durableIndex' | 'termAt' | 'entry' | 'damage'
  >;
  readonly hardState: Pick<HardStateFile, 'durable'>;
  /** Left out: it has no tables. */
  readonly store?: Pick<Store, 'flushedIndex'>;
}

/** An entry as far as it must be the same everywhere. */
interface EntryMark {
  readonly prevTerm: number;
  readonly checksum: number;
}

/** A configuration, and the entry that says so. */
interface KnownConfiguration {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

/** What was last seen of one node. */
class Shadow {
  subject: FollowedNode | null = null;
  term = 0;
  vote: number | null = null;
  commitIndex = 0;
  appliedIndex = 0;
  isLeader = false;
  /** Terms of the node's log by index; position 0 is unused. */
  readonly terms: number[] = [0];
  /** The log begins behind it. */
  base = 0;
  durableIndex = 0;
  /** Durable, as the node itself says. */
  durableTerm = 0;
  durableVote: number | null = null;
  /** The one it goes by, and the one that it should. */
  configuration: Configuration | null = null;
  expected: KnownConfiguration | null = null;
}

export class Invariants {
  readonly #shadows: Shadow[];
  readonly #leaders = new Map<number, number>();
  /** By index, then by term. */
  readonly #entries: Map<number, EntryMark>[] = [new Map()];
  /** Terms of the committed entries by index; position 0 is unused. */
  readonly #committed: number[] = [0];
  /** The term in which each was first seen to be committed: not before its own. */
  readonly #committedIn: number[] = [0];
  /** Virtual time, in microseconds, at which each was first seen to be committed. */
  readonly #committedAtUs: number[] = [0];
  readonly #writes = new WriteLedger();
  /** All that any log has shown, by ascending index. */
  readonly #configurations: KnownConfiguration[] = [];
  /** The highest term that has had a leader. */
  #latestTerm = 0;
  elections = 0;
  /** What a node's clock shows, in milliseconds; null: the node is not running. */
  monotonicMsOf: (id: number) => number | null = () => null;
  nowUs: () => number = () => 0;
  /** A node has become leader. */
  onElection: (id: number) => void = () => {};
  /** A node's disk may hold what it should not. */
  mayBeDamaged: (id: number) => boolean = () => false;
  /** A node has given its vote. */
  onVote: (id: number) => void = () => {};
  /** A configuration is committed, by this leader. */
  onConfiguration: (configuration: Configuration, leader: number) => void = () => {};

  constructor(nodes: number) {
    this.#shadows = Array.from({ length: nodes }, () => new Shadow());
  }

  get commitIndex(): number {
    return this.#committed.length - 1;
  }

  /** The first committed entry that holds the write of a value; null: none does, so far. */
  committedIndexOf(bucket: string, key: string, value: string): number | null {
    let first: number | null = null;
    for (const { index, term } of this.#writes.placesOf(bucket, key, value)) {
      if (this.#committed[index] === term && (first === null || index < first)) first = index;
    }
    return first;
  }

  /** Behind what is committed, in the log of one of these nodes as it was last seen. */
  pendingConfigurations(isHolder: (id: number) => boolean): Configuration[] {
    const pending = this.#configurations.filter(
      ({ index, term }) =>
        index > this.commitIndex &&
        this.#shadows.some(({ terms }, at) => terms[index] === term && isHolder(at + 1)),
    );
    return pending.map(({ configuration }) => configuration);
  }

  /** The write of a value stands in an entry behind all that is committed. */
  mayYetCommit(bucket: string, key: string, value: string): boolean {
    return this.#writes.placesOf(bucket, key, value).some(({ index }) => index > this.commitIndex);
  }

  /**
   * When the write of a value was committed, in microseconds of virtual time; null: it has not been. For good, once no node can be
   * holding it back any more.
   */
  committedAtUs(bucket: string, key: string, value: string): number | null {
    const index = this.committedIndexOf(bucket, key, value);
    return index === null ? null : (this.#committedAtUs[index] ?? null);
  }

  /** @param id From 1. */
  check(id: number, subject: FollowedNode): void {
    const shadow = this.#shadows[id - 1];
    const { raft } = subject.replica;
    const isNew = shadow.subject !== subject;
    if (isNew) this.#onRestart(id, shadow, subject);
    const { term, vote, role, commitIndex } = raft;
    // It may have led when it did what is seen now, earlier in this event.
    const mayHaveLed = role === 'leader' || shadow.isLeader;
    const isOfTerm = term === shadow.term;
    if (term !== shadow.term || vote !== shadow.vote) {
      if (term < shadow.term) fail('terms only rise', { id, from: shadow.term, to: term });
      if (term === shadow.term && shadow.vote !== null) {
        fail('one vote a term', { id, term, first: shadow.vote, second: vote });
      }
      const hasVoted = !isNew && vote !== null && (term > shadow.term || shadow.vote === null);
      shadow.term = term;
      shadow.vote = vote;
      if (hasVoted) this.onVote(id);
    }
    // Whoever leads may have appended the next one since, in the same event.
    const inForce = [shadow.configuration ?? raft.configuration, raft.configuration];
    this.#checkLog(id, shadow, subject.groupLog);
    this.#checkConfiguration(id, shadow, subject);
    const { durable } = subject.hardState;
    shadow.durableIndex = subject.groupLog.durableIndex;
    shadow.durableTerm = durable.term;
    shadow.durableVote = durable.vote;
    if (commitIndex > this.commitIndex && !mayHaveLed)
      fail('only a leader commits', { id, commitIndex, term });
    if (commitIndex > this.commitIndex && isOfTerm && subject.groupLog.termAt(commitIndex) !== term)
      fail('entries of earlier terms are committed by one of this term', { id, commitIndex, term });
    if (commitIndex !== shadow.commitIndex) this.#checkCommit(id, subject, commitIndex, inForce);
    shadow.isLeader = role === 'leader';
    if (role === 'leader' && this.#leaders.get(term) !== id) this.#checkLeader(id, term, subject, inForce);
    const { appliedIndex: applied, isStopped = false, isInstalling = false } = subject.replica;
    // A snapshot whose tables become durable while its node stops is installed, and nobody is told any more; nor is
    // consensus told of one that is installed once more since the group cannot be read of it.
    if (applied > commitIndex && !isStopped && !isInstalling)
      fail('only committed entries are applied', { id, applied, commitIndex });
    if (applied < shadow.appliedIndex) {
      fail('what is applied stays so', { id, from: shadow.appliedIndex, to: applied });
    }
    shadow.appliedIndex = applied;
    // A snapshot is installed as durable tables; the log may be behind them for a while.
    const keptIndex = Math.max(shadow.durableIndex, subject.store?.flushedIndex ?? 0);
    if (applied > keptIndex && !this.mayBeDamaged(id)) {
      fail('only durable entries are applied', { id, applied, durableIndex: shadow.durableIndex });
    }
    if (term < this.#latestTerm && role === 'leader') this.#checkLease(id);
  }

  #onRestart(id: number, shadow: Shadow, subject: FollowedNode): void {
    this.#checkKept(id, shadow, subject);
    shadow.subject = subject;
    shadow.commitIndex = 0;
    shadow.appliedIndex = 0;
    shadow.isLeader = false;
    shadow.vote = null;
    // Terms below the last seen are possible after a crash: what was not durable yet was not shown to anybody.
    shadow.term = 0;
    shadow.terms.length = 1;
    shadow.base = 0;
  }

  #checkKept(id: number, shadow: Shadow, { groupLog, hardState }: FollowedNode): void {
    const { durableIndex, durableTerm, durableVote } = shadow;
    const { term, vote } = hardState.durable;
    if (term < durableTerm || (term === durableTerm && durableVote !== null && vote !== durableVote)) {
      fail('term and vote are kept', { id, durableTerm, durableVote, term, vote });
    }
    // It knows that it has forgotten what it held, and neither votes nor is counted as if it had not.
    if (groupLog.damage.isFenced && this.mayBeDamaged(id)) return;
    const { firstIndex, lastIndex } = groupLog;
    // A start may go on with the installation of a snapshot, in place of an entry that never came to be committed: then
    // nothing that followed that one did, either (log matching).
    const base = firstIndex - 1;
    const replaced = this.#committed[base];
    if (base <= durableIndex && replaced !== undefined && replaced !== shadow.terms[base]) return;
    for (let index = firstIndex; index <= durableIndex; index++) {
      const found = index <= lastIndex ? groupLog.termAt(index) : null;
      const before = shadow.terms[index];
      if (found !== before) fail('durable entries are kept', { id, index, term: before, found, lastIndex });
    }
  }

  #checkLog(id: number, shadow: Shadow, log: FollowedNode['groupLog']): void {
    const { terms } = shadow;
    const last = log.lastIndex;
    const base = log.firstIndex - 1;
    // What the log does not hold any more is committed, whatever stood there before a snapshot.
    for (let index = shadow.base + 1; index <= base; index++)
      terms[index] = this.#committed[index] ?? log.termAt(base);
    shadow.base = base;
    let from = Math.min(last, terms.length - 1);
    if (from === last && terms.length - 1 === last && terms[last] === log.lastTerm) return;
    while (from > base && terms[from] !== log.termAt(from)) from--;
    terms.length = from + 1;
    terms[from] = log.termAt(from);
    for (let index = from + 1; index <= last; index++) {
      const entry = this.#read(id, log, index);
      if (entry !== null) {
        this.#checkEntry(id, entry, { prevTerm: terms[index - 1], checksum: crc32(entry.payload) });
      }
      terms.push(log.termAt(index));
    }
  }

  /** Null when it is damaged, on a node where that may be. */
  #read(id: number, log: FollowedNode['groupLog'], index: number): Entry | null {
    try {
      return log.entry(index);
    } catch (error) {
      if (this.mayBeDamaged(id) && (error instanceof CorruptionError || error instanceof DiskError))
        return null;
      throw error;
    }
  }

  #checkEntry(id: number, entry: Entry, mark: EntryMark): void {
    const { index, term } = entry;
    while (this.#entries.length <= index) this.#entries.push(new Map());
    const known = this.#entries[index].get(term);
    if (known === undefined) {
      this.#entries[index].set(term, mark);
      if (entry.kind === EntryKind.Command) this.#checkWrite(id, entry);
      else if (entry.kind === EntryKind.Configuration) this.#onConfigurationEntry(id, entry);
    } else if (known.checksum !== mark.checksum || known.prevTerm !== mark.prevTerm) {
      fail('log matching', { id, index, term, known, found: mark });
    }
  }

  #checkWrite(id: number, { index, term, payload }: Entry): void {
    const problem = this.#writes.onEntry(index, term, payload, this.#committedTermAt);
    if (problem !== null) fail('each write is proposed once', { id, problem });
  }

  /** It stands in a log for the first time. */
  #onConfigurationEntry(id: number, { index, term, payload }: Entry): void {
    const configuration = decodeConfiguration(payload);
    const { subject, terms } = this.#shadows[id - 1];
    const before = this.#configurationIn(terms, index - 1);
    if (before !== null && subject !== null) {
      const { role, term: current, commitIndex } = subject.replica.raft;
      // Who has started anew since it appended this does not know any more what was committed then.
      const isByLeader = role === 'leader' && current === term;
      if (isByLeader && before.index > commitIndex)
        fail('one configuration is changed at a time', { id, index, before: before.index, commitIndex });
      this.#checkNumbers(id, before.configuration, configuration);
    }
    this.#noteConfiguration(index, term, configuration);
  }

  #checkNumbers(id: number, before: Configuration, after: Configuration): void {
    const { lastId } = before;
    const isNew = (node: number): boolean => before.members.every((member) => member.id !== node);
    const again = after.members.filter((member) => member.id <= lastId && isNew(member.id));
    if (again.length > 0 || after.lastId < lastId)
      fail('no number is given twice', { id, lastId, again, after: after.lastId });
  }

  #noteConfiguration(index: number, term: number, configuration: Configuration): void {
    const after = this.#configurations.findIndex((known) => known.index > index);
    const at = after < 0 ? this.#configurations.length : after;
    this.#configurations.splice(at, 0, { index, term, configuration });
  }

  #checkConfiguration(id: number, shadow: Shadow, { replica, groupLog }: FollowedNode): void {
    const expected = this.#configurationIn(shadow.terms, groupLog.lastIndex);
    const { configuration } = replica.raft;
    if (configuration === shadow.configuration && expected === shadow.expected) return;
    shadow.configuration = configuration;
    shadow.expected = expected;
    if (expected === null || sameConfiguration(configuration, expected.configuration)) return;
    if (this.mayBeDamaged(id)) return;
    const { index, configuration: said } = expected;
    fail('a node goes by the last configuration of its log', { id, index, said, found: configuration });
  }

  /** Null: the founders'. */
  #configurationIn(terms: readonly number[], lastIndex: number): KnownConfiguration | null {
    for (let at = this.#configurations.length - 1; at >= 0; at--) {
      const known = this.#configurations[at];
      if (known.index <= lastIndex && terms[known.index] === known.term) return known;
    }
    return null;
  }

  readonly #committedTermAt = (index: number): number | null => this.#committed[index] ?? null;

  #checkCommit(
    id: number,
    subject: FollowedNode,
    commitIndex: number,
    inForce: readonly Configuration[],
  ): void {
    const shadow = this.#shadows[id - 1];
    if (commitIndex < shadow.commitIndex) {
      fail('the commit index only rises', { id, from: shadow.commitIndex, to: commitIndex });
    }
    const first = Math.max(shadow.commitIndex + 1, subject.groupLog.firstIndex - 1, 1);
    for (let index = first; index <= commitIndex; index++) {
      const term = subject.groupLog.termAt(index);
      if (index >= this.#committed.length) {
        this.#checkQuorum(id, index, term, inForce);
        this.#committed.push(term);
        this.#committedIn.push(subject.replica.raft.term);
        this.#committedAtUs.push(this.nowUs());
        this.#tellConfiguration(id, index, term);
      } else if (this.#committed[index] !== term) {
        fail('state machine safety', { id, index, term, committedTerm: this.#committed[index] });
      }
    }
    shadow.commitIndex = commitIndex;
  }

  #tellConfiguration(id: number, index: number, term: number): void {
    const known = this.#configurations.find((one) => one.index === index && one.term === term);
    if (known !== undefined) this.onConfiguration(known.configuration, id);
  }

  /** An entry is committed for the first time: a majority must not be able to lose it any more. */
  #checkQuorum(id: number, index: number, term: number, inForce: readonly Configuration[]): void {
    const has = (voter: number): boolean => this.#holds(voter, index, term);
    if (inForce.some((configuration) => isMajority(configuration, has))) return;
    const { voters, outgoing } = inForce[0];
    fail('what is committed is durable on a majority', {
      id,
      index,
      term,
      voters,
      outgoing,
      copies: [...new Set([...voters, ...outgoing])].filter(has),
    });
  }

  #holds(id: number, index: number, term: number): boolean {
    const { durableIndex, terms } = this.#shadows[id - 1];
    return (durableIndex >= index && terms[index] === term) || this.mayBeDamaged(id);
  }

  #checkVotes(id: number, term: number, inForce: readonly Configuration[]): void {
    const has = (voter: number): boolean => this.#mayHaveVoted(voter, term, id);
    if (inForce.some((configuration) => isMajority(configuration, has))) return;
    const { voters, outgoing } = inForce[0];
    fail('a leader has durable votes of a majority', {
      id,
      term,
      voters,
      outgoing,
      votes: [...new Set([...voters, ...outgoing])].filter(has),
    });
  }

  #mayHaveVoted(id: number, term: number, candidate: number): boolean {
    const { durableTerm, durableVote } = this.#shadows[id - 1];
    // Who has gone on to a later term may have voted in this one.
    return (durableTerm === term && durableVote === candidate) || durableTerm > term || this.mayBeDamaged(id);
  }

  #checkLease(id: number): void {
    const nowMs = this.monotonicMsOf(id);
    const raft = this.#shadows[id - 1].subject?.replica.raft;
    if (nowMs === null || raft === undefined || raft.term >= this.#latestTerm || !raft.holdsLeaseAt(nowMs))
      return;
    fail('who holds a lease is the only leader', { id, term: raft.term, laterTerm: this.#latestTerm });
  }

  #checkLeader(
    id: number,
    term: number,
    { groupLog: log }: FollowedNode,
    inForce: readonly Configuration[],
  ): void {
    const other = this.#leaders.get(term);
    if (other !== undefined) fail('election safety', { term, leaders: [other, id] });
    this.elections++;
    this.#leaders.set(term, id);
    this.#latestTerm = Math.max(this.#latestTerm, term);
    this.#checkVotes(id, term, inForce);
    for (let node = 1; node <= this.#shadows.length; node++) this.#checkLease(node);
    for (let index = Math.max(1, log.firstIndex - 1); index < this.#committed.length; index++) {
      // Only what was committed in earlier terms: an election may end late, when a later leader has committed more.
      if (this.#committedIn[index] >= term) continue;
      if (index > log.lastIndex || log.termAt(index) !== this.#committed[index]) {
        fail('leader completeness', { id, term, index, committedTerm: this.#committed[index] });
      }
    }
    this.onElection(id);
  }
}

/** Of each half. */
function isMajority({ voters, outgoing }: Configuration, has: (voter: number) => boolean): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || 2 * half.filter(has).length > half.length);
}

function sameConfiguration(a: Configuration, b: Configuration): boolean {
  return equalBytes(encodeConfiguration(a), encodeConfiguration(b));
}

function fail(invariant: string, details: Readonly<Record<string, unknown>>): never {
  throw new InvariantViolation(invariant, details);
}
