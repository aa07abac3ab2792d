/**
 * What one seed decides: topology, absurd tunings, the faults and the workload of a run. Swarm testing (Groce et al.,
 * ISSTA 2012): each run switches whole classes of faults on or off, because a bug may need one fault to be absent.
 */
import type { RaftTiming } from '../src/raft/core.ts';
import { DEFAULT_FLOW, type FlowLimits } from '../src/raft/flow.ts';
import { DEFAULT_SNAPSHOT_LIMITS, type SnapshotLimits } from '../src/replica/snapshots.ts';
import type { AtlasMode } from './atlas.ts';
import type { SimRandom } from './random.ts';
import type { Workload } from './workload.ts';

/** Plain data, so that a scenario can hold it. */
export interface WorldOptions {
  /** Those that the group is founded with. */
  readonly nodes: number;
  /** Machines that an operator may add to the group. */
  readonly spares: number;
  readonly clients: number;
  /** Clients that follow a feed, of one bucket after the other. */
  readonly watchers: number;
  readonly timing: RaftTiming;
  readonly tuning: Tuning;
  readonly surroundings: Surroundings;
  readonly faults: FaultMix;
  readonly workload: Workload;
  /** Whether damage is kept to nodes that the cluster can do without; if not, it may have to wait for ever. */
  readonly damage: AtlasMode;
  /** Of a thousand moments at which a node has just promised something, at how many it is seen what a power cut would leave. */
  readonly powerCutPermille: number;
  /** Rare paths of the code that are taken more often, see `src/base/rare.ts`. */
  readonly maybes: Readonly<Record<string, number>>;
}

export interface Tuning {
  readonly segmentBytes: number;
  readonly cacheBytes: number;
  readonly memtableBytes: number;
  readonly blockBytes: number;
  readonly mergeAtTables: number;
  readonly immutableMemtablesMax: number;
  readonly stepBytes: number;
  readonly scrubBytesPerSecond: number;
  /** As `RouterTimeouts`. */
  readonly noLeaderMs: number;
  readonly answerMs: number;
  readonly flow: FlowLimits;
  readonly snapshots: SnapshotLimits;
  /** What the nodes take for true of their clocks; null: nothing, and no leases. */
  readonly clockDriftPpmMax: number | null;
}

/** How the machines and the network between them are, faults aside. */
export interface Surroundings {
  readonly networkDelayMsMax: number;
  readonly longTailPermille: number;
  /** Of a million pieces between nodes, how many have a bit flipped on the way. */
  readonly bitFlipPerMillion: number;
  readonly fragmentPermille: number;
  readonly syncMsMax: number;
  /** Of a thousand syncs, how many take up to half a second. */
  readonly slowSyncPermille: number;
  readonly clockDriftPpm: number;
  /** Whether nodes' wall clocks show the same, drift aside, or times that have nothing to do with each other. */
  readonly wallClocks: 'together' | 'apart';
  /** Views of files are overwritten when their event is over, and buffers handed to the network are watched. */
  readonly ownership: 'watched' | 'trusted';
}

/** Mean times between strokes of a class, in milliseconds of simulated time; 0: the class is off in this run. */
export interface FaultMix {
  readonly crashEveryMs: number;
  /** A node crashes several times in a row, each time soon after it is back. */
  readonly restartStormEveryMs: number;
  /** All nodes at once. */
  readonly blackoutEveryMs: number;
  readonly crashInsideEveryMs: number;
  /** A node is stopped in order and started again, one after the other. */
  readonly upgradeEveryMs: number;
  readonly pauseEveryMs: number;
  readonly slowCpuEveryMs: number;
  readonly partitionEveryMs: number;
  readonly oneWayEveryMs: number;
  /** Single pairs of nodes are cut, so that some nodes see only some. */
  readonly partialEveryMs: number;
  readonly flappingEveryMs: number;
  readonly resetEveryMs: number;
  readonly slowNetworkEveryMs: number;
  readonly slowDiskEveryMs: number;
  readonly driftEveryMs: number;
  readonly wallJumpEveryMs: number;
  readonly freezeEveryMs: number;
  /** The leader's clock stands still while it is cut off from the other nodes: it cannot know that it is deposed. */
  readonly frozenLeaderEveryMs: number;
  readonly commandEveryMs: number;
  /** An operator adds a spare to the group, or removes a member. */
  readonly memberChangeEveryMs: number;
  /** A read or a write of a disk fails, once. */
  readonly diskErrorEveryMs: number;
  readonly diskFullEveryMs: number;
  /** These four harm what is durable, on nodes that the atlas allows. */
  readonly failedSyncEveryMs: number;
  readonly damageEveryMs: number;
  /** As `damageEveryMs`, of tables alone: what a node mends by itself. */
  readonly tableRotEveryMs: number;
  readonly strayWriteEveryMs: number;
  readonly diskLostEveryMs: number;
  /** Of a thousand elections, after how many a node crashes within milliseconds, to be back soon. */
  readonly crashAtElectionPermille: number;
  /** Of a thousand votes, after how many the voter crashes before the vote can be durable, to be back at once. */
  readonly crashAtVotePermille: number;
  /** Of a thousand new leaders, how many crash before they can copy much of their log, to be back an election later. */
  readonly crashNewLeaderPermille: number;
  /** Of a thousand rare marks that a node reaches, after how many it crashes within milliseconds. */
  readonly crashAtMarkPermille: number;
  /** Of a thousand new leaders, how many are cut off, soon, with half of the nodes at most; who was before comes back. */
  readonly carouselPermille: number;
  /** Of a thousand starts, how many end in a crash before the node has recovered. */
  readonly crashAtBootPermille: number;
}

export const NO_FAULTS: FaultMix = {
  crashEveryMs: 0,
  restartStormEveryMs: 0,
  blackoutEveryMs: 0,
  crashInsideEveryMs: 0,
  upgradeEveryMs: 0,
  pauseEveryMs: 0,
  slowCpuEveryMs: 0,
  partitionEveryMs: 0,
  oneWayEveryMs: 0,
  partialEveryMs: 0,
  flappingEveryMs: 0,
  resetEveryMs: 0,
  slowNetworkEveryMs: 0,
  slowDiskEveryMs: 0,
  driftEveryMs: 0,
  wallJumpEveryMs: 0,
  freezeEveryMs: 0,
  frozenLeaderEveryMs: 0,
  commandEveryMs: 0,
  memberChangeEveryMs: 0,
  diskErrorEveryMs: 0,
  diskFullEveryMs: 0,
  failedSyncEveryMs: 0,
  damageEveryMs: 0,
  tableRotEveryMs: 0,
  strayWriteEveryMs: 0,
  diskLostEveryMs: 0,
  crashAtElectionPermille: 0,
  crashAtVotePermille: 0,
  crashNewLeaderPermille: 0,
  crashAtMarkPermille: 0,
  carouselPermille: 0,
  crashAtBootPermille: 0,
};

/** The orderly ends of what `drawOptions` draws: what a shrunk scenario is moved towards. */
export const PLAIN_TUNING: Tuning = {
  segmentBytes: 1 << 18,
  cacheBytes: 1 << 18,
  memtableBytes: 1 << 16,
  blockBytes: 1 << 12,
  mergeAtTables: 4,
  immutableMemtablesMax: 2,
  stepBytes: 1 << 14,
  scrubBytesPerSecond: 0,
  noLeaderMs: 3000,
  answerMs: 10_000,
  flow: DEFAULT_FLOW,
  snapshots: DEFAULT_SNAPSHOT_LIMITS,
  clockDriftPpmMax: null,
};

export const PLAIN_SURROUNDINGS: Surroundings = {
  networkDelayMsMax: 1,
  longTailPermille: 0,
  bitFlipPerMillion: 0,
  fragmentPermille: 0,
  syncMsMax: 1,
  slowSyncPermille: 0,
  clockDriftPpm: 0,
  wallClocks: 'apart',
  ownership: 'trusted',
};

export const PLAIN_WORKLOAD: Workload = {
  buckets: 1,
  keysPerBucket: 1,
  hotPermille: 0,
  setPermille: 500,
  deletePermille: 0,
  existsPermille: 0,
  casPermille: 0,
  getsetPermille: 0,
  appendPermille: 0,
  manyPermille: 0,
  transactionPermille: 0,
  scanPermille: 0,
  dropPermille: 0,
  ttlPermille: 0,
  ttlMsMax: 1000,
  incrementPermille: 0,
  jsonPermille: 0,
  valueBytesMin: 0,
  valueBytesMax: 16,
  pipelineMax: 1,
  pipelinePermille: 0,
  readRunPermille: 0,
  thinkMsMax: 100,
  burstMsMax: 1000,
  silenceMsMax: 0,
  patienceMs: 5000,
  reconnectMsMax: 200,
  sessionPermille: 0,
  respPermille: 0,
};

/** Options that were written down before some of today's existed: what is missing is plain. */
export function completeOptions(options: WorldOptions): WorldOptions {
  return {
    ...options,
    tuning: { ...PLAIN_TUNING, ...options.tuning },
    surroundings: { ...PLAIN_SURROUNDINGS, ...options.surroundings },
    faults: { ...NO_FAULTS, ...options.faults },
    workload: { ...PLAIN_WORKLOAD, ...options.workload },
    damage: options.damage ?? 'recoverable',
    spares: options.spares ?? 0,
    watchers: options.watchers ?? 0,
    powerCutPermille: options.powerCutPermille ?? 0,
    maybes: options.maybes ?? {},
  };
}

/** Rare paths that a run may widen; the names stand in the code, see `src/base/rare.ts`. */
const MAYBES = [
  'short-append',
  'equal-election-timeout',
  'low-probe',
  'read-by-lease',
  'needless-snapshot',
  'slow-install',
] as const;

const SIX_NODES_PERMILLE = 20;
const MANY_BESIDE_RUNS_PERMILLE = 10;
const UNRECOVERABLE_PERMILLE = 60;
const MEMBER_CHANGES_PERMILLE = 250;
const CLOCKS_LEFT_ALONE = { driftEveryMs: 0, wallJumpEveryMs: 0, freezeEveryMs: 0, frozenLeaderEveryMs: 0 };

export function drawOptions(random: SimRandom): WorldOptions {
  const topology = random.fork('topology');
  const tuning = random.fork('tuning');
  const workload = random.fork('workload');
  const timing = random.fork('timing');
  const changes = drawChanges(random.fork('changes'));
  const drawn = drawSurroundings(random.fork('surroundings'));
  // Only then it can be told that what expires is gone in time.
  const isPunctual = changes.ttlPermille > 0 && drawn.wallClocks === 'together';
  const surroundings = isPunctual ? { ...drawn, clockDriftPpm: 0 } : drawn;
  const anyFaults = drawFaults(random.fork('faults'));
  const faults = isPunctual ? { ...anyFaults, ...CLOCKS_LEFT_ALONE } : anyFaults;
  const heartbeatMs = timing.pick([50, 50, 100, 150]);
  const damage = random.fork('damage').chance(UNRECOVERABLE_PERMILLE) ? 'unrecoverable' : 'recoverable';
  const { spares, ...memberFaults } = drawMemberChanges(random.fork('members'), damage);
  const nodes = topology.pick([3, 3, 3, 3, 3, 3, 5, 5, 1, 2, 4, 7]);
  return {
    nodes: random.fork('six nodes').chance(SIX_NODES_PERMILLE) ? 6 : nodes,
    spares,
    clients: topology.between(2, 7),
    watchers: random.fork('watchers').pick([0, 0, 1, 1, 3]),
    timing: { heartbeatMs, electionTimeoutMs: heartbeatMs * timing.between(6, 12) },
    tuning: {
      segmentBytes: 1 << tuning.between(12, 18),
      cacheBytes: 1 << tuning.between(10, 18),
      memtableBytes: 1 << tuning.between(11, 16),
      blockBytes: 1 << tuning.between(7, 12),
      mergeAtTables: tuning.between(2, 6),
      immutableMemtablesMax: tuning.pick([1, 2, 4]),
      stepBytes: 1 << tuning.between(8, 14),
      scrubBytesPerSecond: random.fork('scrub').pick([0, 0, 3000, 100_000]),
      noLeaderMs: tuning.pick([100, 1000, 3000]),
      answerMs: tuning.pick([500, 3000, 10_000]),
      flow: drawFlow(random.fork('flow')),
      snapshots: drawSnapshots(random.fork('snapshots')),
      clockDriftPpmMax: drawDriftBound(random.fork('leases'), surroundings, faults),
    },
    surroundings,
    faults: { ...faults, ...memberFaults },
    workload: {
      buckets: workload.between(1, 3),
      keysPerBucket: workload.pick([1, 3, 10, 40]),
      hotPermille: workload.pick([0, 0, 300, 800]),
      setPermille: workload.between(250, 600),
      deletePermille: workload.pick([0, 50, 100, 150, 400]),
      existsPermille: workload.between(0, 100),
      ...changes,
      jsonPermille: workload.chance(250) ? workload.between(100, 600) : 0,
      ...drawValueBytes(workload),
      pipelineMax: workload.pick([1, 4, 12]),
      pipelinePermille: workload.pick([0, 200, 700]),
      thinkMsMax: workload.pick([5, 20, 100, 400]),
      burstMsMax: workload.pick([200, 1000, 4000]),
      silenceMsMax: workload.pick([0, 1000, 4000, 8000]),
      patienceMs: workload.pick([1000, 5000, 15_000]),
      respPermille: workload.pick([0, 300, 1000]),
      reconnectMsMax: workload.pick([5, 50, 200]),
      sessionPermille: sometimes(random.fork('sessions'), 300, 200, 1000),
    },
    damage,
    powerCutPermille: sometimes(random.fork('power cut'), 300, 100, 600),
    maybes: drawMaybes(random.fork('maybes')),
  };
}

/** Where anything may be harmed, a group that changes might be left with those that are. */
function drawMemberChanges(
  random: SimRandom,
  damage: AtlasMode,
): { readonly spares: number } & Partial<FaultMix> {
  if (damage === 'unrecoverable' || !random.chance(MEMBER_CHANGES_PERMILLE)) return { spares: 0 };
  return {
    spares: random.pick([1, 2, 2, 3]),
    memberChangeEveryMs: random.between(500, 4000),
    // A node whose disk is lost is what an operator replaces.
    ...(random.chance(400) ? { diskLostEveryMs: random.between(2000, 6000) } : {}),
  };
}

/** Together no more than leaves room for reads. */
function drawChanges(
  random: SimRandom,
): Pick<
  Workload,
  | 'casPermille'
  | 'getsetPermille'
  | 'appendPermille'
  | 'manyPermille'
  | 'transactionPermille'
  | 'scanPermille'
  | 'dropPermille'
  | 'ttlPermille'
  | 'ttlMsMax'
  | 'incrementPermille'
  | 'readRunPermille'
> {
  const expiry = random.fork('expiry');
  const runs = random.fork('read runs');
  const readRunPermille = sometimes(runs, 250, 100, 800);
  const drawnTtlPermille = sometimes(expiry, 300, 50, 600);
  // Reads that go together differ where one meets what has expired.
  const ttlPermille = readRunPermille > 0 && runs.chance(500) ? 500 : drawnTtlPermille;
  const drawn = {
    readRunPermille,
    ttlPermille,
    ttlMsMax: expiry.pick([20, 500, 5000]),
    dropPermille: sometimes(random.fork('drop'), 200, 2, 20),
    casPermille: sometimes(random, 300, 10, 80),
    getsetPermille: sometimes(random, 250, 5, 50),
    appendPermille: ttlPermille > 0 ? 0 : sometimes(random, 250, 5, 40),
    manyPermille: sometimes(random, 200, 10, 60),
    incrementPermille: sometimes(random, 300, 10, 80),
    transactionPermille: sometimes(random, 250, 10, 80),
    scanPermille: sometimes(random, 200, 3, 30),
  };
  // Two reads tell of an order only where one of them is of several keys.
  return readRunPermille > 0 && drawn.manyPermille === 0
    ? { ...drawn, manyPermille: MANY_BESIDE_RUNS_PERMILLE }
    : drawn;
}

/** A bound is declared only where it holds. */
function drawDriftBound(random: SimRandom, { clockDriftPpm }: Surroundings, faults: FaultMix): number | null {
  if (faults.driftEveryMs + faults.freezeEveryMs + faults.frozenLeaderEveryMs > 0) return null;
  return random.chance(750) ? clockDriftPpm : null;
}

/** Short tails, so that who was away for a while needs a snapshot. */
function drawSnapshots(random: SimRandom): SnapshotLimits {
  const log = random.fork('bytes of the log');
  return {
    ...(log.chance(400) ? { logBytesMax: log.pick([500, 5000, 50_000]) } : {}),
    logTailEntries: random.pick([null, 0, 0, 3, 20, 200]),
    chunkBytes: random.pick([1, 200, 4000]),
    bytesPerSecondMax: random.pick([100_000, 10_000_000]),
  };
}

/** Now and then everything is under way one by one, and the next writer already too much. */
function drawFlow(random: SimRandom): FlowLimits {
  if (random.chance(500)) return DEFAULT_FLOW;
  const entries = random.fork('entries');
  return {
    ...DEFAULT_FLOW,
    ...(entries.chance(300) ? { appendEntriesMax: entries.pick([1, 3, 20]) } : {}),
    ...(entries.chance(300) ? { appendsPerTurnMax: entries.pick([2, 64]) } : {}),
    appendBytesMax: random.pick([1, 100, 4000]),
    inFlightMax: random.pick([1, 2, 64]),
    inFlightBytesMax: random.pick([1, 1000, 100_000]),
    uncommittedBytesMax: random.pick([1, 1000, 100_000]),
  };
}

/** Records of one size are where what an earlier record left behind can pass for the next one. */
function drawValueBytes(random: SimRandom): { valueBytesMin: number; valueBytesMax: number } {
  const valueBytesMax = random.pick([16, 300, 3000]);
  return { valueBytesMin: random.chance(250) ? valueBytesMax : 0, valueBytesMax };
}

function drawSurroundings(random: SimRandom): Surroundings {
  return {
    networkDelayMsMax: random.pick([1, 5, 30]),
    longTailPermille: sometimes(random, 300, 1, 30),
    bitFlipPerMillion: sometimes(random, 150, 20, 500),
    fragmentPermille: random.pick([0, 50, 50, 300]),
    syncMsMax: random.pick([1, 3, 20]),
    slowSyncPermille: sometimes(random, 300, 1, 50),
    clockDriftPpm: random.pick([0, 100, 20_000]),
    wallClocks: random.fork('wall').pick(['together', 'apart']),
    ownership: random.chance(300) ? 'watched' : 'trusted',
  };
}

function drawFaults(random: SimRandom): FaultMix {
  return {
    ...NO_FAULTS,
    crashEveryMs: sometimes(random, 600, 800, 6000),
    restartStormEveryMs: sometimes(random, 150, 3000, 10_000),
    blackoutEveryMs: sometimes(random, 250, 4000, 15_000),
    crashInsideEveryMs: sometimes(random, 300, 500, 5000),
    upgradeEveryMs: sometimes(random, 150, 3000, 10_000),
    pauseEveryMs: sometimes(random, 300, 1000, 8000),
    slowCpuEveryMs: sometimes(random, 150, 1000, 8000),
    partitionEveryMs: sometimes(random, 500, 1000, 6000),
    oneWayEveryMs: sometimes(random, 300, 1000, 6000),
    partialEveryMs: sometimes(random, 250, 1000, 6000),
    flappingEveryMs: sometimes(random, 150, 2000, 8000),
    resetEveryMs: sometimes(random, 300, 200, 3000),
    slowNetworkEveryMs: sometimes(random, 200, 2000, 8000),
    slowDiskEveryMs: sometimes(random, 200, 2000, 8000),
    driftEveryMs: sometimes(random, 150, 2000, 8000),
    wallJumpEveryMs: sometimes(random, 150, 1000, 8000),
    freezeEveryMs: sometimes(random, 150, 2000, 8000),
    frozenLeaderEveryMs: sometimes(random, 250, 2000, 6000),
    commandEveryMs: sometimes(random, 200, 500, 5000),
    ...drawDiskFaults(random.fork('disk')),
    crashAtElectionPermille: sometimes(random, 250, 100, 700),
    crashAtVotePermille: sometimes(random, 250, 100, 700),
    crashNewLeaderPermille: sometimes(random, 300, 200, 900),
    crashAtMarkPermille: sometimes(random, 300, 1, 60),
    crashAtBootPermille: sometimes(random, 200, 100, 500),
    carouselPermille: sometimes(random, 200, 300, 950),
  };
}

function drawDiskFaults(random: SimRandom): Partial<FaultMix> {
  return {
    diskErrorEveryMs: sometimes(random, 250, 500, 6000),
    diskFullEveryMs: sometimes(random, 200, 2000, 8000),
    failedSyncEveryMs: sometimes(random, 200, 2000, 12_000),
    damageEveryMs: sometimes(random, 250, 300, 8000),
    tableRotEveryMs: sometimes(random.fork('tables'), 300, 200, 4000),
    strayWriteEveryMs: sometimes(random, 200, 1000, 8000),
    diskLostEveryMs: sometimes(random, 100, 5000, 20_000),
  };
}

function drawMaybes(random: SimRandom): Record<string, number> {
  const maybes: Record<string, number> = {};
  for (const name of MAYBES) if (random.chance(500)) maybes[name] = random.between(50, 950);
  // Everybody has to ask again then: more of it leaves little else to see.
  if (random.chance(300)) maybes['spurious-refusal'] = random.between(10, 200);
  // Each one keeps writers waiting for an election.
  if (random.chance(300)) maybes['unasked-transfer'] = random.between(2, 40);
  return maybes;
}

function sometimes(random: SimRandom, permille: number, low: number, high: number): number {
  return random.chance(permille) ? random.between(low, high) : 0;
}
