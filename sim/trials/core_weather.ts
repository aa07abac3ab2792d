/** What happens to consensus cores on trial, and how often. */
import { DEFAULT_FLOW, type FlowLimits } from '../../src/raft/flow.ts';
import type { SimRandom } from '../random.ts';

export const US_PER_MS = 1000;
export const ELECTION_TIMEOUT_MS = 120;
export const TIMEOUT_US = ELECTION_TIMEOUT_MS * US_PER_MS;

/** What a trial draws once. */
export interface Weather {
  /** In election timeouts. */
  readonly stormTimeouts: number;
  /** How many nodes the group begins with, one of these. */
  readonly founders: readonly number[];
  /** A link has one of these, for a while. */
  readonly delaysUs: readonly number[];
  readonly flow: FlowLimits;
  readonly proposePermille: number;
  readonly lossPermille: number;
  readonly saveUsMax: number;
  /** Mean time between two things that happen to the cluster. */
  readonly everyUs: number;
  readonly crashPermille: number;
  readonly crashLeaders: boolean;
  /** Of a thousand crashes, how many are over within milliseconds. */
  readonly quickPermille: number;
  /** Of a thousand starts behind a crash, how many are followed by another crash within milliseconds. */
  readonly againPermille: number;
  /** What a node had sent when it ended is lost with its connections, as far as it was under way. */
  readonly losesSent: boolean;
  /** Of a thousand trials, in how many nodes wait to be added. */
  readonly joinersPermille: number;
  readonly transferPermille: number;
  readonly cutPermille: number;
  /** Of a thousand cuts, how many are around a leader. */
  readonly cutLeaderPermille: number;
  /** Of a thousand cuts, how many are between one node and all others. */
  readonly wholePermille: number;
  readonly compactPermille: number;
  readonly memberPermille: number;
  /** Of a thousand nodes that find themselves to be the only voter, how many end before they have told anybody. */
  readonly endLastVoterPermille: number;
  /** Links are cut as `core_plot.ts` has it. */
  readonly isPlotted: boolean;
}

/** Any weather, or one in which what only seldom goes wrong has the best chances to. */
export function drawWeather(random: SimRandom): Weather {
  const any = drawAny(random);
  const quiet = quietened(any);
  switch (
    random.pick([
      'any',
      'silenced leaders',
      'promises',
      'transfers',
      'snapshots',
      'members',
      'last voters',
      'rivals',
    ])
  ) {
    case 'silenced leaders':
      return { ...quiet, delaysUs: [1000, TIMEOUT_US >> 1], cutPermille: 100, wholePermille: 1000 };
    case 'promises':
      // The leader loses sight of one follower and goes on with the others, who forget what they can.
      return {
        ...quiet,
        delaysUs: [1000, TIMEOUT_US >> 1],
        crashPermille: 600,
        cutPermille: 25,
        wholePermille: 0,
      };
    case 'transfers':
      return { ...any, crashPermille: 100, transferPermille: 300, proposePermille: 300 };
    case 'snapshots':
      return {
        ...any,
        proposePermille: 600,
        everyUs: TIMEOUT_US >> 3,
        cutPermille: 100,
        compactPermille: 300,
      };
    case 'members':
      // Leaderships end in the middle of a change.
      return {
        ...any,
        memberPermille: 500,
        everyUs: TIMEOUT_US >> random.pick([3, 5]),
        cutPermille: random.pick([0, 50, 150]),
        crashPermille: random.pick([0, 50, 150]),
      };
    case 'last voters':
      // Groups shrink to one voter, who starts anew before the leader that leaves knows that it has left.
      return {
        ...quiet,
        founders: [2],
        delaysUs: [1000, TIMEOUT_US >> 3],
        everyUs: TIMEOUT_US >> 5,
        proposePermille: 100,
        memberPermille: 300,
        crashPermille: random.pick([20, 300]),
        losesSent: true,
        joinersPermille: 1000,
        endLastVoterPermille: 900,
        cutPermille: 0,
      };
    case 'rivals':
      // Leaders come and go and come back, and what each has written reaches but a few.
      return {
        ...quiet,
        founders: [5],
        proposePermille: 0,
        lossPermille: 0,
        cutPermille: 0,
        crashPermille: 0,
        isPlotted: true,
      };
    default:
      return any;
  }
}

/**
 * Followers that ask for a read start anew within milliseconds and ask again, while the answer to their earlier life waits
 * for others that are far away, and more is committed meanwhile.
 */
export function drawReaders(random: SimRandom): Weather {
  return {
    ...quietened(drawAny(random)),
    stormTimeouts: 10,
    founders: [3, 5],
    delaysUs: [1000, TIMEOUT_US >> 3],
    proposePermille: 600,
    everyUs: TIMEOUT_US >> 5,
    crashPermille: 50,
    againPermille: 700,
    joinersPermille: 0,
    losesSent: false,
  };
}

/** A leader that is cut off takes writes that come to nothing, and is sent what the others have committed, bit by bit. */
export function drawGrownApart(random: SimRandom): Weather {
  return {
    ...quietened(drawAny(random)),
    stormTimeouts: 20,
    founders: [3, 5],
    flow: drawSmallFlow(random.fork('flow')),
    delaysUs: [1000],
    proposePermille: 600,
    everyUs: TIMEOUT_US >> 4,
    cutPermille: 25,
    wholePermille: 1000,
    cutLeaderPermille: 1000,
    // The next leader but one has to find out where the logs part.
    transferPermille: 60,
    joinersPermille: 0,
  };
}

/** An entry in each append, and some of them under way. */
function drawSmallFlow(random: SimRandom): FlowLimits {
  return {
    ...DEFAULT_FLOW,
    appendBytesMax: 1,
    inFlightMax: random.pick([1, 4, 64]),
    appendsPerTurnMax: random.pick([1, 64]),
  };
}

function drawAny(random: SimRandom): Weather {
  const flows = random.fork('flow');
  return {
    flow: flows.chance(500) ? DEFAULT_FLOW : drawSmallFlow(flows),
    stormTimeouts: 40,
    founders: [2, 3, 3, 3, 4, 5],
    isPlotted: false,
    endLastVoterPermille: 0,
    delaysUs: random.pick([[1000], [1000, 1000, TIMEOUT_US >> 1], [1000, TIMEOUT_US >> 3, TIMEOUT_US]]),
    proposePermille: random.pick([20, 200, 600]),
    lossPermille: random.pick([0, 20, 200]),
    saveUsMax: random.pick([100, 5000, TIMEOUT_US >> 2]),
    everyUs: random.pick([TIMEOUT_US >> 4, TIMEOUT_US >> 2, TIMEOUT_US]),
    crashPermille: random.pick([0, 50, 300]),
    crashLeaders: true,
    quickPermille: 500,
    againPermille: 0,
    losesSent: random.chance(500),
    joinersPermille: 500,
    transferPermille: random.pick([0, 50, 200]),
    cutPermille: random.pick([0, 100, 200]),
    cutLeaderPermille: 500,
    wholePermille: 500,
    compactPermille: random.pick([0, 50, 300]),
    memberPermille: random.pick([0, 20, 200]),
  };
}

/** Logs stay alike, so that anybody can win. */
function quietened(any: Weather): Weather {
  return {
    ...any,
    proposePermille: 5,
    lossPermille: 0,
    saveUsMax: 100,
    everyUs: TIMEOUT_US >> 3,
    crashPermille: 0,
    crashLeaders: false,
    quickPermille: 950,
    transferPermille: 0,
    cutLeaderPermille: 900,
    compactPermille: 0,
    memberPermille: 0,
  };
}
