/** Answers questions about the group, and changes who belongs to it, on the node that leads. */
import { unreachable } from '../base/assert.ts';
import { utf8 } from '../codec/bytes.ts';
import type { Clock } from '../io/clock.ts';
import { type Administration, errorResult, type Result } from '../kv/request.ts';
import type { Entry, Index, Term } from '../log/entry.ts';
import { decodeConfiguration, isJoint } from '../raft/configuration.ts';
import type { ChangeAnswer, Refusal } from '../raft/leader.ts';
import type { MembershipChange } from '../raft/membership_change.ts';
import type { NodeId } from '../raft/message.ts';
import type { Raft } from '../raft/raft.ts';
import { SUPERSEDED } from './proposals.ts';
import { HANDING_OVER, refusalResult } from './refusal.ts';
import type { Done, ReplicaOptions } from './replica_options.ts';

export interface AdministratorOptions
  extends Pick<ReplicaOptions, 'id' | 'answerTimeoutMs' | 'proposalBytesMax' | 'flow'> {
  readonly raft: Pick<Raft, 'configuration' | 'leader' | 'term' | 'changeMembership'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** See `Raft.transferLeadership`. */
  readonly transferLeadership: (to: NodeId) => NodeId | null;
  /** Consensus has something to do. */
  readonly planTurn: () => void;
}

/** A change of membership that this node has begun as a leader. */
interface PendingChange {
  /** Of the first entry that holds a part of it. */
  readonly index: Index;
  readonly term: Term;
  readonly id: NodeId;
  readonly deadlineMs: number;
  readonly done: Done;
}

export class Administrator {
  readonly #options: AdministratorOptions;
  #pendingChange: PendingChange | null = null;

  constructor(options: AdministratorOptions) {
    this.#options = options;
  }

  /** No change waits to be decided. */
  get isIdle(): boolean {
    return this.#pendingChange === null;
  }

  /** When `expire` has something to do; infinity: never. */
  get deadlineMs(): number {
    return this.#pendingChange?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** For a node that leads. `done` is called once, maybe before this returns. */
  run(request: Administration, done: Done): void {
    switch (request.type) {
      case 'member-list':
        done({ type: 'value', value: utf8(this.#listMembers()) });
        return;
      case 'member-transfer':
        done(this.#transferTo(request.id));
        return;
      case 'member-add':
        this.#change({ type: 'add', address: request.address, identity: request.identity }, done);
        return;
      case 'member-remove':
        this.#change({ type: 'remove', id: request.id }, done);
        return;
      case 'member-promote':
        this.#change({ type: 'promote', id: request.id }, done);
        return;
      default:
        unreachable(request);
    }
  }

  /** A configuration is applied. */
  onConfiguration({ index, term, payload }: Entry): void {
    const change = this.#pendingChange;
    if (change === null || index < change.index || isJoint(decodeConfiguration(payload))) return;
    // What another leader has done in its place may be something else.
    this.#settle(term === change.term ? { type: 'count', count: change.id } : SUPERSEDED);
  }

  expire(nowMs: number): void {
    if (this.#pendingChange === null || this.#pendingChange.deadlineMs > nowMs) return;
    const message =
      'no majority has confirmed the change of membership in time: it may or may not take effect';
    this.#settle(errorResult('unknown', message));
  }

  stop(): void {
    this.#settle(
      errorResult('unknown', 'the node stopped: the change of membership may or may not take effect'),
    );
  }

  #listMembers(): string {
    const { configuration, leader } = this.#options.raft;
    const { members, voters, outgoing, learners } = configuration;
    const lines = members.map(({ id, address }) => {
      let role = learners.includes(id) ? 'learner' : 'voter';
      if (outgoing.length > 0 && !outgoing.includes(id) && voters.includes(id)) role = 'voter joining';
      if (outgoing.includes(id) && !voters.includes(id)) role = 'voter leaving';
      return `${id} ${address} ${role}${id === leader ? ' leader' : ''}\r\n`;
    });
    return lines.join('');
  }

  #transferTo(to: NodeId): Result {
    const { id, raft, transferLeadership } = this.#options;
    if (to === id || transferLeadership(to) === to) return { type: 'ok' };
    if (raft.configuration.voters.includes(to)) return HANDING_OVER;
    return errorResult('invalid', `node ${to} is not a voter of this group: it cannot lead`);
  }

  #change(change: MembershipChange, done: Done): void {
    const { raft, clock, answerTimeoutMs, planTurn } = this.#options;
    const nowMs = clock.monotonicMs();
    const answer = raft.changeMembership(change, nowMs);
    planTurn();
    if (answer.type !== 'begun') {
      done(changeResult(answer, (why) => refusalResult(why, this.#options)));
      return;
    }
    const { index, id } = answer;
    this.#settle(SUPERSEDED);
    this.#pendingChange = { index, id, term: raft.term, deadlineMs: nowMs + answerTimeoutMs, done };
  }

  #settle(result: Result): void {
    const change = this.#pendingChange;
    if (change === null) return;
    this.#pendingChange = null;
    change.done(result);
  }
}

/** What a client is told of a change that was not begun. */
function changeResult(
  answer: Exclude<ChangeAnswer, { type: 'begun' }>,
  refusal: (why: Refusal) => Result,
): Result {
  switch (answer.type) {
    case 'none':
      return { type: 'count', count: answer.id };
    case 'invalid':
      return errorResult('invalid', answer.why);
    case 'unsafe': {
      const silent = answer.silent.join(', ');
      return errorResult('invalid', `no majority would answer: nothing is heard of node ${silent}`);
    }
    case 'refused':
      if (answer.why === 'too-early') return errorResult('unavailable', 'the leader has just been elected');
      if (answer.why !== 'change-under-way') return refusal(answer.why);
      return errorResult('invalid', 'another change of membership is under way: try again when it is done');
    default:
      return unreachable(answer);
  }
}
