/**
 * Damaged entries: how a node gets them back from the others, and what it may conclude when they have nothing to give.
 * After Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST '18), section 3.4; docs/consensus.md,
 * "Damage", gives the rules and why they hold.
 *
 * A follower asks its leader first, then everybody; a node without a leader, and a leader, ask everybody. Any member may
 * answer: entries of one index and term are the same entry. Only a leader concludes from what others never had: it asks
 * in its own term, in which nobody else counts anybody's copies, and when a majority has said, in that term, that it holds
 * no such entry, then the entry was not committed and no earlier leader can commit it any more. `Raft` then ends this
 * leadership and drops the entry with all that follows it.
 */
import { rarely, sometimes } from '../base/rare.ts';
import type { Entry, Index, Term } from '../log/entry.ts';
import type { Core } from './core.ts';
import type { Message, NodeId } from './message.ts';
import { isQuorum } from './quorum.ts';

/** Entries that one request asks for. */
const ASKED_MAX = 256;
/** A question is repeated after this part of an election timeout. */
const RETRY_PART = 4;

/** For who operates the node. */
export interface MendingStatus {
  readonly damaged: number;
  /** The lowest damaged index. */
  readonly index: Index;
  /** Members that have not said yet, in this term, what they know of that entry. */
  readonly unheard: readonly NodeId[];
  /** Members that have it damaged as well, or have forgotten what they had. */
  readonly cannotSay: readonly NodeId[];
}

export class Mending {
  readonly #core: Core;
  /** When the next question is due. */
  #nextAskMs = Number.NEGATIVE_INFINITY;
  /** The lowest damaged entry at the last question. */
  #askedIndex: Index = 0;
  /** Questions since something was last mended: the first goes to the leader alone. */
  #asked = 0;
  /** What was said about the lowest damaged entry, in this term. */
  #index: Index = 0;
  #term: Term = 0;
  readonly #absent = new Set<NodeId>();
  readonly #cannotSay = new Set<NodeId>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** When `ask` has something to do; infinity: never. */
  get deadlineMs(): number {
    const { damagedCount, firstDamaged } = this.#core.log.damage;
    if (damagedCount === 0) return Number.POSITIVE_INFINITY;
    // One that was met since, in a log that may have been whole meanwhile, is asked for at once.
    return firstDamaged === this.#askedIndex ? this.#nextAskMs : Number.NEGATIVE_INFINITY;
  }

  /** Null: nothing is damaged. */
  get status(): MendingStatus | null {
    const { log, configuration, id: self } = this.#core;
    const { damagedCount, firstDamaged } = log.damage;
    if (damagedCount === 0) return null;
    this.#review();
    const unheard: NodeId[] = [];
    for (const { id } of configuration.members) {
      if (id !== self && !this.#absent.has(id) && !this.#cannotSay.has(id)) unheard.push(id);
    }
    return { damaged: damagedCount, index: firstDamaged, unheard, cannotSay: [...this.#cannotSay] };
  }

  /** @param leader Of this term, as far as it is known. */
  ask(leader: NodeId | null): void {
    const { log, nowMs, timing, configuration, id: self, term } = this.#core;
    this.#nextAskMs = nowMs + timing.electionTimeoutMs / RETRY_PART;
    const indices: Index[] = [];
    const terms: Term[] = [];
    const { damage } = log;
    let index = damage.firstDamaged;
    this.#askedIndex = index;
    while (index <= log.lastIndex && indices.length < ASKED_MAX) {
      indices.push(index);
      terms.push(log.termAt(index));
      index = damage.damagedFrom(index + 1);
    }
    if (indices.length === 0) return;
    const isFirst = this.#asked++ === 0;
    const message: Message = { type: 'mend-request', term, indices, terms };
    if (isFirst && leader !== null && leader !== self) this.#core.send(leader, message);
    else for (const { id } of configuration.members) if (id !== self) this.#core.send(id, message);
  }

  onRequest(from: NodeId, { indices, terms }: Message & { type: 'mend-request' }): void {
    const { log, flow, term, snapshots } = this.#core;
    const { damage } = log;
    const entries: Entry[] = [];
    const absent: Index[] = [];
    const cannotSay: Index[] = [];
    let bytes = 0;
    let isCompacted = false;
    for (const [at, index] of indices.entries()) {
      if (index < log.firstIndex) {
        isCompacted = true;
      } else if (index > log.lastIndex || log.termAt(index) !== terms[at]) {
        // Who has forgotten what it held must not say that it never did.
        (damage.isFenced ? cannotSay : absent).push(index);
      } else if (damage.isDamaged(index)) {
        cannotSay.push(index);
      } else if (bytes < flow.appendBytesMax) {
        const [entry] = log.entries(index, index + 1, Number.POSITIVE_INFINITY);
        // It has turned out to be damaged here as well.
        if (entry === undefined) {
          cannotSay.push(index);
          continue;
        }
        entries.push(entry);
        bytes += entry.payload.length;
      }
    }
    const snapshotIndex = isCompacted ? snapshots.index : 0;
    this.#core.send(from, {
      type: 'mend-reply',
      term,
      entries,
      absent,
      cannotSay,
      snapshotIndex,
      snapshotTerm: isCompacted ? log.termAt(snapshotIndex) : 0,
    });
  }

  /**
   * @returns the index from which on the log is to be dropped; null: nothing can be concluded.
   * @param isLeader Of this term: only then something is concluded.
   */
  onReply(
    from: NodeId,
    message: Message & { type: 'mend-reply' },
    role: 'leads' | 'does-not-lead',
  ): Index | null {
    const { log, output } = this.#core;
    const { damage } = log;
    for (const entry of message.entries) {
      const { index, term } = entry;
      if (!damage.isDamaged(index) || log.termAt(index) !== term) continue;
      sometimes('a damaged entry is given by another node');
      if (role === 'leads') rarely('a leader mends its log before it serves');
      damage.mend(entry);
    }
    const { firstDamaged } = damage;
    const { snapshotIndex: index, snapshotTerm: term } = message;
    if (index >= firstDamaged) {
      rarely('a damaged entry was compacted elsewhere: its effects are fetched');
      output.snapshot = { from, index, term };
    }
    this.#review();
    if (message.cannotSay.includes(firstDamaged)) this.#cannotSay.add(from);
    if (message.absent.includes(firstDamaged)) this.#absent.add(from);
    return role === 'leads' && this.#wasNeverCommitted ? firstDamaged : null;
  }

  /** Something was mended: what is left is asked for at once. */
  onMended(): void {
    this.#asked = 0;
    this.#nextAskMs = Number.NEGATIVE_INFINITY;
  }

  /** What was said holds for one entry and one term. */
  #review(): void {
    const { log, term } = this.#core;
    const { firstDamaged } = log.damage;
    if (firstDamaged === this.#index && term === this.#term) return;
    this.#index = firstDamaged;
    this.#term = term;
    this.#absent.clear();
    this.#cannotSay.clear();
  }

  /** In each configuration that may be in force a majority, which this node is no part of, never had the entry. */
  get #wasNeverCommitted(): boolean {
    const { configurations, id: self } = this.#core;
    return configurations.every((configuration) =>
      isQuorum(configuration, (id) => id !== self && this.#absent.has(id)),
    );
  }
}
