/**
 * The campaigning role. A campaign first asks whether it could win (pre-vote: changes no term anywhere, so a node
 * that was cut off does not disturb the others when it returns), then asks for the votes themselves.
 */
import { sometimes } from '../base/rare.ts';
import type { Core } from './core.ts';
import type { NodeId } from './message.ts';
import { isQuorum } from './quorum.ts';

export type Ballot = 'won' | 'lost' | 'open';

/** Why a node campaigns: it has not heard a leader for an election timeout, or its leader asked it to. */
export type Occasion = 'silence' | 'transfer';

export class Candidate {
  readonly role = 'candidate';
  readonly phase: 'pre-vote' | 'vote';
  readonly electionDeadlineMs: number;
  /**
   * How often it may ask again soon when it does not get its pre-vote. One that has lost the connection to its leader is
   * refused by another that heard the leader a little later, and cannot be elected itself maybe, its log being shorter:
   * they would wait for an election timeout, and more, for what is granted in a moment.
   */
  readonly asksLeft: number;
  readonly #core: Core;
  readonly #ballots = new Map<NodeId, boolean>();

  /** In phase `vote` the core has already entered the new term. */
  constructor(core: Core, phase: 'pre-vote' | 'vote', occasion: Occasion, asksLeft: number) {
    this.#core = core;
    this.phase = phase;
    this.asksLeft = asksLeft;
    if (asksLeft > 0) sometimes('a candidate that lost its leader may ask again soon');
    this.electionDeadlineMs = asksLeft > 0 ? core.nowMs + core.drawStepsMs(1) : core.drawElectionDeadline();
    // Its own vote counts when it is durable, as any other: see `onOwnVoteDurable`.
    if (phase === 'vote') core.voteFor(core.id);
    else this.#ballots.set(core.id, true);
    const { lastIndex, lastTerm } = core.log;
    if (phase === 'pre-vote') core.askVoters({ type: 'pre-vote', term: core.term + 1, lastIndex, lastTerm });
    else
      core.askVoters({
        type: 'vote',
        term: core.term,
        lastIndex,
        lastTerm,
        transfer: occasion === 'transfer',
      });
  }

  /** Without this, a group of one would lead in a term that a crash may make it forget, and lead in it again. */
  onOwnVoteDurable(): Ballot {
    return this.onBallot(this.#core.id, true);
  }

  /** Counts a voter once, however often its answer arrives. */
  onBallot(from: NodeId, granted: boolean): Ballot {
    if (!this.#ballots.has(from)) this.#ballots.set(from, granted);
    return this.ballot();
  }

  /** Only voters count, whoever has answered: this node itself may not be one of them any more. */
  ballot(): Ballot {
    const { configuration } = this.#core;
    if (isQuorum(configuration, (voter) => this.#ballots.get(voter) === true)) return 'won';
    const canBeWon = isQuorum(configuration, (voter) => this.#ballots.get(voter) !== false);
    return canBeWon ? 'open' : 'lost';
  }
}
