/** One simulated machine, put together: its disk outlives its processes. */
import type { Node } from '../src/server/node.ts';
import { SimClock } from './clock.ts';
import { type Injury, SimDisk } from './disk.ts';
import type { Surroundings } from './options.ts';
import { SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { hostOf } from './strokes.ts';
import type { Trace } from './trace.ts';

export interface Machine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  readonly process: SimProcess;
  node: Node | null;
}

export interface MachineOptions {
  readonly id: number;
  readonly scheduler: Scheduler;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly surroundings: Surroundings;
  readonly onInjury: (machine: Machine, injury: Injury) => void;
  readonly onPanic: (machine: Machine, error: Error) => void;
  readonly onCrashInside: (machine: Machine) => void;
}

const US_PER_MS = 1000;

export function makeMachine(options: MachineOptions): Machine {
  const { id, scheduler, random, trace, surroundings } = options;
  const host = hostOf(id);
  const process = new SimProcess(host, scheduler);
  const disk = new SimDisk({
    scheduler,
    random: random.fork(`disk${id}`),
    trace,
    faults: {
      syncUs: { min: 100, max: Math.max(300, surroundings.syncMsMax * US_PER_MS) },
      longTailPermille: surroundings.slowSyncPermille,
      poisonViews: surroundings.ownership === 'watched',
    },
    onInjury: (injury) => options.onInjury(machine, injury),
  });
  const drift = random.fork(`clock${id}`);
  const { clockDriftPpm } = surroundings;
  const driftPpm = clockDriftPpm === 0 ? 0 : drift.between(-clockDriftPpm, clockDriftPpm);
  const offsetMs = drift.between(0, 1_000_000);
  const clock = new SimClock(scheduler, process, { offsetMs, driftPpm });
  if (surroundings.wallClocks === 'together') clock.jumpWallMs(-offsetMs);
  const machine: Machine = { id, host, disk, clock, process, node: null };
  process.onPanic = (error) => options.onPanic(machine, error);
  process.onCrashInside = () => options.onCrashInside(machine);
  return machine;
}
