/**
 * What must hold in every state, and the little that has to be remembered of the past to say so. The memory is part of
 * the global state: two ways to a state are the same only when they remember the same.
 *
 * - election safety: an election is won at most once a term;
 * - log matching: two logs that hold an entry of the same term at an index are equal up to there;
 * - leader completeness: the log of a leader holds every entry that was committed in an earlier term;
 * - state machine safety: what one node commits at an index, no node commits another entry at;
 * - durability: what is committed would be left on a majority if all nodes crashed now;
 * - one vote a term, across crashes, as told by the messages that left; votes are given in rising terms;
 * - monotony: the term and the commit index of a node do not fall while it lives;
 * - reads: a read is confirmed at an index no lower than any commit index known anywhere when it was asked for.
 */
import type { Index } from '../../src/log/entry.ts';
import { majorityOf } from '../../src/raft/quorum.ts';
import type { KnownInput, LocalState, LocalStates, Permutation, Transition } from './local_states.ts';

export class PropertyViolation extends Error {
  readonly property: string;

  constructor(property: string, details: string) {
    super(`${property}: ${details}`);
    this.name = 'PropertyViolation';
    this.property = property;
  }
}

export interface Memory {
  readonly id: number;
  /** The leader of each term, from term 1 at position 1; 0 when there was none. */
  readonly leaders: readonly number[];
  /** The last vote that each node has shown: its term at 2 (id - 1), the candidate behind it. */
  readonly votes: readonly number[];
  /** Entry numbers by index, from 0 for index 1. */
  readonly committed: readonly number[];
  /** The term of the leader that committed it. */
  readonly commitTerms: readonly number[];
  /** By read id, from 0 for id 1: what it must see; -1 when it has been answered. */
  readonly reads: readonly Index[];
  readonly permuted: Memory[];
}

export class Properties {
  readonly #locals: LocalStates;
  readonly #memories: Memory[] = [];
  readonly #ids = new Map<string, number>();

  constructor(locals: LocalStates) {
    this.#locals = locals;
  }

  get memories(): number {
    return this.#memories.length;
  }

  memory(id: number): Memory {
    return this.#memories[id];
  }

  initial(nodes: number): Memory {
    return this.#intern([], new Array<number>(2 * nodes).fill(0), [], [], []);
  }

  /**
   * Looks at what one node did.
   * @param states Of all nodes, from position 0 for node 1; that of the node which acted is the one after.
   * @throws PropertyViolation
   */
  observe(
    memory: Memory,
    before: LocalState,
    cause: KnownInput,
    transition: Transition,
    states: readonly LocalState[],
  ): Memory {
    const { next } = transition;
    if (next === null) throw new PropertyViolation('assertion', transition.failure?.message ?? '');
    const { input } = cause;
    if (input.type !== 'crash') checkMonotony(before, next);
    if (next.entries !== before.entries) for (const other of states) this.#checkMatching(next, other);
    let { leaders, votes, committed, commitTerms, reads } = memory;
    if (transition.votes.length > 0) votes = withVotes(votes, next.node, transition);
    const becameLeader = next.role === 'leader' && (before.role !== 'leader' || before.term !== next.term);
    if (becameLeader) {
      leaders = withLeader(leaders, next);
      checkComplete(next, committed, commitTerms);
    }
    if (next.commitIndex > 0) {
      checkCommitted(next, committed);
      if (next.commitIndex > committed.length) {
        committed = next.entries.slice(0, next.commitIndex);
        commitTerms = committed.map((_entry, at) => commitTerms[at] ?? next.term);
        for (const state of states) {
          if (state.role === 'leader') checkComplete(state, committed, commitTerms);
        }
      }
    }
    if (committed.length > 0) checkDurable(states, committed);
    if (input.type === 'read') reads = [...reads, committed.length];
    if (transition.reads.length > 0) reads = withAnswers(reads, transition);
    if (
      leaders === memory.leaders &&
      votes === memory.votes &&
      committed === memory.committed &&
      reads === memory.reads
    ) {
      return memory;
    }
    return this.#intern(leaders, votes, committed, commitTerms, reads);
  }

  permute(memory: Memory, which: number): Memory {
    const known = memory.permuted[which];
    if (known !== undefined) return known;
    const permutation = this.#locals.permutations[which];
    const leaders = memory.leaders.map((leader) => permutation[leader]);
    const permuted = this.#intern(
      leaders,
      permuteVotes(memory.votes, permutation),
      memory.committed,
      memory.commitTerms,
      memory.reads,
    );
    memory.permuted[which] = permuted;
    return permuted;
  }

  #checkMatching(one: LocalState, other: LocalState): void {
    if (one.node === other.node) return;
    const { entryTerms } = this.#locals;
    let index = Math.min(one.entries.length, other.entries.length);
    while (index > 0 && entryTerms[one.entries[index - 1]] !== entryTerms[other.entries[index - 1]]) index--;
    for (; index > 0; index--) {
      if (one.entries[index - 1] === other.entries[index - 1]) continue;
      throw new PropertyViolation(
        'log matching',
        `nodes ${one.node} and ${other.node} hold the same term at a later index and differ at index ${index}`,
      );
    }
  }

  #intern(
    leaders: readonly number[],
    votes: readonly number[],
    committed: readonly number[],
    commitTerms: readonly number[],
    reads: readonly Index[],
  ): Memory {
    const key = `${leaders}|${votes}|${committed}|${commitTerms}|${reads}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return this.#memories[known];
    const id = this.#memories.length;
    const memory: Memory = { id, leaders, votes, committed, commitTerms, reads, permuted: [] };
    this.#memories.push(memory);
    this.#ids.set(key, id);
    return memory;
  }
}

function checkMonotony(before: LocalState, next: LocalState): void {
  if (next.term < before.term) {
    throw new PropertyViolation(
      'monotony',
      `the term of node ${next.node} falls from ${before.term} to ${next.term}`,
    );
  }
  if (next.commitIndex < before.commitIndex) {
    throw new PropertyViolation(
      'monotony',
      `the commit index of node ${next.node} falls from ${before.commitIndex} to ${next.commitIndex}`,
    );
  }
}

function withVotes(votes: readonly number[], node: number, { votes: shown }: Transition): readonly number[] {
  let changed: number[] | null = null;
  for (const { term, candidate } of shown) {
    const at = 2 * (node - 1);
    const [lastTerm, last] = [(changed ?? votes)[at], (changed ?? votes)[at + 1]];
    if (term === lastTerm && candidate === last) continue;
    if (term <= lastTerm) {
      throw new PropertyViolation(
        'one vote a term',
        `node ${node} voted for node ${last} in term ${lastTerm} and then for node ${candidate} in term ${term}`,
      );
    }
    changed ??= [...votes];
    changed[at] = term;
    changed[at + 1] = candidate;
  }
  return changed ?? votes;
}

function withLeader(leaders: readonly number[], { node, term }: LocalState): readonly number[] {
  const other = leaders[term] ?? 0;
  if (other !== 0) {
    const who =
      other === node ? `node ${node} is elected twice` : `nodes ${other} and ${node} are both elected`;
    throw new PropertyViolation('election safety', `${who} in term ${term}`);
  }
  const changed = [...leaders];
  while (changed.length <= term) changed.push(0);
  changed[term] = node;
  return changed;
}

function checkComplete(
  leader: LocalState,
  committed: readonly number[],
  commitTerms: readonly number[],
): void {
  for (let at = 0; at < committed.length; at++) {
    // A leader that is behind may not know yet what a later one has committed.
    if (commitTerms[at] >= leader.term || leader.entries[at] === committed[at]) continue;
    throw new PropertyViolation(
      'leader completeness',
      `node ${leader.node} leads in term ${leader.term} without the entry that was committed at index ${at + 1} in term ${commitTerms[at]}`,
    );
  }
}

function checkCommitted(state: LocalState, committed: readonly number[]): void {
  const until = Math.min(state.commitIndex, committed.length);
  for (let at = 0; at < until; at++) {
    if (state.entries[at] === committed[at]) continue;
    throw new PropertyViolation(
      'state machine safety',
      `node ${state.node} commits another entry at index ${at + 1} than was committed there before`,
    );
  }
}

function checkDurable(states: readonly LocalState[], committed: readonly number[]): void {
  const majority = majorityOf(states.length);
  for (let at = 0; at < committed.length; at++) {
    let copies = 0;
    for (const state of states) if (state.durableEntries[at] === committed[at]) copies++;
    if (copies >= majority) continue;
    throw new PropertyViolation(
      'durability',
      `the entry committed at index ${at + 1} would be left on ${copies} of ${states.length} nodes after a crash of all`,
    );
  }
}

function withAnswers(reads: readonly Index[], transition: Transition): readonly Index[] {
  const changed = [...reads];
  for (const { id, index } of transition.reads) {
    const due = changed[id - 1];
    if (index !== null && index < due) {
      throw new PropertyViolation(
        'reads',
        `read ${id} is confirmed at index ${index} and must see index ${due}`,
      );
    }
    changed[id - 1] = -1;
  }
  return changed;
}

function permuteVotes(votes: readonly number[], permutation: Permutation): number[] {
  const permuted = new Array<number>(votes.length).fill(0);
  for (let at = 0; at < votes.length; at += 2) {
    const to = 2 * (permutation[at / 2 + 1] - 1);
    permuted[to] = votes[at];
    permuted[to + 1] = permutation[votes[at + 1]];
  }
  return permuted;
}
