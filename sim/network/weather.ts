/**
 * What all parts of a simulated network share: time, the trace, the faults in force, and draws by purpose. Each pair of
 * hosts draws from streams of its own: traffic that is left out somewhere changes nothing elsewhere, which is what lets
 * the shrinker leave things out.
 */
import type { SimRandom } from '../random.ts';
import type { NetworkProbe } from '../report/probe.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Trace } from '../trace.ts';
import { type NetworkFaults, NO_NETWORK_FAULTS } from './faults.ts';

export class Weather {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  probe: NetworkProbe | null = null;
  faults: NetworkFaults;
  readonly #random: SimRandom;
  readonly #pairs = new Map<string, PairWeather>();

  constructor(scheduler: Scheduler, random: SimRandom, trace: Trace, faults: Partial<NetworkFaults>) {
    this.scheduler = scheduler;
    this.trace = trace;
    this.faults = { ...NO_NETWORK_FAULTS, ...faults };
    this.#random = random;
  }

  /** For connections that the one host opens to the other. */
  between(fromHost: string, toHost: string): PairWeather {
    const name = `${fromHost}>${toHost}`;
    let pair = this.#pairs.get(name);
    if (pair === undefined) {
      pair = new PairWeather(this, this.#random.fork(name));
      this.#pairs.set(name, pair);
    }
    return pair;
  }

  /** Traces at the present time. */
  event(label: string, a: number, b: number, bytes?: Uint8Array): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.event(label, a, b, bytes);
  }
}

export class PairWeather {
  readonly scheduler: Scheduler;
  readonly faultRandom: SimRandom;
  readonly #weather: Weather;
  readonly #latencyRandom: SimRandom;

  constructor(weather: Weather, random: SimRandom) {
    this.scheduler = weather.scheduler;
    this.#weather = weather;
    this.faultRandom = random.fork('fault');
    this.#latencyRandom = random.fork('latency');
  }

  get probe(): NetworkProbe | null {
    return this.#weather.probe;
  }

  get faults(): NetworkFaults {
    return this.#weather.faults;
  }

  drawLatencyUs(): number {
    const { latencyUs, longTailPermille, longTailUs } = this.#weather.faults;
    const range = this.#latencyRandom.chance(longTailPermille) ? longTailUs : latencyUs;
    return this.#latencyRandom.between(range.min, range.max);
  }

  /** Traces at the present time. */
  event(label: string, a: number, b: number, bytes?: Uint8Array): void {
    this.#weather.event(label, a, b, bytes);
  }
}
