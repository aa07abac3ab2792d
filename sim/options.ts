/**
 * What one seed decides: topology, absurd tunings, the faults and the workload of a run. Swarm testing (Groce et al.,
 * ISSTA 2012): each run switches whole classes of faults on or off, because a bug may need one fault to be absent.
 */
import type { RaftTiming } from '../src/raft/core.ts';
import type { Workload } from './client.ts';
import type { SimRandom } from './random.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly clients: number;
  readonly timing: RaftTiming;
  readonly tuning: Tuning;
  readonly faults: FaultMix;
  readonly workload: Workload;
}

export interface Tuning {
  readonly segmentBytes: number;
  readonly cacheBytes: number;
  readonly memtableBytes: number;
  readonly blockBytes: number;
  readonly mergeAtTables: number;
  readonly stepBytes: number;
}

/** Mean times between faults of a class, in milliseconds of simulated time; 0: the class is off in this run. */
export interface FaultMix {
  readonly crashEveryMs: number;
  /** All nodes at once. */
  readonly blackoutEveryMs: number;
  readonly pauseEveryMs: number;
  readonly partitionEveryMs: number;
  readonly oneWayEveryMs: number;
  readonly resetEveryMs: number;
  /** Share of disk operations, in a million, inside of which the process crashes. */
  readonly crashInsidePerMillion: number;
  readonly networkDelayMsMax: number;
  readonly longTailPermille: number;
  readonly syncMsMax: number;
  /** Of a thousand syncs, how many take up to half a second. */
  readonly slowSyncPermille: number;
  /** Of a thousand elections, after how many a node crashes within milliseconds, to be back soon. */
  readonly crashAtElectionPermille: number;
  readonly clockDriftPpm: number;
  /** Views of files are overwritten when their event is over, and buffers handed to the network are watched. */
  readonly ownership: 'watched' | 'trusted';
}

export function drawOptions(random: SimRandom): WorldOptions {
  const topology = random.fork('topology');
  const tuning = random.fork('tuning');
  const workload = random.fork('workload');
  return {
    nodes: topology.chance(800) ? 3 : 5,
    clients: topology.between(2, 7),
    timing: { heartbeatMs: 50, electionTimeoutMs: tuning.between(300, 600) },
    tuning: {
      segmentBytes: 1 << tuning.between(12, 18),
      cacheBytes: 1 << tuning.between(10, 18),
      memtableBytes: 1 << tuning.between(11, 16),
      blockBytes: 1 << tuning.between(7, 12),
      mergeAtTables: tuning.between(2, 6),
      stepBytes: 1 << tuning.between(8, 14),
    },
    faults: drawFaults(random.fork('faults')),
    workload: {
      buckets: workload.between(1, 3),
      keysPerBucket: workload.pick([1, 3, 10, 40]),
      setPermille: workload.between(250, 600),
      deletePermille: workload.between(0, 150),
      existsPermille: workload.between(0, 100),
      valueBytesMax: workload.pick([16, 300, 3000]),
      pipelineMax: workload.pick([1, 4, 12]),
      thinkMsMax: workload.pick([5, 20, 100, 400]),
      patienceMs: workload.pick([1000, 5000, 15_000]),
    },
  };
}

function drawFaults(random: SimRandom): FaultMix {
  const sometimes = (permille: number, low: number, high: number): number =>
    random.chance(permille) ? random.between(low, high) : 0;
  return {
    crashEveryMs: sometimes(700, 800, 6000),
    blackoutEveryMs: sometimes(250, 4000, 15_000),
    pauseEveryMs: sometimes(350, 1000, 8000),
    partitionEveryMs: sometimes(600, 1000, 6000),
    oneWayEveryMs: sometimes(400, 1000, 6000),
    resetEveryMs: sometimes(400, 200, 3000),
    crashInsidePerMillion: sometimes(300, 50, 1000),
    networkDelayMsMax: random.pick([1, 5, 30]),
    longTailPermille: sometimes(300, 1, 30),
    syncMsMax: random.pick([1, 3, 20]),
    slowSyncPermille: sometimes(300, 1, 50),
    crashAtElectionPermille: sometimes(300, 100, 700),
    clockDriftPpm: random.pick([0, 100, 20_000]),
    ownership: random.chance(300) ? 'watched' : 'trusted',
  };
}
