/**
 * One question to all members: what have you done in this window? By the answers a replica finds out about itself, and
 * about nobody else, on which side it is.
 *
 * It is the odd one out when, in every configuration that may be in force, a majority of the voters has one digest and
 * this replica has another. Two that differ cannot tell who is right, and neither can three that all differ: then nothing
 * is concluded.
 */
import type { Index } from '../log/entry.ts';
import type { Configuration } from '../raft/configuration.ts';
import type { NodeId } from '../raft/message.ts';
import { isQuorum } from '../raft/quorum.ts';

export type PollVerdict =
  /** `digest`: of the majority; `agreeing`: who has it, ascending. */
  | { readonly type: 'odd-one-out'; readonly digest: number; readonly agreeing: readonly NodeId[] }
  | { readonly type: 'with-the-majority' }
  /** Everybody has answered, and no majority agrees. */
  | { readonly type: 'undecided' }
  /** More answers are needed. */
  | { readonly type: 'open' };

export class DigestPoll {
  readonly index: Index;
  /** This replica's. */
  readonly digest: number;
  readonly #self: NodeId;
  readonly #answers = new Map<NodeId, number>();
  /** When the next question is due, and how many there were. */
  nextAskMs = Number.NEGATIVE_INFINITY;
  asked = 0;

  constructor(self: NodeId, index: Index, digest: number) {
    this.#self = self;
    this.index = index;
    this.digest = digest;
  }

  note(from: NodeId, digest: number): void {
    if (from !== this.#self) this.#answers.set(from, digest);
  }

  hasAnswered(id: NodeId): boolean {
    return this.#answers.has(id);
  }

  /** @param configurations All that may be in force. O(members squared), of which there are a handful. */
  verdict(configurations: readonly Configuration[]): PollVerdict {
    const agrees = (digest: number): boolean =>
      configurations.every((configuration) => isQuorum(configuration, (id) => this.#digestOf(id) === digest));
    for (const digest of this.#answers.values()) {
      if (digest === this.digest || !agrees(digest)) continue;
      const agreeing = [...this.#answers.keys()].filter((id) => this.#digestOf(id) === digest);
      return { type: 'odd-one-out', digest, agreeing: agreeing.sort((a, b) => a - b) };
    }
    if (agrees(this.digest)) return { type: 'with-the-majority' };
    const hasAll = configurations.every(({ voters, outgoing }) =>
      [...voters, ...outgoing].every((id) => this.#digestOf(id) !== undefined),
    );
    return { type: hasAll ? 'undecided' : 'open' };
  }

  #digestOf(id: NodeId): number | undefined {
    return id === this.#self ? this.digest : this.#answers.get(id);
  }
}
