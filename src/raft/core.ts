/**
 * What all roles of a Raft node share: identity, term and vote, log, commit index, clock and the output of the turn.
 * Roles change it only through its methods, so the rules that hold in every role stand here, once.
 */
import { assert } from '../base/assert.ts';
import { maybe } from '../base/rare.ts';
import type { Random } from '../io/random.ts';
import { type Entry, EntryKind, type Index, type Term } from '../log/entry.ts';
import { type Configuration, decodeConfiguration, foundingConfiguration, isVoter } from './configuration.ts';
import type { FlowLimits } from './flow.ts';
import { Memberships } from './memberships.ts';
import type { Message, NodeId } from './message.ts';
import type { Output } from './output.ts';
import type { RaftLog } from './raft_log.ts';

export interface RaftTiming {
  /** How often a leader shows that it is there. */
  readonly heartbeatMs: number;
  /**
   * A follower that heard nothing for this long, or up to twice as long (drawn anew each time), campaigns. Several
   * heartbeats long, or one lost message costs an election.
   */
  readonly electionTimeoutMs: number;
}

/**
 * A leader whose process ends is replaced within half a second: an election timeout after it was heard last, and what the
 * election takes. One that falls silent otherwise, within twice as long.
 */
export const DEFAULT_TIMING: RaftTiming = { heartbeatMs: 50, electionTimeoutMs: 400 };

/**
 * A bound that holds for most clocks by far: one per cent. A lease is as safe as this bound: it must be `null` (no
 * leases) where a clock may run slower or faster, or stand still while the process runs.
 */
export const DEFAULT_CLOCK_DRIFT_PPM_MAX = 10_000;

export interface CoreOptions {
  readonly id: NodeId;
  /** Who votes as long as no configuration says more; none: this node waits to be told. */
  readonly voters: readonly NodeId[];
  /** As of `appliedIndex`, if the group has changed by then: what the log holds behind it counts on top. */
  readonly configuration?: Configuration | null;
  readonly log: RaftLog;
  readonly random: Random;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** By how many millionths a node's monotonic clock may be faster or slower than true time; null: no bound is trusted. */
  readonly clockDriftPpmMax: number | null;
  /** The latest index of which a snapshot can be given; at least `log.firstIndex - 1`. */
  readonly snapshots: { readonly index: Index };
}

/** Parts of an election timeout: see `drawStepsMs`. */
const STEP_PART = 8;
const STEP_JITTER_PART = 32;
/** Payload bytes read at a time when the log is looked through at the start. */
const READ_BYTES_MAX = 1024 * 1024;

export class Core {
  readonly id: NodeId;
  readonly log: RaftLog;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** For how long after a heartbeat was sent a leader may rely on its answer; null: not at all. */
  readonly leaseMs: number | null;
  readonly random: Random;
  readonly snapshots: { readonly index: Index };
  readonly #founders: Configuration;
  #memberships: Memberships;
  /** A damaged entry may hold one: who belongs to the group is not known until it is mended. */
  #lacksConfigurations = false;

  /** Never falls. Durable before a message of this term leaves. */
  term: Term;
  /** Whom this node voted for in `term`; set at most once a term. */
  vote: NodeId | null;
  /** Highest index known to be committed; never falls, never above `log.lastIndex`. */
  commitIndex: Index;
  /** Monotonic time of the step under way. */
  nowMs = 0;
  /**
   * When a leader was last heard, of whatever term. For an election timeout from then on this node gives no vote
   * (thesis, section 4.2.3), whatever becomes of its role and term meanwhile: leases rest on it.
   */
  heardLeaderAtMs = Number.NEGATIVE_INFINITY;
  output: Output = emptyOutput();

  constructor(options: CoreOptions, term: Term, vote: NodeId | null, commitIndex: Index) {
    assert(commitIndex <= options.log.lastIndex, 'what is committed is in the log', { commitIndex });
    this.id = options.id;
    this.log = options.log;
    this.random = options.random;
    this.snapshots = options.snapshots;
    this.timing = options.timing;
    this.flow = options.flow;
    this.leaseMs = leaseMs(options);
    this.term = term;
    this.vote = vote;
    this.commitIndex = commitIndex;
    this.#founders = foundersOf(options.voters);
    this.#memberships = new Memberships(options.configuration ?? this.#founders, commitIndex);
    this.#readConfigurations();
  }

  /** In force: the latest that the log holds, committed or not. */
  get configuration(): Configuration {
    return this.#memberships.current;
  }

  /** Of the entry that holds it. */
  get configurationIndex(): Index {
    return this.#memberships.currentIndex;
  }

  /** The configuration that is known to be committed, and those that follow it. */
  get configurations(): readonly Configuration[] {
    return this.#memberships.all;
  }

  /**
   * A node that the latest configuration leaves out campaigns as long as that is not known to be committed: those that
   * do not hold it yet may need the only log that is complete (thesis, section 4.2.2).
   */
  get mayCampaign(): boolean {
    // Who has forgotten entries leads nobody, and who can't tell the members counts no votes.
    return this.#memberships.mayVote(this.id) && !this.log.damage.isFenced && !this.#lacksConfigurations;
  }

  /** At the end of the log, or over a suffix that another leader contradicts. @throws EnvelopeError `FORMAT` */
  append(entry: Entry): void {
    const configuration = entry.kind === EntryKind.Configuration ? decodeConfiguration(entry.payload) : null;
    const replaces = entry.index <= this.log.lastIndex;
    this.#memberships.truncate(entry.index);
    this.log.append(entry);
    if (configuration !== null) this.#memberships.add(entry.index, configuration);
    // What was damaged may be among what is replaced.
    if (replaces) this.onMended();
  }

  send(to: NodeId, message: Message): void {
    this.output.messages.push({ to, message });
  }

  /** All voters of both halves of the configuration but this node. */
  askVoters(message: Message): void {
    const { configuration } = this;
    for (const { id } of configuration.members) {
      if (id !== this.id && isVoter(configuration, id)) this.send(id, message);
    }
  }

  takeOutput(): Output {
    const output = this.output;
    this.output = emptyOutput();
    return output;
  }

  /** Enters a later term, in which this node has not voted. */
  enterTerm(term: Term): void {
    assert(term > this.term, 'terms only rise', { from: this.term, to: term });
    this.term = term;
    this.vote = null;
    this.#persist();
  }

  voteFor(candidate: NodeId): void {
    assert(this.vote === null || this.vote === candidate, 'one vote a term', {
      term: this.term,
      vote: this.vote,
    });
    if (this.vote === candidate) return;
    this.vote = candidate;
    this.#persist();
  }

  /** A leader was heard within an election timeout: candidates are not heard out. */
  get isSticky(): boolean {
    return this.nowMs - this.heardLeaderAtMs < this.timing.electionTimeoutMs;
  }

  /** Section 5.4.1: only a log that is at least as complete as ours may lead us. */
  isUpToDate(lastIndex: Index, lastTerm: Term): boolean {
    const { isFenced, fenceTerm } = this.log.damage;
    // What this node has forgotten may have been as new as that.
    if (isFenced && lastTerm <= fenceTerm) return false;
    const ownTerm = this.log.lastTerm;
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.log.lastIndex);
  }

  /** Drops what the log holds from `index` on, which is not and will not be committed. */
  discard(index: Index): void {
    assert(index > this.commitIndex, 'what is committed is never dropped', {
      index,
      commit: this.commitIndex,
    });
    this.#memberships.truncate(index);
    this.log.damage.discard(index);
  }

  /** Damaged entries can be read again: one of them may hold a configuration. */
  onMended(): void {
    if (!this.#lacksConfigurations || this.#isConfigurationDamaged) return;
    this.#memberships.truncate(this.#memberships.firstIndex + 1);
    this.#readConfigurations();
    this.#memberships.onCommit(this.commitIndex);
  }

  advanceCommit(index: Index): void {
    if (index <= this.commitIndex) return;
    assert(index <= this.log.lastIndex, 'what is committed is in the log', {
      index,
      last: this.log.lastIndex,
    });
    this.commitIndex = index;
    this.#memberships.onCommit(index);
  }

  /**
   * The state up to `index` was installed from a snapshot of what is committed. The log keeps what follows only if it
   * holds that very entry; otherwise nothing of it can be known to follow.
   *
   * @param configuration As of `index`; null: the group is as it was founded.
   */
  restore(index: Index, term: Term, configuration: Configuration | null): void {
    assert(index > this.commitIndex, 'a snapshot is only installed over an older state', {
      index,
      commit: this.commitIndex,
    });
    const holdsEntry = index <= this.log.lastIndex && this.log.termAt(index) === term;
    if (!holdsEntry) {
      this.log.reset(index, term);
      this.#memberships = new Memberships(configuration ?? this.#founders, index);
    }
    this.commitIndex = index;
    this.#memberships.onCommit(index);
  }

  /** See `Memberships.learn`. */
  learn(configuration: Configuration): void {
    this.#memberships.learn(configuration);
  }

  /**
   * How long those wait who are to act one after the other: such a part of an election timeout for each that comes before,
   * and a small part of one for chance.
   */
  drawStepsMs(steps: number): number {
    const timeout = this.timing.electionTimeoutMs;
    return (steps * timeout) / STEP_PART + this.random.below(Math.ceil(timeout / STEP_JITTER_PART));
  }

  /** A new, randomised moment at which silence becomes an election. */
  drawElectionDeadline(): number {
    const timeout = this.timing.electionTimeoutMs;
    // Split votes, that randomised timeouts make rare.
    if (maybe('equal-election-timeout')) return this.nowMs + timeout;
    return this.nowMs + timeout + this.random.below(timeout);
  }

  /** What the log holds behind the first configuration that is known, as far as it can be read. */
  #readConfigurations(): void {
    const { log } = this;
    this.#lacksConfigurations = false;
    for (let from = Math.max(this.#memberships.firstIndex + 1, log.firstIndex); from <= log.lastIndex; ) {
      if (log.damage.isDamaged(from)) {
        this.#lacksConfigurations ||= log.damage.mayBeConfiguration(from);
        from++;
        continue;
      }
      const end = Math.min(log.lastIndex + 1, log.damage.damagedFrom(from));
      const entries = log.entries(from, end, READ_BYTES_MAX);
      for (const { index, kind, payload } of entries) {
        if (kind === EntryKind.Configuration) this.#memberships.add(index, decodeConfiguration(payload));
      }
      from += entries.length;
    }
  }

  get #isConfigurationDamaged(): boolean {
    const { damage, lastIndex } = this.log;
    let index = damage.damagedFrom(this.#memberships.firstIndex + 1);
    while (index <= lastIndex && !damage.mayBeConfiguration(index)) index = damage.damagedFrom(index + 1);
    return index <= lastIndex;
  }

  #persist(): void {
    this.output.hardState = { term: this.term, vote: this.vote };
  }
}

/**
 * A follower's promise lasts an election timeout by its clock, so at least `timeout / (1 + drift)` of true time; a time
 * by the leader's clock takes at most `1 / (1 - drift)` of it.
 */
function leaseMs({ clockDriftPpmMax, timing }: CoreOptions): number | null {
  if (clockDriftPpmMax === null) return null;
  const drift = clockDriftPpmMax / 1_000_000;
  return Math.floor((timing.electionTimeoutMs * (1 - drift)) / (1 + drift));
}

/** Their addresses are known to those that are given them. */
function foundersOf(voters: readonly NodeId[]): Configuration {
  return foundingConfiguration(voters.map((id) => ({ id, address: '', identity: 0 })));
}

function emptyOutput(): Output {
  return { hardState: null, messages: [], reads: [], snapshot: null, isUnfinished: false };
}
