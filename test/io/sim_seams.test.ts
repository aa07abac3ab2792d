/** The simulated seams under the suites that the real ones pass: what holds in the simulator holds outside of it. */
import { SimClock } from '../../sim/clock.ts';
import { SimDisk } from '../../sim/disk.ts';
import { SimNetwork } from '../../sim/network.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { describeClock } from './clock_compliance.ts';
import { describeDisk } from './disk_compliance.ts';
import { describeNetwork } from './network_compliance.ts';

const EVENTS_MAX = 1_000_000;

/** Runs events, and with them virtual time, until `isDone` returns true. */
function settler(scheduler: Scheduler): (isDone: () => boolean) => Promise<void> {
  return async (isDone) => {
    for (let events = 0; !isDone(); events++) {
      if (events > EVENTS_MAX || !scheduler.step()) throw new Error('nothing comes any more');
    }
  };
}

describeDisk('the simulated disk', () => {
  const scheduler = new Scheduler();
  const random = new SimRandom('disk compliance');
  const machine = new SimDisk({ scheduler, trace: new Trace(), random, faults: {} });
  const disk = machine.attach(new SimProcess('p', scheduler));
  disk.makeDirectory('/root');
  return { disk, root: '/root', settle: settler(scheduler), cleanup: () => {} };
});

for (const [name, driftPpm] of [
  ['exact', 0],
  ['fast', 100_000],
  ['slow', -100_000],
] as const) {
  describeClock(`a simulated clock, ${name},`, () => {
    const scheduler = new Scheduler();
    const process = new SimProcess('p', scheduler);
    const clock = new SimClock(scheduler, process, { offsetMs: 123.5, driftPpm });
    return { clock, settle: settler(scheduler), cleanup: () => {} };
  });
}

describeNetwork('the simulated network', () => {
  const scheduler = new Scheduler();
  const random = new SimRandom('network compliance');
  // Faults that the seam's promises allow on a connection that lasts.
  const faults = { fragmentPermille: 200, mergePermille: 200, longTailPermille: 10, checkMutation: true };
  const network = new SimNetwork({ scheduler, trace: new Trace(), random, faults });
  return {
    server: network.attach(new SimProcess('b', scheduler), 'b'),
    client: network.attach(new SimProcess('a', scheduler), 'a'),
    host: 'b',
    settle: settler(scheduler),
    cleanup: () => {},
  };
});
