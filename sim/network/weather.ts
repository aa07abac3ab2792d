/** What all parts of a simulated network share: time, draws by purpose, the trace, and the faults in force. */
import type { SimRandom } from '../random.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Trace } from '../trace.ts';
import { type NetworkFaults, NO_NETWORK_FAULTS } from './faults.ts';

export class Weather {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly faultRandom: SimRandom;
  readonly #latencyRandom: SimRandom;
  faults: NetworkFaults;

  constructor(scheduler: Scheduler, random: SimRandom, trace: Trace, faults: Partial<NetworkFaults>) {
    this.scheduler = scheduler;
    this.trace = trace;
    this.faults = { ...NO_NETWORK_FAULTS, ...faults };
    this.faultRandom = random.fork('fault');
    this.#latencyRandom = random.fork('latency');
  }

  drawLatencyUs(): number {
    const { latencyUs, longTailPermille, longTailUs } = this.faults;
    const range = this.#latencyRandom.chance(longTailPermille) ? longTailUs : latencyUs;
    return this.#latencyRandom.between(range.min, range.max);
  }

  /** Traces at the present time. */
  event(label: string, a: number, b: number, bytes?: Uint8Array): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.event(label, a, b, bytes);
  }
}
