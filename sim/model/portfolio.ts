/**
 * Searches that together look where the bugs of a consensus core are. No machine searches all of the model at once; each
 * of these is small enough to be searched whole or to a good depth, and leaves out what the others look at.
 */
import type { Bounds } from './bounds.ts';
import type { Persistence } from './model_node.ts';
import type { Strategy } from './search.ts';
import type { Start } from './start.ts';

/** What a search is in: with the code and the mutant, all that decides what it finds. */
export interface Setup {
  readonly nodes: number;
  readonly start: Start;
  readonly persistence: Persistence;
  readonly maxTerm: number;
  readonly letters: number;
  readonly copies: number;
  /** Where the core has two ways, `maybe(name)`, the rarer one is taken. */
  readonly rarePaths: readonly string[];
  readonly bounds: Bounds;
}

export interface PlannedSearch {
  readonly name: string;
  readonly setup: Setup;
  readonly strategy: Strategy;
  readonly depth: number;
  readonly states: number;
}

const NOTHING: Bounds = {
  entries: 0,
  reads: 0,
  crashes: 0,
  drops: 0,
  duplicates: 0,
  timeouts: 0,
  beats: 0,
  lapses: 0,
  resets: 0,
};

const SMALL: Setup = {
  nodes: 3,
  start: 'empty',
  persistence: 'at-once',
  maxTerm: 5,
  letters: 12,
  copies: 1,
  rarePaths: [],
  bounds: NOTHING,
};

const STATES = 300_000;

function plan(name: string, setup: Partial<Setup>, bounds: Partial<Bounds>): PlannedSearch {
  return {
    name,
    setup: { ...SMALL, ...setup, bounds: { ...NOTHING, ...bounds } },
    strategy: 'breadth',
    depth: 100,
    states: STATES,
  };
}

/** The cheap ones first. */
export const PORTFOLIO: readonly PlannedSearch[] = [
  plan('a node alone', { nodes: 1, persistence: 'steps' }, { timeouts: 3, crashes: 2, entries: 2, reads: 1 }),
  plan('one election of four', { nodes: 4 }, { timeouts: 2 }),
  plan('figure 8', { start: 'diverged', rarePaths: ['short-append'] }, { timeouts: 2, lapses: 1 }),
  plan('syncs', { start: 'elected', persistence: 'steps' }, { entries: 2, crashes: 1 }),
  plan('reads', { start: 'elected' }, { reads: 2, timeouts: 1, lapses: 1 }),
  plan('diverged logs', { start: 'diverged' }, { timeouts: 2, crashes: 1 }),
  plan('votes and crashes', { persistence: 'steps' }, { timeouts: 2, crashes: 1 }),
  plan('votes', {}, { timeouts: 3 }),
  plan('heartbeats', { start: 'elected' }, { entries: 1, reads: 1, timeouts: 1, lapses: 1, beats: 1 }),
  plan('diverged logs, reads', { start: 'diverged' }, { timeouts: 2, reads: 1, beats: 1 }),
  plan('short appends', { start: 'diverged', rarePaths: ['short-append'] }, { timeouts: 1, resets: 2 }),
  plan('logs', { start: 'elected' }, { entries: 2, timeouts: 1, lapses: 1, resets: 1 }),
  plan(
    'logs and crashes',
    { start: 'elected', persistence: 'steps' },
    { entries: 1, timeouts: 1, lapses: 1, crashes: 1 },
  ),
  {
    ...plan(
      'walk',
      { start: 'elected', persistence: 'steps' },
      { entries: 2, reads: 2, crashes: 2, duplicates: 1, timeouts: 4, beats: 2, lapses: 3, resets: 1 },
    ),
    strategy: 'walk',
    depth: 60,
    states: 100_000,
  },
];
