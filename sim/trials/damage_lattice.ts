/**
 * The lattice of the CTRL paper (Alagappan et al., FAST '18, section 4.1 and figure 5): a leader has written some entries
 * and is gone; of each entry each node holds a copy that is intact, damaged or missing, or the node is down. What must
 * come of it follows from what committed means:
 * - an entry may have been committed unless a majority is up and never had it. Such an entry must not be lost;
 * - if one of these has no intact copy on a node that is up, the group must wait: it cannot go on without it, nor serve;
 * - otherwise it must serve, with every entry that may have been committed. An entry that was certainly not committed may
 *   come back, or be discarded, in particular when nobody who is up can read it.
 *
 * Beyond the paper a node may have forgotten entries, their names included. It is fenced, and does not count as one that
 * never had them. The group may wait as long as no majority is up of those who know what they hold.
 */

import { utf8 } from '../../src/codec/bytes.ts';
import { type Entry, EntryKind } from '../../src/log/entry.ts';
import type { SimRandom } from '../random.ts';
import { ELECTION_TIMEOUT_MS, US_PER_MS } from './core_weather.ts';
import { DamageGroup, type DamageNode } from './damage_group.ts';
import { rotEntry, rotName } from './log_rot.ts';

/** Null: down. */
export type NodeState = {
  /** How long its log is, as far as it knows. */
  readonly length: number;
  /** Which of its entries are damaged. */
  readonly damaged: ReadonlySet<number>;
  /** It had the other entries as well: what it has acknowledged it can't name any more. */
  readonly forgets?: true;
} | null;

export type Expected =
  | { readonly outcome: 'waits' }
  /** Up to here the entries must be recovered. */
  | { readonly outcome: 'serves'; readonly recovered: number };

export type Outcome = 'recovered' | 'discarded' | 'waiting';

const WAIT_US = 30 * ELECTION_TIMEOUT_MS * US_PER_MS;
const STEP_US = 10 * US_PER_MS;
const CUT_US = 6 * ELECTION_TIMEOUT_MS * US_PER_MS;

/** All states of one node whose log has up to `entries` entries. */
export function nodeStates(entries: number): NodeState[] {
  const states: NodeState[] = [null];
  for (let length = 0; length <= entries; length++) {
    for (let mask = 0; mask < 1 << length; mask++) {
      const damaged = new Set<number>();
      for (let index = 1; index <= length; index++) if ((mask >> (index - 1)) & 1) damaged.add(index);
      states.push({ length, damaged });
    }
  }
  return states;
}

export function expectedOf(states: readonly NodeState[], entries: number): Expected {
  const up = states.filter((state) => state !== null);
  const majority = (states.length >> 1) + 1;
  if (up.length < majority) return { outcome: 'waits' };
  let recovered = 0;
  for (let index = 1; index <= entries; index++) {
    if (countWithout(states, index) >= majority) break;
    if (!up.some(({ length, damaged }) => length >= index && !damaged.has(index)))
      return { outcome: 'waits' };
    recovered = index;
  }
  return { outcome: 'serves', recovered };
}

/** Who is up and never had the entry. */
function countWithout(states: readonly NodeState[], index: number): number {
  return states.filter((state) => state !== null && state.forgets !== true && state.length < index).length;
}

/** Whether so many know what they hold that the group need not wait for those who have forgotten. */
function areEnoughSure(states: readonly NodeState[]): boolean {
  return 2 * states.filter((state) => state !== null && state.forgets !== true).length > states.length;
}

/** Terms of the entries, ascending; the group starts one election later. */
export interface Lattice {
  readonly states: readonly NodeState[];
  readonly terms: readonly number[];
  /**
   * `of-the-longest`: at first the others reach only the node with the longest log, so that it leads before anybody else
   * can, with all that is damaged there. Default: all reach each other.
   */
  readonly links?: 'all' | 'of-the-longest';
}

/** What became of it; throws when that is not what must come of it. */
export function tryLattice({ states, terms, links = 'all' }: Lattice, random: SimRandom): Outcome {
  const group = new DamageGroup({
    random,
    nodes: states.length,
    segmentBytes: 1 << 16,
    syncUs: { min: 50, max: 200 },
    delayUsMax: US_PER_MS,
  });
  const entries = terms.map((term, at): Entry => {
    return { index: at + 1, term, kind: EntryKind.Command, payload: utf8(`write ${at + 1}`) };
  });
  const lastTerm = Math.max(1, ...terms);
  for (const [at, state] of states.entries()) {
    const node = group.nodes[at];
    if (state === null || node === undefined) continue;
    const { length, damaged, forgets = false } = state;
    group.write(node, forgets ? entries : entries.slice(0, length), lastTerm);
    for (const index of damaged) rotEntry(node.disk, index);
    if (forgets) for (const { index } of entries.slice(length).reverse()) rotName(node.disk, index);
  }
  const running = group.nodes.filter((_node, at) => states[at] !== null);
  if (links === 'of-the-longest') cutAroundLongest(group, running, states);
  for (const node of running) group.start(node);
  const expected = expectedOf(states, terms.length);
  const serves = runUntilItServes(group, running);
  check(group);
  if (expected.outcome === 'waits') {
    if (serves) throw new Error('the group serves, although an entry may be missing');
    checkNothingIsDropped(running, states, entries);
    return 'waiting';
  }
  if (!serves && !areEnoughSure(states)) return 'waiting';
  if (!serves) throw new Error('the group does not serve, although nothing is missing');
  checkContent(running, entries, expected.recovered);
  const held = Math.max(0, ...states.map((state) => state?.length ?? 0));
  const [first] = running;
  const kept = entries.filter(({ index, term }) => first !== undefined && holds(first, index, term)).length;
  return kept < held ? 'discarded' : 'recovered';
}

function cutAroundLongest(
  group: DamageGroup,
  running: readonly DamageNode[],
  states: readonly NodeState[],
): void {
  const lengthOf = ({ id }: DamageNode): number => states[id - 1]?.length ?? 0;
  const [longest] = [...running].sort((one, other) => lengthOf(other) - lengthOf(one));
  const others = running.filter((node) => node !== longest);
  for (const { id } of others) for (const to of others) group.cut.add(`${id}>${to.id}`);
  group.scheduler.after(CUT_US, () => group.cut.clear());
}

/** Whether all nodes that run come to apply a write that is ordered now. */
function runUntilItServes(group: DamageGroup, running: readonly DamageNode[]): boolean {
  const end = group.scheduler.nowUs + WAIT_US;
  let wanted: number | null = null;
  let wantedTerm = 0;
  while (group.scheduler.nowUs < end && group.failure === null) {
    group.scheduler.runUntil(group.scheduler.nowUs + STEP_US);
    const { leader } = group;
    if (leader === null || leader.raft === null) continue;
    const { term } = leader.raft;
    if (wanted === null || term !== wantedTerm) {
      group.act(leader, (raft) => {
        const index = raft.propose(utf8('one more'));
        wanted = typeof index === 'number' ? index : null;
        wantedTerm = term;
      });
    }
    const goal = wanted;
    if (goal !== null && running.every(({ applied, raft }) => raft !== null && applied >= goal)) return true;
  }
  return false;
}

function check(group: DamageGroup): void {
  if (group.failure !== null) throw new Error(group.failure);
}

function checkContent(running: readonly DamageNode[], entries: readonly Entry[], recovered: number): void {
  for (const { id, groupLog } of running) {
    for (const { index, term, payload } of entries.slice(0, recovered)) {
      const found = groupLog?.entry(index);
      if (found?.term === term && Buffer.compare(found.payload, payload) === 0) continue;
      throw new Error(`node ${id} has lost entry ${index}, which may have been committed`);
    }
    if (groupLog?.damagedCount !== 0) throw new Error(`node ${id} serves with a damaged log`);
  }
}

/** As long as it cannot be known whether it was committed, nobody forgets an entry. */
function checkNothingIsDropped(
  running: readonly DamageNode[],
  states: readonly NodeState[],
  entries: readonly Entry[],
): void {
  const majority = (states.length >> 1) + 1;
  for (const { index, term } of entries) {
    if (countWithout(states, index) >= majority) return;
    for (const node of running) {
      const { id } = node;
      const length = states[id - 1]?.length ?? 0;
      if (length >= index && !holds(node, index, term)) {
        throw new Error(`node ${id} has dropped entry ${index}, which may have been committed`);
      }
    }
  }
}

/** By its identity: the entry may be damaged. */
function holds({ groupLog }: DamageNode, index: number, term: number): boolean {
  return groupLog !== null && groupLog.lastIndex >= index && groupLog.termAt(index) === term;
}
