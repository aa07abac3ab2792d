/**
 * What an operator may ask of a group's membership, and what becomes of a configuration by it. Pure: whether the time is
 * right for a change is the leader's to decide.
 */
import { type Configuration, configurationOf, isVoter, MEMBERS_MAX, memberOf } from './configuration.ts';
import type { NodeId } from './message.ts';

export type MembershipChange =
  /** A new node, as a learner; the leader makes it a voter once it has caught up. `identity` 0: any data directory. */
  | { readonly type: 'add'; readonly address: string; readonly identity: number }
  | { readonly type: 'remove'; readonly id: NodeId }
  /** A learner becomes a voter, even if it has not caught up. */
  | { readonly type: 'promote'; readonly id: NodeId };

export type ChangeOutcome =
  /** `id`: of the node that it is about. The target is not joint. */
  | { readonly type: 'change'; readonly id: NodeId; readonly target: Configuration }
  /** It is so already. */
  | { readonly type: 'none'; readonly id: NodeId }
  | { readonly type: 'invalid'; readonly why: string };

/** @param before Not joint. */
export function changeOf(before: Configuration, change: MembershipChange): ChangeOutcome {
  switch (change.type) {
    case 'add':
      return added(before, change.address, change.identity);
    case 'remove':
      return removed(before, change.id);
    case 'promote':
      return promoted(before, change.id);
  }
}

/** The entry that begins a change: joint when the voters change, otherwise the target itself. */
export function firstStepTo(target: Configuration, before: Configuration): Configuration {
  if (sameNodes(target.voters, before.voters)) return target;
  return configurationOf(target.lastId, [...target.members, ...missing(before, target)], {
    voters: target.voters,
    outgoing: before.voters,
    learners: target.learners,
  });
}

/** What a joint configuration leads to. */
export function lastStepOf({ lastId, members, voters, learners }: Configuration): Configuration {
  return configurationOf(lastId, members, { voters, outgoing: [], learners });
}

function added(before: Configuration, address: string, identity: number): ChangeOutcome {
  const { lastId, members, voters, learners } = before;
  const there = members.find((member) => member.address === address);
  if (there !== undefined) {
    const { id } = there;
    if (there.identity === identity) return { type: 'none', id };
    if (there.identity === 0 && learners.includes(id)) {
      // It was announced; now its data directory is known.
      const bound = members.map((member) => (member.id === id ? { ...member, identity } : member));
      return { type: 'change', id, target: configurationOf(lastId, bound, before) };
    }
    const why = `${address} is node ${id} already, with another data directory: remove node ${id} first`;
    return { type: 'invalid', why };
  }
  if (members.length >= MEMBERS_MAX) {
    return { type: 'invalid', why: `a group has at most ${MEMBERS_MAX} members` };
  }
  const id = lastId + 1;
  const roles = { voters, outgoing: [], learners: [...learners, id] };
  return { type: 'change', id, target: configurationOf(id, [...members, { id, address, identity }], roles) };
}

function removed(before: Configuration, id: NodeId): ChangeOutcome {
  const { lastId, members } = before;
  if (memberOf(before, id) === undefined) {
    if (id >= 1 && id <= lastId) return { type: 'none', id };
    return { type: 'invalid', why: `there is no node ${id}` };
  }
  const voters = without(before.voters, id);
  if (voters.length === 0) return { type: 'invalid', why: `node ${id} is the only voter` };
  const roles = { voters, outgoing: [], learners: without(before.learners, id) };
  return { type: 'change', id, target: configurationOf(lastId, members, roles) };
}

function promoted(before: Configuration, id: NodeId): ChangeOutcome {
  const { lastId, members, voters, learners } = before;
  if (isVoter(before, id)) return { type: 'none', id };
  if (!learners.includes(id)) return { type: 'invalid', why: `there is no node ${id}` };
  const roles = { voters: [...voters, id], outgoing: [], learners: without(learners, id) };
  return { type: 'change', id, target: configurationOf(lastId, members, roles) };
}

function missing({ members }: Configuration, target: Configuration): Configuration['members'] {
  return members.filter(({ id }) => memberOf(target, id) === undefined);
}

function without(nodes: readonly NodeId[], id: NodeId): NodeId[] {
  return nodes.filter((node) => node !== id);
}

function sameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
