/**
 * What a search may spend on a way through the model. Each bound counts steps of one kind; a state knows how many it
 * has spent, three bits each, so that a bounded model has finitely many states.
 */
export interface Bounds {
  /** Client proposals. */
  readonly entries: number;
  readonly reads: number;
  readonly crashes: number;
  /** Messages lost. Adds nothing to what may never be delivered anyway; see docs/model_checking.md. */
  readonly drops: number;
  /** Messages delivered twice. */
  readonly duplicates: number;
  /** Election timeouts. */
  readonly timeouts: number;
  /** Times that a leader's clock reaches its next heartbeat and quorum check. */
  readonly beats: number;
  /** Times that a follower stops holding to a leader without campaigning itself. */
  readonly lapses: number;
  /** Connections that a leader finds made anew. */
  readonly resets: number;
}

export const BOUND_MAX = 7;
const BITS = 3;

export const DEFAULT_BOUNDS: Bounds = {
  entries: 1,
  reads: 1,
  crashes: 1,
  drops: 0,
  duplicates: 0,
  timeouts: 2,
  beats: 1,
  lapses: 1,
  resets: 0,
};

export type Kind = keyof Bounds;
export const KINDS = Object.keys(DEFAULT_BOUNDS) as readonly Kind[];

/** What has been spent, packed. */
export type Spent = number;

const SHIFTS = Object.fromEntries(KINDS.map((kind, at) => [kind, at * BITS])) as Readonly<
  Record<Kind, number>
>;

export function spentOf(spent: Spent, kind: Kind): number {
  return (spent >> SHIFTS[kind]) & BOUND_MAX;
}

export function spend(spent: Spent, kind: Kind): Spent {
  return spent + (1 << SHIFTS[kind]);
}
